import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { compile, integerProductsSaturate } from "../runtime/index.ts";
import { embedding, f32, i32, input, linear, parameter, type WeightBinding } from "../tensor/index.ts";
import { openWeights } from "./open-weights.ts";
import {
  dequantizeMatrix,
  LEVELS_7_BITS,
  QUANTIZATIONS,
  type QuantizationName,
  quantizedWeights,
  quantizeMatrix,
  writeQuantized,
} from "./quantize.ts";
import { writeSafetensors } from "./safetensors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-quantize-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const [ROWS, WIDTH, TOKENS] = [48, 128, 5];
const key = keyFromSeed(3);
const w = normal(fold(key, "w"), ROWS * WIDTH);
const bias = normal(fold(key, "b"), ROWS);
const x = f32(normal(fold(key, "x"), TOKENS * WIDTH), [TOKENS, WIDTH]);

const relative = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let [error, size] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    error += (a[i]! - b[i]!) ** 2;
    size += b[i]! ** 2;
  }
  return Math.sqrt(error / size);
};

function product(weights: Float32Array): Float32Array {
  const y = new Float32Array(TOKENS * ROWS);
  for (let t = 0; t < TOKENS; t++)
    for (let r = 0; r < ROWS; r++) {
      let total = bias[r]!;
      for (let c = 0; c < WIDTH; c++) total += x.data[t * WIDTH + c]! * weights[r * WIDTH + c]!;
      y[t * ROWS + r] = total;
    }
  return y;
}

// Of weights drawn from a normal distribution: the bound is 1.3 times what was measured.
const errors: Record<QuantizationName, { weights: number; product: number }> = {
  "4bit": { weights: 0.1, product: 0.11 },
  "8bit": { weights: 0.006, product: 0.01 },
  "8bit-fast": { weights: 0.008, product: 0.014 },
};

it.each(Object.keys(QUANTIZATIONS) as QuantizationName[])(
  "%s: weights and products within the stated error",
  async (name) => {
    // Where integer products saturate, weights of 7 bits; a step is twice as wide.
    const has7Bits = name === "8bit-fast" && (await integerProductsSaturate());
    const wider = has7Bits ? 127 / LEVELS_7_BITS : 1;
    const how = { ...QUANTIZATIONS[name], ...(has7Bits && { levels: LEVELS_7_BITS }) };
    const back = dequantizeMatrix(quantizeMatrix(w, ROWS, WIDTH, how), ROWS, WIDTH, how);
    expect(relative(back, w)).toBeLessThan(errors[name].weights * wider);
    const original = join(folder, `${name}.safetensors`);
    await writeSafetensors(original, [["layer.weight", { shape: [ROWS, WIDTH], data: w }]]);
    const file = join(folder, `${name}.quantized.safetensors`);
    await writeQuantized(file, await openWeights(original), name, {
      isChosen: () => true,
      ...(has7Bits && { levels: LEVELS_7_BITS }),
    });
    const quantized = quantizedWeights(await openWeights(file));
    const weights: WeightBinding = { weight: (asked) => quantized.get(asked) };
    const b = input("b", [ROWS]);
    const run = await compile(
      { y: linear(input("x", [TOKENS, WIDTH]), parameter("layer.weight", [ROWS, WIDTH]), b) },
      { weights, mapped: true },
    );
    const { y } = await run.run({ x, b: f32(bias) });
    await run.release();
    // What the kernel adds to the rounding of the weights is the rounding of the activations to 8 bits.
    expect(relative(y!.data, product(back))).toBeLessThan(0.012);
    expect(relative(y!.data, product(w))).toBeLessThan(errors[name].product * wider);
  },
);

it("half-typed weights widened in parts give the numbers of the whole", async () => {
  const [rows, width] = [1300, 1024];
  const data = normal(fold(key, "large"), rows * width);
  const path = join(folder, "large.safetensors");
  await writeSafetensors(path, [["w", { shape: [rows, width], data, dtype: "BF16" }]]);
  const { byteOffset, byteLength, shape } = (await openWeights(path)).info("w");
  const weights: WeightBinding = { weight: () => ({ path, byteOffset, byteLength, shape, dtype: "bf16" }) };
  const trace = () => ({ y: linear(input("x", [3, width]), parameter("w", [rows, width])) });
  const feeds = { x: f32(normal(fold(key, "in"), 3 * width), [3, width]) };
  const [mapped, whole] = [
    await compile(trace(), { weights, mapped: true }),
    await compile(trace(), { weights }),
  ];
  expect(mapped.graph.nodeCount).toBeGreaterThan(whole.graph.nodeCount);
  const [a, b] = [(await mapped.run(feeds))["y"]!, (await whole.run(feeds))["y"]!];
  expect(relative(a.data, b.data)).toBeLessThan(1e-6);
  await mapped.release();
  await whole.release();
});

it("a quantised weight that is looked up instead of multiplied is refused by name", async () => {
  const file = { path: join(folder, "4bit.quantized.safetensors"), byteOffset: 0, byteLength: 0 };
  const weights: WeightBinding = {
    weight: () => ({ scheme: "blocks", bits: 4, blockSize: 32, shape: [4, 32], packed: file, scales: file }),
  };
  const table = embedding(parameter("table", [4, 32]), input("ids", [1], "i32"));
  await expect(compile({ table }, { weights })).rejects.toMatchObject({ code: "VANS_WEIGHTS_QUANTIZED_USE" });
  void i32;
});
