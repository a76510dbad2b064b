/** Convolutions in bands of rows give the numbers of the whole. @module */
import { expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../../base/keys.ts";
import { Params } from "../../nn/index.ts";
import { compile } from "../../runtime/index.ts";
import { conv, f32, input, parameter } from "../../tensor/index.ts";
import { causalConv } from "./vae-blocks.ts";

it("cuts large clips only, at no cost of digits", async () => {
  const key = keyFromSeed(2);
  // 27·64 values at 4·140·140 places: more than is gathered at once.
  const shape = [1, 64, 4, 140, 140];
  const x = f32(normal(fold(key, "x"), 64 * 4 * 140 * 140), shape);
  const weight = f32(
    normal(fold(key, "w"), 24 * 64 * 27).map((v) => v * 0.02),
    [24, 64, 3, 3, 3],
  );
  const bias = f32(normal(fold(key, "b"), 24));
  const weights = { weight: (name: string) => (name === "bias" ? bias : weight) };
  const memory = { isStart: true, before: () => undefined } as never;
  const banded = await compile(
    { y: causalConv(new Params(), input("x", shape), 24, [3, 3, 3], memory) },
    { weights },
  );
  const whole = await compile(
    {
      y: conv(input("x", shape), parameter("weight", [24, 64, 3, 3, 3]), {
        strides: [1, 1, 1],
        padsBefore: [2, 1, 1],
        padsAfter: [0, 1, 1],
        bias: parameter("bias", [24]),
      }),
    },
    { weights },
  );
  const [a, b] = [(await banded.run({ x }))["y"]!, (await whole.run({ x }))["y"]!];
  expect(banded.graph.nodeCount).toBeGreaterThan(whole.graph.nodeCount);
  let worst = 0;
  for (let i = 0; i < b.data.length; i++) worst = Math.max(worst, Math.abs(a.data[i]! - b.data[i]!));
  expect(worst).toBeLessThan(1e-4);
  await banded.release();
  await whole.release();
});
