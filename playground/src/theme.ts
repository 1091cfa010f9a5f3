// Light, dark, or as the system has it.
import { computed, effect, signal } from "@preact/signals";

const STORE = "antiphon.theme";

export type Theme = "auto" | "light" | "dark";

const theme = signal<Theme>((localStorage.getItem(STORE) as Theme | null) ?? "auto");

const system = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(system.matches);
system.addEventListener("change", () => (systemIsDark.value = system.matches));

export const dark = computed(() => (theme.value === "auto" ? systemIsDark.value : theme.value === "dark"));

effect(() => {
  document.documentElement.style.colorScheme = theme.value === "auto" ? "light dark" : theme.value;
  if (theme.value === "auto") localStorage.removeItem(STORE);
  else localStorage.setItem(STORE, theme.value);
});

export function switchTheme(): void {
  theme.value = dark.value ? "light" : "dark";
}
