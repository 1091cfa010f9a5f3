// A server that asks for a key.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ask, origin, status, withBrowser, withPage } from "./browser.mjs";

withBrowser();

test("the page asks for the key, and forgets it with the tab", () =>
  withPage({ server: origin("KEYED_ORIGIN"), expected: [status(401)] }, async (page) => {
    const dialog = page.getByRole("dialog", { name: "API key" });
    await dialog.waitFor();
    await dialog.getByLabel("Key").fill("wrong-key");
    await page.keyboard.press("Enter");
    await page.getByText("Incorrect API key provided").waitFor();
    await dialog.getByLabel("Key").fill(process.env.KEY);
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "detached" });
    await ask(page, "Hello");

    assert.equal(await page.locator(".turn.assistant .markdown").count(), 1);
    const kept = await page.evaluate(() => JSON.stringify(localStorage));
    assert.equal(kept.includes(process.env.KEY), false);
    await page.reload();
    await page.locator(".turn.assistant").waitFor();
    assert.equal(await dialog.count(), 0);
  }));
