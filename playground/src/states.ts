// Which models are in memory. Asked when that may have changed: at the start, on coming back to the page,
// with another model or key, with a request, and each second for as long as something is on its way.
import { computed, effect, signal } from "@preact/signals";

import { isRunning } from "./answering";
import { current } from "./conversation";
import { apiKey, send } from "./http";
import { models } from "./server";
import type { Model, ModelState } from "./wire";

const EVERY_MS = 1000;

const states = signal<Record<string, ModelState>>({});

/** The model that is chosen, as far as the server knows it. */
export const chosen = computed(() => models.value.find(({ id }) => id === current.value.settings.model));

/** Taken for ready as long as nothing is known. */
export function stateOf({ id, alias_of }: Model): ModelState {
  return states.value[alias_of ?? id] ?? "ready";
}

const chosenState = computed(() => (chosen.value ? stateOf(chosen.value) : "ready"));

const chosenId = computed(() => chosen.value?.id);

async function look(): Promise<void> {
  try {
    // A server that cannot answer says so with 503, and tells of its models all the same.
    const { models: told } = (await (await send("/health")).json()) as { models?: Record<string, ModelState> };
    if (told) states.value = told;
  } catch {
    // What is wrong then is told by the requests that matter.
  }
}

function isOnItsWay(): boolean {
  const state = chosenState.value;
  return state === "loading" || state === "unavailable" || (isRunning.value && state !== "ready");
}

effect(() => {
  apiKey.value;
  chosenId.value;
  isRunning.value;
  void look();
});
addEventListener("focus", () => void look());
setInterval(() => {
  if (!document.hidden && isOnItsWay()) void look();
}, EVERY_MS);
