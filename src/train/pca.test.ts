import { expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { principalComponents } from "./pca.ts";

it("finds the directions of largest variance", () => {
  const n = 4000;
  const [a, b, c] = ["a", "b", "c"].map((name) => normal(fold(keyFromSeed(1), name), n)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const data = new Float32Array(n * 3);
  // Variance 9 along (1, 1, 0)/√2, 1 along (1, -1, 0)/√2, 0.01 along z; mean (5, 0, 0).
  for (let i = 0; i < n; i++) {
    data[i * 3] = 5 + (3 * a[i]! + b[i]!) / Math.SQRT2;
    data[i * 3 + 1] = (3 * a[i]! - b[i]!) / Math.SQRT2;
    data[i * 3 + 2] = 0.1 * c[i]!;
  }
  const { rows, variances, mean } = principalComponents(data, 3, 2);
  expect(mean[0]).toBeCloseTo(5, 0);
  expect(variances[0]! / 9).toBeCloseTo(1, 1);
  expect(variances[1]).toBeCloseTo(1, 1);
  expect(Math.abs(rows[0]![0]!)).toBeCloseTo(Math.SQRT1_2, 1);
  expect(rows[0]!.reduce((dot, value, i) => dot + value * rows[1]![i]!, 0)).toBeCloseTo(0, 6);
});
