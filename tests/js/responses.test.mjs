// Responses and text completions by the official npm client against a live server.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI, { NotFoundError } from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ apiKey: "any", maxRetries: 0, timeout: 60_000 });
const model = "gpt-4o-mini";
const Mood = z.object({ feeling: z.enum(["calm", "merry", "tired"]), certain: z.boolean() });
const weather = {
  type: "function",
  name: "weather",
  strict: true,
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
};

test("create answers with text and a usage that adds up", async () => {
  const response = await client.responses.create({ model, input: "Hello!", max_output_tokens: 20 });

  assert.ok(response.output_text);
  const { input_tokens, output_tokens, total_tokens } = response.usage;
  assert.equal(total_tokens, input_tokens + output_tokens);
});

test("the stream helper arrives at what its deltas say", async () => {
  const stream = client.responses.stream({
    model,
    input: "Hello!",
    text: { format: zodTextFormat(Mood, "mood") },
  });
  let text = "";
  stream.on("response.output_text.delta", (event) => {
    text += event.delta;
  });
  const final = await stream.finalResponse();

  assert.equal(final.status, "completed");
  assert.equal(text, final.output_text);
  assert.deepEqual(Mood.parse(final.output_parsed), final.output_parsed);
});

test("parse returns what the schema describes", async () => {
  const response = await client.responses.parse({
    model,
    input: "How are you?",
    text: { format: zodTextFormat(Mood, "mood") },
  });

  assert.deepEqual(Mood.parse(response.output_parsed), response.output_parsed);
});

test("a required function is called, streamed too, and its output answered", async () => {
  const options = { model, input: "The weather in Paris?", tools: [weather], tool_choice: "required" };
  const final = await client.responses.stream(options).finalResponse();
  const call = final.output.find((item) => item.type === "function_call");
  const output = { type: "function_call_output", call_id: call.call_id, output: "sunny" };
  const answer = await client.responses.create({
    model,
    input: [output],
    previous_response_id: final.id,
    max_output_tokens: 10,
  });

  assert.equal(typeof JSON.parse(call.arguments).city, "string");
  assert.equal(answer.previous_response_id, final.id);
  assert.ok(answer.output_text);
});

test("a stored response is retrieved, its items listed, and deleted", async () => {
  const response = await client.responses.create({ model, input: "Hello!", max_output_tokens: 5 });
  const kept = await client.responses.retrieve(response.id);
  const items = [];
  for await (const item of client.responses.inputItems.list(response.id)) items.push(item);
  await client.responses.delete(response.id);

  assert.equal(kept.output_text, response.output_text);
  assert.equal(items[0].content[0].text, "Hello!");
  await assert.rejects(client.responses.retrieve(response.id), NotFoundError);
});

test("texts are continued, streamed as they are whole", async () => {
  const options = { model, prompt: ["Once upon a time", [504]], max_tokens: 8, seed: 3 };
  const whole = await client.completions.create(options);
  const texts = ["", ""];
  for await (const chunk of await client.completions.create({ ...options, stream: true })) {
    for (const choice of chunk.choices) texts[choice.index] += choice.text;
  }

  assert.deepEqual(
    texts,
    whole.choices.map((choice) => choice.text),
  );
});
