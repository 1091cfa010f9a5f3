// The Vercel AI SDK, through each of its two providers for this API. OPENAI_BASE_URL and
// SCRIPTED_BASE_URL say where the servers are.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, hasToolCall, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const Mood = z.object({ feeling: z.enum(["calm", "merry", "tired"]), certain: z.boolean() });
const prompt = "How do you feel?";
// A penalty keeps the small model from repeating itself up to the limit.
const options = { maxRetries: 0, maxOutputTokens: 300, temperature: 1, frequencyPenalty: 1, seed: 1 };
const question = { prompt: "What is the weather in San Francisco, CA?", maxRetries: 0 };

const compatible = (baseURL) =>
  createOpenAICompatible({
    name: "antiphon",
    baseURL,
    apiKey: "any",
    includeUsage: true,
    supportsStructuredOutputs: true,
  }).chatModel;
const official = (baseURL) => createOpenAI({ baseURL, apiKey: "any" }).chat;

for (const [provider, modelsAt] of [
  ["openai-compatible", compatible],
  ["openai.chat", official],
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
