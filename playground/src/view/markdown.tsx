// A text as Markdown. Blocks that did not change are not rendered again, so that a long answer
// streams smoothly and what the reader has selected stays selected.
import { useMemo } from "preact/hooks";

import { blocks, render } from "../markdown";

export function Markdown({ text }: { text: string }) {
  return (
    <div class="markdown" onClick={copyCode}>
      {blocks(text).map((block, place) => (
        <Block key={place} raw={block.raw} block={block} />
      ))}
    </div>
  );
}

function Block({ raw, block }: { raw: string; block: ReturnType<typeof blocks>[number] }) {
  const html = useMemo(() => render(block), [raw]);
  return <div class="block" dangerouslySetInnerHTML={{ __html: html }} />;
}

async function copyCode(event: MouseEvent): Promise<void> {
  const button = (event.target as Element).closest<HTMLButtonElement>("button[data-copy]");
  const code = button?.closest("figure")?.querySelector("code")?.textContent;
  if (button && code !== undefined) await copyText(code!, button);
}

/** Copy, and say so on the button for a moment. */
export async function copyText(text: string, button: HTMLElement): Promise<void> {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => (button.textContent = label), 1500);
}
