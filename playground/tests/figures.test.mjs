// Rates and percentiles between two moments.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { transformWithOxc } from "vite";

// Older versions of Node do not read TypeScript themselves.
const source = readFileSync(new URL("../src/figures.ts", import.meta.url), "utf8");
const { code } = await transformWithOxc(source, "figures.ts");
const module = `data:text/javascript;base64,${Buffer.from(code).toString("base64")}`;
const { byLabels, percentile, rate, ratio, share, total } = await import(module);

const at = (time, series) => ({ time, series });
const histogram = (counts) =>
  Object.entries(counts).map(([le, count]) => [{ le, route: "/a" }, count]);

test("a rate is what was counted by the time it took", () => {
  const from = at(10, { n: [[{ s: "200" }, 5], [{ s: "404" }, 1]] });
  const to = at(14, { n: [[{ s: "200" }, 13], [{ s: "404" }, 5]] });

  assert.equal(rate(from, to, "n"), 3);
  assert.equal(rate(from, to, "n", ({ s }) => s === "404"), 1);
  assert.equal(total(to, "absent"), 0);
});

test("a counter that began anew has no rate", () => {
  assert.equal(rate(at(10, { n: [[{}, 50]] }), at(11, { n: [[{}, 2]] }), "n"), null);
  assert.equal(rate(at(10, { n: [[{}, 1]] }), at(10, { n: [[{}, 2]] }), "n"), null);
});

test("a share needs a whole", () => {
  const none = at(1, { part: [[{}, 0]], whole: [[{}, 0]] });

  assert.equal(share(none, at(2, { part: [[{}, 3]], whole: [[{}, 4]] }), "part", "whole"), 0.75);
  assert.equal(share(none, none, "part", "whole"), null);
});

test("a mean is the sum by the count", () => {
  const from = at(1, { sum: [[{}, 10]], count: [[{}, 4]] });

  assert.equal(ratio(from, at(2, { sum: [[{}, 13]], count: [[{}, 6]] }), "sum", "count"), 1.5);
  assert.equal(ratio(from, at(2, { sum: [[{}, 0]], count: [[{}, 6]] }), "sum", "count"), null);
});

test("a percentile lies within its bucket", () => {
  const from = at(1, { t_bucket: histogram({ 0.1: 5, 1: 5, "+Inf": 5 }) });
  const to = at(2, { t_bucket: histogram({ 0.1: 5, 1: 15, "+Inf": 15 }) });
  const beyond = at(3, { t_bucket: histogram({ 0.1: 5, 1: 15, "+Inf": 40 }) });

  assert.equal(percentile(from, to, "t", 0.5), 0.55);
  assert.equal(percentile(from, to, "t", 1), 1);
  assert.equal(percentile(to, beyond, "t", 0.5), 1);
  assert.equal(percentile(to, to, "t", 0.5), null);
});

test("percentiles of several routes are of them all", () => {
  const both = at(2, {
    t_bucket: [[{ le: "1", route: "/a" }, 1], [{ le: "+Inf", route: "/a" }, 1], [{ le: "1", route: "/b" }, 3], [{ le: "+Inf", route: "/b" }, 3]],
  });

  assert.equal(percentile(at(1, {}), both, "t", 0.5), 0.5);
});

test("tables sum over the other labels", () => {
  const snapshot = at(1, { n: [[{ a: "x", b: "1" }, 2], [{ a: "y", b: "1" }, 9], [{ a: "x", b: "2" }, 3]] });

  assert.deepEqual(byLabels(snapshot, "n", ["a"]), [[["y"], 9], [["x"], 5]]);
  assert.deepEqual(byLabels(snapshot, "n", ["a"], ({ a }) => a === "x"), [[["x"], 5]]);
});
