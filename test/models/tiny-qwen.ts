/**
 * A small Qwen2.5-VL for tests: every part is there, windows are ragged on odd grids.
 * @module
 */
import { keyFromSeed } from "../../src/base/keys.ts";
import { initQwen, type QwenConfig, qwenConfig } from "../../src/models/qwen25vl/index.ts";
import { f32, type NdArray } from "../../src/tensor/index.ts";

/** Fields of a `config.json`, as the release has them (text fields at the top). */
export const TINY_QWEN_FIELDS = {
  vocab_size: 61,
  hidden_size: 32,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  rope_scaling: { type: "mrope", mrope_section: [1, 1, 2] },
  tie_word_embeddings: true,
  vision_config: {
    depth: 2,
    hidden_size: 24,
    intermediate_size: 36,
    num_heads: 2,
    out_hidden_size: 32,
    patch_size: 4,
    temporal_patch_size: 2,
    spatial_merge_size: 2,
    window_size: 16,
    fullatt_block_indexes: [1],
    tokens_per_second: 2,
  },
  image_token_id: 50,
  video_token_id: 51,
  vision_start_token_id: 52,
  vision_end_token_id: 53,
  bos_token_id: 0,
  eos_token_id: 1,
} as const;

export const tinyQwen: QwenConfig = qwenConfig(TINY_QWEN_FIELDS);

/** Elements of one patch of {@link tinyQwen}. */
export const TINY_PATCH = 3 * 2 * 4 * 4;

/** First values, larger than those for training, so that every term of the model can be seen. */
export function tinyQwenWeights(seed = 1, config: QwenConfig = tinyQwen): Record<string, NdArray> {
  const weights = initQwen(config, keyFromSeed(seed));
  return Object.fromEntries(
    Object.entries(weights).map(([name, { data, shape }]) => [
      name,
      f32(
        Float32Array.from(data, (value, i) =>
          shape.length === 1 ? value + 0.2 * Math.sin(7 * i) : 3 * value,
        ),
        shape,
      ),
    ]),
  );
}

/** Smooth made-up numbers. */
export function wave(shape: readonly number[], phase = 0): NdArray {
  const size = shape.reduce((product, axis) => product * axis, 1);
  return f32(
    Float32Array.from({ length: size }, (_, i) => Math.sin(0.37 * i + phase) * Math.cos(0.11 * i)),
    shape,
  );
}
