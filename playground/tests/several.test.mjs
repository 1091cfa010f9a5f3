// Several models behind one server, with room in memory for one: what the pages tell of each.
import assert from "node:assert/strict";
import { test } from "node:test";

import { answered, ask, origin, requests, withBrowser, withPage } from "./browser.mjs";

withBrowser();

const choice = (page) => page.getByRole("combobox", { name: "Model" });
const field = (page, name) => page.getByLabel(name, { exact: true });

/** Keep the model busy until it is let go: a long answer of which nothing is read. */
async function busy(model) {
  const controller = new AbortController();
  const body = {
    model,
    messages: [{ role: "user", content: "Hello" }],
    stream: true,
    n: 16,
    logprobs: true,
    top_logprobs: 20,
    ignore_eos: true,
  };
  await fetch(`${origin()}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: controller.signal,
  });
  return () => controller.abort();
}

test("defaults are those in force for the chosen model, and what the operator set is marked", () =>
  withPage({}, async (page) => {
    const bodies = requests(page);
    await choice(page).selectOption("plain");
    assert.equal(await field(page, "temperature").getAttribute("placeholder"), "1");
    assert.equal(await page.getByText("operator", { exact: true }).count(), 0);
    await choice(page).selectOption("tuned");
    await page.getByText("More parameters (2 by the operator)").click();
    const set = { temperature: "0.6", top_k: "40", max_tokens: "30", max_completion_tokens: "30" };
    for (const [name, value] of Object.entries(set)) {
      assert.equal(await field(page, name).getAttribute("placeholder"), value, name);
      assert.match(await field(page, name).getAttribute("aria-description"), /set by the operator/, name);
    }
    assert.equal(await field(page, "temperature, slider").inputValue(), "0.6");
    assert.match(await page.getByLabel("System prompt").getAttribute("placeholder"), /operator/);
    await ask(page, "Hello");

    assert.equal("temperature" in bodies[0], false);
  }));

test("a model that is not loaded says so, and what becomes of it", () =>
  withPage({}, async (page) => {
    await choice(page).selectOption("plain");
    await ask(page, "Hello");
    await choice(page).selectOption("tuned");
    await page.getByText("tuned is not in memory").waitFor();
    const letGo = await busy("plain");
    await page.getByLabel("Message", { exact: true }).fill("Hello");
    await page.keyboard.press("Enter");
    await page.getByText("tuned is being loaded").waitFor();
    letGo();
    await answered(page);
    await page.locator(".model-state p").waitFor({ state: "detached" });

    assert.equal(await page.locator(".trouble").count(), 0);
    assert.equal(await choice(page).locator("option", { hasText: /^plain · not loaded$/ }).count(), 1);
  }));

test("the dashboard tells how each model is", () =>
  withPage({ path: "/dashboard" }, async (page) => {
    const rows = page.getByRole("region", { name: "Models, table" }).locator("tbody tr");
    await rows.filter({ hasText: "in memory" }).waitFor();

    assert.equal(await rows.filter({ hasText: "not loaded" }).count(), 1);
  }));
