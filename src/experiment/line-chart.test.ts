/** Charts: ticks, smoothing, well-formed SVG. @module */
import sharp from "sharp";
import { expect, it } from "vitest";
import { lineChart, movingMean, niceTicks, shortNumber } from "./line-chart.ts";

it("ticks are round and lie within the range", () => {
  expect(niceTicks(0, 100)).toEqual([0, 50, 100]);
  expect(niceTicks(0, 300).every((tick) => tick % 100 === 0)).toBe(true);
  expect(niceTicks(4.5, 5.5)).toEqual([4.5, 5, 5.5]);
  expect([0, 12_345, 0.5, 2.34567, 0.00012].map(shortNumber)).toEqual([
    "0",
    "12.3k",
    "0.5",
    "2.35",
    "1.2e-4",
  ]);
});

it("a moving mean keeps the length and the mean of a line", () => {
  const line = Array.from({ length: 11 }, (_, i): [number, number] => [i, 2 * i]);
  expect(movingMean(line, 1)).toBe(line);
  const smooth = movingMean(line, 5);
  expect(smooth).toHaveLength(11);
  expect(smooth[5]).toEqual([5, 10]);
});

it("a chart can be drawn, has one line a series and no text that breaks it", async () => {
  const points = [
    [1, 0.1],
    [2, 0.4],
    [3, 0.2],
  ] as const;
  const svg = lineChart({
    title: "a < b & c",
    xLabel: "update",
    series: [
      { name: "one", points },
      { name: "none", points: [] },
      { name: "level", points: [[1, 0.3]] },
    ],
  });
  expect(svg.match(/<polyline/g)).toHaveLength(2);
  expect(svg).toContain("a &lt; b &amp; c");
  const { width, height } = await sharp(Buffer.from(svg)).metadata();
  expect([width, height! > 200]).toEqual([460, true]);
  expect(lineChart({ title: "", xLabel: "", series: [] })).toBe("");
});
