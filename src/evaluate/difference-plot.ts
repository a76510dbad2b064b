/**
 * A picture of differences: one line a metric, a mark a system, with its interval, as shares of the reference's value.
 * @module
 */
import { escapeXml } from "../media/index.ts";
import { METRICS, type MetricDefinition, type MetricName } from "./metric-table.ts";
import type { ReportKind, SystemComparison } from "./report-schema.ts";

/** Metrics worth a line. */
const SHOWN: readonly MetricName[] = [
  "rougeL",
  "bleu4",
  "clipV",
  "clipVReward",
  "clipT",
  "clipTReward",
  "clipTOwn",
  "clipTOwnReward",
  "fvd",
  "videoEventAccuracy",
  "videoPsnrDb",
  "motionEnergy",
];

const COLOURS = ["#2f6fde", "#d1662b", "#2e9e6b", "#9b4fc0", "#b3963c", "#c2405e"];
const LABEL = 150;
const WIDTH = 740;
const RIGHT = 28;
const LINE = 14;
const GAP = 10;
/** Differences beyond this share are cut off, so that one of them does not hide all others. */
const MOST = 1;

/** An SVG of a kind's differences; empty where there are none. */
export function differencePlot(comparisons: readonly SystemComparison[], kind: ReportKind): string {
  const lines = SHOWN.flatMap((name) => {
    const marks = comparisons.flatMap(({ metrics }, system) => {
      const found = metrics[kind][name];
      if (!found || found.reference === 0) return [];
      const scale = Math.abs(found.reference);
      return [{ system, at: found.value / scale, low: found.low / scale, high: found.high / scale }];
    });
    return marks.length > 0 ? [{ name, marks }] : [];
  });
  if (lines.length === 0) return "";
  const all = lines.flatMap(({ marks }) => marks.flatMap(({ low, high }) => [Math.abs(low), Math.abs(high)]));
  const most = Math.min(MOST, Math.max(0.02, ...all) * 1.1);
  const x = (share: number): number =>
    LABEL + ((Math.max(-most, Math.min(most, share)) + most) / (2 * most)) * (WIDTH - LABEL - RIGHT);
  let y = 24;
  const body: string[] = [];
  for (const share of [-most, -most / 2, 0, most / 2, most]) {
    const at = x(share).toFixed(1);
    const text = `${share > 0 ? "+" : ""}${(100 * share).toFixed(most < 0.1 ? 1 : 0)} %`;
    body.push(`<text x="${at}" y="12" text-anchor="middle" class="tick">${text}</text>`);
    body.push(`<line x1="${at}" x2="${at}" y1="18" y2="100%" class="${share === 0 ? "zero" : "grid"}"/>`);
  }
  for (const { name, marks } of lines) {
    const middle = y + (marks.length * LINE) / 2 + 4;
    const definition: MetricDefinition = METRICS[name];
    const arrow = definition.better === "lower" ? " ↓" : definition.better === "higher" ? " ↑" : "";
    body.push(`<text x="${LABEL - 8}" y="${middle}" text-anchor="end">${escapeXml(name + arrow)}</text>`);
    for (const { system, at, low, high } of marks) {
      const colour = COLOURS[system % COLOURS.length]!;
      const centre = y + LINE / 2;
      body.push(
        `<line x1="${x(low).toFixed(1)}" x2="${x(high).toFixed(1)}" y1="${centre}" y2="${centre}" stroke="${colour}" stroke-width="3"/>`,
        `<circle cx="${x(at).toFixed(1)}" cy="${centre}" r="4.5" fill="${colour}"/>`,
      );
      y += LINE;
    }
    y += GAP;
  }
  const legend = comparisons
    .map(
      ({ system }, i) =>
        `<span><i style="background:${COLOURS[i % COLOURS.length]}"></i>${escapeXml(system)}</span>`,
    )
    .join("");
  const reference = escapeXml(comparisons[0]?.reference ?? "");
  const cut = most === MOST ? `<span>cut off at ±${100 * MOST} %</span>` : "";
  return `<figure><svg viewBox="0 0 ${WIDTH} ${y}" role="img" aria-label="differences to ${reference}">${body.join("")}</svg><figcaption class="legend">${legend}${cut}</figcaption></figure>`;
}
