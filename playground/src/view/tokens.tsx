// The tokens of an answer, coloured by how likely each was, with the alternatives of the one that
// is pointed at or focused. One tab stop; the arrow keys move within.
import { useRef, useState } from "preact/hooks";

import type { TokenScore } from "../wire";

export function Tokens({ tokens }: { tokens: TokenScore[] }) {
  const [active, setActive] = useState<number | null>(null);
  const [stop, setStop] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const focus = (place: number) => {
    const next = Math.min(Math.max(place, 0), tokens.length - 1);
    setStop(next);
    box.current?.querySelectorAll<HTMLElement>("[data-token]")[next]?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const move = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Escape" && active !== null) {
      event.stopPropagation();
      setActive(null);
    }
    if (move === undefined) return;
    event.preventDefault();
    focus(stop + move);
  };
  return (
    <div class="tokens" ref={box} onMouseLeave={() => setActive(null)}>
      <div role="group" aria-label="Tokens; arrow keys move between them" onKeyDown={onKeyDown}>
        {tokens.map((token, place) => (
          <button
            key={place}
            type="button"
            data-token
            class={`token level-${level(token.logprob)}`}
            tabIndex={place === stop ? 0 : -1}
            aria-label={`${visible(token.token)}, ${percent(token.logprob)}`}
            aria-describedby={active === place ? "token-detail" : undefined}
            onMouseEnter={() => setActive(place)}
            onFocus={() => (setActive(place), setStop(place))}
            onBlur={() => setActive(null)}
          >
            {inline(token.token)}
          </button>
        ))}
      </div>
      <Legend />
      {active !== null && tokens[active] && <Detail token={tokens[active]} box={box.current} place={active} />}
    </div>
  );
}

function Detail({ token, box, place }: { token: TokenScore; box: HTMLElement | null; place: number }) {
  const anchor = box?.querySelectorAll<HTMLElement>("[data-token]")[place];
  const left = Math.min(anchor?.offsetLeft ?? 0, Math.max((box?.clientWidth ?? 0) - 240, 0));
  const top = (anchor?.offsetTop ?? 0) + (anchor?.offsetHeight ?? 0) + 6;
  const rows = token.top_logprobs.length ? token.top_logprobs : [token];
  return (
    <div id="token-detail" role="tooltip" class="detail" style={{ left: `${left}px`, top: `${top}px` }}>
      <div class="drawn">
        <code>{visible(token.token)}</code> {percent(token.logprob)} <span>logprob {token.logprob.toFixed(3)}</span>
      </div>
      <ol>
        {rows.map((row) => (
          <li class={row.token === token.token ? "chosen" : ""}>
            <code>{visible(row.token)}</code>
            <span class="bar" style={{ width: `${Math.exp(row.logprob) * 72}px` }} />
            <span>{percent(row.logprob)}</span>
          </li>
        ))}
      </ol>
      {token.bytes && <div class="bytes">bytes {token.bytes.join(" ")}</div>}
    </div>
  );
}

/** Probabilities below which a token is coloured one level stronger. */
const BOUNDS = [0.9, 0.6, 0.3, 0.1, 0.02];

function level(logprob: number): number {
  return BOUNDS.filter((bound) => Math.exp(logprob) < bound).length;
}

function Legend() {
  return (
    <p class="token-legend">
      {BOUNDS.map((bound, place) => (
        <span key={bound} class={`level-${place + 1}`}>
          {`< ${bound * 100} %`}
        </span>
      ))}
    </p>
  );
}

function percent(logprob: number): string {
  const share = Math.exp(logprob) * 100;
  return share >= 0.1 ? `${share.toFixed(share < 99.95 ? 1 : 0)} %` : "< 0.1 %";
}

/** The text with its white space made visible. */
function visible(text: string): string {
  return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "·") || "∅";
}

/** As it reads within the answer: only what would break the line is marked. */
function inline(text: string): string {
  return text.replaceAll("\n", "⏎") || "∅";
}
