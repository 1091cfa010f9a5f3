// The Vercel AI SDK, through each of its two providers for this API; `openai(model)` is over responses.
// OPENAI_BASE_URL, SCRIPTED_BASE_URL and THINKING_BASE_URL say where the servers are.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, hasToolCall, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const Mood = z.object({ feeling: z.enum(["calm", "merry", "tired"]), certain: z.boolean() });
const prompt = "How do you feel?";
// A penalty keeps the small model from repeating itself up to the limit.
const penalised = { maxRetries: 0, maxOutputTokens: 300, temperature: 1, frequencyPenalty: 1, seed: 1 };
// Over responses the SDK knows neither penalties nor seeds.
const greedy = {
  maxRetries: 0,
  maxOutputTokens: 300,
  temperature: 0,
  providerOptions: { openai: { parallelToolCalls: false } },
};
const question = { prompt: "What is the weather in San Francisco, CA?", maxRetries: 0 };

const compatible = (baseURL) =>
  createOpenAICompatible({
    name: "antiphon",
    baseURL,
    apiKey: "any",
    includeUsage: true,
    supportsStructuredOutputs: true,
  }).chatModel;
const official = (baseURL) => createOpenAI({ baseURL, apiKey: "any" });

for (const [provider, modelsAt, options] of [
  ["openai-compatible", compatible, penalised],
  ["openai.chat", (baseURL) => official(baseURL).chat, penalised],
  ["openai", official, greedy],
]) {
  const model = modelsAt(process.env.OPENAI_BASE_URL)("gpt-4o-mini");
  const scripted = modelsAt(process.env.SCRIPTED_BASE_URL)("gpt-4o-mini");
  const weatherTool = (asked) =>
    tool({
      description: "The weather of a place.",
      inputSchema: z.object({ location: z.string() }),
      execute: ({ location }) => {
        asked.push(location);
        return "sunny";
      },
    });

  test(`${provider}: text`, async () => {
    const result = await generateText({ ...options, model, prompt, maxOutputTokens: 12 });

    assert.ok(result.text);
    assert.ok(["stop", "length"].includes(result.finishReason));
    assert.ok(result.usage.inputTokens > 0);
    assert.ok(result.usage.outputTokens <= 12);
  });

  test(`${provider}: streamed text`, async () => {
    const result = streamText({ ...options, model, prompt, maxOutputTokens: 12 });
    const parts = [];
    for await (const part of result.textStream) parts.push(part);

    assert.equal(parts.join(""), await result.text);
    assert.ok(["stop", "length"].includes(await result.finishReason));
    assert.ok((await result.usage).outputTokens <= 12);
  });

  test(`${provider}: object`, async () => {
    const result = await generateText({ ...options, model, prompt, output: Output.object({ schema: Mood }) });

    assert.deepEqual(Mood.parse(result.output), result.output);
  });

  test(`${provider}: streamed object`, async () => {
    const result = streamText({ ...options, model, prompt, output: Output.object({ schema: Mood }) });
    let last;
    for await (const partial of result.partialOutputStream) last = partial;

    assert.deepEqual(Mood.parse(last), await result.output);
  });

  test(`${provider}: required tool`, async () => {
    const result = await generateText({
      ...options,
      model,
      prompt,
      tools: { tell_mood: tool({ inputSchema: Mood }) },
      toolChoice: "required",
    });

    assert.equal(result.finishReason, "tool-calls");
    for (const call of result.toolCalls) {
      assert.equal(call.toolName, "tell_mood");
      assert.deepEqual(Mood.parse(call.input), call.input);
    }
  });

  test(`${provider}: tool loop`, async () => {
    const asked = [];
    const result = await generateText({
      ...question,
      model: scripted,
      tools: { get_weather: weatherTool(asked) },
      stopWhen: isStepCount(3),
    });

    assert.deepEqual(asked, ["San Francisco, CA"]);
    assert.equal(result.steps.length, 2);
    assert.ok(result.text);
  });

  test(`${provider}: streamed tool loop`, async () => {
    const asked = [];
    const result = streamText({
      ...question,
      model: scripted,
      tools: { get_weather: weatherTool(asked) },
      stopWhen: isStepCount(3),
    });
    const kinds = [];
    for await (const part of result.fullStream) kinds.push(part.type);

    assert.deepEqual(asked, ["San Francisco, CA"]);
    assert.ok(!kinds.includes("error"));
    assert.equal((await result.steps).length, 2);
    assert.ok(await result.text);
  });

  test(`${provider}: error`, async () => {
    const missing = modelsAt(process.env.OPENAI_BASE_URL)("gpt-5");
    await assert.rejects(generateText({ ...options, model: missing, prompt }), (error) => {
      assert.ok(APICallError.isInstance(error));
      assert.equal(error.statusCode, 404);
      assert.match(error.message, /does not exist/);
      return true;
    });
  });
}

const openai = official(process.env.SCRIPTED_BASE_URL);
const sqlTool = (asked) =>
  openai.tools.customTool({
    description: "Runs a query.",
    format: { type: "grammar", syntax: "regex", definition: "SELECT [0-9]" },
    execute: (query) => {
      asked.push(query);
      return "1";
    },
  });

for (const store of [true, false]) {
  test(`openai: custom tool loop, ${store ? "stored" : "not stored"}`, async () => {
    const asked = [];
    const result = await generateText({
      prompt: "Run the query SELECT 1.",
      maxRetries: 0,
      model: openai("gpt-4o-mini"),
      providerOptions: { openai: { store } },
      tools: { run_sql: sqlTool(asked) },
      stopWhen: isStepCount(3),
    });

    assert.deepEqual(asked, ["SELECT 1"]);
    assert.equal(result.text, "So I was told.");
  });

  test(`openai: thoughts in a conversation, ${store ? "stored" : "not stored"}`, async () => {
    const messages = [{ role: "user", content: "Think aloud!" }];
    const options = {
      model: official(process.env.THINKING_BASE_URL)("gpt-4o-mini"),
      providerOptions: { openai: { store, forceReasoning: true, reasoningEffort: "low" } },
      maxRetries: 0,
    };
    const first = await generateText({ ...options, messages });
    const streamed = streamText({ ...options, messages: [...messages, ...first.response.messages, ...messages] });

    assert.equal(first.text, "So.");
    assert.ok(first.usage.outputTokenDetails.reasoningTokens > 0);
    assert.equal(await streamed.text, "So.");
    assert.deepEqual((await streamed.warnings) ?? [], []);
  });
}
