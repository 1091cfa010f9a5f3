// Two models, of which one cannot be loaded: what a person sees of that.
import assert from "node:assert/strict";
import { test } from "node:test";

import { answered, ask, status, withBrowser, withPage } from "./browser.mjs";

withBrowser();

const choice = (page) => page.getByRole("combobox", { name: "Model" });

test("a model that cannot be loaded is told by its name, and another one answers in its place", () =>
  withPage({ expected: [status(503)] }, async (page) => {
    await page.getByLabel("max_completion_tokens", { exact: true }).fill("4");
    await choice(page).selectOption("broken");
    await ask(page, "Hello");
    const trouble = page.locator(".trouble");
    assert.match(await trouble.innerText(), /The model 'broken' could not be loaded: the server's log says why/);
    await choice(page).selectOption("sound");
    await page.getByRole("button", { name: "Try again" }).click();
    await answered(page);
    await trouble.waitFor({ state: "detached" });
  }));

test("the dashboard goes on telling of both", () =>
  withPage({ path: "/dashboard" }, async (page) => {
    const rows = page.getByRole("region", { name: "Models, table" }).locator("tbody tr");
    await rows.filter({ hasText: "in memory" }).filter({ hasText: "sound" }).waitFor();
    await rows.filter({ hasText: "broken" }).waitFor();
  }));
