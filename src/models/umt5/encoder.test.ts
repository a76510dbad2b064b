import { expect, it } from "vitest";
import { keyFromSeed } from "../../base/keys.ts";
import { Params } from "../../nn/index.ts";
import { compile } from "../../runtime/index.ts";
import { i32, input, sizeOf } from "../../tensor/index.ts";
import { UMT5_XXL, umt5Config } from "./config.ts";
import { umt5Encode } from "./encoder.ts";
import { initUmt5, umt5Parameters } from "./init.ts";

const config = umt5Config({ vocab_size: 50, d_model: 16, d_kv: 4, d_ff: 24, num_layers: 2, num_heads: 4 });
const weights = initUmt5(config, keyFromSeed(5));

async function encode(ids: readonly number[], mask: readonly number[], length: number) {
  const shape = [1, length];
  const y = umt5Encode(new Params(), config, input("ids", shape, "i32"), input("mask", shape, "i32"));
  const graph = await compile({ y }, { weights: { weight: (name) => weights[name] } });
  const result = await graph.run({ ids: i32([...ids], shape), mask: i32([...mask], shape) });
  await graph.release();
  return result["y"]!.data;
}

it("does not depend on padding, and its rows there are zero", async () => {
  const short = await encode([7, 9, 1], [1, 1, 1], 3);
  const long = await encode([7, 9, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], 6);
  const other = await encode([7, 9, 1, 30, 31, 32], [1, 1, 1, 0, 0, 0], 6);
  short.forEach((value, i) => {
    expect(Math.abs(value - long[i]!)).toBeLessThan(1e-5);
  });
  expect(long.slice(3 * 16).every((value) => value === 0)).toBe(true);
  expect(other.every((value, i) => value === long[i])).toBe(true);
});

it("sees order", async () => {
  const a = await encode([7, 9, 1], [1, 1, 1], 3);
  const b = await encode([9, 7, 1], [1, 1, 1], 3);
  expect(Math.max(...a.slice(2 * 16).map((value, i) => Math.abs(value - b[2 * 16 + i]!)))).toBeGreaterThan(
    1e-3,
  );
});

it("has the parameters of the released encoder", () => {
  const shapes = umt5Parameters(UMT5_XXL);
  expect(shapes.size).toBe(242);
  expect([...shapes.values()].reduce((all, shape) => all + sizeOf(shape), 0)).toBe(5_680_910_336);
});
