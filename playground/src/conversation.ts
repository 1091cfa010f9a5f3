// Conversations: what was said, and with which settings. Kept in the browser's localStorage, as
// far as that has room; the newest are kept first.
import { computed, signal } from "@preact/signals";

import type { Message, TokenScore, ToolCall, Usage } from "./wire";
import type { Trouble } from "./http";

const STORE = "antiphon.conversations";
const MAX_KEPT = 50;

/** A call of a function, with the JSON of its arguments, or of a custom tool, with its input. */
export interface Call {
  id: string;
  kind: "function" | "custom";
  name: string;
  text: string;
}

export interface Choice {
  text: string;
  reasoning: string;
  calls: Call[];
  tokens: TokenScore[];
  finish: string | null;
}

export interface Figures {
  usage?: Usage;
  /** Seconds from the request to the first piece of the answer. */
  firstS?: number;
  /** Seconds from the request to the end. */
  totalS?: number;
  fingerprint?: string;
  id?: string;
}

export interface UserTurn {
  role: "user";
  text: string;
}

export interface ToolTurn {
  role: "tool";
  callId: string;
  name: string;
  text: string;
}

export interface AssistantTurn {
  role: "assistant";
  choices: Choice[];
  /** The choice that the conversation goes on with. */
  chosen: number;
  figures: Figures;
  /** The format that was asked for, where it was not text, and its schema. */
  format?: { schema: string };
  trouble?: Trouble;
  running?: boolean;
  stopped?: boolean;
}

export type Turn = UserTurn | ToolTurn | AssistantTurn;

export interface Settings {
  model: string;
  system: string;
  stream: boolean;
  /** Scalar fields that were set; the others keep the server's defaults. */
  parameters: Record<string, number | boolean | string>;
  format: "text" | "json_object" | "json_schema";
  schemaName: string;
  schemaStrict: boolean;
  schema: string;
  tools: string;
  toolChoice: string;
  /** Any other fields, as the text of a JSON object. */
  other: string;
}

export interface Conversation {
  id: string;
  title: string;
  updated: number;
  turns: Turn[];
  settings: Settings;
  draft: string;
}

export const EMPTY_SETTINGS: Settings = {
  model: "",
  system: "",
  stream: true,
  parameters: {},
  format: "text",
  schemaName: "answer",
  schemaStrict: true,
  schema: "",
  tools: "",
  toolChoice: "auto",
  other: "",
};

export const conversations = signal<Conversation[]>(read());
export const currentId = signal(conversations.value[0]?.id ?? "");
export const current = computed(
  () => conversations.value.find((c) => c.id === currentId.value) ?? conversations.value[0]!,
);
if (!conversations.value.length) begin();

export function begin(settings: Settings = EMPTY_SETTINGS, turns: Turn[] = [], title = ""): void {
  const fresh = { id: crypto.randomUUID(), title, updated: Date.now(), turns, settings, draft: "" };
  // A second empty conversation would only be in the way.
  const others = conversations.value.filter((c) => c.turns.length || c.draft || c.settings.system);
  conversations.value = [fresh, ...others];
  currentId.value = fresh.id;
  keep();
}

/** Change a conversation; `change` gets it and returns the parts that are new. */
export function update(id: string, change: (conversation: Conversation) => Partial<Conversation>): void {
  conversations.value = conversations.value.map((c) => (c.id === id ? { ...c, ...change(c) } : c));
  keepSoon();
}

export function set<K extends keyof Settings>(name: K, value: Settings[K]): void {
  update(current.value.id, (c) => ({ settings: { ...c.settings, [name]: value } }));
}

export function setParameter(name: string, value: number | boolean | string | undefined): void {
  const { [name]: _, ...others } = current.value.settings.parameters;
  set("parameters", value === undefined ? others : { ...others, [name]: value });
}

export function remove(id: string): void {
  conversations.value = conversations.value.filter((c) => c.id !== id);
  if (!conversations.value.length) begin();
  if (currentId.value === id) currentId.value = conversations.value[0]!.id;
  keep();
}

export function titleOf(conversation: Conversation): string {
  if (conversation.title) return conversation.title;
  const first = conversation.turns.find((turn) => turn.role === "user");
  return first ? (first as UserTurn).text.replace(/\s+/g, " ").slice(0, 80) : "New chat";
}

/** The turns as messages of a request, each answer by its chosen choice. */
export function messagesOf(settings: Settings, turns: Turn[]): Message[] {
  const system: Message[] = settings.system.trim() ? [{ role: "system", content: settings.system }] : [];
  return [...system, ...turns.flatMap(messageOf)];
}

function messageOf(turn: Turn): Message[] {
  if (turn.role === "user") return [{ role: "user", content: turn.text }];
  if (turn.role === "tool") return [{ role: "tool", tool_call_id: turn.callId, content: turn.text }];
  const choice = turn.choices[turn.chosen];
  if (!choice || (!choice.text && !choice.calls.length)) return [];
  const calls = choice.calls.length ? { tool_calls: choice.calls.map(wireCall) } : {};
  return [{ role: "assistant", content: choice.text || null, ...calls }];
}

function wireCall({ id, kind, name, text }: Call): ToolCall {
  const call = kind === "function" ? { function: { name, arguments: text } } : { custom: { name, input: text } };
  return { id, type: kind, ...call };
}

export function callOf({ id, type, function: called, custom }: ToolCall): Call {
  return { id, kind: type, name: (called ?? custom)?.name ?? "", text: called?.arguments ?? custom?.input ?? "" };
}

function read(): Conversation[] {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE) ?? "[]") as Conversation[];
    return kept.map((c) => ({
      ...c,
      settings: { ...EMPTY_SETTINGS, ...c.settings },
      turns: c.turns.map((turn) =>
        turn.role === "assistant" && turn.running ? { ...turn, running: false, stopped: true } : turn,
      ),
    }));
  } catch {
    return [];
  }
}

let timer = 0;

function keepSoon(): void {
  clearTimeout(timer);
  timer = window.setTimeout(keep, 400);
}

/** Write the conversations down; the oldest go where there is no room for all. */
export function keep(): void {
  clearTimeout(timer);
  const kept = [...conversations.value].sort((a, b) => b.updated - a.updated).slice(0, MAX_KEPT);
  for (; kept.length; kept.pop()) {
    try {
      localStorage.setItem(STORE, JSON.stringify(kept));
      return;
    } catch {
      // No room: without the oldest there may be.
    }
  }
}

addEventListener("pagehide", keep);
