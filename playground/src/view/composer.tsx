// Where the next message is written.
import { useEffect, useRef } from "preact/hooks";

import { isRunning, send, stop } from "../answering";
import { current, update } from "../conversation";
import { Icon } from "./icons";

const MAX_HEIGHT = 240;

export function Composer() {
  const area = useRef<HTMLTextAreaElement>(null);
  const { id, draft } = current.value;
  const running = isRunning.value;
  useEffect(() => fit(area.current), [id, draft]);
  useEffect(() => area.current?.focus({ preventScroll: true }), [id]);
  const submit = (event?: Event) => {
    event?.preventDefault();
    if (running || !draft.trim()) return;
    update(id, () => ({ draft: "" }));
    send(draft);
    area.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  };
  return (
    <form class="composer" onSubmit={submit}>
      <textarea
        id="message"
        ref={area}
        rows={1}
        value={draft}
        aria-label="Message"
        placeholder="Write a message"
        onInput={(event) => update(id, () => ({ draft: event.currentTarget.value }))}
        onKeyDown={onKeyDown}
      />
      {running ? (
        <button type="button" class="primary round" onClick={stop}>
          <Icon name="stop" />
          <span class="sr-only">Stop</span>
        </button>
      ) : (
        <button type="submit" class="primary round" disabled={!draft.trim()}>
          <Icon name="send" />
          <span class="sr-only">Send</span>
        </button>
      )}
    </form>
  );
}

function fit(area: HTMLTextAreaElement | null): void {
  if (!area) return;
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, MAX_HEIGHT)}px`;
}
