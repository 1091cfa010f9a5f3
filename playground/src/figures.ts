// From the server's series to what the dashboard shows: rates and percentiles between two moments.
// Counters that fell (the server or its engine was started anew) give no value, not a negative one.

/** Every series by name: pairs of labels and value. */
export type Series = Record<string, [Record<string, string>, number][]>;

export interface Snapshot {
  /** Unix seconds, by the server's clock. */
  time: number;
  series: Series;
}

export type Passes = (labels: Record<string, string>) => boolean;

const all: Passes = () => true;

/** The sum of a series over the labels that pass. */
export function total({ series }: Snapshot, name: string, passes = all): number {
  return (series[name] ?? []).reduce((sum, [labels, value]) => (passes(labels) ? sum + value : sum), 0);
}

export function rate(from: Snapshot, to: Snapshot, name: string, passes = all): number | null {
  const grown = total(to, name, passes) - total(from, name, passes);
  return grown < 0 || to.time <= from.time ? null : grown / (to.time - from.time);
}

/** By how much one counter grew for each step of another, between two moments; null where that did not move. */
export function ratio(from: Snapshot, to: Snapshot, upper: string, lower: string): number | null {
  const counted = total(to, lower) - total(from, lower);
  const grown = total(to, upper) - total(from, upper);
  return counted <= 0 || grown < 0 ? null : grown / counted;
}

/** What of `whole` was `part`, between two moments; null where there was nothing. */
export function share(from: Snapshot, to: Snapshot, part: string, whole: string): number | null {
  const found = ratio(from, to, part, whole);
  return found === null ? null : Math.min(found, 1);
}

/** A percentile of what a histogram counted between two moments, interpolated within its bucket. */
export function percentile(from: Snapshot, to: Snapshot, name: string, wanted: number, passes = all): number | null {
  const before = buckets(from, name, passes);
  const counts = [...buckets(to, name, passes)].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)] as const);
  counts.sort(([a], [b]) => a - b);
  const counted = counts.at(-1)?.[1] ?? 0;
  if (counted <= 0) return null;
  const rank = wanted * counted;
  let [low, below] = [0, 0];
  for (const [bound, count] of counts) {
    if (count >= rank) {
      // Beyond the last bound nothing is known but that.
      if (bound === Infinity) return low;
      return low + (bound - low) * (count > below ? (rank - below) / (count - below) : 0);
    }
    [low, below] = [bound, count];
  }
  return low;
}

function buckets({ series }: Snapshot, name: string, passes: Passes): Map<number, number> {
  const sums = new Map<number, number>();
  for (const [labels, value] of series[`${name}_bucket`] ?? []) {
    if (!passes(labels)) continue;
    const bound = labels["le"] === "+Inf" ? Infinity : Number(labels["le"]);
    sums.set(bound, (sums.get(bound) ?? 0) + value);
  }
  return sums;
}

/** Rows of a table: a counter's values by some of its labels, largest first. */
export function byLabels(snapshot: Snapshot, name: string, labels: string[], passes = all): [string[], number][] {
  const rows = new Map<string, [string[], number]>();
  for (const [found, value] of snapshot.series[name] ?? []) {
    if (!passes(found)) continue;
    const key = labels.map((label) => found[label] ?? "");
    const row = rows.get(key.join("\0")) ?? [key, 0];
    rows.set(key.join("\0"), [key, row[1] + value]);
  }
  return [...rows.values()].sort((a, b) => b[1] - a[1]);
}
