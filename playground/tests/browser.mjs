// A page in a real browser, which must stay without errors and talk to its own server alone.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { chromium } from "playwright-core";

const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let browser;

/** Share one browser among the tests of a file. */
export function withBrowser() {
  before(async () => {
    // Chromium cannot build its sandbox for the superuser, as whom tests run in containers.
    const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: [...FLAGS, ...sandbox] });
  });
  after(() => browser.close());
}

export function origin(name = "ORIGIN") {
  const url = process.env[name];
  assert.ok(url, `${name} must name the server`);
  return url;
}

/** Run `work` with a fresh page; whatever went wrong in it fails the test. */
export async function withPage({ path = "/", server = origin(), expected = [], ...options }, work) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const wrong = [];
  context.on("request", (request) => {
    if (!request.url().startsWith(`${server}/`)) wrong.push(`asked for ${request.url()}`);
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrong.push(message.text());
  });
  try {
    await page.goto(server + path);
    await work(page);
  } finally {
    await context.close();
  }
  const unforeseen = wrong.filter((text) => !expected.some((pattern) => pattern.test(text)));
  assert.deepEqual(unforeseen, []);
}

/** What the browser logs of an answer with this status; it cannot be kept from it. */
export const status = (code) => new RegExp(`the server responded with a status of ${code}`);

/** Send a message and wait until its answer is complete. */
export async function ask(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
  await answered(page);
}

export async function answered(page) {
  await page.getByRole("status").filter({ hasText: /^(Answer complete|Answer stopped|Error)/ }).waitFor();
  await page.getByRole("button", { name: "Send", exact: true }).waitFor();
}

/** The JSON bodies of the completions that the page asks for, as they are sent. */
export function requests(page) {
  const bodies = [];
  page.on("request", (request) => {
    if (request.method() === "POST" && request.url().endsWith("/v1/chat/completions"))
      bodies.push(request.postDataJSON());
  });
  return bodies;
}
