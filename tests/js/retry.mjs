// Asks a server that refuses at first, whole and streamed, and prints both answers.

import OpenAI from "openai";

const client = new OpenAI({ apiKey: "any", maxRetries: 2 });
const messages = [{ role: "user", content: "Hi" }];
const whole = await client.chat.completions.create({ model: "m", messages });
let text = "";
for await (const chunk of await client.chat.completions.create({ model: "m", messages, stream: true })) {
  text += chunk.choices[0].delta.content ?? "";
}
console.log(JSON.stringify([whole.choices[0].message.content, text]));
