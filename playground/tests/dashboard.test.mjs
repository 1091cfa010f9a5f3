// The dashboard, and the arithmetic behind its charts.
import assert from "node:assert/strict";
import { test } from "node:test";

import { origin, status, withBrowser, withPage } from "./browser.mjs";

withBrowser();

const DASHBOARD = { path: "/dashboard" };

async function answer(server, fields = {}, headers = {}) {
  const body = { model: "fake", messages: [{ role: "user", content: "Hello" }], ...fields };
  return fetch(`${server}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

test("what the server does shows up", () =>
  withPage(DASHBOARD, async (page) => {
    const tile = (name) => page.locator(".tiles div", { hasText: new RegExp(`^${name}`) }).locator("dd");
    await page.getByText("ready", { exact: true }).waitFor();
    const errors = Number(await tile("Errors").innerText());
    await answer(origin(), { n: 3 });
    await answer(origin(), { temperature: 9 });

    await tile("Errors").filter({ hasText: new RegExp(`^${errors + 1}$`) }).waitFor();
    await page.locator(".chart", { hasText: "Tokens per second" }).locator("strong").first().filter({ hasText: /^[1-9]/ }).waitFor();
    await page.getByRole("cell", { name: "NumberOutOfRange" }).waitFor();
    assert.equal(await page.locator(".chart canvas").count(), 9);
  }));

test("figures of a keyed server ask for the key, once", () =>
  withPage({ ...DASHBOARD, server: origin("KEYED_ORIGIN"), expected: [status(401)] }, async (page) => {
    const dialog = page.getByRole("dialog", { name: "API key" });
    await dialog.getByRole("button", { name: "Close" }).click();
    await page.waitForTimeout(1500);
    assert.equal(await dialog.count(), 0);
    await page.getByRole("button", { name: "API key" }).click();
    await dialog.getByLabel("Key").fill(process.env.KEY);
    await page.keyboard.press("Enter");
    await page.getByText("ready", { exact: true }).waitFor();
  }));
