import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  banTokens,
  drawToken,
  likeliest,
  logProbability,
  penalizeRepetition,
  samplingProbabilities,
} from "./index.ts";

// Sixteenths, so that close logits stay apart as probabilities.
const logit = fc.integer({ min: -128, max: 128 }).map((x) => x / 16);
const logits = fc.array(logit, { minLength: 1, maxLength: 40 });

describe("sampling filters", () => {
  it("keep the likeliest tokens and normalise", () => {
    fc.assert(
      fc.property(
        logits,
        fc.integer({ min: 1, max: 45 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (values, topK, topP) => {
          const x = Float32Array.from(values);
          const p = samplingProbabilities(x, { temperature: 0.7, topK, topP });
          expect(p.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
          const kept = [...p.keys()].filter((id) => p[id]! > 0);
          const lowest = Math.min(...kept.map((id) => x[id]!));
          for (const id of p.keys()) if (p[id] === 0) expect(x[id]!).toBeLessThanOrEqual(lowest);
          expect(kept).toContain(likeliest(x));
        },
      ),
    );
  });

  it("keep the smallest set that reaches top-p", () => {
    const x = Float32Array.from([0.5, 0.3, 0.15, 0.05], Math.log);
    const keptAt = (topP: number) => [...samplingProbabilities(x, { topP })].filter((p) => p > 0).length;
    expect([0.01, 0.49, 0.51, 0.79, 0.81, 0.96, 1].map(keptAt)).toEqual([1, 1, 2, 2, 3, 4, 4]);
  });

  it("keep as many of equal tokens as the sum asks for", () => {
    const p = samplingProbabilities(new Float32Array(10), { topP: 0.55 });
    expect([...p].filter((value) => value > 0).length).toBe(6);
    expect(Math.max(...p)).toBeCloseTo(1 / 6, 6);
  });

  it("refuse impossible settings", () => {
    const x = new Float32Array(3);
    for (const options of [{ temperature: 0 }, { temperature: -1 }, { topK: 0 }, { topP: 0 }, { topP: 1.5 }])
      expect(() => samplingProbabilities(x, options)).toThrow(/cannot be drawn/);
  });

  it("penalise every repeated token once, towards less likely", () => {
    const x = Float32Array.of(2, -2, 1, 0);
    penalizeRepetition(x, [0, 0, 1, 3], 2);
    expect([...x]).toEqual([1, -4, 1, 0]);
    banTokens(x, [0, 2]);
    expect(likeliest(x)).toBe(3);
  });

  it("draw by cumulated probability, in the order of ids", () => {
    const p = Float64Array.of(0, 0.25, 0, 0.75);
    expect([0, 0.24, 0.25, 0.999999].map((u) => drawToken(p, u))).toEqual([1, 1, 3, 3]);
    expect(drawToken(Float64Array.of(0.3, 0.3, 0), 0.99)).toBe(1);
  });

  it("take log-probabilities before any filter", () => {
    const x = Float32Array.of(1, 2, 3);
    const p = samplingProbabilities(x, { temperature: 0.5 });
    expect(logProbability(x, 1, 0.5)).toBeCloseTo(Math.log(p[1]!), 6);
  });
});
