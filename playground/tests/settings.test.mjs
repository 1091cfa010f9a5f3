// Formats, tools, code and stored completions, with the fake engine.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

import { answered, ask, origin, requests, withBrowser, withPage } from "./browser.mjs";

withBrowser();

test("parameters are those that the server takes, with its bounds", () =>
  withPage({}, async (page) => {
    const table = await (await fetch(`${origin()}/playground/parameters.json`)).json();
    await page.getByText("More parameters").click();
    for (const { name, kind, minimum, maximum } of table) {
      const control = page.getByRole("tabpanel").getByLabel(name, { exact: true });
      assert.equal(await control.count(), 1, name);
      if (kind === "integer" || kind === "number") {
        assert.equal(Number(await control.getAttribute("min")), minimum, name);
        assert.equal(Number(await control.getAttribute("max")), maximum, name);
      }
    }
  }));

test("only what was set is sent", () =>
  withPage({}, async (page) => {
    const bodies = requests(page);
    await page.getByLabel("temperature", { exact: true }).fill("0.3");
    await page.getByLabel("seed", { exact: true }).fill("7");
    await page.getByLabel("System prompt").fill("Be brief.");
    await ask(page, "Hello");
    await page.getByLabel("seed", { exact: true }).fill("");
    await page.getByLabel("Stream the answer").uncheck();
    await ask(page, "Hello");

    const { messages, model, ...rest } = bodies[0];
    assert.equal(model, "fake");
    assert.deepEqual(rest, { temperature: 0.3, seed: 7, stream: true, stream_options: { include_usage: true } });
    assert.deepEqual(messages[0], { role: "system", content: "Be brief." });
    assert.deepEqual(Object.keys(bodies[1]).sort(), ["messages", "model", "temperature"]);
  }));

test("a schema is checked as it is written, and the answer against it", () =>
  withPage({}, async (page) => {
    await page.getByRole("tab", { name: "Format" }).click();
    await page.getByLabel("JSON after a schema").check();
    const editor = page.getByRole("textbox", { name: "JSON schema" });
    await editor.fill('{"type": "object", "properties": {"age": {"type": "numbre"}}}');
    await page.getByText("✗ properties.age.type", { exact: false }).waitFor();
    // Over a marked bracket, before the editor hears of the selection.
    await editor.evaluate((content) => {
      getSelection().selectAllChildren(content);
      document.execCommand("insertText", false, '{"type": ');
    });
    await page.getByText(/^✗ .*JSON/).waitFor();
    await page.getByRole("button", { name: "Put in an example" }).click();
    await page.getByText("✓ a valid schema").waitFor();
    await ask(page, "A person");

    await page.getByText("✓ satisfies the schema").waitFor();
    const answer = JSON.parse(await page.locator("pre.json").innerText());
    assert.deepEqual(Object.keys(answer), ["name", "age", "tags"]);
  }));

test("calls get results by hand, and the conversation goes on with them", () =>
  withPage({}, async (page) => {
    const bodies = requests(page);
    await page.getByRole("tab", { name: "Tools" }).click();
    await page.getByRole("button", { name: "Put in an example" }).click();
    await page.getByLabel("Choice").selectOption({ label: "get_weather" });
    await ask(page, "How is the weather?");
    await page.getByLabel("Choice").selectOption("none");
    await page.getByLabel("Result of get_weather").fill('{"sky": "blue"}');
    await page.getByRole("button", { name: "Send results" }).click();
    await page.locator(".turn.assistant").nth(1).waitFor();
    await answered(page);

    const [, call, result] = bodies[1].messages;
    assert.equal(call.tool_calls[0].function.name, "get_weather");
    assert.deepEqual(result, { role: "tool", tool_call_id: call.tool_calls[0].id, content: '{"sky": "blue"}' });
    assert.equal(bodies[1].tool_choice, "none");
  }));

test("custom tools are called with free text", () =>
  withPage({}, async (page) => {
    const bodies = requests(page);
    await page.getByRole("tab", { name: "Tools" }).click();
    await page
      .getByRole("textbox", { name: "Tools, as a JSON array" })
      .fill('[{"type": "custom", "custom": {"name": "shell", "description": "Runs a command"}}]');
    await page.getByLabel("Choice").selectOption({ label: "shell" });
    await ask(page, "List the files");
    await page.getByLabel("Choice").selectOption("none");
    await page.getByLabel("Result of shell").fill("a.txt");
    await page.getByRole("button", { name: "Send results" }).click();
    await page.locator(".turn.assistant").nth(1).waitFor();
    await answered(page);

    assert.deepEqual(bodies[0].tool_choice, { type: "custom", custom: { name: "shell" } });
    const [, call, result] = bodies[1].messages;
    assert.deepEqual([call.tool_calls[0].type, call.tool_calls[0].custom.name], ["custom", "shell"]);
    assert.equal(result.tool_call_id, call.tool_calls[0].id);
    assert.equal(await page.locator(".trouble").count(), 0);
  }));

test("stored completions are listed, reopened and deleted", () =>
  withPage({}, async (page) => {
    const bodies = requests(page);
    await page.getByLabel("store", { exact: true }).check();
    await page.getByLabel("System prompt").fill("Be brief.");
    await ask(page, "Remember the lighthouse");
    const said = await page.locator(".turn.assistant .markdown").innerText();
    await page.getByRole("button", { name: "New chat" }).click();
    await page.getByRole("button", { name: "Stored" }).click();
    const entries = page.getByRole("list", { name: "Stored completions" }).getByRole("listitem");
    await entries.first().locator(".entry").click();

    await page.getByText("Remember the lighthouse").waitFor();
    assert.equal(await page.locator(".turn.assistant .markdown").innerText(), said);
    assert.equal(await page.getByLabel("System prompt").inputValue(), "Be brief.");
    await ask(page, "And now?");
    assert.equal(bodies.at(-1).messages.length, 4);
    const before = await entries.count();
    await entries.first().hover();
    await entries.first().getByRole("button", { name: /^Delete/ }).click();
    await page.waitForFunction(
      (count) => document.querySelectorAll('[aria-label="Stored completions"] li').length === count,
      before - 1,
    );
  }));

test("the request as code is one that works", () =>
  withPage({}, async (page) => {
    await page.getByLabel("temperature", { exact: true }).fill("0.5");
    await page.getByLabel("Stream the answer").uncheck();
    await page.getByLabel("Message", { exact: true }).fill("It's \"quoted\" $HOME \\ and\nmore");
    await page.getByRole("tab", { name: "Code" }).click();
    const code = page.locator(".side.right figure.code code");
    const curl = await code.innerText();
    const answer = JSON.parse(spawnSync("sh", ["-c", `${curl} -s`], { encoding: "utf8" }).stdout);
    assert.equal(answer.object, "chat.completion");
    await page.getByRole("button", { name: "Python", exact: true }).click();
    const python = spawnSync(process.env.PYTHON, ["-c", await code.innerText()], { encoding: "utf8" });

    assert.equal(python.status, 0, python.stderr);
    assert.notEqual(python.stdout.trim(), "");
  }));

test("light and dark can be chosen, and the choice is kept", () =>
  withPage({ colorScheme: "light" }, async (page) => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.getByRole("button", { name: "Switch to dark colours" }).click();
    const dark = await ground();
    await page.reload();

    assert.notEqual(dark, light);
    assert.equal(await ground(), dark);
  }));
