// Sends a conversation and folds the answer, streamed or whole, into its last turn. What the user
// wrote is never lost: a failed answer is a turn that says why, and can be asked for again.
import { createParser } from "eventsource-parser";
import { computed, signal } from "@preact/signals";

import { callOf, current, keep, update, type AssistantTurn, type Call, type Choice, type Turn } from "./conversation";
import { ApiError, call, troubleOf, type ErrorBody } from "./http";
import { bodyOf, InvalidText } from "./request";
import type { Chunk, Thoughts, ToolCallDelta, WholeAnswer } from "./wire";

/** Conversations that are being answered, by id. */
const running = signal<Record<string, AbortController>>({});

export const isRunning = computed(() => current.value.id in running.value);
/** What assistive technology is told; changes only at the start and the end of an answer. */
export const announcement = signal("");

export function stop(): void {
  running.value[current.value.id]?.abort();
}

export function send(text: string): void {
  answer([...settled(current.value.turns), { role: "user", text }]);
}

/** Hand in the results of the calls of the last answer, and go on. */
export function sendResults(results: { callId: string; name: string; text: string }[]): void {
  answer([...current.value.turns, ...results.map((result) => ({ role: "tool" as const, ...result }))]);
}

/** Answer again what was said before the turn at `place`. */
export function regenerate(place: number): void {
  answer(current.value.turns.slice(0, place));
}

/** Replace what the user said at `place`; what followed is dropped. */
export function edit(place: number, text: string): void {
  answer([...current.value.turns.slice(0, place), { role: "user", text }]);
}

/** The turns without answers that failed before they began. */
function settled(turns: Turn[]): Turn[] {
  return turns.filter((t) => t.role !== "assistant" || t.choices.some((c) => c.text || c.calls.length));
}

function emptyChoice(): Choice {
  return { text: "", reasoning: "", calls: [], tokens: [], finish: null };
}

async function answer(turns: Turn[]): Promise<void> {
  const { id, settings } = current.value;
  if (id in running.value) return;
  const controller = new AbortController();
  running.value = { ...running.value, [id]: controller };
  const turn: AssistantTurn = { role: "assistant", choices: [], chosen: 0, figures: {}, running: true };
  if (settings.format !== "text") turn.format = { schema: settings.format === "json_schema" ? settings.schema : "" };
  const show = () =>
    update(id, () => ({ turns: [...turns, { ...turn, choices: [...turn.choices] }], updated: Date.now() }));
  show();
  announcement.value = "Answer requested.";
  try {
    await receive(bodyOf(settings, turns), controller.signal, turn, show);
    announcement.value = "Answer complete.";
  } catch (error) {
    if (controller.signal.aborted) turn.stopped = true;
    else turn.trouble = error instanceof InvalidText ? { message: error.message, facts: "" } : troubleOf(error);
    announcement.value = turn.trouble ? `Error: ${turn.trouble.message}` : "Answer stopped.";
  }
  turn.running = false;
  const { [id]: _, ...others } = running.value;
  running.value = others;
  show();
  keep();
}

async function receive(
  body: Record<string, unknown>,
  signal: AbortSignal,
  turn: AssistantTurn,
  show: () => void,
): Promise<void> {
  const began = performance.now();
  const since = () => (performance.now() - began) / 1000;
  const response = await call("/v1/chat/completions", { method: "POST", body: JSON.stringify(body), signal });
  if (body["stream"]) {
    const frame = perFrame(show);
    try {
      await readStream(response, (chunk) => {
        if (push(turn, chunk)) turn.figures.firstS ??= since();
        frame.request();
      });
    } finally {
      frame.cancel();
    }
  } else {
    fold(turn, (await response.json()) as WholeAnswer);
    turn.figures.firstS = since();
  }
  turn.figures.totalS = since();
}

/** At most one redraw per frame, however fast the tokens come. */
function perFrame(draw: () => void): { request: () => void; cancel: () => void } {
  let asked = 0;
  return {
    request: () => (asked ||= requestAnimationFrame(() => ((asked = 0), draw()))),
    cancel: () => cancelAnimationFrame(asked),
  };
}

async function readStream(response: Response, onChunk: (chunk: Chunk) => void): Promise<void> {
  let done = false;
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data === "[DONE]") {
        done = true;
        return;
      }
      const chunk = JSON.parse(data) as Chunk & { error?: ErrorBody };
      if (chunk.error) throw new ApiError(0, chunk.error, response.headers.get("x-request-id"));
      onChunk(chunk);
    },
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done: over, value } = await reader.read();
    if (over) break;
    parser.feed(value);
  }
  if (!done) throw new Error("the answer broke off.");
}

/** Whether the chunk brought anything of the answer itself. */
function push(turn: AssistantTurn, chunk: Chunk): boolean {
  turn.figures.id = chunk.id;
  turn.figures.fingerprint = chunk.system_fingerprint;
  if (chunk.usage) turn.figures.usage = chunk.usage;
  let spoke = false;
  for (const { index, delta, logprobs, finish_reason } of chunk.choices) {
    const choice = { ...(turn.choices[index] ?? emptyChoice()) };
    turn.choices[index] = choice;
    if (delta.content) choice.text += delta.content;
    choice.reasoning += thoughtsOf(delta);
    if (delta.tool_calls) choice.calls = delta.tool_calls.reduce(withCall, choice.calls);
    if (logprobs?.content?.length) choice.tokens = [...choice.tokens, ...logprobs.content];
    if (finish_reason) choice.finish = finish_reason;
    spoke ||= Boolean(delta.content || thoughtsOf(delta) || delta.tool_calls);
  }
  return spoke;
}

function withCall(calls: Call[], { index, id, function: called, custom }: ToolCallDelta): Call[] {
  const known = calls[index] ?? { id: "", kind: custom ? "custom" : "function", name: "", text: "" };
  const call = {
    ...known,
    id: id ?? known.id,
    name: known.name + ((called ?? custom)?.name ?? ""),
    text: known.text + (called?.arguments ?? custom?.input ?? ""),
  };
  return Object.assign([...calls], { [index]: call });
}

function thoughtsOf({ reasoning_content, reasoning }: Thoughts): string {
  return reasoning_content ?? reasoning ?? "";
}

function fold(turn: AssistantTurn, whole: WholeAnswer): void {
  turn.figures.id = whole.id;
  turn.figures.fingerprint = whole.system_fingerprint;
  turn.figures.usage = whole.usage;
  turn.choices = whole.choices.map(choiceOf);
}

export function choiceOf(choice: WholeAnswer["choices"][number]): Choice {
  return {
    text: choice.message.content ?? "",
    reasoning: thoughtsOf(choice.message),
    calls: (choice.message.tool_calls ?? []).map(callOf),
    tokens: choice.logprobs?.content ?? [],
    finish: choice.finish_reason,
  };
}
