// What axe finds on the pages, light and dark, wide and narrow, in their various states.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

import { ask, withBrowser, withPage } from "./browser.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PHONE = { width: 390, height: 780 };

withBrowser();

/** Everything that axe objects to. The script runs beside the page's own, whose policy would not load it. */
async function objections(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")}`));
}

for (const colorScheme of ["light", "dark"]) {
  test(`the playground, ${colorScheme}`, () =>
    withPage({ colorScheme }, async (page) => {
      assert.deepEqual(await objections(page), []);
      await page.getByLabel("n", { exact: true }).fill("2");
      await page.getByLabel("top_logprobs", { exact: true }).fill("3");
      await ask(page, "Hello");
      assert.deepEqual(await objections(page), []);
      await page.getByRole("button", { name: "Tokens" }).click();
      for (const tab of ["Format", "Tools", "Code"]) {
        await page.getByRole("tab", { name: tab }).click();
        assert.deepEqual(await objections(page), [], tab);
      }
      await page.getByRole("button", { name: "API key" }).click();
      assert.deepEqual(await objections(page), []);
    }));
}

for (const colorScheme of ["light", "dark"]) {
  test(`the dashboard, ${colorScheme}`, () =>
    withPage({ path: "/dashboard", colorScheme }, async (page) => {
      await page.locator(".chart canvas").first().waitFor();
      await page.getByRole("cell", { name: "/dashboard" }).waitFor();
      assert.deepEqual(await objections(page), []);
    }));
}

test("the playground on a phone", () =>
  withPage({ viewport: PHONE }, async (page) => {
    await ask(page, "Hello");
    assert.deepEqual(await objections(page), []);
    await page.getByRole("button", { name: "Settings" }).click();
    await page.getByLabel("System prompt").waitFor();
    assert.deepEqual(await objections(page), []);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(width, PHONE.width);
  }));

test("everything can be done without a pointer", () =>
  withPage({}, async (page) => {
    await page.getByLabel("Message", { exact: true }).waitFor();
    // Keys are listened for once the first picture is drawn.
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await page.keyboard.press("Control+/");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("Control+.");
    await page.getByLabel("System prompt").waitFor({ state: "hidden" });
    await page.getByLabel("Message", { exact: true }).focus();
    await page.keyboard.type("Hello");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("you");
    await page.keyboard.press("Enter");
    await page.locator(".turn.assistant .figures").waitFor();
    assert.equal(await page.locator(".bubble").innerText(), "Hello\nyou");
    await page.keyboard.press("Control+Shift+O");
    await page.getByText("Say something").waitFor();
  }));
