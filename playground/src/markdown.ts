// Markdown to safe HTML. HTML in the source is shown as text, images become links (the page loads
// nothing from elsewhere), and whatever comes out is sanitised once more.
import DOMPurify from "dompurify";
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import cpp from "highlight.js/lib/languages/cpp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { Marked, type Token } from "marked";

const LANGUAGES = {
  bash, cpp, css, diff, go, java, javascript, json, python, rust, sql, typescript, xml, yaml,
};
for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text }) => escaped(text),
    image: ({ href, text }) => link(href, text || href),
    link({ href, tokens }) {
      return link(href, this.parser.parseInline(tokens), true);
    },
    code: ({ text, lang }) => codeBlock(text, (lang ?? "").split(/\s/)[0]!),
    table(token) {
      const cells = (row: typeof token.header, tag: string) =>
        row.map((cell) => `<${tag}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join("");
      const rows = token.rows.map((row) => `<tr>${cells(row, "td")}</tr>`).join("");
      return `<div class="wide" tabindex="0"><table><thead><tr>${cells(token.header, "th")}</tr></thead><tbody>${rows}</tbody></table></div>`;
    },
  },
});

/** The top-level blocks of a text, as it stands; each can be rendered by itself. */
export function blocks(text: string): Token[] {
  return marked.lexer(text).filter((token) => token.type !== "space" && token.type !== "def");
}

export function render(block: Token): string {
  return sanitised(marked.parser([block]));
}

/** Code as highlighted HTML. */
export function highlight(code: string, language: string): string {
  return sanitised(highlighted(code, language));
}

function sanitised(html: string): string {
  // Under the page's policy only this type may become markup; elsewhere it is a plain text.
  return DOMPurify.sanitize(html, { RETURN_TRUSTED_TYPE: true, ADD_ATTR: ["target"] }) as unknown as string;
}

function codeBlock(code: string, language: string): string {
  return (
    `<figure class="code"><figcaption><span>${escaped(language || "text")}</span>` +
    `<button type="button" data-copy>Copy</button></figcaption>` +
    `<pre tabindex="0"><code>${highlighted(code, language)}</code></pre></figure>`
  );
}

function highlighted(code: string, language: string): string {
  return hljs.getLanguage(language) ? hljs.highlight(code, { language }).value : escaped(code);
}

function link(href: string, label: string, isHtml = false): string {
  const text = isHtml ? label : escaped(label);
  if (!/^(https?:|mailto:)/i.test(href)) return text;
  return `<a href="${escaped(href)}" target="_blank" rel="noopener noreferrer">${text}</a>`;
}

function escaped(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (character) => names[character]!);
}
