// The last minutes of the server's figures, asked for once a second while the page is looked at.
import { signal } from "@preact/signals";

import type { Snapshot } from "./figures";
import { ApiError, apiKey, getJson, troubleOf, type Trouble } from "./http";

const EVERY_MS = 1000;
export const MINUTES = 10;

export const history = signal<Snapshot[]>([]);
export const trouble = signal<Trouble | null>(null);

/** The server wants another key: it is not asked again before there is one. */
let refused = false;

async function look(): Promise<void> {
  try {
    const snapshot = await getJson<Snapshot>("/v1/antiphon/stats");
    const since = snapshot.time - MINUTES * 60;
    history.value = [...history.value.filter(({ time }) => time >= since && time < snapshot.time), snapshot];
    trouble.value = null;
  } catch (error) {
    refused = error instanceof ApiError && error.status === 401;
    trouble.value = troubleOf(error);
  }
}

/** Ask until the page goes; one question at a time, and none before the key is good. */
export async function watch(): Promise<never> {
  for (;;) {
    if (!document.hidden && !refused) await look();
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

apiKey.subscribe(() => {
  refused = false;
});

/** The newest snapshot, and the one about so many seconds before the one at `place`. */
export function before(snapshots: Snapshot[], place: number, seconds: number): Snapshot {
  const since = snapshots[place]!.time - seconds - 0.5;
  let first = place;
  while (first > 0 && snapshots[first - 1]!.time >= since) first--;
  return snapshots[first]!;
}
