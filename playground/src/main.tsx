// The playground.
import "./style.css";

import { render } from "preact";
import { useEffect } from "preact/hooks";

import { announcement, isRunning, stop } from "./answering";
import { begin, current, keep, update } from "./conversation";
import { reload, serverTrouble } from "./server";
import { Composer } from "./view/composer";
import { Dialogs, openDialog } from "./view/dialogs";
import { Header } from "./view/header";
import { Icon, type IconName } from "./view/icons";
import { closePanels, listOpen, settingsOpen, toggleList, toggleSettings } from "./view/panels";
import { ModelSelect, ModelStateLine } from "./view/model";
import { Settings } from "./view/settings";
import { Sidebar } from "./view/sidebar";
import { TroubleBox } from "./view/trouble";
import { Turns } from "./view/turns";

function Playground() {
  useEffect(() => {
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  return (
    <>
      <a class="skip" href="#message">
        Skip to the message
      </a>
      <Header
        page="playground"
        first={<PanelButton panel="list" name="Chats" icon="menu" open={listOpen.value} toggle={toggleList} />}
      >
        <ModelSelect />
        <PanelButton
          panel="settings"
          name="Settings"
          icon="sliders"
          open={settingsOpen.value}
          toggle={toggleSettings}
        />
      </Header>
      <div class="layout">
        <aside id="list" class="side left" hidden={!listOpen.value} aria-label="Chats and stored completions">
          <Sidebar />
        </aside>
        <main class="middle">
          <div class="scroller">
            <h1 class="sr-only">Antiphon playground</h1>
            {serverTrouble.value && (
              <div class="server-trouble">
                <TroubleBox trouble={serverTrouble.value} />
                <button type="button" onClick={() => void reload()}>
                  Try again
                </button>
              </div>
            )}
            {current.value.turns.length ? <Turns /> : <Welcome />}
          </div>
          <ModelStateLine />
          <Composer />
        </main>
        <aside id="settings" class="side right" hidden={!settingsOpen.value} aria-label="Settings">
          <h2 class="sr-only">Settings</h2>
          <Settings />
        </aside>
      </div>
      <div class="sr-only" role="status" aria-live="polite">
        {announcement.value}
      </div>
      <Dialogs />
    </>
  );
}

interface PanelButtonProps {
  /** The id of what it opens. */
  panel: string;
  name: string;
  icon: IconName;
  open: boolean;
  toggle: () => void;
}

function PanelButton({ panel, name, icon, open, toggle }: PanelButtonProps) {
  return (
    <button type="button" class="round" title={name} aria-expanded={open} aria-controls={panel} onClick={toggle}>
      <Icon name={icon} />
      <span class="sr-only">{name}</span>
    </button>
  );
}

const IDEAS = [
  "Explain what a KV cache is, in three sentences.",
  "Write a haiku about a small model on an old laptop.",
  "Write a Python function that reverses a string, with a test.",
];

function Welcome() {
  const { id, settings } = current.value;
  return (
    <div class="welcome">
      <h2>Say something</h2>
      <p>
        It goes to <strong>{settings.model || "the model"}</strong> on this server and nowhere else.
      </p>
      <ul>
        {IDEAS.map((idea) => (
          <li key={idea}>
            <button
              type="button"
              onClick={() => (update(id, () => ({ draft: idea })), document.getElementById("message")?.focus())}
            >
              {idea}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function onKeyDown(event: KeyboardEvent): void {
  const held = event.ctrlKey || event.metaKey;
  const pressed = event.key.toLowerCase();
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (!closePanels() && isRunning.value) stop();
  } else if (held && event.shiftKey && pressed === "o") {
    event.preventDefault();
    begin(current.value.settings);
  } else if (held && event.key === ".") {
    event.preventDefault();
    toggleSettings();
  } else if (held && event.key === "/") {
    event.preventDefault();
    openDialog("keyboard");
  }
}

addEventListener("beforeunload", keep);
render(<Playground />, document.getElementById("page")!);
