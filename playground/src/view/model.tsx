// The model of a conversation: the choice, and what there is to say of it.
import { useEffect } from "preact/hooks";

import { current, set } from "../conversation";
import { models } from "../server";
import { chosen, stateOf } from "../states";
import type { Model, ModelState } from "../wire";

const MARKS: Record<ModelState, string> = {
  ready: "",
  loading: " · loading",
  unloaded: " · not loaded",
  unavailable: " · not available",
};

export function ModelSelect() {
  const { model } = current.value.settings;
  const known = models.value;
  useEffect(() => {
    if (known[0] && !known.some((each) => each.id === model)) set("model", known[0].id);
  }, [known, model]);
  return (
    <label class="model">
      <span class="sr-only">Model</span>
      <select value={model} onChange={(event) => set("model", event.currentTarget.value)}>
        {known.map((each) => (
          <option key={each.id} value={each.id}>
            {nameOf(each)}
          </option>
        ))}
        {!known.length && <option value={model}>{model || "no model"}</option>}
      </select>
    </label>
  );
}

function nameOf(model: Model): string {
  const { id, alias_of } = model;
  return (alias_of ? `${id} → ${alias_of}` : id) + MARKS[stateOf(model)];
}

const WORDS: Record<ModelState, string> = {
  ready: "",
  loading: "is being loaded …",
  unloaded: "is not in memory: the next message loads it, which takes a moment.",
  unavailable: "cannot answer now: its engine failed or is starting. The server's log says more.",
};

/** What keeps the chosen model from answering at once. */
export function ModelStateLine() {
  const model = chosen.value;
  const state = model ? stateOf(model) : "ready";
  return (
    <div class="model-state" role="status">
      {model && state !== "ready" && (
        <p class={state}>
          {state === "loading" && <span class="spinner" aria-hidden="true" />}
          <span>
            <strong>{model.alias_of ?? model.id}</strong> {WORDS[state]}
          </span>
        </p>
      )}
    </div>
  );
}
