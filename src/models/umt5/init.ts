/**
 * Parameters of the text encoder: names and shapes, first values for training from nothing.
 * @module
 */
import { fold, type Key, normal } from "../../base/keys.ts";
import { Params } from "../../nn/index.ts";
import { f32, input, type NdArray, type Shape, sizeOf } from "../../tensor/index.ts";
import type { Umt5Config } from "./config.ts";
import { umt5HiddenStates } from "./encoder.ts";

/** All parameters by their names in transformers, with their shapes. */
export function umt5Parameters(config: Umt5Config): ReadonlyMap<string, Shape> {
  const params = new Params();
  umt5HiddenStates(params, config, input("ids", [1, 1], "i32"), input("mask", [1, 1]));
  return new Map([...params.tensors].map(([name, tensor]) => [name, tensor.shape]));
}

/**
 * First values as transformers initialises T5 (`_init_weights`, factor 1): embedding with deviation 1, queries with
 * 1/√(width·headWidth) because scores are not scaled, other matrices with 1/√fan-in, norms 1.
 * @param key every parameter draws from its own stream
 */
export function initUmt5(config: Umt5Config, key: Key): Record<string, NdArray> {
  return Object.fromEntries(
    [...umt5Parameters(config)].map(([name, shape]): [string, NdArray] => [
      name,
      f32(firstValue(name, shape, config, fold(key, name)), shape),
    ]),
  );
}

function firstValue(name: string, shape: Shape, config: Umt5Config, key: Key): Float32Array {
  const size = sizeOf(shape);
  if (shape.length === 1) return new Float32Array(size).fill(1);
  const std = name.startsWith("shared.")
    ? 1
    : name.endsWith("SelfAttention.q.weight")
      ? 1 / Math.sqrt(config.width * config.headWidth)
      : name.endsWith("relative_attention_bias.weight")
        ? 1 / Math.sqrt(config.width)
        : 1 / Math.sqrt(shape[1]!);
  return normal(key, size).map((z) => z * std);
}
