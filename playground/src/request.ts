// From a conversation's settings to the body of a request.
import { messagesOf, type Settings, type Turn } from "./conversation";
import type { Body } from "./wire";

/** A text that should hold JSON and does not. */
export class InvalidText extends Error {}

export function bodyOf(settings: Settings, turns: Turn[]): Body {
  const body: Body = { model: settings.model, messages: messagesOf(settings, turns) };
  Object.assign(body, settings.parameters);
  // What the server would refuse without: alternatives are a kind of logprobs.
  if ("top_logprobs" in body) body["logprobs"] = true;
  if (settings.format === "json_object") body["response_format"] = { type: "json_object" };
  if (settings.format === "json_schema") {
    const schema = parsed("The JSON schema", settings.schema);
    const { schemaName: name, schemaStrict: strict } = settings;
    body["response_format"] = { type: "json_schema", json_schema: { name, strict, schema } };
  }
  const tools = settings.tools.trim() ? parsed("The list of tools", settings.tools) : [];
  if (!Array.isArray(tools)) throw new InvalidText("The list of tools is not a JSON array.");
  if (tools.length) {
    body["tools"] = tools;
    if (settings.toolChoice !== "auto") body["tool_choice"] = toolChoice(settings.toolChoice);
  }
  if (settings.other.trim()) {
    const other = parsed("The other fields", settings.other);
    if (typeof other !== "object" || other === null || Array.isArray(other))
      throw new InvalidText("The other fields are not a JSON object.");
    Object.assign(body, other);
  }
  if (settings.stream) {
    body["stream"] = true;
    body["stream_options"] = { include_usage: true, ...(body["stream_options"] as object | undefined) };
  }
  return body;
}

function toolChoice(choice: string): unknown {
  const [, kind, name] = /^(function|custom):(.*)$/s.exec(choice) ?? [];
  return kind ? { type: kind, [kind]: { name } } : choice;
}

function parsed(what: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidText(`${what} is not JSON: ${(error as Error).message}`);
  }
}

/** The tools in the text of a list of them, as `function:NAME` or `custom:NAME`. */
export function toolNames(text: string): string[] {
  try {
    const tools = JSON.parse(text) as { type: string; function?: { name?: string }; custom?: { name?: string } }[];
    return tools.flatMap(({ type, function: called, custom }) => {
      const name = (called ?? custom)?.name;
      return name ? [`${type}:${name}`] : [];
    });
  } catch {
    return [];
  }
}
