// The official npm client against a live server. OPENAI_BASE_URL says where it is.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI, { BadRequestError, NotFoundError } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ apiKey: "any", maxRetries: 0, timeout: 60_000 });
const model = "gpt-4o-mini";
const messages = [{ role: "user", content: "Hello! How are you today?" }];
const Mood = z.object({ feeling: z.enum(["calm", "merry", "tired"]), certain: z.boolean() });

test("create answers with a message and a usage that adds up", async () => {
  const completion = await client.chat.completions.create({ model, messages, max_completion_tokens: 20 });

  assert.equal(completion.object, "chat.completion");
  assert.ok(completion.choices[0].message.content);
  const { prompt_tokens, completion_tokens, total_tokens } = completion.usage;
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
});

test("a stream joins to what the same seed gives whole", async () => {
  const options = { model, messages, max_completion_tokens: 20, seed: 7 };
  const whole = await client.chat.completions.create(options);
  let text = "";
  let reason = null;
  for await (const chunk of await client.chat.completions.create({ ...options, stream: true })) {
    text += chunk.choices[0].delta.content ?? "";
    reason = chunk.choices[0].finish_reason ?? reason;
  }

  assert.equal(text, whole.choices[0].message.content);
  assert.equal(reason, whole.choices[0].finish_reason);
});

test("the stream helper accumulates one completion, usage included", async () => {
  const stream = client.chat.completions.stream({
    model,
    messages,
    max_completion_tokens: 5,
    stream_options: { include_usage: true },
  });
  const final = await stream.finalChatCompletion();

  assert.equal(final.choices[0].finish_reason, "length");
  assert.equal(final.usage.completion_tokens, 5);
  assert.equal(final.choices[0].message.role, "assistant");
});

test("parse returns what the schema describes", async () => {
  const completion = await client.chat.completions.parse({
    model,
    messages,
    response_format: zodResponseFormat(Mood, "mood"),
    max_completion_tokens: 60,
  });

  assert.deepEqual(Mood.parse(completion.choices[0].message.parsed), completion.choices[0].message.parsed);
});

test("a wrong field is a BadRequestError that names it", async () => {
  await assert.rejects(client.chat.completions.create({ model, messages, temperature: 3 }), (error) => {
    assert.ok(error instanceof BadRequestError);
    assert.equal(error.param, "temperature");
    assert.equal(error.code, "decimal_above_max_value");
    return true;
  });
});

test("an unknown model is a NotFoundError with its code", async () => {
  await assert.rejects(client.chat.completions.create({ model: "gpt-5", messages }), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.equal(error.code, "model_not_found");
    return true;
  });
});

test("models are listed and retrieved", async () => {
  const names = [];
  for await (const entry of client.models.list()) names.push(entry.id);

  assert.ok(names.includes(model));
  assert.equal((await client.models.retrieve(model)).id, model);
});

test("leaving a stream early does no harm", async () => {
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) break;
  }
  const after = await client.chat.completions.create({ model, messages, max_completion_tokens: 3 });

  assert.equal(after.usage.completion_tokens, 3);
});

const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: {
        type: "object",
        properties: { city: { type: "string", maxLength: 40 }, days: { type: "integer", minimum: 1, maximum: 7 } },
        required: ["city", "days"],
        additionalProperties: false,
      },
      strict: true,
    },
  },
];

test("a call arrives whole through the stream helper", async () => {
  const options = { model, messages, tools, tool_choice: "required", parallel_tool_calls: false };
  const stream = client.chat.completions.stream({ ...options, max_completion_tokens: 400 });
  const [choice] = (await stream.finalChatCompletion()).choices;

  assert.equal(choice.finish_reason, "tool_calls");
  assert.equal(choice.message.content, null);
  const [call] = choice.message.tool_calls;
  assert.match(call.id, /^call_[A-Za-z0-9]{24}$/);
  assert.equal(call.type, "function");
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)), ["city", "days"]);
});

test("runTools calls the function with what was asked for", async () => {
  const asked = [];
  const run = client.chat.completions.runTools(
    {
      model,
      messages,
      tools: [
        {
          type: "function",
          function: {
            ...tools[0].function,
            parse: JSON.parse,
            function: (arguments_) => {
              asked.push(arguments_);
              return "rain";
            },
          },
        },
      ],
      tool_choice: { type: "function", function: { name: "get_weather" } },
      max_completion_tokens: 400,
    },
    { maxChatCompletions: 1 },
  );
  await run.done();

  assert.equal(asked.length, 1);
  assert.equal(run.messages.at(-1).role, "tool");
});
