// The dashboard: what the server is doing, as charts that need nothing but the server itself.
import "./style.css";

import { computed } from "@preact/signals";
import { render } from "preact";

import { byLabels, percentile, rate, ratio, share, total, type Passes, type Snapshot } from "./figures";
import { before, history, MINUTES, trouble, watch } from "./history";
import { Chart, shown, type Line } from "./view/chart";
import { Dialogs } from "./view/dialogs";
import { Header } from "./view/header";
import { TroubleBox } from "./view/trouble";

/** Seconds over which rates and percentiles are taken. */
const RATE_S = 5;
const SPREAD_S = 30;

const times = computed(() => history.value.map(({ time }) => time));

/** One value per snapshot, each from it and the one about `seconds` before. */
function along(seconds: number, value: (from: Snapshot, to: Snapshot) => number | null): (number | null)[] {
  const snapshots = history.value;
  return snapshots.map((to, place) => (place ? value(before(snapshots, place, seconds), to) : null));
}

const perSecond = (name: string, passes?: Passes) =>
  along(RATE_S, (from, to) => rate(from, to, name, passes));
const spread = (name: string, passes?: Passes): Line[] =>
  [0.5, 0.95, 0.99].map((wanted) => ({
    label: `p${wanted * 100}`,
    values: along(SPREAD_S, (from, to) => percentile(from, to, name, wanted, passes)),
  }));
const level = (name: string) => history.value.map((snapshot) => total(snapshot, name));
const ofPages = (name: string) =>
  history.value.map((snapshot) => {
    const pages = total(snapshot, "antiphon_kv_pages");
    return pages ? total(snapshot, name) / pages : null;
  });

const inThousands = (value: number) =>
  value >= 10_000 ? `${Math.round(value / 1000)}k` : value >= 100 ? String(Math.round(value)) : String(Math.round(value * 10) / 10);
const asTime = (value: number) => (value < 0.9995 ? `${Math.round(value * 10_000) / 10} ms` : `${Math.round(value * 100) / 100} s`);
const asShare = (value: number) => `${Math.round(value * 100)} %`;

const succeeded: Passes = ({ status }) => status!.startsWith("2") || status === "304";
// The page's own questions would drown the others.
const isWork: Passes = ({ route }) => route !== "/v1/antiphon/stats" && !route?.startsWith("/playground/");

const charts = computed(() => [
  {
    title: "Tokens per second",
    format: inThousands,
    lines: [
      { label: "generated", values: perSecond("antiphon_completion_tokens_total") },
      { label: "prompt", values: perSecond("antiphon_prompt_tokens_total") },
    ],
  },
  {
    title: "Choices",
    format: inThousands,
    lines: [
      { label: "running", values: level("antiphon_engine_running") },
      { label: "waiting", values: level("antiphon_engine_waiting") },
      { label: "admitted", values: level("antiphon_choices_in_hand") },
    ],
  },
  {
    title: "Time to first token",
    format: asTime,
    lines: [
      ...spread("antiphon_time_to_first_token_seconds").slice(0, 2),
      {
        label: "queue, mean",
        values: along(SPREAD_S, (from, to) =>
          ratio(from, to, "antiphon_engine_queue_seconds_total", "antiphon_engine_requests_begun_total"),
        ),
      },
    ],
  },
  { title: "Between tokens", format: asTime, lines: spread("antiphon_inter_token_latency_seconds") },
  {
    title: "Completions, from start to end",
    format: asTime,
    lines: spread("antiphon_request_duration_seconds", ({ route }) => Boolean(route?.endsWith("/chat/completions"))),
  },
  {
    title: "Requests per second",
    format: inThousands,
    lines: [
      { label: "answered", values: perSecond("antiphon_requests_total", (l) => isWork(l) && succeeded(l)) },
      { label: "refused or failed", values: perSecond("antiphon_requests_total", (l) => isWork(l) && !succeeded(l)) },
    ],
  },
  {
    title: "Prompt tokens from the cache",
    format: asShare,
    top: 1,
    lines: [
      {
        label: `last ${SPREAD_S} s`,
        values: along(SPREAD_S, (from, to) =>
          share(from, to, "antiphon_cached_prompt_tokens_total", "antiphon_prompt_tokens_total"),
        ),
      },
    ],
  },
  {
    title: "KV cache",
    format: asShare,
    top: 1,
    lines: [
      { label: "in use", values: ofPages("antiphon_kv_pages_used") },
      { label: "kept for reuse", values: ofPages("antiphon_kv_pages_cached") },
    ],
  },
  { title: "Event loop lag", format: asTime, lines: spread("antiphon_event_loop_lag_seconds").slice(0, 2) },
]);

function Dashboard() {
  const newest = history.value.at(-1);
  return (
    <>
      <Header page="dashboard" />
      <main class="dashboard">
        <div class="dashboard-head">
          <h1>Dashboard</h1>
          <p class="hint">
            The last {MINUTES} minutes, from when this page was opened; a figure a second.
          </p>
        </div>
        {trouble.value && <TroubleBox trouble={trouble.value} />}
        {newest && (
          <>
            <Tiles newest={newest} />
            <div class="charts">
              {charts.value.map((chart) => (
                <Chart key={chart.title} times={times.value} {...chart} />
              ))}
            </div>
            <div class="tables">
              <ModelTable newest={newest} />
              <CountTable
                title="Requests"
                head={["Method", "Route", "Status"]}
                rows={byLabels(newest, "antiphon_requests_total", ["method", "route", "status"], isWork)}
              />
              <CountTable
                title="Errors"
                head={["Error", "Route"]}
                rows={byLabels(newest, "antiphon_errors_total", ["error", "route"])}
              />
            </div>
          </>
        )}
      </main>
      <Dialogs />
    </>
  );
}

function Tiles({ newest }: { newest: Snapshot }) {
  const first = history.value[0]!;
  const last = (title: string, line: number) => charts.value.find((c) => c.title === title)!.lines[line]!.values.at(-1);
  const ready = total(newest, "antiphon_engine_ready") > 0;
  const errors = total(newest, "antiphon_errors_total") - total(first, "antiphon_errors_total");
  const tiles: [string, string, string?][] = [
    ["Engine", ready ? "ready" : "not ready", ready ? "good" : "bad"],
    ["Running", String(total(newest, "antiphon_engine_running"))],
    ["Waiting", String(total(newest, "antiphon_engine_waiting"))],
    ["Tokens/s", shown(last("Tokens per second", 0), inThousands)],
    ["First token, p50", shown(last("Time to first token", 0), asTime)],
    ["Cache hits", shown(last("Prompt tokens from the cache", 0), asShare)],
    ["KV in use", shown(last("KV cache", 0), asShare)],
    ["Errors", String(Math.max(errors, 0)), errors > 0 ? "bad" : undefined],
    ["Restarts", String(total(newest, "antiphon_engine_restarts_total"))],
  ];
  return (
    <dl class="tiles">
      {tiles.map(([name, value, mood]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class={mood}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

const STATES = { loaded: "in memory", loading: "loading", unloaded: "not loaded", down: "not available" };

/** A model that is not loaded is loaded by the next request for it. */
function stateOf(newest: Snapshot, is: Passes): keyof typeof STATES {
  if (!total(newest, "antiphon_engine_ready", is)) return "down";
  if (total(newest, "antiphon_model_loaded", is)) return "loaded";
  return total(newest, "antiphon_model_requests_awaiting", is) ? "loading" : "unloaded";
}

function ModelTable({ newest }: { newest: Snapshot }) {
  const rows = (newest.series["antiphon_engine_ready"] ?? []).map(([{ model }]) => {
    const is: Passes = (labels) => labels["model"] === model;
    const of = (name: string) => total(newest, name, is).toLocaleString();
    const running = of("antiphon_engine_running");
    return [model ?? "", stateOf(newest, is), running, of("antiphon_completion_tokens_total")] as const;
  });
  return (
    <section aria-label="Models">
      <h2>Models</h2>
      <div class="wide" tabIndex={0} role="region" aria-label="Models, table">
        <table>
          <thead>
            <tr>
              <th scope="col">Model</th>
              <th scope="col">State</th>
              <th scope="col" class="count">
                Running
              </th>
              <th scope="col" class="count">
                Tokens
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([model, state, running, tokens]) => (
              <tr key={model}>
                <th scope="row">{model}</th>
                <td class={`state ${state}`}>{STATES[state]}</td>
                <td class="count">{running}</td>
                <td class="count">{tokens}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function CountTable({ title, head, rows }: { title: string; head: string[]; rows: [string[], number][] }) {
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {rows.length ? (
        <div class="wide" tabIndex={0} role="region" aria-label={`${title}, table`}>
          <table>
            <thead>
              <tr>
                {head.map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
                <th scope="col" class="count">
                  Count
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map(([labels, count]) => (
                <tr key={labels.join()}>
                  {labels.map((label) => (
                    <td key={label}>{label}</td>
                  ))}
                  <td class="count">{count.toLocaleString()}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <p class="hint">None so far.</p>
      )}
    </section>
  );
}

render(<Dashboard />, document.getElementById("page")!);
void watch();
