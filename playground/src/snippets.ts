// The same request for other programs: curl, the Python and the JavaScript client.
import type { Body } from "./wire";

export type Language = "bash" | "python" | "javascript";

export function snippet(language: Language, body: Body, origin: string, keyed: boolean): string {
  if (language === "bash") return curl(body, origin, keyed);
  return language === "python" ? python(body, origin, keyed) : javascript(body, origin, keyed);
}

function curl(body: Body, origin: string, keyed: boolean): string {
  const quoted = JSON.stringify(body, null, 2).replaceAll("'", `'\\''`);
  const key = keyed ? ` \\\n  -H "Authorization: Bearer $OPENAI_API_KEY"` : "";
  const unbuffered = body["stream"] ? " -N" : "";
  return `curl${unbuffered} ${origin}/v1/chat/completions${key} \\\n  -H 'Content-Type: application/json' \\\n  -d '${quoted}'`;
}

/** Fields that OpenAI's client takes by name; it wants the others apart. */
const KNOWN = new Set(
  (
    "model messages max_completion_tokens max_tokens n temperature top_p frequency_penalty presence_penalty seed stop " +
    "logit_bias logprobs top_logprobs stream stream_options response_format tools tool_choice parallel_tool_calls " +
    "functions function_call store metadata service_tier prompt_cache_key user reasoning_effort verbosity prediction " +
    "safety_identifier modalities audio web_search_options"
  ).split(" "),
);

function python(body: Body, origin: string, keyed: boolean): string {
  const named = Object.entries(body).filter(([name]) => KNOWN.has(name));
  const others = Object.entries(body).filter(([name]) => !KNOWN.has(name));
  const lines = named.map(([name, value]) => `    ${name}=${literal(value, 1)},`);
  if (others.length) lines.push(`    extra_body=${literal(Object.fromEntries(others), 1)},`);
  const reading = body["stream"]
    ? `for chunk in answer:\n    for choice in chunk.choices:\n        print(choice.delta.content or "", end="", flush=True)`
    : `print(answer.choices[0].message.content)`;
  return `${keyed ? "import os\n\n" : ""}from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=${keyed ? 'os.environ["OPENAI_API_KEY"]' : '"any"'})
answer = client.chat.completions.create(
${lines.join("\n")}
)
${reading}`;
}

/** A JSON value as Python writes it. */
function literal(value: unknown, depth: number): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const items = Array.isArray(value)
    ? value.map((item) => literal(item, depth + 1))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${literal(item, depth + 1)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const line = `${open}${items.join(", ")}${close}`;
  if (line.length < 76 && !line.includes("\n")) return line;
  const inner = "    ".repeat(depth + 1);
  return `${open}\n${items.map((item) => `${inner}${item},\n`).join("")}${"    ".repeat(depth)}${close}`;
}

function javascript(body: Body, origin: string, keyed: boolean): string {
  const key = keyed ? "process.env.OPENAI_API_KEY" : '"any"';
  const reading = body["stream"]
    ? `for await (const chunk of answer) {\n  for (const choice of chunk.choices) process.stdout.write(choice.delta.content ?? "");\n}`
    : `console.log(answer.choices[0].message.content);`;
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${origin}/v1", apiKey: ${key} });
const answer = await client.chat.completions.create(${JSON.stringify(body, null, 2)});
${reading}`;
}
