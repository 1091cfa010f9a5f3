// A chart of the last minutes. What it shows stands beside it in words and numbers, for those who
// cannot see it; the pointer shows earlier ones.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useEffect, useRef, useState } from "preact/hooks";

import { dark } from "../theme";

export interface Line {
  label: string;
  values: (number | null)[];
}

interface Props {
  title: string;
  times: number[];
  lines: Line[];
  format: (value: number) => string;
  /** The top of the scale, where it is fixed. */
  top?: number;
}

const COLOURS = ["--line-1", "--line-2", "--line-3"];
const HEIGHT = 160;

export function Chart({ title, times, lines, format, top }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const data = [times, ...lines.map((line) => line.values)] as uPlot.AlignedData;
  const names = lines.map((line) => line.label).join();
  useEffect(() => {
    const element = host.current!;
    const made = new uPlot(options(element, lines, format, top, setAt), data, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [dark.value, names]);
  useEffect(() => plot.current?.setData(data), [times]);
  const place = at ?? times.length - 1;
  return (
    <figure class="chart">
      <figcaption>
        <h2>{title}</h2>
        <ul>
          {lines.map((line, index) => (
            <li key={line.label}>
              <span class={`key key-${index + 1}`} />
              {line.label} <strong>{shown(line.values[place], format)}</strong>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={host} class="plot" aria-hidden="true" />
    </figure>
  );
}

export function shown(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined ? "–" : format(value);
}

function options(
  host: HTMLElement,
  lines: Line[],
  format: Props["format"],
  top: number | undefined,
  onCursor: (place: number | null) => void,
): uPlot.Options {
  const [text, grid] = [colour(host, "--muted"), colour(host, "--line")];
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  return {
    width: host.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { y: { range: (_, __, max) => [0, top ?? (Number.isFinite(max) && max > 0 ? max * 1.1 : 1)] } },
    // Half of a time must have room beside the last mark.
    padding: [8, 28, 0, 0],
    axes: [
      { ...axis, size: 26, space: 90, values: (_, ticks) => ticks.map(clock) },
      { ...axis, size: 58, space: 36, values: (_, ticks) => ticks.map(format) },
    ],
    series: [
      {},
      ...lines.map(({ label }, index) => {
        const stroke = colour(host, COLOURS[index]!);
        return { label, stroke, width: 2, points: { show: false }, fill: index === 0 ? `rgb(from ${stroke} r g b / 12%)` : undefined };
      }),
    ],
    hooks: { setCursor: [({ cursor }) => onCursor(cursor.idx ?? null)] },
  };
}

function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString(undefined, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  });
}

/** A colour of the style sheet, as the canvas understands it. */
function colour(host: HTMLElement, name: string): string {
  host.style.color = `var(${name})`;
  const value = getComputedStyle(host).color;
  host.style.color = "";
  return value;
}
