// Light, dark, or as the system has it.
import { effect, signal } from "@preact/signals";

const STORE = "antiphon.theme";

export type Theme = "auto" | "light" | "dark";

export const theme = signal<Theme>((localStorage.getItem(STORE) as Theme | null) ?? "auto");

effect(() => {
  document.documentElement.style.colorScheme = theme.value === "auto" ? "light dark" : theme.value;
  if (theme.value === "auto") localStorage.removeItem(STORE);
  else localStorage.setItem(STORE, theme.value);
});

export function isDark(): boolean {
  return theme.value === "auto" ? matchMedia("(prefers-color-scheme: dark)").matches : theme.value === "dark";
}

export function switchTheme(): void {
  theme.value = isDark() ? "light" : "dark";
}
