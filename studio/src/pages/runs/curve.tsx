/** One curve, and that of another run beside it. @module */
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { type Explanation, type Series, shortNumber } from "./run-api.ts";

const WISHES = { up: "more is better", down: "less is better" } as const;
const HEIGHT = 190;

export interface CurveProps {
  readonly name: string;
  readonly series: Series;
  readonly other?: Series | undefined;
  readonly explanation: Explanation | undefined;
  /** Weight of the past in the smoothed line, 0 to less than 1. */
  readonly smoothing: number;
  readonly isLog: boolean;
}

export function Curve({ name, series, other, explanation, smoothing, isLog }: CurveProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  // Logarithms want what is above 0.
  const canLog = isLog && series.values.every((value) => value > 0);
  const hasOther = other !== undefined;
  const colours = useColours();
  useEffect(() => {
    const parent = place.current;
    if (!parent) return;
    const style = getComputedStyle(parent);
    const colour = (variable: string): string => style.getPropertyValue(variable).trim();
    // Variables with light-dark() are worked out by the browser where they are used as a colour.
    const ink = style.color;
    const accent = getComputedStyle(parent.querySelector(".own")!).color;
    const warn = getComputedStyle(parent.querySelector(".others")!).color;
    const axis = {
      stroke: ink,
      grid: { stroke: `${colour("--grid") || "rgba(128,128,128,0.2)"}` },
      ticks: { show: false },
    };
    const made = new uPlot(
      {
        width: Math.max(200, parent.clientWidth),
        height: HEIGHT,
        cursor: { y: false, drag: { x: true, y: false } },
        legend: { show: true, live: true },
        scales: { x: { time: false }, y: { distr: canLog ? 3 : 1, ...(!canLog && { range: rangeOf }) } },
        axes: [
          { ...axis, size: 28 },
          {
            ...axis,
            size: 58,
            values: (_, ticks) => ticks.map((one) => (one === null ? "" : shortNumber(one))),
          },
        ],
        series: [
          { label: "step" },
          {
            label: "value",
            stroke: accent,
            width: 1,
            alpha: smoothing > 0 ? 0.3 : 1,
            value: (_, v) => shortNumber(v ?? undefined),
          },
          {
            label: "smoothed",
            show: smoothing > 0,
            stroke: accent,
            width: 2,
            value: (_, v) => shortNumber(v ?? undefined),
          },
          ...(hasOther
            ? [
                {
                  label: "other run",
                  stroke: warn,
                  width: 1.5,
                  value: (_: uPlot, v: number | null) => shortNumber(v ?? undefined),
                },
              ]
            : []),
        ],
      },
      dataOf(series, other, smoothing),
      parent,
    );
    plot.current = made;
    const watch = new ResizeObserver(() =>
      made.setSize({ width: Math.max(200, parent.clientWidth), height: HEIGHT }),
    );
    watch.observe(parent);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [canLog, hasOther, smoothing > 0, colours]);
  useEffect(() => {
    plot.current?.setData(dataOf(series, other, smoothing));
  }, [series, other, smoothing]);
  const last = series.values.at(-1);
  return (
    <figure class="curve">
      <figcaption>
        <b>{name}</b>
        <span>
          {shortNumber(last)}
          {explanation?.unit && ` ${explanation.unit}`}
        </span>
      </figcaption>
      {explanation && (
        <p class="muted small flush">
          {explanation.about}
          {explanation.wish && ` (${WISHES[explanation.wish]})`}
        </p>
      )}
      <div
        ref={place}
        class="plot"
        role="img"
        aria-label={`${name} over ${series.steps.length} steps: from ${shortNumber(series.values[0])} to ${shortNumber(last)}, least ${shortNumber(least(series.values))}, most ${shortNumber(most(series.values))}`}
      >
        <span class="own" />
        <span class="others" />
      </div>
    </figure>
  );
}

/** A scale on which a line that does not move lies on a line of the grid. */
function rangeOf(_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax {
  if (low === null || high === null) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : [low - Math.abs(low) / 10, low + Math.abs(low) / 10];
  return uPlot.rangeNum(low, high, 0.1, true) as uPlot.Range.MinMax;
}

/** A number that changes when the colours do: a drawn line keeps those that it was drawn with. */
function useColours(): number {
  const [count, setCount] = useState(0);
  useEffect(() => {
    const change = (): void => setCount((before) => before + 1);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", change);
    const theme = new MutationObserver(change);
    theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      dark.removeEventListener("change", change);
      theme.disconnect();
    };
  }, []);
  return count;
}

/** Least of many values; the spread operator has a limit. */
export const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity);
/** Most of many values. */
export const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), -Infinity);

/** Exponential mean, with the start's bias taken out (as TensorBoard draws it). */
function smoothed(values: readonly number[], weight: number): number[] {
  let mean = 0;
  let count = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    mean = weight * mean + (1 - weight) * value;
    count++;
    return mean / (1 - weight ** count);
  });
}

function dataOf(series: Series, other: Series | undefined, smoothing: number): uPlot.AlignedData {
  const own: uPlot.AlignedData = [
    [...series.steps],
    [...series.values],
    smoothing > 0 ? smoothed(series.values, smoothing) : series.values.map(() => null),
  ];
  if (!other) return own;
  return uPlot.join([own, [[...other.steps], [...other.values]]]);
}
