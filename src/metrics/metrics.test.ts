import { join } from "node:path";
import fc from "fast-check";
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { describe, expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { nltkBleu, sacreBleu, sacreSentenceBleu } from "./bleu.ts";
import { runTextMetricsCase } from "./conformance.ts";
import { type FeatureSet, frechetDistance } from "./frechet.ts";
import { bestRougeL, rougeL, rougeLScore } from "./rouge-l.ts";
import { symmetricEigen } from "./symmetric-eigen.ts";

it("every row of the reference case agrees", async () => {
  const checks = await runTextMetricsCase(join(import.meta.dirname, "../../conformance/metrics"));
  expect(checks.filter((check) => !(check.maxError <= check.tolerance))).toEqual([]);
  expect(checks.length).toBeGreaterThan(2000);
});

describe("ROUGE-L", () => {
  const text = fc
    .array(fc.constantFrom("a", "b", "c", "The", "x."), { maxLength: 8 })
    .map((words) => words.join(" "));
  it("is 1 for itself, symmetric in F, between 0 and 1", () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        const { precision, recall, f } = rougeLScore(a, b);
        expect(rougeLScore(b, a)).toEqual({ precision: recall, recall: precision, f });
        expect(f >= 0 && f <= 1).toBe(true);
        if (a !== "") expect(rougeL(a, a)).toBe(1);
      }),
    );
  });
  it("takes the best of several references", () => {
    expect(bestRougeL(["the cup breaks", "the ball falls"], "The ball falls!")).toBe(1);
    expect(bestRougeL([], "x")).toBe(0);
  });
});

describe("BLEU", () => {
  it("counts an n-gram as often as one reference has it", () => {
    // The example of Papineni et al.: seven times "the" against references with two.
    const references = ["the cat is on the mat", "there is a cat on the mat"];
    const pair = { references, hypothesis: "the the the the the the the" };
    expect(nltkBleu([pair], { maxOrder: 1 })).toBeCloseTo(2 / 7, 12);
  });
  it("scores nothing for nothing", () => {
    expect(nltkBleu([{ references: ["a"], hypothesis: "" }])).toBe(0);
    expect(sacreSentenceBleu(["a"], "")).toBe(0);
    expect(sacreBleu([]).score).toBe(0);
  });
  it("keeps case and separates signs, but not inside numbers (13a)", () => {
    expect(sacreSentenceBleu(["It costs 1,250.5 euros, now."], "It costs 1,250.5 euros , now .")).toBeCloseTo(
      100,
      9,
    );
    expect(sacreSentenceBleu(["The cup"], "the CUP")).toBe(0);
  });
});

describe("symmetricEigen", () => {
  it.each([1, 2, 3, 12, 40])("agrees with ml-matrix and rebuilds the matrix (size %i)", (size) => {
    const raw = normal(fold(keyFromSeed(9), size), size * size);
    const matrix = Float64Array.from(raw, (_, i) => {
      const [row, column] = [Math.floor(i / size), i % size];
      return raw[row * size + column]! + raw[column * size + row]!;
    });
    const { values, vectors } = symmetricEigen(matrix, size);
    const oracle = new EigenvalueDecomposition(Matrix.from1DArray(size, size, matrix), {
      assumeSymmetric: true,
    });
    const expected = [...oracle.realEigenvalues].sort((a, b) => a - b);
    for (let i = 0; i < size; i++) expect(values[i]).toBeCloseTo(expected[i]!, 9);
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        let sum = 0;
        for (let k = 0; k < size; k++)
          sum += vectors[row * size + k]! * values[k]! * vectors[column * size + k]!;
        expect(sum).toBeCloseTo(matrix[row * size + column]!, 9);
      }
    }
  });
  it("handles zero and diagonal matrices", () => {
    expect([...symmetricEigen(new Float64Array(9), 3).values]).toEqual([0, 0, 0]);
    expect([...symmetricEigen(Float64Array.of(3, 0, 0, -1), 2).values]).toEqual([-1, 3]);
  });
});

describe("frechetDistance", () => {
  const set = (seed: number, count: number, size: number, shift = 0): FeatureSet => ({
    data: normal(keyFromSeed(seed), count * size).map((value) => value + shift),
    count,
    size,
  });
  it("is zero for equal sets and the squared shift for shifted ones, also with fewer samples than features", () => {
    for (const [count, size] of [
      [40, 6],
      [4, 30],
      [1, 5],
    ] as const) {
      const a = set(1, count, size);
      expect(frechetDistance(a, a).distance).toBeLessThan(1e-6);
      expect(frechetDistance(a, set(1, count, size, 2)).distance).toBeCloseTo(4 * size, 4);
    }
  });
  it("is symmetric, and both ways to the root agree", () => {
    const [a, b] = [set(1, 30, 8), set(2, 25, 8, 0.5)];
    const forward = frechetDistance(a, b).distance;
    expect(frechetDistance(b, a).distance).toBeCloseTo(forward, 9);
    // Zero columns do not change the distance, but make features outnumber samples: the other branch.
    const widen = ({ data, count, size }: FeatureSet): FeatureSet => ({
      data: Array.from({ length: count * 40 }, (_, i) =>
        i % 40 < size ? data[Math.floor(i / 40) * size + (i % 40)]! : 0,
      ),
      count,
      size: 40,
    });
    expect(frechetDistance(widen(a), widen(b)).distance).toBeCloseTo(forward, 6);
  });
  it("survives features that never change", () => {
    const dead = {
      data: new Float64Array(60).map((_, i) => (i % 3 === 0 ? 1 : i * 0.1)),
      count: 20,
      size: 3,
    };
    expect(frechetDistance(dead, dead).distance).toBeLessThan(1e-6);
  });
  it("refuses sets that do not fit", () => {
    const invalid = expect.objectContaining({ code: "VANS_METRICS_FEATURES_INVALID" });
    expect(() => frechetDistance(set(1, 3, 2), set(1, 3, 4))).toThrow(invalid);
    expect(() => frechetDistance({ data: [], count: 0, size: 2 }, set(1, 3, 2))).toThrow(invalid);
    expect(() => frechetDistance({ data: [1], count: 1, size: 2 }, set(1, 3, 2))).toThrow(invalid);
  });
});
