// The settings of a conversation: prompt and parameters, the answer's format, tools, code.
import { signal } from "@preact/signals";
import { useState } from "preact/hooks";

import { current, set, setParameter, type Settings as Values } from "../conversation";
import { apiKey } from "../http";
import { highlight } from "../markdown";
import { bodyOf, toolNames } from "../request";
import { schemaFaults } from "../schema";
import { parameters } from "../server";
import { snippet, type Language } from "../snippets";
import { chosen } from "../states";
import type { Parameter } from "../wire";
import { Icon } from "./icons";
import { JsonEditor } from "./json-editor";
import { copyText } from "./markdown";

const TABS = ["Parameters", "Format", "Tools", "Code"] as const;
const tab = signal<(typeof TABS)[number]>("Parameters");

export function Settings() {
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = TABS[(TABS.indexOf(tab.value) + step + TABS.length) % TABS.length]!;
    tab.value = next;
    document.getElementById(`tab-${next}`)?.focus();
  };
  const settings = current.value.settings;
  return (
    <>
      <div class="tabs" role="tablist" aria-label="Settings" onKeyDown={onKeyDown}>
        {TABS.map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${name}`}
            aria-selected={tab.value === name}
            aria-controls="tab-panel"
            tabIndex={tab.value === name ? 0 : -1}
            onClick={() => (tab.value = name)}
          >
            {name}
          </button>
        ))}
      </div>
      <div role="tabpanel" id="tab-panel" aria-labelledby={`tab-${tab.value}`}>
        {tab.value === "Parameters" && <ParametersTab settings={settings} />}
        {tab.value === "Format" && <FormatTab settings={settings} />}
        {tab.value === "Tools" && <ToolsTab settings={settings} />}
        {tab.value === "Code" && <CodeTab />}
      </div>
    </>
  );
}

/** The ones that most people look for; the rest is behind a fold. */
const FIRST = ["temperature", "top_p", "max_completion_tokens", "n", "seed", "logprobs", "top_logprobs", "store"];

function ParametersTab({ settings }: { settings: Values }) {
  const first = FIRST.flatMap((name) => parameters.value.filter((each) => each.name === name));
  const rest = parameters.value.filter((each) => !FIRST.includes(each.name));
  const preset = presets();
  const restPreset = rest.filter(({ name }) => name in preset).length;
  const fieldOf = (each: Parameter) => (
    <ParameterField key={each.name} parameter={each} value={settings.parameters[each.name]} preset={preset[each.name]} />
  );
  const count = Object.keys(settings.parameters).length;
  return (
    <>
      <label class="field">
        <span>System prompt</span>
        <textarea
          rows={3}
          value={settings.system}
          placeholder={
            chosen.value?.has_system_prompt
              ? "The operator's own prompt holds; what you write here replaces it"
              : "How the model should behave"
          }
          onInput={(event) => set("system", event.currentTarget.value)}
        />
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={settings.stream}
          onChange={(event) => set("stream", event.currentTarget.checked)}
        />
        <span>Stream the answer</span>
      </label>
      {Object.keys(preset).length > 0 && (
        <p class="hint">
          A value in grey holds until you set another. <Operator /> marks what this server's operator set for{" "}
          {settings.model}.
        </p>
      )}
      {first.map(fieldOf)}
      <details class="more">
        <summary>More parameters {restPreset > 0 && <>({restPreset} by the operator)</>}</summary>
        {rest.map(fieldOf)}
        <div class="field">
          <span>Other fields, as JSON</span>
          <JsonEditor
            name={`other-${current.value.id}`}
            label="Other fields of the request, as JSON"
            placeholder={'{"stop": ["\\n"], "logit_bias": {}}'}
            text={settings.other}
            onChange={(text) => set("other", text)}
          />
        </div>
      </details>
      {count > 0 && (
        <button type="button" class="quiet" onClick={() => set("parameters", {})}>
          <Icon name="redo" /> Back to the defaults
        </button>
      )}
    </>
  );
}

/** The operator's defaults for the chosen model; its bound of an answer holds under both of that field's names. */
function presets(): Record<string, number> {
  const set = chosen.value?.defaults ?? {};
  return "max_tokens" in set ? { ...set, max_completion_tokens: set["max_tokens"]! } : set;
}

function Operator() {
  return <span class="operator">operator</span>;
}

type Value = number | boolean | string | undefined;

interface FieldProps {
  parameter: Parameter;
  value: Value;
  /** What the operator has set. */
  preset?: number;
}

function ParameterField({ parameter, value, preset }: FieldProps) {
  const note = parameter.note.replaceAll("`", "");
  const label = (
    <span title={note}>
      <code>{parameter.name}</code>
    </span>
  );
  if (parameter.kind === "boolean")
    return (
      <label class="check" title={note}>
        <input
          type="checkbox"
          checked={Boolean(value ?? parameter.default)}
          onChange={({ currentTarget: { checked } }) =>
            setParameter(parameter.name, checked === parameter.default ? undefined : checked)
          }
        />
        {label}
      </label>
    );
  if (parameter.kind === "choice")
    return (
      <div class="field inline">
        <label for={`field-${parameter.name}`}>{label}</label>
        <select
          id={`field-${parameter.name}`}
          value={String(value ?? parameter.default)}
          onChange={(event) => setParameter(parameter.name, event.currentTarget.value)}
        >
          {parameter.choices?.map((choice) => <option key={choice}>{choice}</option>)}
        </select>
      </div>
    );
  return <NumberField parameter={parameter} value={value} preset={preset} />;
}

/** Bounds that are worth a slider; far ones get a plain field. */
const SLIDER_SPAN = 200;

function NumberField({ parameter, value, preset }: FieldProps) {
  const { name, minimum = 0, maximum = 0, kind } = parameter;
  const slides = maximum - minimum <= SLIDER_SPAN;
  const step = kind === "integer" ? 1 : 0.01;
  const change = (text: string) => {
    const number = Number(text);
    setParameter(name, text === "" || Number.isNaN(number) ? undefined : number);
  };
  const bounds = slides ? `${minimum} to ${maximum}` : `at least ${minimum}`;
  const inForce = preset ?? parameter.default;
  const shown = inForce ?? "unset";
  const whose = preset === undefined ? "" : ", set by the operator";
  return (
    <div class="field number">
      <div class="named">
        <label for={`field-${name}`} title={parameter.note.replaceAll("`", "")}>
          <code>{name}</code>
        </label>
        {preset !== undefined && value === undefined && <Operator />}
      </div>
      <input
        id={`field-${name}`}
        type="number"
        min={minimum}
        max={maximum}
        step={kind === "integer" ? 1 : "any"}
        value={value === undefined ? "" : String(value)}
        placeholder={String(shown)}
        aria-description={`${bounds}; the default is ${shown}${whose}`}
        onInput={(event) => change(event.currentTarget.value)}
      />
      {slides && (
        <input
          type="range"
          aria-label={`${name}, slider`}
          min={minimum}
          max={maximum}
          step={step}
          value={Number(value ?? inForce ?? minimum)}
          class={value === undefined ? "unset" : ""}
          onInput={(event) => change(event.currentTarget.value)}
        />
      )}
    </div>
  );
}

const SCHEMA_WORDS = (
  "type properties required additionalProperties items enum const anyOf $ref $defs description title minimum maximum " +
  "minLength maxLength minItems maxItems pattern format"
).split(" ");

const EXAMPLE_SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string" },
    age: { type: "integer", minimum: 0, maximum: 120 },
    tags: { type: "array", items: { type: "string" }, maxItems: 5 },
  },
  required: ["name", "age", "tags"],
  additionalProperties: false,
};

function FormatTab({ settings }: { settings: Values }) {
  const [round, setRound] = useState(0);
  const example = () => {
    set("schema", JSON.stringify(EXAMPLE_SCHEMA, null, 2));
    setRound(round + 1);
  };
  return (
    <>
      <fieldset>
        <legend>The answer is</legend>
        {(["text", "json_object", "json_schema"] as const).map((format) => (
          <label class="check" key={format}>
            <input
              type="radio"
              name="format"
              checked={settings.format === format}
              onChange={() => set("format", format)}
            />
            <span>{{ text: "Text", json_object: "Any JSON object", json_schema: "JSON after a schema" }[format]}</span>
          </label>
        ))}
      </fieldset>
      {settings.format === "json_schema" && (
        <>
          <label class="field inline">
            <span>Name</span>
            <input value={settings.schemaName} onInput={(event) => set("schemaName", event.currentTarget.value)} />
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={settings.schemaStrict}
              onChange={(event) => set("schemaStrict", event.currentTarget.checked)}
            />
            <span>Strict: refuse a schema that cannot be held</span>
          </label>
          <div class="field">
            <span>Schema</span>
            <JsonEditor
              name={`schema-${current.value.id}-${round}`}
              label="JSON schema"
              placeholder='{"type": "object", …}'
              text={settings.schema}
              faults={schemaFaults}
              words={SCHEMA_WORDS}
              onChange={(text) => set("schema", text)}
            />
            <SchemaVerdict text={settings.schema} />
          </div>
          <button type="button" onClick={example}>
            Put in an example
          </button>
        </>
      )}
    </>
  );
}

function SchemaVerdict({ text }: { text: string }) {
  if (!text.trim()) return null;
  const fault = faultOf(text);
  return (
    <p class={fault ? "verdict bad" : "verdict good"} role="status">
      {fault ? `✗ ${fault}` : "✓ a valid schema"}
    </p>
  );
}

function faultOf(text: string): string {
  try {
    const [first] = schemaFaults(JSON.parse(text));
    return first ? `${first.path.join(".") || "the whole"}: ${first.message}` : "";
  } catch (error) {
    return (error as Error).message;
  }
}

const EXAMPLE_TOOLS = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather at a place",
      parameters: {
        type: "object",
        properties: { city: { type: "string" }, unit: { enum: ["celsius", "fahrenheit"] } },
        required: ["city", "unit"],
        additionalProperties: false,
      },
      strict: true,
    },
  },
];

function ToolsTab({ settings }: { settings: Values }) {
  const [round, setRound] = useState(0);
  const names = toolNames(settings.tools);
  const example = () => {
    set("tools", JSON.stringify(EXAMPLE_TOOLS, null, 2));
    setRound(round + 1);
  };
  return (
    <>
      <p class="hint">Functions and custom tools that the model may call. You fill in what they return.</p>
      <div class="field">
        <span>Tools, as JSON</span>
        <JsonEditor
          name={`tools-${current.value.id}-${round}`}
          label="Tools, as a JSON array"
          placeholder='[{"type": "function", "function": {…}}]'
          text={settings.tools}
          words={[...SCHEMA_WORDS, "function", "name", "parameters", "strict"]}
          onChange={(text) => set("tools", text)}
        />
      </div>
      <label class="field inline">
        <span>Choice</span>
        <select value={settings.toolChoice} onChange={(event) => set("toolChoice", event.currentTarget.value)}>
          <option value="auto">auto: as the model likes</option>
          <option value="none">none</option>
          <option value="required">required: at least one call</option>
          {names.map((name) => (
            <option key={name} value={name}>
              {name.slice(name.indexOf(":") + 1)}
            </option>
          ))}
        </select>
      </label>
      <button type="button" onClick={example}>
        Put in an example
      </button>
    </>
  );
}

const LANGUAGES: Record<Language, string> = { bash: "curl", python: "Python", javascript: "JavaScript" };

function CodeTab() {
  const [language, setLanguage] = useState<Language>("bash");
  const { settings, turns, draft } = current.value;
  const asked = draft.trim() || !turns.length ? [...turns, { role: "user" as const, text: draft || "Hello!" }] : lastAsked();
  let code: string;
  try {
    code = snippet(language, bodyOf(settings, asked), location.origin, Boolean(apiKey.value));
  } catch (error) {
    return <p class="verdict bad">✗ {(error as Error).message}</p>;
  }
  return (
    <>
      <p class="hint">The request that this chat sends, for other programs.</p>
      <div class="tabs" role="group" aria-label="Language">
        {(Object.keys(LANGUAGES) as Language[]).map((each) => (
          <button key={each} type="button" aria-pressed={language === each} onClick={() => setLanguage(each)}>
            {LANGUAGES[each]}
          </button>
        ))}
      </div>
      <figure class="code">
        <figcaption>
          <span>{LANGUAGES[language]}</span>
          <button type="button" onClick={(event) => copyText(code, event.currentTarget)}>
            Copy
          </button>
        </figcaption>
        <pre tabIndex={0}>
          <code dangerouslySetInnerHTML={{ __html: highlight(code, language) }} />
        </pre>
      </figure>
    </>
  );
}

/** The turns up to the last thing that was asked. */
function lastAsked() {
  const { turns } = current.value;
  const last = turns.findLastIndex((turn) => turn.role !== "assistant");
  return turns.slice(0, last + 1);
}
