// What the server says of itself: models and parameters. Asked for at the start, and again once
// a key was given.
import { effect, signal } from "@preact/signals";

import { apiKey, getJson, troubleOf, type Trouble } from "./http";
import type { Model, Page, Parameter } from "./wire";

export const models = signal<Model[]>([]);
export const parameters = signal<Parameter[]>([]);
export const serverTrouble = signal<Trouble | null>(null);

async function load(): Promise<void> {
  try {
    parameters.value = await getJson<Parameter[]>("/playground/parameters.json");
    models.value = (await getJson<Page<Model>>("/v1/models")).data;
    serverTrouble.value = null;
  } catch (error) {
    serverTrouble.value = troubleOf(error);
  }
}

effect(() => {
  apiKey.value;
  void load();
});

export { load as reload };
