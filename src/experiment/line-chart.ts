/**
 * A line chart as SVG that a page takes in: axes with round numbers, one line a series, a legend below.
 * @module
 */
import { escapeXml } from "../media/index.ts";

/** One line. */
export interface ChartSeries {
  readonly name: string;
  /** x and y, in the order of x. */
  readonly points: readonly (readonly [number, number])[];
}

/** What a chart shows. */
export interface ChartOptions {
  readonly title: string;
  /** What x counts, for example `update`. */
  readonly xLabel: string;
  readonly series: readonly ChartSeries[];
}

const [WIDTH, PLOT_HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [460, 200, 58, 30, 14, 34] as const;
const LEGEND_LINE = 16;
/** Okabe and Ito's colours, which stay apart for most kinds of colour blindness; yellow is left out, it fades on white. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7a7a80"] as const;
const DASHES = ["", "6 3", "2 3"] as const;
const TICKS = 4;

/** Numbers of a 1-2-5 raster that cover a range. */
export function niceTicks(low: number, high: number, count: number = TICKS): number[] {
  const range = high - low || Math.abs(high) || 1;
  const rough = range / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough) ?? 10 * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step);
}

/** A number as short as it can be read: 1.2k, 0.35, 4.0e-5. */
export function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 10_000) return `${Number((value / 1000).toPrecision(3))}k`;
  if (size < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

/** A moving mean over `width` neighbours, centred; the ends have fewer. */
export function movingMean(
  points: ChartSeries["points"],
  width: number,
): readonly (readonly [number, number])[] {
  if (width <= 1) return points;
  const half = Math.floor(width / 2);
  return points.map(([x], i) => {
    const near = points.slice(Math.max(0, i - half), i + half + 1);
    return [x, near.reduce((sum, [, y]) => sum + y, 0) / near.length];
  });
}

/** The chart as an `<svg>` element; series without points are left out. Text takes the colour of the page. */
export function lineChart({ title, xLabel, series }: ChartOptions): string {
  const drawn = series.filter(({ points }) => points.length > 0);
  const all = drawn.flatMap(({ points }) => points);
  if (all.length === 0) return "";
  const columns = 2;
  const legendRows = Math.ceil(drawn.length / columns);
  const height = TOP + PLOT_HEIGHT + BOTTOM + legendRows * LEGEND_LINE + 6;
  const xs = all.map(([x]) => x);
  const ys = all.map(([, y]) => y);
  const [xLow, xHigh] = [0, Math.max(1, ...xs)];
  let [yLow, yHigh] = [Math.min(...ys), Math.max(...ys)];
  if (yLow === yHigh) [yLow, yHigh] = [yLow - Math.abs(yLow || 1) * 0.1, yHigh + Math.abs(yHigh || 1) * 0.1];
  const px = (x: number): number => LEFT + ((x - xLow) / (xHigh - xLow)) * (WIDTH - LEFT - RIGHT);
  const py = (y: number): number => TOP + (1 - (y - yLow) / (yHigh - yLow)) * PLOT_HEIGHT;
  const grid = niceTicks(yLow, yHigh).map(
    (y) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(py(y))}" y2="${at(py(y))}" stroke="currentColor" stroke-opacity=".15"/>` +
      `<text x="${LEFT - 6}" y="${at(py(y) + 4)}" text-anchor="end">${shortNumber(y)}</text>`,
  );
  const base = TOP + PLOT_HEIGHT;
  const ticks = niceTicks(xLow, xHigh).map(
    (x) => `<text x="${at(px(x))}" y="${base + 16}" text-anchor="middle">${shortNumber(x)}</text>`,
  );
  const lines = drawn.map(({ points }, i) => {
    const path = points.map(([x, y]) => `${at(px(x))},${at(py(y))}`).join(" ");
    const [first] = points;
    const alone =
      points.length === 1
        ? `<circle cx="${at(px(first![0]))}" cy="${at(py(first![1]))}" r="3" fill="${colour(i)}"/>`
        : "";
    return `<polyline fill="none" stroke="${colour(i)}" stroke-width="1.6" stroke-dasharray="${dash(i)}" points="${path}"/>${alone}`;
  });
  const legend = drawn.map(({ name }, i) => {
    const x = LEFT + (i % columns) * ((WIDTH - LEFT) / columns);
    const y = base + BOTTOM + 12 + Math.floor(i / columns) * LEGEND_LINE;
    return (
      `<line x1="${x}" x2="${x + 22}" y1="${y - 4}" y2="${y - 4}" stroke="${colour(i)}" stroke-width="2" stroke-dasharray="${dash(i)}"/>` +
      `<text x="${x + 28}" y="${y}">${escapeXml(name.length > 28 ? `${name.slice(0, 27)}…` : name)}</text>`
    );
  });
  return [
    `<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escapeXml(title)}" font-size="11" fill="currentColor">`,
    `<text x="${LEFT}" y="18" font-size="13" font-weight="600">${escapeXml(title)}</text>`,
    ...grid,
    `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${base}" y2="${base}" stroke="currentColor" stroke-opacity=".5"/>`,
    ...ticks,
    `<text x="${WIDTH - RIGHT}" y="${base + 30}" text-anchor="end">${escapeXml(xLabel)}</text>`,
    ...lines,
    ...legend,
    "</svg>",
  ].join("");
}

const colour = (i: number): string => COLOURS[i % COLOURS.length]!;
const dash = (i: number): string => DASHES[Math.floor(i / COLOURS.length) % DASHES.length]!;
const at = (value: number): string => value.toFixed(1);
