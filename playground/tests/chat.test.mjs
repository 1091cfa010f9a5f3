// Chats with the fake engine.
import assert from "node:assert/strict";
import { test } from "node:test";

import { answered, ask, requests, status, withBrowser, withPage } from "./browser.mjs";

withBrowser();

test("an answer appears, with its figures", () =>
  withPage({}, async (page) => {
    await ask(page, "Hello");

    const answer = page.locator(".turn.assistant");
    assert.notEqual((await answer.locator(".markdown").innerText()).trim(), "");
    assert.match(await answer.locator(".figures").innerText(), /\d+ \+ \d+ tokens · \d+ % cached · first after .* tokens\/s/);
  }));

test("the conversation goes on, and survives a reload", () =>
  withPage({}, async (page) => {
    const bodies = requests(page);
    await ask(page, "One");
    await ask(page, "Two");
    await page.reload();
    await page.locator(".turn").nth(3).waitFor();
    await ask(page, "Three");

    assert.deepEqual(
      bodies.at(-1).messages.map((message) => message.role),
      ["user", "assistant", "user", "assistant", "user"],
    );
    const second = await page.locator(".turn.assistant").nth(1).locator(".markdown").innerText();
    assert.equal(bodies.at(-1).messages[3].content.trim().split(/\s+/)[0], second.trim().split(/\s+/)[0]);
  }));

test("a message can be edited, and what followed is dropped", () =>
  withPage({}, async (page) => {
    const bodies = requests(page);
    await ask(page, "One");
    await ask(page, "Two");
    await page.getByRole("button", { name: "Edit" }).first().click();
    await page.getByLabel("Edit your message").fill("Other");
    await page.getByRole("button", { name: "Send again" }).click();
    await answered(page);

    assert.deepEqual(bodies.at(-1).messages, [{ role: "user", content: "Other" }]);
    assert.equal(await page.locator(".turn").count(), 2);
  }));

test("an answer can be asked for again", () =>
  withPage({}, async (page) => {
    const bodies = requests(page);
    await ask(page, "One");
    await page.getByRole("button", { name: "Regenerate" }).click();
    await answered(page);

    assert.equal(bodies.length, 2);
    assert.deepEqual(bodies[1], bodies[0]);
    assert.equal(await page.locator(".turn").count(), 2);
  }));

test("several choices stand side by side, and the conversation goes on with the chosen one", () =>
  withPage({}, async (page) => {
    const bodies = requests(page);
    await page.getByLabel("n", { exact: true }).fill("3");
    await ask(page, "One");
    const boxes = await page.locator(".choice").all();
    const places = await Promise.all(boxes.slice(0, 2).map((box) => box.boundingBox()));
    assert.equal(boxes.length, 3);
    assert.equal(places[0].y, places[1].y);
    await page.getByRole("radio", { name: "Choice 2" }).check();
    const chosen = await page.evaluate(
      () => JSON.parse(localStorage.getItem("antiphon.conversations") ?? "null")?.[0].turns[1].choices[1].text,
    );
    await ask(page, "Two");

    assert.equal(bodies.at(-1).n, 3);
    assert.equal(bodies.at(-1).messages[1].content, chosen);
  }));

test("tokens are coloured, and alternatives shown to pointer and keyboard", () =>
  withPage({}, async (page) => {
    const bodies = requests(page);
    await page.getByLabel("top_logprobs", { exact: true }).fill("4");
    await ask(page, "One");
    await page.getByRole("button", { name: "Tokens" }).click();
    const tokens = page.locator("[data-token]");
    await tokens.nth(2).hover();
    assert.equal(await page.getByRole("tooltip").locator("li").count(), 4);
    await page.mouse.move(2, 400);
    await tokens.first().focus();
    const first = await page.getByRole("tooltip").innerText();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");

    assert.equal(bodies[0].logprobs, true);
    assert.equal(await page.locator(".token-legend span").count(), 5);
    assert.equal(await tokens.nth(2).evaluate((token) => token === document.activeElement), true);
    assert.notEqual(await page.getByRole("tooltip").innerText(), first);
    assert.match(await tokens.first().getAttribute("class"), /level-\d/);
  }));

test("an error is shown as the API gave it, and nothing is lost", () =>
  withPage({ expected: [status(400)] }, async (page) => {
    await page.getByText("More parameters").click();
    const editor = page.getByRole("textbox", { name: "Other fields of the request, as JSON" });
    await editor.fill('{"temperature": 7}');
    await ask(page, "Precious words");

    assert.match(await page.locator(".trouble").innerText(), /Expected a value <= 2, but got 7/);
    assert.match(await page.locator(".trouble .facts").innerText(), /400 · invalid_request_error .* field temperature .* req_/);
    assert.equal(await page.locator(".bubble").innerText(), "Precious words");
    await editor.fill("");
    await page.getByRole("button", { name: "Try again" }).click();
    await answered(page);
    assert.equal(await page.locator(".trouble").count(), 0);
  }));

test("a text that is not JSON is told before anything is sent", () =>
  withPage({}, async (page) => {
    const bodies = requests(page);
    await page.getByText("More parameters").click();
    await page.getByRole("textbox", { name: "Other fields of the request, as JSON" }).fill("[1");
    await ask(page, "Hello");

    assert.match(await page.locator(".trouble").innerText(), /other fields is? ?.*not JSON/i);
    assert.deepEqual(bodies, []);
  }));

test("HTML in a message stays text", () =>
  withPage({}, async (page) => {
    await page.evaluate(() => {
      const turns = [
        { role: "user", text: "<img src=x onerror=alert(1)>" },
        {
          role: "assistant",
          chosen: 0,
          figures: {},
          choices: [
            {
              text: 'A <script>alert(1)</script> and ![x](http://192.0.2.1/a.png) and [y](javascript:alert(1))\n\n```js\nlet a = "<b>";\n```',
              reasoning: "",
              calls: [],
              tokens: [],
              finish: "stop",
            },
          ],
        },
      ];
      const kept = { id: "a", title: "", updated: Date.now() + 1000, turns, settings: {}, draft: "" };
      // Written after the page has written its own, on its way out.
      addEventListener("pagehide", () => localStorage.setItem("antiphon.conversations", JSON.stringify([kept])));
    });
    await page.reload();
    const answer = page.locator(".turn.assistant .markdown");
    await answer.waitFor();

    assert.equal(await answer.locator("script, img, [onerror], a[href^=javascript]").count(), 0);
    assert.match(await answer.innerText(), /<script>alert\(1\)<\/script>/);
    assert.equal(await answer.locator("figure.code code").innerText(), 'let a = "<b>";');
  }));

test("code is copied with its button", () =>
  withPage({ permissions: ["clipboard-read", "clipboard-write"] }, async (page) => {
    await page.getByRole("tab", { name: "Code" }).click();
    await page.locator(".side.right figure.code").getByRole("button", { name: "Copy" }).click();
    const copied = await page.evaluate(() => navigator.clipboard.readText());

    assert.match(copied, /^curl -N http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions/);
    assert.match(copied, /"Hello!"/);
  }));
