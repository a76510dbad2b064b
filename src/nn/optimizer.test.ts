import fc from "fast-check";
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { describe, expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/index.ts";
import { interpret } from "../runtime/index.ts";
import { f32, input } from "../tensor/index.ts";
import { clipFactor, globalNorm, orthogonalize } from "./optimizer.ts";

describe("Muon's orthogonalisation", () => {
  it("brings all singular values near 1 and keeps the singular vectors, for tall, wide and square matrices", () => {
    const sizes = fc.tuple(fc.integer({ min: 2, max: 12 }), fc.integer({ min: 2, max: 12 }));
    fc.assert(
      fc.property(sizes, fc.integer({ min: 0, max: 1000 }), ([rows, columns], seed) => {
        const data = normal(fold(keyFromSeed(seed), "m"), rows * columns);
        const out = interpret(
          { y: orthogonalize(input("m", [rows, columns])) },
          { m: f32(data, [rows, columns]) },
        );
        const before = new SingularValueDecomposition(Matrix.from1DArray(rows, columns, data), {
          autoTranspose: true,
        });
        const after = new SingularValueDecomposition(Matrix.from1DArray(rows, columns, out["y"]!.data), {
          autoTranspose: true,
        });
        const smallest = Math.min(...before.diagonal) / before.norm2;
        // Five steps lift what is not tiny from the start; the published polynomial ends between 0.68 and 1.14.
        if (smallest > 0.05) expect(Math.min(...after.diagonal)).toBeGreaterThan(0.65);
        expect(Math.max(...after.diagonal)).toBeLessThan(1.2);
        // Uᵀ · result · V of the input's own singular vectors is diagonal.
        const u = before.leftSingularVectors;
        const v = before.rightSingularVectors;
        const turned = u
          .transpose()
          .mmul(Matrix.from1DArray(rows, columns, out["y"]!.data))
          .mmul(v);
        for (let i = 0; i < turned.rows; i++)
          for (let j = 0; j < turned.columns; j++)
            if (i !== j) expect(Math.abs(turned.get(i, j))).toBeLessThan(1e-4);
      }),
      { seed: 4, numRuns: 40 },
    );
  });

  it("gives zeros for zeros", () => {
    const zero = f32(new Float32Array(6), [2, 3]);
    expect(interpret({ y: orthogonalize(input("m", [2, 3])) }, { m: zero })["y"]!.data).toEqual(
      new Float32Array(6),
    );
  });
});

describe("clipping", () => {
  const g = [input("a", [2]), input("b", [])];
  const run = (limit: number, feeds: [number[], number]): number[] => {
    const norm = globalNorm(g);
    const out = interpret(
      { norm, factor: clipFactor(norm, limit) },
      { a: f32(feeds[0]), b: f32([feeds[1]], []) },
    );
    return [out["norm"]!.data[0]!, out["factor"]!.data[0]!];
  };

  it("takes the norm over all gradients together", () => {
    expect(run(1, [[2, 3], 6])[0]).toBe(7);
  });

  it("scales down to the limit and never up", () => {
    expect(run(3.5, [[2, 3], 6])[1]).toBeCloseTo(0.5, 6);
    expect(run(100, [[2, 3], 6])[1]).toBe(1);
    expect(run(1, [[0, 0], 0])[1]).toBe(1);
  });
});
