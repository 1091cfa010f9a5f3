// The conversations of this browser, and the completions that the server stores.
import { useState } from "preact/hooks";

import { begin, conversations, current, currentId, remove, titleOf } from "../conversation";
import { Icon } from "./icons";
import { closePanels } from "./panels";
import { Stored } from "./stored";

export function Sidebar() {
  const [tab, setTab] = useState<"chats" | "stored">("chats");
  return (
    <>
      <button type="button" class="new" onClick={() => (begin(settingsOfCurrent()), closePanels())}>
        <Icon name="plus" /> New chat
      </button>
      <div class="tabs" role="group" aria-label="What is listed">
        <button type="button" aria-pressed={tab === "chats"} onClick={() => setTab("chats")}>
          Chats
        </button>
        <button type="button" aria-pressed={tab === "stored"} onClick={() => setTab("stored")}>
          Stored
        </button>
      </div>
      {tab === "chats" ? <Chats /> : <Stored />}
    </>
  );
}

function settingsOfCurrent() {
  return current.value.settings;
}

function Chats() {
  return (
    <ul class="list" aria-label="Chats">
      {conversations.value.map((conversation) => (
        <li key={conversation.id} class={conversation.id === currentId.value ? "selected" : ""}>
          <button
            type="button"
            class="entry"
            aria-current={conversation.id === currentId.value ? "true" : undefined}
            onClick={() => ((currentId.value = conversation.id), closePanels())}
          >
            {titleOf(conversation)}
          </button>
          <button type="button" class="round small" title="Delete" onClick={() => remove(conversation.id)}>
            <Icon name="bin" />
            <span class="sr-only">Delete “{titleOf(conversation)}”</span>
          </button>
        </li>
      ))}
    </ul>
  );
}
