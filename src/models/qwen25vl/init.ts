/**
 * First values for training from nothing.
 * @module
 */
import { fold, type Key, normal, uniform } from "../../base/keys.ts";
import { type LoraOptions, Params } from "../../nn/index.ts";
import { f32, input, type NdArray, type Shape, sizeOf } from "../../tensor/index.ts";
import type { QwenConfig } from "./config.ts";
import { qwenLogits } from "./forward.ts";

/** All parameters of the model by name, with their shapes. */
export function qwenParameters(
  config: QwenConfig,
  options: { readonly lora?: LoraOptions | undefined } = {},
): ReadonlyMap<string, Shape> {
  const params = new Params(options);
  const { vision } = config;
  const side = vision.mergeSize;
  const patchLength = vision.channelCount * vision.temporalPatchSize * vision.patchSize ** 2;
  qwenLogits(params, config, {
    ids: input("ids", [1, 1], "i32"),
    positionIds: input("positionIds", [3, 1, 1], "i32"),
    patches: input("patches", [side * side, patchLength]),
    grids: [[1, side, side]],
  });
  return new Map([...params.tensors].map(([name, tensor]) => [name, tensor.shape]));
}

// Small initialisation (Nguyen & Salazar, arXiv 1910.05895): √(2 / (5 · width)), and residual branches scaled by
// 1/√(2 · layers) as in GPT-2. The embedding is small so that the first tied logits are nearly flat.
const EMBEDDING_STD = 0.02;

/**
 * First values of all parameters: norms 1, biases 0, matrices normal with a width-dependent deviation, adapters as
 * PEFT sets them (A uniform within ±1/√in, B 0).
 * @param key every parameter draws from its own stream, so the values do not depend on the order or on adapters
 */
export function initQwen(
  config: QwenConfig,
  key: Key,
  options: { readonly lora?: LoraOptions | undefined } = {},
): Record<string, NdArray> {
  return Object.fromEntries(
    [...qwenParameters(config, options)].map(([name, shape]): [string, NdArray] => [
      name,
      firstValue(name, shape, config, fold(key, name)),
    ]),
  );
}

function firstValue(name: string, shape: Shape, config: QwenConfig, key: Key): NdArray {
  const size = sizeOf(shape);
  const fanIn = sizeOf(shape.slice(1));
  if (name.endsWith(".lora_A.weight"))
    return f32(
      uniform(key, size).map((u) => (2 * u - 1) / Math.sqrt(fanIn)),
      shape,
    );
  if (name.endsWith(".bias") || name.endsWith(".lora_B.weight")) return f32(new Float32Array(size), shape);
  if (shape.length === 1) return f32(new Float32Array(size).fill(1), shape);
  const depth = name.startsWith("visual.") ? config.vision.depth : config.text.layerCount;
  const isResidual = /\.(o_proj|down_proj|attn\.proj)\.weight$/.test(name);
  const isTable = /(embed_tokens|lm_head)\.weight$/.test(name);
  const std = isTable ? EMBEDDING_STD : Math.sqrt(2 / (5 * fanIn)) / (isResidual ? Math.sqrt(2 * depth) : 1);
  return f32(
    normal(key, size).map((z) => z * std),
    shape,
  );
}
