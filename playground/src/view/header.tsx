// The bar on top of both pages.
import type { ComponentChildren } from "preact";

import { keyWanted } from "../http";
import { dark, switchTheme } from "../theme";
import { Icon } from "./icons";
import { openDialog } from "./dialogs";

interface Props {
  page: "playground" | "dashboard";
  /** What stands before the name. */
  first?: ComponentChildren;
  children?: ComponentChildren;
}

export function Header({ page, first, children }: Props) {
  return (
    <header class="bar">
      {first}
      <a class="brand" href="/" aria-label="Antiphon">
        <Logo />
        <span>Antiphon</span>
      </a>
      <nav aria-label="Pages">
        <a href="/" aria-current={page === "playground" ? "page" : undefined}>
          <Icon name="chat" /> <span>Playground</span>
        </a>
        <a href="/dashboard" aria-current={page === "dashboard" ? "page" : undefined}>
          <Icon name="chart" /> <span>Dashboard</span>
        </a>
      </nav>
      <div class="bar-tools">
        {children}
        <button type="button" class="round" title="API key" onClick={() => (keyWanted.value = true)}>
          <Icon name="key" />
          <span class="sr-only">API key</span>
        </button>
        <button type="button" class="round" title="Light or dark" onClick={switchTheme}>
          <Icon name={dark.value ? "sun" : "moon"} />
          <span class="sr-only">Switch to {dark.value ? "light" : "dark"} colours</span>
        </button>
        {page === "playground" && (
          <button type="button" class="round wide-only" title="Keyboard" onClick={() => openDialog("keyboard")}>
            <Icon name="help" />
            <span class="sr-only">Keyboard shortcuts</span>
          </button>
        )}
      </div>
    </header>
  );
}

function Logo() {
  return (
    <svg viewBox="0 0 32 32" class="logo" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M8.5 14.5v9M13.5 9.5v14" />
      <path class="answer" d="M18.5 9.5v14M23.5 14.5v9" />
    </svg>
  );
}
