// Asks for each answer of a list whole and streamed, and prints both as the client has them at the end.
// The list comes by standard input: [{ way, asked }]. In the ways "raw" and "completions" the chunks are put
// together here, because the client has no helper that could.

import { text } from "node:stream/consumers";

import OpenAI from "openai";

const client = new OpenAI({ apiKey: "any", maxRetries: 0 });

const merge = (known, more) => {
  if (typeof known === "string" && typeof more === "string") return known + more;
  if (Array.isArray(known)) {
    for (const item of more) {
      const place = item?.index === undefined ? -1 : known.findIndex(({ index }) => index === item.index);
      if (place < 0) known.push(item);
      else known[place] = merge(known[place], item);
    }
    return known;
  }
  if (known !== null && typeof known === "object" && more !== null) {
    for (const key of Object.keys(more)) {
      known[key] = key === "index" || !(key in known) ? more[key] : merge(known[key], more[key]);
    }
    return known;
  }
  return more ?? known;
};

const joined = async (create, asked) => {
  const choices = [];
  let usage;
  for await (const chunk of await create({ ...asked, stream: true, stream_options: { include_usage: true } })) {
    merge(choices, chunk.choices);
    usage = chunk.usage ?? usage;
  }
  return { choices: choices.map(({ delta, ...choice }) => ({ ...choice, message: delta })), usage };
};

const completions = client.chat.completions;
const streamed = {
  chat: (asked) =>
    completions.stream({ ...asked, stream_options: { include_usage: true } }).finalChatCompletion(),
  raw: (asked) => joined((body) => completions.create(body), asked),
  responses: (asked) => client.responses.stream(asked).finalResponse(),
  completions: (asked) => joined((body) => client.completions.create(body), asked),
};
const whole = {
  chat: (asked) => completions.create(asked),
  raw: (asked) => completions.create(asked),
  responses: (asked) => client.responses.create(asked),
  completions: (asked) => client.completions.create(asked),
};

const pairs = [];
for (const { way, asked } of JSON.parse(await text(process.stdin))) {
  pairs.push([await whole[way](asked), await streamed[way](asked)]);
}
console.log(JSON.stringify(pairs));
