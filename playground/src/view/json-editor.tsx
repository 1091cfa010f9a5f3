// The JSON editor as a part of the page. It is loaded when first shown; until then, and where it
// cannot be loaded, a plain text field does.
import { useEffect, useRef, useState } from "preact/hooks";

import type { EditorOptions } from "../editor";

type Props = EditorOptions & { name: string };

/** `name` tells one text from another: with a new one the editor begins anew. */
export function JsonEditor({ name, ...options }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const [plain, setPlain] = useState(false);
  const onChange = useRef(options.onChange);
  onChange.current = options.onChange;
  useEffect(() => {
    let close = () => {};
    let gone = false;
    import("../editor").then(
      ({ openEditor }) => {
        if (gone || !host.current) return;
        const view = openEditor(host.current, { ...options, onChange: (text) => onChange.current(text) });
        close = () => view.destroy();
      },
      () => setPlain(true),
    );
    return () => {
      gone = true;
      close();
    };
  }, [name]);
  if (plain)
    return (
      <textarea
        class="code"
        rows={8}
        aria-label={options.label}
        value={options.text}
        onInput={(event) => options.onChange(event.currentTarget.value)}
      />
    );
  return <div class="editor" ref={host} />;
}
