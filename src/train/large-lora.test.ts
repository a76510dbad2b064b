/** Gradients block by block are those of the whole graph. @module */
import { expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import {
  initQwen,
  padRows,
  patchify,
  positionIds,
  qwenConfig,
  qwenLogits,
  qwenLora,
  qwenParameters,
} from "../models/qwen25vl/index.ts";
import { ditConfig, ditLoraTargets, ditParameters, ditWithReferences } from "../models/wan/index.ts";
import { Params } from "../nn/index.ts";
import { compile, liveSessions } from "../runtime/index.ts";
import {
  crossEntropy,
  f32,
  grad,
  i32,
  input,
  mean,
  mul,
  type NdArray,
  reshape,
  slice,
  sub,
  type Tensor,
  type WeightBinding,
} from "../tensor/index.ts";
import { adamwStep } from "./large-adamw.ts";
import { vdmGradients } from "./large-vdm-gradients.ts";
import { vlmGradients } from "./large-vlm-gradients.ts";

const key = keyFromSeed(12);
const random = (name: string, shape: readonly number[], scale = 1): NdArray =>
  f32(
    normal(
      fold(key, name),
      shape.reduce((a, b) => a * b, 1),
    ).map((value) => value * scale),
    shape,
  );

function relative(a: NdArray, b: NdArray): number {
  let [error, size] = [0, 1e-12];
  for (let i = 0; i < b.data.length; i++) {
    error = Math.max(error, Math.abs(a.data[i]! - b.data[i]!));
    size = Math.max(size, Math.abs(b.data[i]!));
  }
  return error / size;
}

const split = (all: ReadonlyMap<string, readonly number[]>, scale: number) => {
  const base: Record<string, NdArray> = {};
  const adapters: Record<string, NdArray> = {};
  for (const [name, shape] of all)
    (name.includes(".lora_") ? adapters : base)[name] = random(name, shape, scale);
  const weights: WeightBinding = { weight: (name) => base[name] };
  return { base, adapters, weights };
};

it("the video transformer", async () => {
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
  const lora = { rank: 2, alpha: 4, targets: ditLoraTargets };
  const { adapters, weights } = split(ditParameters(config, { lora }), 0.3);
  const target = random("target", [1, 4, 3, 4, 6]);
  const given = {
    references: random("references", [1, 4, 2, 4, 6]),
    noisy: random("noisy", [1, 4, 3, 4, 6]),
    timestep: f32([700]),
    context: random("context", [1, 5, 24]),
  };
  const loss = (velocity: Tensor, feed: (name: string) => Tensor): Tensor => {
    const error = sub(velocity, feed("target"));
    return mean(mul(error, error));
  };
  const found = await vdmGradients(
    config,
    { weights, lora },
    { ...given, feeds: { target }, loss },
    adapters,
  );
  const params = new Params({ lora });
  const velocity = ditWithReferences(
    params,
    config,
    Object.fromEntries(Object.entries(given).map(([name, { shape }]) => [name, input(name, shape)])) as never,
  );
  const whole = loss(velocity, (name) => input(name, target.shape));
  const names = Object.keys(adapters);
  const gradients = grad(
    whole,
    names.map((name) => params.tensors.get(name)!),
  );
  const run = await compile(
    { loss: whole, ...Object.fromEntries(names.map((name, i) => [name, gradients[i]!])) },
    { weights },
  );
  const expected = await run.run({ ...given, target, ...adapters });
  await run.release();
  expect(found.loss).toBeCloseTo(expected["loss"]!.data[0]!, 5);
  expect(Object.keys(found.gradients).sort()).toEqual([...names].sort());
  for (const name of names)
    expect(relative(found.gradients[name]!, expected[name]!), name).toBeLessThan(1e-3);
  expect(liveSessions()).toBe(0);
});

it("the language model with its vision tower", async () => {
  const config = qwenConfig({
    vocab_size: 120,
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 2,
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
  const { adapters } = split(qwenParameters(config, { lora }), 0.1);
  const fresh = initQwen(config, fold(key, "qwen"));
  const weights: WeightBinding = { weight: (name) => (name.includes(".lora_") ? undefined : fresh[name]) };
  const rgb = Uint8Array.from({ length: 2 * 56 * 56 * 3 }, (_, i) => (i * 7) % 256);
  const { patches, grid } = patchify({ frameCount: 2, height: 56, width: 56, rgb } as never, config.vision);
  const tokens = [3, 108, 111, 111, 111, 111, 109, 4, 5, 6, 7];
  const rows = padRows([tokens], { side: "left", padTokenId: 100, length: tokens.length });
  const positions = positionIds(rows, config, { grids: [grid], secondsPerSlice: [1] }).ids;
  const labels = i32([5, 6, 7]);
  const loss = (logits: Tensor, feed: (name: string) => Tensor): Tensor =>
    mean(crossEntropy(logits, feed("labels")));
  const found = await vlmGradients(
    config,
    { weights, lora },
    fresh["model.embed_tokens.weight"]!,
    {
      ids: rows.ids,
      positionIds: positions,
      patches,
      grids: [grid],
      positions: [7, 8, 9],
      feeds: { labels },
      loss,
    },
    adapters,
  );
  const params = new Params({ lora });
  const logits = qwenLogits(params, config, {
    ids: input("ids", [1, tokens.length], "i32"),
    positionIds: input("positionIds", [3, 1, tokens.length], "i32"),
    patches: input("patches", patches.shape),
    grids: [grid],
  });
  const whole = loss(reshape(slice(logits, 1, 7, 10), [3, 120]), () => input("labels", [3], "i32"));
  const names = Object.keys(adapters);
  const gradients = grad(
    whole,
    names.map((name) => params.tensors.get(name)!),
  );
  const run = await compile(
    { loss: whole, ...Object.fromEntries(names.map((name, i) => [name, gradients[i]!])) },
    { weights },
  );
  const expected = await run.run({ ids: rows.ids, positionIds: positions, patches, labels, ...adapters });
  await run.release();
  expect(found.loss).toBeCloseTo(expected["loss"]!.data[0]!, 5);
  expect(Object.keys(found.gradients).sort()).toEqual([...names].sort());
  for (const name of names)
    expect(relative(found.gradients[name]!, expected[name]!), name).toBeLessThan(1e-3);
});

it("AdamW moves against the gradient by the rate at first, and clips its norm", () => {
  const w = f32([1, 1]);
  const state = { step: 0, first: {}, second: {} };
  expect(adamwStep({ w }, { w: f32([3, -4]) }, state, { rate: 0.1, weightDecay: 0 })).toBe(5);
  expect([...w.data].map((value) => Math.round(value * 1e4) / 1e4)).toEqual([0.9, 1.1]);
});
