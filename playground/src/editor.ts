// An editor for JSON. It lives in a shadow root, where styles that are made by code are allowed
// under the page's policy.
import { autocompletion, closeBrackets } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json, jsonParseLinter } from "@codemirror/lang-json";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting, syntaxTree } from "@codemirror/language";
import { linter, lintKeymap, type Diagnostic } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";

import type { Fault } from "./schema";

export interface EditorOptions {
  text: string;
  label: string;
  placeholder: string;
  /** What is wrong with the value, beyond its syntax. */
  faults?: (value: unknown) => Fault[];
  /** Words that are offered for keys. */
  words?: string[];
  onChange: (text: string) => void;
}

const colours = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--code-name)" },
  { tag: tags.string, color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
]);

const look = EditorView.theme({
  "&": { fontSize: "13px", backgroundColor: "transparent", color: "inherit" },
  "&.cm-focused": { outline: "none" },
  ".cm-content": { fontFamily: "var(--mono)", minHeight: "7em", padding: "8px 0", caretColor: "currentColor" },
  ".cm-scroller": { maxHeight: "45vh", overflow: "auto" },
  // Outlined and not filled, as CodeMirror would: Chromium keeps the ground of text that is typed over in a
  // style attribute, of which the page's policy complains.
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "transparent", outline: "1px solid var(--muted)" },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "transparent", outline: "1px solid var(--bad)" },
  ".cm-cursor": { borderLeftColor: "currentColor" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selection)",
  },
  ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--line)" },
  ".cm-placeholder": { color: "var(--muted)" },
});

export function openEditor(host: HTMLElement, options: EditorOptions): EditorView {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  root.replaceChildren();
  const state = EditorState.create({
    doc: options.text,
    extensions: [
      json(),
      history(),
      indentOnInput(),
      bracketMatching(),
      closeBrackets(),
      EditorState.tabSize.of(2),
      EditorView.lineWrapping,
      syntaxHighlighting(colours),
      look,
      placeholder(options.placeholder),
      EditorView.contentAttributes.of({ "aria-label": options.label }),
      autocompletion({ override: [completions(options.words ?? [])] }),
      linter((view) => diagnostics(view, options.faults)),
      // Tab moves on, as everywhere on the page; it does not indent.
      keymap.of([...defaultKeymap, ...historyKeymap, ...lintKeymap]),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) options.onChange(update.state.doc.toString());
      }),
    ],
  });
  return new EditorView({ state, parent: root as unknown as Element, root });
}

function completions(words: string[]) {
  return (context: import("@codemirror/autocomplete").CompletionContext) => {
    const word = context.matchBefore(/"[\w$]*/);
    if (!word) return null;
    return { from: word.from + 1, options: words.map((label) => ({ label, type: "keyword" })), validFor: /^[\w$]*$/ };
  };
}

function diagnostics(view: EditorView, faults: EditorOptions["faults"]): Diagnostic[] {
  const text = view.state.doc.toString();
  if (!text.trim()) return [];
  const syntax = jsonParseLinter()(view);
  if (syntax.length || !faults) return syntax;
  return faults(JSON.parse(text))
    .slice(0, 1)
    .map(({ path, message }) => ({
      ...place(view.state, path),
      severity: "error" as const,
      message: `${path.length ? `${path.join(".")}: ` : ""}${message}`,
    }));
}

/** Where the value at this path stands in the text. */
function place(state: EditorState, path: string[]): { from: number; to: number } {
  let node = syntaxTree(state).topNode.firstChild;
  for (const step of path) {
    const next = node?.name === "Object" ? member(state, node, step) : element(node, Number(step));
    if (!next) break;
    node = next;
  }
  return node ? { from: node.from, to: node.to } : { from: 0, to: state.doc.length };
}

type Node = import("@lezer/common").SyntaxNode;

function member(state: EditorState, object: Node, key: string): Node | null {
  for (const property of object.getChildren("Property")) {
    const name = property.getChild("PropertyName");
    if (name && JSON.parse(state.sliceDoc(name.from, name.to)) === key) return property.lastChild;
  }
  return null;
}

function element(array: Node | null, wanted: number): Node | null {
  const values: Node[] = [];
  for (let child = array?.firstChild ?? null; child; child = child.nextSibling) {
    if (!["[", "]", ",", "⚠"].includes(child.name)) values.push(child);
  }
  return values[wanted] ?? null;
}
