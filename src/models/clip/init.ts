/**
 * First values for training from nothing.
 * @module
 */
import { fold, type Key, normal } from "../../base/keys.ts";
import { Params } from "../../nn/index.ts";
import { f32, input, type NdArray, type Shape, sizeOf } from "../../tensor/index.ts";
import type { ClipConfig } from "./config.ts";
import { clipSimilarity } from "./similarity.ts";

/** All parameters of the model by name, with their shapes. */
export function clipParameters(config: ClipConfig): ReadonlyMap<string, Shape> {
  const params = new Params();
  const { imageSize, channelCount } = config.vision;
  const images = input("images", [1, channelCount, imageSize, imageSize]);
  clipSimilarity(params, config, images, input("ids", [1, config.text.maxPositions], "i32"));
  return new Map([...params.tensors].map(([name, tensor]) => [name, tensor.shape]));
}

// ln(1 / 0.07), the paper's first temperature.
const LOGIT_SCALE = 2.6592;

/** First values of all parameters, as `CLIPPreTrainedModel._init_weights` sets them. */
export function initClip(config: ClipConfig, key: Key): Record<string, NdArray> {
  return Object.fromEntries(
    [...clipParameters(config)].map(([name, shape]): [string, NdArray] => [
      name,
      firstValue(name, shape, config, fold(key, name)),
    ]),
  );
}

function firstValue(name: string, shape: Shape, config: ClipConfig, key: Key): NdArray {
  const size = sizeOf(shape);
  if (name === "logit_scale") return f32([LOGIT_SCALE], []);
  if (name.endsWith(".bias")) return f32(new Float32Array(size), shape);
  if (shape.length === 1 && name.endsWith(".weight")) return f32(new Float32Array(size).fill(1), shape);
  const std = deviation(name, config);
  return f32(
    normal(key, size).map((z) => z * std),
    shape,
  );
}

function deviation(name: string, { text, vision }: ClipConfig): number {
  const tower = name.startsWith("text_") ? text : vision;
  const residual = 1 / Math.sqrt(2 * tower.layerCount);
  if (/self_attn\.[qkv]_proj/.test(name)) return tower.hiddenSize ** -0.5 * residual;
  if (/self_attn\.out_proj/.test(name)) return tower.hiddenSize ** -0.5;
  if (/mlp\.fc1/.test(name)) return (2 * tower.hiddenSize) ** -0.5;
  if (/mlp\.fc2/.test(name)) return tower.hiddenSize ** -0.5 * residual;
  if (/class_embedding|_projection/.test(name)) return tower.hiddenSize ** -0.5;
  return 0.02;
}
