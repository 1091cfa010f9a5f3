// Completions stored by the server: browse, reopen as a conversation, delete.
import { useEffect, useState } from "preact/hooks";

import { choiceOf } from "../answering";
import { begin, callOf, current, type Turn } from "../conversation";
import { call, getJson, troubleOf, type Trouble } from "../http";
import type { Message, Page, WholeAnswer } from "../wire";
import { Icon } from "./icons";
import { closePanels } from "./panels";
import { TroubleBox } from "./trouble";

const PER_PAGE = 20;

export function Stored() {
  const [entries, setEntries] = useState<WholeAnswer[]>([]);
  const [more, setMore] = useState(true);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work();
      setTrouble(null);
    } catch (error) {
      setTrouble(troubleOf(error));
    }
  };
  const load = (known: WholeAnswer[]) =>
    attempt(async () => {
      const after = known.length ? `&after=${encodeURIComponent(known.at(-1)!.id)}` : "";
      const page = await getJson<Page<WholeAnswer>>(`/v1/chat/completions?order=desc&limit=${PER_PAGE}${after}`);
      setEntries([...known, ...page.data]);
      setMore(page.has_more);
    });
  const forget = (id: string) =>
    attempt(async () => {
      await call(`/v1/chat/completions/${id}`, { method: "DELETE" });
      setEntries(entries.filter((entry) => entry.id !== id));
    });
  useEffect(() => void load([]), []);
  return (
    <>
      {trouble && <TroubleBox trouble={trouble} />}
      {!entries.length && !trouble && <p class="hint">Nothing is stored. “store” in the parameters keeps answers.</p>}
      <ul class="list" aria-label="Stored completions">
        {entries.map((entry) => (
          <li key={entry.id}>
            <button type="button" class="entry" onClick={() => attempt(() => reopen(entry))}>
              {headline(entry)}
              <small>{facts(entry)}</small>
            </button>
            <button type="button" class="round small" title="Delete" onClick={() => forget(entry.id)}>
              <Icon name="bin" />
              <span class="sr-only">Delete “{headline(entry)}”</span>
            </button>
          </li>
        ))}
      </ul>
      <div class="actions">
        {more && entries.length > 0 && (
          <button type="button" onClick={() => load(entries)}>
            More
          </button>
        )}
        <button type="button" class="quiet" onClick={() => load([])}>
          <Icon name="redo" /> Refresh
        </button>
      </div>
    </>
  );
}

function headline(entry: WholeAnswer): string {
  const { content, tool_calls } = entry.choices[0]!.message;
  const text = content || tool_calls?.map((each) => `${callOf(each).name}()`).join(", ") || "(empty)";
  return text.replace(/\s+/g, " ").slice(0, 80);
}

function facts(entry: WholeAnswer): string {
  const when = new Date(entry.created * 1000).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });
  const labels = Object.entries(entry.metadata ?? {}).map(([key, value]) => `${key}=${value}`);
  return [when, entry.model, ...labels].join(" · ");
}

async function reopen(entry: WholeAnswer): Promise<void> {
  const messages: Message[] = [];
  let page: Page<Message & { id: string }>;
  let after = "";
  do {
    page = await getJson(`/v1/chat/completions/${entry.id}/messages?limit=100${after}`);
    messages.push(...page.data);
    after = `&after=${encodeURIComponent(page.data.at(-1)?.id ?? "")}`;
  } while (page.has_more && page.data.length);
  const answer: Turn = {
    role: "assistant",
    choices: entry.choices.map(choiceOf),
    chosen: 0,
    figures: { usage: entry.usage, id: entry.id, fingerprint: entry.system_fingerprint },
  };
  const system = messages.filter((message) => message.role === "system").map(textOf);
  const settings = { ...current.value.settings, model: entry.model, system: system.join("\n\n") };
  begin(settings, [...turnsOf(messages), answer], headline(entry));
  closePanels();
}

/** Messages as turns; the names of called functions are looked up by the calls' ids. */
function turnsOf(messages: Message[]): Turn[] {
  const names = new Map(messages.flatMap((m) => m.tool_calls ?? []).map((each) => [each.id, callOf(each).name]));
  return messages.flatMap((message): Turn[] => {
    const text = textOf(message);
    if (message.role === "user") return [{ role: "user", text }];
    const callId = message.tool_call_id ?? "";
    if (message.role === "tool") return [{ role: "tool", callId, name: names.get(callId) ?? "function", text }];
    if (message.role !== "assistant") return [];
    const choice = { text, reasoning: "", calls: (message.tool_calls ?? []).map(callOf), tokens: [], finish: null };
    return [{ role: "assistant", choices: [choice], chosen: 0, figures: {} }];
  });
}

function textOf(message: Message): string {
  const content: unknown = message.content;
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part: { text?: string }) => part.text ?? "").join("");
}
