import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { relativeError } from "../../../test/conformance/case.ts";
import { TINY_PATCH, tinyQwen, tinyQwenWeights, wave } from "../../../test/models/tiny-qwen.ts";
import { Params } from "../../nn/index.ts";
import { compile, interpret } from "../../runtime/index.ts";
import { f32, input, type NdArray } from "../../tensor/index.ts";
import { type VisionGrid, visionFeatures } from "./index.ts";
import { visionPlan } from "./vision-plan.ts";

const weights = tinyQwenWeights();

function traced(grids: readonly VisionGrid[]) {
  const count = grids.reduce((total, grid) => total + grid[0] * grid[1] * grid[2], 0);
  const patches = input("patches", [count, TINY_PATCH]);
  return { count, outputs: { features: visionFeatures(new Params(), tinyQwen, patches, grids) } };
}

async function features(grids: readonly VisionGrid[], patches: NdArray): Promise<Float32Array> {
  const graph = await compile(traced(grids).outputs, { weights: { weight: (name) => weights[name] } });
  const out = await graph.run({ patches });
  await graph.release();
  return out["features"]!.data as Float32Array;
}

const side = fc.integer({ min: 1, max: 7 }).map((cells) => cells * 2);
const grid = fc.tuple(fc.integer({ min: 1, max: 3 }), side, side);

describe("vision plan", () => {
  it("visits every patch once and finds its way back", () => {
    fc.assert(
      fc.property(fc.array(grid, { minLength: 1, maxLength: 3 }), (grids) => {
        const plan = visionPlan(grids, tinyQwen.vision);
        const count = grids.reduce((total, [t, h, w]) => total + t * h * w, 0);
        expect(plan.patchCount).toBe(count);
        if (plan.order && plan.restore) {
          expect([...plan.order].sort((a, b) => a - b)).toEqual([...Array(count).keys()]);
          // Merged token i of the input lies at restore[i]: its four patches are there in the order.
          plan.restore.forEach((place, token) => {
            expect(plan.order![place * 4]).toBe(token * 4);
          });
        }
        for (const { groups, restore } of [plan.windows, plan.slices]) {
          expect(groups.reduce((total, group) => total + group.count * group.length, 0)).toBe(count);
          const rows = groups.flatMap((group) => [...(group.rows ?? Array(count).keys())]);
          if (restore) expect(Array.from(restore, (at) => rows[at])).toEqual([...Array(count).keys()]);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("makes windows of two by two cells, ragged at the edges, and never mixes time slices", () => {
    const { windows, slices } = visionPlan([[2, 6, 10]], tinyQwen.vision);
    const sizes = windows.groups.map(({ length, count }) => [length, count]);
    // 3 × 5 cells: two whole windows, one at the right, two below, one in the corner; twice.
    expect(sizes).toEqual([
      [16, 4],
      [8, 6],
      [4, 2],
    ]);
    expect(slices.groups.map(({ length, count, cos }) => [length, count, cos.shape[0]])).toEqual([
      [60, 2, 1],
    ]);
  });

  it("refuses a grid that cannot be merged", () => {
    expect(() => visionPlan([[1, 3, 4]], tinyQwen.vision)).toThrow(/multiples of 2[\s\S]*1×3×4/);
  });
});

describe("vision tower", () => {
  it("agrees with the interpreter on ragged windows", async () => {
    const { count, outputs } = traced([[1, 6, 10]]);
    const patches = wave([count, TINY_PATCH]);
    const exact = interpret(outputs, { ...weights, patches })["features"]!;
    expect(relativeError(await features([[1, 6, 10]], patches), exact.data)).toBeLessThan(1e-5);
  });

  it("gives every video of a batch what it gives it alone", async () => {
    const grids: VisionGrid[] = [
      [2, 4, 4],
      [1, 6, 6],
      [2, 4, 4],
    ];
    const all = wave([32 + 36 + 32, TINY_PATCH]);
    const alone: number[] = [];
    let start = 0;
    for (const one of grids) {
      const rows = one[0] * one[1] * one[2];
      const part = all.data.slice(start * TINY_PATCH, (start + rows) * TINY_PATCH) as Float32Array;
      alone.push(...(await features([one], f32(part, [rows, TINY_PATCH]))));
      start += rows;
    }
    expect(relativeError(await features(grids, all), alone)).toBeLessThan(1e-5);
  });

  it("keeps time slices apart", async () => {
    const grids: VisionGrid[] = [[2, 4, 4]];
    const patches = wave([32, TINY_PATCH]);
    const changed = f32(Float32Array.from(patches.data), patches.shape);
    changed.data.fill(0, 16 * TINY_PATCH);
    const half = 4 * tinyQwen.text.hiddenSize;
    const [a, b] = [await features(grids, patches), await features(grids, changed)];
    expect(relativeError(b.subarray(0, half), a.subarray(0, half))).toBeLessThan(1e-6);
    expect(relativeError(b.subarray(half), a.subarray(half))).toBeGreaterThan(0.1);
  });
});
