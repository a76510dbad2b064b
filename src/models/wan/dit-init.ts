/**
 * Parameters of the video transformer: names and shapes, first values for training from nothing, adapter targets.
 * @module
 */
import { fold, type Key, normal, uniform } from "../../base/keys.ts";
import { type LoraOptions, Params } from "../../nn/index.ts";
import { f32, input, type NdArray, type Shape, sizeOf } from "../../tensor/index.ts";
import { ditForward } from "./dit.ts";
import type { DitConfig } from "./dit-config.ts";

/** All parameters by their original names, with their shapes. */
export function ditParameters(
  config: DitConfig,
  options: { readonly lora?: LoraOptions | undefined } = {},
): ReadonlyMap<string, Shape> {
  const params = new Params(options);
  ditForward(params, config, {
    latents: input("latents", [1, config.inChannels, ...config.patchSize]),
    timestep: input("timestep", [1]),
    context: input("context", [1, 1, config.textWidth]),
  });
  return new Map([...params.tensors].map(([name, tensor]) => [name, tensor.shape]));
}

/** True for the layers that Flow-GRPO adapts in Wan: q, k, v and o of self- and cross-attention. */
export function ditLoraTargets(layer: string): boolean {
  return /(^|\.)blocks\.\d+\.(self_attn|cross_attn)\.[qkvo]$/.test(layer);
}

/** Size of the first shifts and scales, relative to Wan's own 1/√width. */
const TABLE_SCALE = 0.1;
/** Rows of a block's table that are gates (shift, scale, gate for attention, then for the feed-forward). */
const GATE_ROWS = [2, 5] as const;

/**
 * First values for training from nothing, as measured in the playroom trial: gates 1, other modulation small, time
 * projection and head 0 (the first velocity is 0), residual branches scaled by 1/√(2·layers), everything else normal
 * with deviation 1/√fan-in, biases 0, norms 1. Adapters as PEFT sets them (A uniform within ±1/√in, B 0).
 * @param key every parameter draws from its own stream, so the values do not depend on the order or on adapters
 *
 * @example
 * ```ts
 * import { keyFromSeed } from "vans";
 * import { ditConfig, initDit } from "vans/models/wan";
 * const config = ditConfig({ dim: 64, ffn_dim: 128, num_heads: 2, num_layers: 2, text_dim: 32 });
 * initDit(config, keyFromSeed(1))["blocks.0.self_attn.q.weight"]!.shape; // => [64, 64]
 * ```
 */
export function initDit(
  config: DitConfig,
  key: Key,
  options: { readonly lora?: LoraOptions | undefined } = {},
): Record<string, NdArray> {
  return Object.fromEntries(
    [...ditParameters(config, options)].map(([name, shape]): [string, NdArray] => [
      name,
      f32(firstValue(name, shape, config, fold(key, name)), shape),
    ]),
  );
}

function firstValue(name: string, shape: Shape, config: DitConfig, key: Key): Float32Array {
  const size = sizeOf(shape);
  const fanIn = sizeOf(shape.slice(1));
  if (name.endsWith(".lora_A.weight")) return uniform(key, size).map((u) => (2 * u - 1) / Math.sqrt(fanIn));
  if (name.endsWith(".modulation")) {
    const table = normal(key, size).map((z) => (TABLE_SCALE * z) / Math.sqrt(config.width));
    if (name.startsWith("blocks."))
      for (const row of GATE_ROWS) table.fill(1, row * config.width, (row + 1) * config.width);
    return table;
  }
  if (/(^|\.)(norm3|norm_q|norm_k)\.weight$/.test(name)) return new Float32Array(size).fill(1);
  const startsAtZero = /\.bias$|\.lora_B\.weight$|^time_projection\.|^head\.head\./.test(name);
  if (startsAtZero) return new Float32Array(size);
  const isBranchEnd = /\.(o|ffn\.2)\.weight$/.test(name);
  const std = 1 / Math.sqrt(fanIn) / (isBranchEnd ? Math.sqrt(2 * config.layerCount) : 1);
  return normal(key, size).map((z) => z * std);
}
