// Dialogs: the key, and the keyboard's shortcuts. The browser's own, with its focus handling.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { apiKey, keyWanted, setKey } from "../http";
import { Icon } from "./icons";

const open = signal<"" | "keyboard">("");

export function openDialog(name: "keyboard"): void {
  open.value = name;
}

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

function Dialog({ title, onClose, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog ref={element} onClose={onClose} aria-labelledby="dialog-title">
      <div class="dialog-head">
        <h2 id="dialog-title">{title}</h2>
        <button type="button" class="round" onClick={() => element.current?.close()}>
          <Icon name="close" />
          <span class="sr-only">Close</span>
        </button>
      </div>
      {children}
    </dialog>
  );
}

export function Dialogs() {
  return (
    <>
      {keyWanted.value && <KeyDialog />}
      {open.value === "keyboard" && <KeyboardDialog />}
    </>
  );
}

function KeyDialog() {
  const [draft, setDraft] = useState(apiKey.value);
  const submit = (event: Event) => {
    event.preventDefault();
    setKey(draft.trim());
  };
  return (
    <Dialog title="API key" onClose={() => (keyWanted.value = false)}>
      <form onSubmit={submit}>
        <p>
          {apiKey.value
            ? "A server with keys takes only requests that carry one of them."
            : "This server may ask for a key: one that its operator configured."}{" "}
          It is kept until this tab is closed, and sent to this server alone.
        </p>
        <label class="field">
          <span>Key</span>
          <input
            type="password"
            autocomplete="off"
            value={draft}
            onInput={(event) => setDraft(event.currentTarget.value)}
          />
        </label>
        <div class="actions">
          <button type="submit" class="primary">
            Use this key
          </button>
        </div>
      </form>
    </Dialog>
  );
}

const SHORTCUTS: [string, string][] = [
  ["Enter", "Send the message"],
  ["Shift Enter", "New line"],
  ["Esc", "Stop the answer; close what is open"],
  ["Ctrl Shift O", "New chat"],
  ["Ctrl .", "Show or hide the settings"],
  ["Ctrl /", "These shortcuts"],
  ["← →", "Between tokens, in the view of tokens"],
];

function KeyboardDialog() {
  return (
    <Dialog title="Keyboard" onClose={() => (open.value = "")}>
      <dl class="shortcuts">
        {SHORTCUTS.map(([keys, meaning]) => (
          <div key={keys}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
