// Which side panels are open. On a wide screen they stand beside the conversation, on a narrow one
// they lie over it, one at a time.
import { signal } from "@preact/signals";

export const NARROW = "(max-width: 900px)";

export const listOpen = signal(!matchMedia(NARROW).matches);
export const settingsOpen = signal(!matchMedia(NARROW).matches);

function isNarrow(): boolean {
  return matchMedia(NARROW).matches;
}

export function toggleList(): void {
  listOpen.value = !listOpen.value;
  if (isNarrow()) settingsOpen.value = false;
}

export function toggleSettings(): void {
  settingsOpen.value = !settingsOpen.value;
  if (isNarrow()) listOpen.value = false;
}

/** Give the conversation the screen again, where panels lie over it. */
export function closePanels(): boolean {
  if (!isNarrow() || !(listOpen.value || settingsOpen.value)) return false;
  listOpen.value = false;
  settingsOpen.value = false;
  return true;
}
