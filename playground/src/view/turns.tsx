// The conversation, turn by turn.
import { useEffect, useRef, useState } from "preact/hooks";

import { edit, isRunning, regenerate, sendResults } from "../answering";
import {
  current,
  update,
  type AssistantTurn,
  type Choice,
  type Figures,
  type ToolTurn,
  type Turn,
  type UserTurn,
} from "../conversation";
import { checkAgainst } from "../schema";
import { copyText, Markdown } from "./markdown";
import { Icon } from "./icons";
import { Tokens } from "./tokens";
import { TroubleBox } from "./trouble";

export function Turns() {
  const list = useRef<HTMLOListElement>(null);
  const { turns, id } = current.value;
  useFollow(list, id);
  return (
    <ol class="turns" aria-label="Conversation" ref={list}>
      {turns.map((turn, place) => (
        <li key={place} class={`turn ${turn.role}`}>
          <TurnView turn={turn} place={place} last={place === turns.length - 1} />
        </li>
      ))}
    </ol>
  );
}

/** Keep the end in sight while it grows, unless the reader has scrolled up. */
function useFollow(list: { current: HTMLElement | null }, id: string): void {
  const following = useRef(true);
  useEffect(() => {
    const scroller = list.current?.closest<HTMLElement>(".scroller");
    if (!scroller) return;
    following.current = true;
    scroller.scrollTop = scroller.scrollHeight;
    const onScroll = () => {
      following.current = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
    };
    const observer = new ResizeObserver(() => {
      if (following.current) scroller.scrollTop = scroller.scrollHeight;
    });
    scroller.addEventListener("scroll", onScroll);
    observer.observe(list.current!);
    return () => {
      scroller.removeEventListener("scroll", onScroll);
      observer.disconnect();
    };
  }, [id]);
}

function TurnView({ turn, place, last }: { turn: Turn; place: number; last: boolean }) {
  if (turn.role === "user") return <UserView turn={turn} place={place} />;
  if (turn.role === "tool") return <ToolView turn={turn} />;
  return <AssistantView turn={turn} place={place} last={last} />;
}

function UserView({ turn, place }: { turn: UserTurn; place: number }) {
  const [draft, setDraft] = useState<string | null>(null);
  if (draft === null)
    return (
      <>
        <h2 class="sr-only">You</h2>
        <div class="bubble">{turn.text}</div>
        <div class="actions">
          <button type="button" class="quiet" disabled={isRunning.value} onClick={() => setDraft(turn.text)}>
            <Icon name="edit" /> Edit
          </button>
        </div>
      </>
    );
  const submit = (event: Event) => {
    event.preventDefault();
    setDraft(null);
    edit(place, draft);
  };
  return (
    <form class="editing" onSubmit={submit} onKeyDown={(event) => event.key === "Escape" && setDraft(null)}>
      <textarea
        aria-label="Edit your message"
        rows={Math.min(draft.split("\n").length + 1, 12)}
        value={draft}
        ref={focusOnce}
        onInput={(event) => setDraft(event.currentTarget.value)}
      />
      <div class="actions">
        <button type="submit" class="primary" disabled={!draft.trim()}>
          Send again
        </button>
        <button type="button" onClick={() => setDraft(null)}>
          Cancel
        </button>
      </div>
    </form>
  );
}

function focusOnce(area: HTMLTextAreaElement | null): void {
  area?.focus();
}

function ToolView({ turn }: { turn: ToolTurn }) {
  return (
    <details class="call">
      <summary>
        Result of <code>{turn.name}</code>
      </summary>
      <pre tabIndex={0}>{turn.text}</pre>
    </details>
  );
}

function AssistantView({ turn, place, last }: { turn: AssistantTurn; place: number; last: boolean }) {
  const [tokens, setTokens] = useState(false);
  const scored = turn.choices.some((choice) => choice.tokens.length);
  const choice = turn.choices[turn.chosen];
  return (
    <>
      <h2 class="sr-only">Answer</h2>
      <div class={`choices count-${Math.min(turn.choices.length, 4)}`} aria-busy={turn.running ? "true" : undefined}>
        {turn.choices.map((each, index) => (
          <section class="choice" aria-label={turn.choices.length > 1 ? `Choice ${index + 1}` : undefined}>
            {turn.choices.length > 1 && <ChoiceHead turn={turn} place={place} index={index} />}
            <ChoiceView choice={each} turn={turn} tokens={tokens} />
          </section>
        ))}
      </div>
      {turn.running && !turn.choices.some((each) => each.text || each.reasoning || each.calls.length) && (
        <div class="thinking" role="presentation">
          <span />
          <span />
          <span />
        </div>
      )}
      {turn.trouble && <TroubleBox trouble={turn.trouble} />}
      {!turn.running && (
        <div class="actions">
          {choice?.text && (
            <button type="button" class="quiet" onClick={(event) => copyText(choice.text, label(event))}>
              <Icon name="copy" /> <span>Copy</span>
            </button>
          )}
          <button type="button" class="quiet" disabled={isRunning.value} onClick={() => regenerate(place)}>
            <Icon name="redo" /> {turn.trouble ? "Try again" : "Regenerate"}
          </button>
          {scored && (
            <button type="button" class="quiet" aria-pressed={tokens} onClick={() => setTokens(!tokens)}>
              <Icon name="tokens" /> Tokens
            </button>
          )}
          <FiguresView turn={turn} />
        </div>
      )}
      {last && !turn.running && choice && choice.calls.length > 0 && <Results choice={choice} />}
    </>
  );
}

function label(event: MouseEvent): HTMLElement {
  return (event.currentTarget as Element).querySelector("span")!;
}

function ChoiceHead({ turn, place, index }: { turn: AssistantTurn; place: number; index: number }) {
  const choose = () =>
    update(current.value.id, (c) => ({
      turns: c.turns.map((each, at) => (at === place ? { ...turn, chosen: index } : each)),
    }));
  return (
    <label class="choice-head">
      <input type="radio" name={`choice-${place}`} checked={turn.chosen === index} onChange={choose} />
      Choice {index + 1}
    </label>
  );
}

function ChoiceView({ choice, turn, tokens }: { choice: Choice; turn: AssistantTurn; tokens: boolean }) {
  const { text } = choice;
  return (
    <>
      {choice.reasoning && (
        <details class="reasoning">
          <summary>Reasoning</summary>
          <Markdown text={choice.reasoning} />
        </details>
      )}
      {tokens && choice.tokens.length ? (
        <Tokens tokens={choice.tokens} />
      ) : (
        text && (turn.format ? <JsonText text={text} turn={turn} schema={turn.format.schema} /> : <Markdown text={text} />)
      )}
      {choice.calls.map((call) => (
        <div class="call" key={call.id}>
          <div class="call-head">
            Calls <code>{call.name}</code>
          </div>
          <pre tabIndex={0}>{call.kind === "function" ? pretty(call.text) : call.text}</pre>
        </div>
      ))}
      {choice.finish === "length" && <p class="hint">Cut off: the limit of tokens was reached.</p>}
    </>
  );
}

/** An answer in JSON: as it comes, and once it is complete parsed and checked against the schema. */
function JsonText({ text, turn, schema }: { text: string; turn: AssistantTurn; schema: string }) {
  const checked = turn.running ? null : checkAgainst(schema, text);
  return (
    <>
      <pre class="json" tabIndex={0}>
        {pretty(text)}
      </pre>
      {checked && (
        <p class={checked.ok ? "verdict good" : "verdict bad"}>{checked.ok ? `✓ ${checked.text}` : `✗ ${checked.text}`}</p>
      )}
    </>
  );
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function FiguresView({ turn }: { turn: AssistantTurn }) {
  const parts = figureTexts(turn.figures);
  if (turn.stopped) parts.unshift("stopped");
  if (!parts.length) return null;
  return <span class="figures">{parts.join(" · ")}</span>;
}

export function figureTexts({ usage, firstS, totalS }: Figures): string[] {
  const parts: string[] = [];
  if (usage) {
    const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    const share = usage.prompt_tokens ? Math.round((100 * cached) / usage.prompt_tokens) : 0;
    parts.push(`${usage.prompt_tokens} + ${usage.completion_tokens} tokens`);
    parts.push(`${share} % cached`);
  }
  if (firstS !== undefined) parts.push(`first after ${seconds(firstS)}`);
  // The first token belongs to the prefill; with one alone there is no speed.
  if (usage && firstS !== undefined && totalS !== undefined && totalS > firstS && usage.completion_tokens > 1)
    parts.push(`${speed((usage.completion_tokens - 1) / (totalS - firstS))} tokens/s`);
  else if (totalS !== undefined) parts.push(seconds(totalS));
  return parts;
}

function speed(perSecond: number): string {
  return perSecond < 100 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString();
}

function seconds(value: number): string {
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
}

function Results({ choice }: { choice: Choice }) {
  const [texts, setTexts] = useState<Record<string, string>>({});
  const submit = (event: Event) => {
    event.preventDefault();
    sendResults(
      choice.calls.map((call) => ({ callId: call.id, name: call.name, text: texts[call.id] ?? "" })),
    );
  };
  return (
    <form class="results" onSubmit={submit}>
      {choice.calls.map((call) => (
        <label key={call.id}>
          <span>
            Result of <code>{call.name}</code>
          </span>
          <textarea
            rows={2}
            value={texts[call.id] ?? ""}
            placeholder="What the function returns, as JSON or text"
            onInput={(event) => setTexts({ ...texts, [call.id]: event.currentTarget.value })}
          />
        </label>
      ))}
      <button type="submit" class="primary">
        Send results
      </button>
    </form>
  );
}
