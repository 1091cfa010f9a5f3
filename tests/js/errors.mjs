// Asks for as many completions as the first argument says, whole and streamed, each to fail, and prints
// what the client's error says of itself. OPENAI_BASE_URL says where the server is.

import OpenAI from "openai";

const client = new OpenAI({ apiKey: "any", maxRetries: 0 });
const caught = [];
for (let row = 0; row < Number(process.argv[2]); row += 1) {
  const messages = [{ role: "user", content: String(row) }];
  for (const stream of [false, true]) {
    try {
      await client.chat.completions.create({ model: "m", messages, stream });
      throw new Error(`row ${row} did not fail`);
    } catch (error) {
      const { status, type, code, param, message, requestID: requestId, headers } = error;
      const retry = {};
      for (const name of ["retry-after", "retry-after-ms", "x-should-retry"]) retry[name] = headers.get(name);
      caught.push({ class: error.constructor.name, status, type, code, param, message, requestId, retry });
    }
  }
}
console.log(JSON.stringify(caught));
