/** Block by block gives the numbers of the whole. @module */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { Params } from "../nn/index.ts";
import { compile, liveSessions } from "../runtime/index.ts";
import { type FileWeight, f32, i32, input, type NdArray, type WeightBinding } from "../tensor/index.ts";
import { openWeights, readRows, type WritableTensor, writeSafetensors } from "../weights/index.ts";
import {
  BlockwiseQwen,
  generate,
  initQwen,
  patchify,
  QwenRunner,
  qwenConfig,
  qwenLora,
  qwenParameters,
} from "./qwen25vl/index.ts";
import { BlockwiseUmt5, initUmt5, umt5Config, umt5Encode } from "./umt5/index.ts";
import { BlockwiseDit, DitRunner, ditConfig, ditParameters } from "./wan/index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-blockwise-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  expect(liveSessions()).toBe(0);
});

const key = keyFromSeed(4);
const random = (name: string, shape: readonly number[], scale = 1): NdArray =>
  f32(
    normal(
      fold(key, name),
      shape.reduce((a, b) => a * b, 1),
    ).map((value) => value * scale),
    shape,
  );

/** Weights in a bf16 file, as the runtime maps them. */
async function stored(
  name: string,
  weights: Iterable<readonly [string, NdArray]>,
): Promise<WeightBinding & { at(name: string): FileWeight }> {
  const path = join(folder, `${name}.safetensors`);
  const tensors = [...weights].map(([tensor, { shape, data }]): [string, WritableTensor] => [
    tensor,
    { shape, data: data as Float32Array, dtype: "BF16" },
  ]);
  await writeSafetensors(path, tensors);
  const source = await openWeights(path);
  const at = (tensor: string): FileWeight => {
    const { byteOffset, byteLength, shape } = source.info(tensor);
    return { path, byteOffset, byteLength, shape, dtype: "bf16" };
  };
  return { at, weight: (tensor) => (source.has(tensor) ? at(tensor) : undefined) };
}

function relative(a: NdArray, b: NdArray): number {
  expect(a.shape).toEqual(b.shape);
  let [error, size] = [0, 0];
  for (let i = 0; i < b.data.length; i++) {
    error = Math.max(error, Math.abs(a.data[i]! - b.data[i]!));
    size = Math.max(size, Math.abs(b.data[i]!));
  }
  return error / size;
}

it("the text encoder", async () => {
  const config = umt5Config({ vocab_size: 50, d_model: 32, d_kv: 8, d_ff: 48, num_layers: 3, num_heads: 4 });
  const weights = await stored("umt5", Object.entries(initUmt5(config, fold(key, "umt5"))));
  const ids = i32([5, 9, 3, 1, 0, 0], [1, 6]);
  const mask = f32([1, 1, 1, 1, 0, 0], [1, 6]);
  const whole = await compile(
    { context: umt5Encode(new Params(), config, input("ids", [1, 6], "i32"), input("mask", [1, 6])) },
    { weights },
  );
  const { context } = await whole.run({ ids, mask });
  await whole.release();
  const blockwise = new BlockwiseUmt5(config, weights.at("shared.weight"), { weights });
  expect(relative(await blockwise.encode(ids, mask), context!)).toBeLessThan(1e-5);
  expect(relative(await blockwise.encode(ids, mask), context!)).toBeLessThan(1e-5);
  await blockwise.release();
});

it("the video transformer, with an adapter", async () => {
  const config = ditConfig({
    dim: 40,
    ffn_dim: 72,
    num_heads: 2,
    num_layers: 3,
    in_dim: 4,
    out_dim: 4,
    text_dim: 24,
    freq_dim: 16,
  });
  const lora = { rank: 2, alpha: 4, targets: (layer: string) => layer.endsWith("self_attn.q") };
  const weights = await stored(
    "dit",
    [...ditParameters(config, { lora })].map(([name, shape]) => [name, random(name, shape, 0.3)] as const),
  );
  const request = {
    references: random("references", [1, 4, 2, 4, 6]),
    noisy: random("noisy", [1, 4, 3, 4, 6]),
    timestep: f32([700]),
    context: random("context", [1, 5, 24]),
  };
  const whole = new DitRunner(config, { weights, lora });
  const blockwise = new BlockwiseDit(config, { weights, lora });
  const expected = await whole.velocity(request);
  expect(relative(await blockwise.velocity(request), expected)).toBeLessThan(2e-5);
  const double = {
    ...request,
    noisy: random("two", [2, 4, 3, 4, 6]),
    timestep: f32([700, 700]),
    context: random("c2", [2, 5, 24]),
    references: random("r2", [2, 4, 2, 4, 6]),
  };
  expect(relative(await blockwise.velocity(double), await whole.velocity(double))).toBeLessThan(2e-5);
  await whole.release();
  await blockwise.release();
});

it("the language model: features, prompts of different lengths, and the same tokens", async () => {
  const config = qwenConfig({
    vocab_size: 120,
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    rope_scaling: { type: "mrope", mrope_section: [2, 3, 3] },
    tie_word_embeddings: true,
    vision_config: {
      depth: 2,
      hidden_size: 32,
      intermediate_size: 44,
      num_heads: 2,
      in_channels: 3,
      out_hidden_size: 64,
      patch_size: 14,
      spatial_merge_size: 2,
      window_size: 112,
      fullatt_block_indexes: [1],
      tokens_per_second: 2,
    },
    image_token_id: 110,
    video_token_id: 111,
    vision_start_token_id: 108,
    vision_end_token_id: 109,
    eos_token_id: [101],
    pad_token_id: 100,
  });
  const lora = qwenLora({ rank: 2 });
  const fresh = initQwen(config, fold(key, "qwen"));
  const weights = await stored("qwen", [
    ...Object.entries(fresh).map(
      ([name, { data, shape }]) =>
        [
          name,
          f32(
            (data as Float32Array).map((v) => (shape.length > 1 ? 3 * v : v)),
            shape,
          ),
        ] as const,
    ),
    ...[...qwenParameters(config, { lora })]
      .filter(([name]) => name.includes(".lora_"))
      .map(([name, shape]) => [name, random(name, shape, 0.1)] as const),
  ]);
  const frames = {
    frameCount: 2,
    height: 56,
    width: 84,
    frameRateHz: 1,
    rgb: Uint8Array.from({ length: 2 * 56 * 84 * 3 }, (_, i) => (i * 7) % 256),
  };
  const { patches, grid } = patchify(frames, config.vision);
  const whole = new QwenRunner(config, { weights, lora });
  const blockwise = new BlockwiseQwen(config, weights.at("model.embed_tokens.weight"), { weights, lora });
  const features = await whole.features(patches, [grid]);
  expect(relative(await blockwise.features(patches, [grid]), features)).toBeLessThan(1e-5);
  const vision = new Array<number>(features.shape[0]!).fill(111);
  const prompts = [{ ids: [3, 108, ...vision, 109, 4, 5], features, grids: [grid] }, { ids: [7, 8, 9] }];
  const text = async (
    runner: Parameters<typeof generate>[0],
  ): Promise<{ tokens: number[][]; logits: NdArray[] }> => {
    const tokens: number[][] = [];
    const logits: NdArray[] = [];
    const steps = generate(runner, prompts, {
      maxNewTokens: 6,
      temperature: 0,
      samples: 2,
      stopTokenIds: [],
    });
    for await (const step of steps) {
      tokens.push([...step.tokens]);
      logits.push(step.logits);
    }
    return { tokens, logits };
  };
  const [expected, found] = [await text(whole), await text(blockwise)];
  expect(found.tokens).toEqual(expected.tokens);
  for (const [i, logits] of found.logits.entries())
    expect(relative(logits, expected.logits[i]!)).toBeLessThan(1e-4);
  await whole.release();
  await blockwise.release();
});

it("reads rows of a table in its file, and refuses others", async () => {
  const table = random("table", [6, 4]);
  const weights = await stored("table", [["t", table]]);
  const rows = await readRows(weights.at("t"), [5, 0, 5]);
  expect(rows.shape).toEqual([3, 4]);
  for (let i = 0; i < 4; i++) expect(rows.data[i]).toBeCloseTo(table.data[20 + i]!, 1);
  await expect(readRows(weights.at("t"), [6])).rejects.toThrow(RangeError);
  expect((await readRows(table, [2])).data).toEqual(table.data.slice(8, 12));
});
