// JSON schemas: is one valid itself, and does an answer satisfy it? Whether the server can hold a
// schema is the server's to say. The validator runs without making code from text, as the page's
// policy demands.
import { Validator, type Schema } from "@cfworker/json-schema";

export interface Check {
  ok: boolean;
  text: string;
}

/** What the draft allows of the keywords that people write; unknown keywords pass, as the draft says. */
const META: Schema = {
  $defs: {
    schema: {
      type: ["object", "boolean"],
      properties: {
        type: {
          anyOf: [{ $ref: "#/$defs/type" }, { type: "array", items: { $ref: "#/$defs/type" }, minItems: 1, uniqueItems: true }],
        },
        properties: { $ref: "#/$defs/named" },
        patternProperties: { $ref: "#/$defs/named" },
        $defs: { $ref: "#/$defs/named" },
        definitions: { $ref: "#/$defs/named" },
        dependentSchemas: { $ref: "#/$defs/named" },
        additionalProperties: { $ref: "#/$defs/schema" },
        propertyNames: { $ref: "#/$defs/schema" },
        items: { $ref: "#/$defs/schema" },
        contains: { $ref: "#/$defs/schema" },
        not: { $ref: "#/$defs/schema" },
        if: { $ref: "#/$defs/schema" },
        then: { $ref: "#/$defs/schema" },
        else: { $ref: "#/$defs/schema" },
        prefixItems: { $ref: "#/$defs/several" },
        anyOf: { $ref: "#/$defs/several" },
        oneOf: { $ref: "#/$defs/several" },
        allOf: { $ref: "#/$defs/several" },
        required: { type: "array", items: { type: "string" }, uniqueItems: true },
        enum: { type: "array" },
        title: { type: "string" },
        description: { type: "string" },
        pattern: { type: "string" },
        format: { type: "string" },
        $ref: { type: "string" },
        minimum: { type: "number" },
        maximum: { type: "number" },
        exclusiveMinimum: { type: "number" },
        exclusiveMaximum: { type: "number" },
        multipleOf: { type: "number", exclusiveMinimum: 0 },
        minLength: { $ref: "#/$defs/count" },
        maxLength: { $ref: "#/$defs/count" },
        minItems: { $ref: "#/$defs/count" },
        maxItems: { $ref: "#/$defs/count" },
        minProperties: { $ref: "#/$defs/count" },
        maxProperties: { $ref: "#/$defs/count" },
        uniqueItems: { type: "boolean" },
      },
    },
    named: { type: "object", additionalProperties: { $ref: "#/$defs/schema" } },
    several: { type: "array", items: { $ref: "#/$defs/schema" }, minItems: 1 },
    type: { enum: ["null", "boolean", "object", "array", "number", "string", "integer"] },
    count: { type: "integer", minimum: 0 },
  },
  $ref: "#/$defs/schema",
};

export interface Fault {
  /** The way to the value at fault: object keys and array places. */
  path: string[];
  message: string;
}

/** What is wrong with a schema, the innermost place first. */
export function schemaFaults(schema: unknown): Fault[] {
  return faults(META, schema);
}

function faults(schema: Schema | boolean, value: unknown): Fault[] {
  const { errors } = new Validator(schema, "2020-12", false).validate(value);
  const found = errors.map(({ instanceLocation, error }) => ({ path: pathOf(instanceLocation), message: error }));
  return found.sort((a, b) => b.path.length - a.path.length);
}

function pathOf(pointer: string): string[] {
  const steps = pointer.replace(/^#?\/?/, "");
  return steps ? steps.split("/").map((step) => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~")) : [];
}

/** Whether a text is JSON and, where there is a schema, satisfies it. */
export function checkAgainst(schemaText: string, text: string): Check {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, text: "not complete JSON" };
  }
  try {
    if (!schemaText.trim()) return { ok: true, text: "valid JSON" };
    const [first] = faults(JSON.parse(schemaText) as Schema, value);
    if (!first) return { ok: true, text: "satisfies the schema" };
    return { ok: false, text: `${first.path.join(".") || "the whole"}: ${first.message}` };
  } catch (error) {
    return { ok: false, text: `cannot be checked: ${(error as Error).message}` };
  }
}
