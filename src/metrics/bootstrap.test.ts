/** Intervals of statistics that are no means, and of differences. @module */
import { describe, expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { bleuCounts, bleuOfCounts, nltkBleu } from "./bleu.ts";
import { bootstrapEstimate, pairedDifference, type SampleStatistic } from "./bootstrap.ts";
import { fvdOfFeatures, stackFeatures } from "./fvd.ts";
import { featureRows } from "./index.ts";

const indices = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

function mean(values: ArrayLike<number>): SampleStatistic {
  const n = values.length;
  return {
    n,
    of: (rows = indices(n)) =>
      Array.from(rows, (row) => values[row]!).reduce((a, b) => a + b, 0) / rows.length,
  };
}

describe("bootstrapEstimate", () => {
  it("has the width that theory gives a mean, and the same one again", () => {
    const values = normal(fold(keyFromSeed(3), "values"), 400);
    const found = bootstrapEstimate(mean(values));
    // 2 · 1.96 / √400
    expect(found.high - found.low).toBeGreaterThan(0.16);
    expect(found.high - found.low).toBeLessThan(0.24);
    expect(found.low).toBeLessThan(found.value);
    expect(found.high).toBeGreaterThan(found.value);
    expect(bootstrapEstimate(mean(values))).toEqual(found);
    expect(() => bootstrapEstimate(mean([]))).toThrow(RangeError);
  });

  it("holds the value of a Fréchet distance, which repetition alone would push up", () => {
    const set = (name: string, shift: number) =>
      stackFeatures(
        indices(60).map((i) => Array.from(normal(fold(keyFromSeed(1), name, i), 8), (z) => z + shift)),
      );
    const [a, b] = [set("a", 0.5), set("b", 0)];
    const of = (rows: ArrayLike<number> = indices(60)): number =>
      fvdOfFeatures(featureRows(a, rows), featureRows(b, rows), {
        weights: "none",
        weightsSha256: "unknown",
        fit: "stretch",
        sizePx: 8,
        batchNormEpsilon: 1e-3,
        divisor: "N-1",
        tap: "logits",
      }).distance;
    const raw = bootstrapEstimate({ n: 60, of }, { resamples: 100 });
    const { value, low, high } = bootstrapEstimate({ n: 60, of, isShifted: true }, { resamples: 100 });
    expect((raw.low + raw.high) / 2).toBeGreaterThan(raw.value);
    expect(low).toBeLessThan(value);
    expect(high).toBeGreaterThan(value);
    expect(high - low).toBeCloseTo(raw.high - raw.low, 9);
  });
});

describe("pairedDifference", () => {
  it("sees a small steady gain that two separate intervals would not", () => {
    const base = normal(fold(keyFromSeed(5), "base"), 200);
    const noise = normal(fold(keyFromSeed(5), "noise"), 200);
    const better = base.map((value, i) => value + 0.05 + 0.1 * noise[i]!);
    const { value, low, high, n } = pairedDifference(mean(better), mean(base));
    expect(n).toBe(200);
    expect(value).toBeCloseTo(0.05, 1);
    expect(low).toBeGreaterThan(0);
    expect(high).toBeLessThan(0.1);
    expect(bootstrapEstimate(mean(better)).low).toBeLessThan(bootstrapEstimate(mean(base)).high);
    expect(pairedDifference(mean(base), mean(base))).toEqual({ value: 0, low: 0, high: 0, n: 200 });
    expect(() => pairedDifference(mean([1]), mean([1, 2]))).toThrow(RangeError);
  });
});

it("counts a corpus for BLEU text by text", () => {
  const pairs = [
    { references: ["the ball falls down", "it drops"], hypothesis: "the ball drops down" },
    { references: ["a red roof comes next"], hypothesis: "a roof comes next" },
  ];
  for (const maxOrder of [1, 2, 4]) {
    const counts = pairs.map((pair) => bleuCounts(pair));
    expect(bleuOfCounts(counts, { maxOrder })).toBe(nltkBleu(pairs, { maxOrder }));
  }
});
