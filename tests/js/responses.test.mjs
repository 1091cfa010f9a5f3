// Responses and text completions by the official npm client. OPENAI_BASE_URL, SCRIPTED_BASE_URL and
// THINKING_BASE_URL say where the servers are.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI, { BadRequestError, NotFoundError } from "openai";
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
    // Bounded: the small model may go on for ever.
    properties: { city: { type: "string", maxLength: 40 } },
    required: ["city"],
    additionalProperties: false,
  },
};

test("create answers with text and a usage that adds up", async () => {
  const response = await client.responses.create({
    model,
    input: "Hello!",
    max_output_tokens: 20,
    temperature: 0,
  });

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
  const greedy = { model, temperature: 0 };
  const asked = { input: "The weather in Paris?", tools: [weather], tool_choice: "required" };
  const options = { ...greedy, ...asked, parallel_tool_calls: false };
  const final = await client.responses.stream(options).finalResponse();
  const call = final.output.find((item) => item.type === "function_call");
  const output = { type: "function_call_output", call_id: call.call_id, output: "sunny" };
  const answer = await client.responses.create({
    ...greedy,
    input: [output],
    previous_response_id: final.id,
    max_output_tokens: 10,
  });

  assert.equal(typeof JSON.parse(call.arguments).city, "string");
  assert.equal(answer.previous_response_id, final.id);
  assert.ok(answer.output_text);
});

test("a custom tool is called, streamed too, and its output answered", async () => {
  const scripted = new OpenAI({ apiKey: "any", maxRetries: 0, baseURL: process.env.SCRIPTED_BASE_URL });
  const tools = [{ type: "custom", name: "run_sql" }];
  const input = [{ role: "user", content: "Run the query SELECT 1." }];
  const whole = await scripted.responses.create({ model, input, tools });
  const streamed = await scripted.responses.stream({ model, input, tools }).finalResponse();
  const [call] = streamed.output;
  const output = { type: "custom_tool_call_output", call_id: call.call_id, output: "1" };
  const answer = await scripted.responses.create({ model, input: [...input, call, output], tools });

  assert.equal(call.type, "custom_tool_call");
  assert.equal(call.input, "SELECT 1");
  assert.equal(whole.output[0].input, call.input);
  assert.equal(answer.output_text, "So I was told.");
});

test("thoughts are an item of their own, streamed too, and accepted where they are sent back", async () => {
  const thinking = new OpenAI({ apiKey: "any", maxRetries: 0, baseURL: process.env.THINKING_BASE_URL });
  const input = [{ role: "user", content: "Think aloud!" }];
  const whole = await thinking.responses.create({ model, input });
  const stream = thinking.responses.stream({ model, input });
  let thought = "";
  stream.on("response.reasoning_text.delta", (event) => {
    thought += event.delta;
  });
  const streamed = await stream.finalResponse();
  const again = await thinking.responses.create({ model, input: [...input, ...streamed.output, ...input] });

  const texts = ({ output }) => output.map((item) => [item.type, item.content.map((part) => part.text)]);
  assert.equal(thought, "Hm.");
  assert.deepEqual(texts(streamed), [
    ["reasoning", ["Hm."]],
    ["message", ["So."]],
  ]);
  assert.deepEqual(texts(streamed), texts(whole));
  assert.equal(again.output_text, "So.");
});

test("the tokens of an input are counted as they are charged", async () => {
  const counted = await client.responses.inputTokens.count({ model, input: "Hello!" });
  const input = ["word ".repeat(9000), "Hello!"].map((content) => ({ role: "user", content }));
  const cut = await client.responses.inputTokens.count({ model, input, truncation: "auto" });
  const response = await client.responses.create({ model, input: "Hello!", max_output_tokens: 3 });

  assert.equal(counted.input_tokens, response.usage.input_tokens);
  assert.equal(cut.input_tokens, counted.input_tokens);
  await assert.rejects(client.responses.create({ model, input }), { code: "context_length_exceeded" });
});

test("an answer that is cut is incomplete, and says why", async () => {
  const options = { model, input: "Hello!", max_output_tokens: 3, ignore_eos: true };
  const whole = await client.responses.create(options);
  const streamed = await client.responses.stream(options).finalResponse();

  for (const response of [whole, streamed]) {
    assert.equal(response.status, "incomplete");
    assert.equal(response.incomplete_details.reason, "max_output_tokens");
  }
});

test("tools of a server are refused by name", async () => {
  await assert.rejects(client.responses.create({ model, input: "Hi", tools: [{ type: "web_search" }] }), (error) => {
    assert.ok(error instanceof BadRequestError);
    assert.equal(error.param, "tools[0].type");
    return true;
  });
});

test("a stored response is retrieved, its items listed, and deleted", async () => {
  const response = await client.responses.create({ model, input: "Hello!", max_output_tokens: 5 });
  const kept = await client.responses.retrieve(response.id);
  const told = await client.responses.retrieve(response.id, { stream: true, starting_after: 2 });
  const numbers = [];
  let last;
  for await (last of told) numbers.push(last.sequence_number);
  const items = [];
  for await (const item of client.responses.inputItems.list(response.id)) items.push(item);
  await client.responses.delete(response.id);

  assert.equal(kept.output_text, response.output_text);
  assert.deepEqual(last.response.output, response.output);
  assert.deepEqual(numbers, numbers.map((_, place) => place + 3));
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
