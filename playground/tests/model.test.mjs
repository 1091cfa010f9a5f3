// The playground with a real model.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ask, withBrowser, withPage } from "./browser.mjs";

withBrowser();

test("an answer streams, and can be stopped", () =>
  withPage({}, async (page) => {
    await page.getByLabel("max_completion_tokens", { exact: true }).fill("400");
    await page.getByLabel("Message", { exact: true }).fill("Count from one to one hundred, in words.");
    await page.keyboard.press("Enter");
    await page.locator(".turn.assistant .markdown").waitFor();
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await page.getByText("stopped", { exact: true }).or(page.locator(".figures", { hasText: "stopped" })).first().waitFor();

    const kept = await page.locator(".turn.assistant .markdown").innerText();
    assert.notEqual(kept.trim(), "");
  }));

test("tokens have probabilities, and what was said before is cached", () =>
  withPage({}, async (page) => {
    await page.getByLabel("max_completion_tokens", { exact: true }).fill("24");
    await page.getByLabel("temperature", { exact: true }).fill("0");
    await page.getByLabel("top_logprobs", { exact: true }).fill("3");
    await ask(page, "What is the capital of France?");
    await page.getByRole("button", { name: "Tokens" }).click();
    await page.locator("[data-token]").nth(1).hover();
    const rows = await page.getByRole("tooltip").locator("li").allInnerTexts();
    await page.getByRole("button", { name: "Regenerate" }).click();
    await page.locator(".figures", { hasText: /[1-9]\d* % cached/ }).waitFor();

    assert.equal(rows.length, 3);
    assert.ok(rows.every((row) => /%/.test(row)));
  }));
