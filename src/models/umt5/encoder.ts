/**
 * The UMT5 text encoder: token ids to text embeddings.
 * @module
 */
import { linear, type Params } from "../../nn/index.ts";
import {
  add,
  attention,
  cast,
  constant,
  embedding,
  gather,
  geluTanh,
  mul,
  reshape,
  rmsNorm,
  sub,
  type Tensor,
  transpose,
} from "../../tensor/index.ts";
import type { Probe } from "../probe.ts";
import type { Umt5Config } from "./config.ts";
import { bucketTable } from "./position-bucket.ts";

/** What hides a key: large enough that its softmax is 0 in f32, small enough to add to. */
export const UMT5_HIDDEN_SCORE = -1e9;

function norm(params: Params, config: Umt5Config, x: Tensor): Tensor {
  return rmsNorm(x, params.get("weight", [config.width]), config.epsilon);
}

/** Attention with a learned bias a bucket; scores are not scaled. `[B, L, width]` */
function selfAttention(
  params: Params,
  config: Umt5Config,
  x: Tensor,
  buckets: Tensor,
  keyMask: Tensor,
): Tensor {
  const { headCount, headWidth } = config;
  const [batch, length] = x.shape as [number, number];
  const inner = headCount * headWidth;
  const heads = (name: "q" | "k" | "v"): Tensor => {
    const y = linear(params.at(name), x, { out: inner, bias: false });
    return transpose(reshape(y, [batch, length, headCount, headWidth]), [0, 2, 1, 3]);
  };
  const table = params.at("relative_attention_bias").get("weight", [config.bucketCount, headCount]);
  // The small table is turned, not what is looked up in it.
  const bias = reshape(gather(transpose(table, [1, 0]), buckets, 1), [1, headCount, length, length]);
  const y = attention(heads("q"), heads("k"), heads("v"), { mask: add(bias, keyMask), scale: 1 });
  const joined = reshape(transpose(y, [0, 2, 1, 3]), [batch, length, inner]);
  return linear(params.at("o"), joined, { out: config.width, bias: false });
}

function feedForward(params: Params, config: Umt5Config, x: Tensor): Tensor {
  const wide = { out: config.ffnWidth, bias: false };
  const gated = mul(geluTanh(linear(params.at("wi_0"), x, wide)), linear(params.at("wi_1"), x, wide));
  return linear(params.at("wo"), gated, { out: config.width, bias: false });
}

/**
 * Last hidden states (transformers `UMT5EncoderModel`). Rows at padding hold values without meaning.
 * @param ids `[B, L]` i32
 * @param mask `[B, L]` f32 or i32, 1 on real tokens
 * @returns `[B, L, width]`
 */
export function umt5HiddenStates(
  params: Params,
  config: Umt5Config,
  ids: Tensor,
  mask: Tensor,
  options: { readonly probe?: Probe } = {},
): Tensor {
  const [batch, length] = ids.shape as [number, number];
  const buckets = constant(bucketTable(config, length));
  const keyMask = reshape(mul(sub(1, cast(mask, "f32")), UMT5_HIDDEN_SCORE), [batch, 1, 1, length]);
  let x = embedding(params.at("shared").get("weight", [config.vocabularySize, config.width]), ids);
  for (let i = 0; i < config.layerCount; i++) {
    x = umt5Block(params, config, i, x, buckets, keyMask);
    options.probe?.(`block${i}.output`, x);
  }
  return umt5Norm(params, config, x);
}

/**
 * One block.
 * @param params the root scope
 * @param x `[B, L, width]`
 * @param buckets `[L, L]` i32, from `bucketTable`
 * @param keyMask `[B, 1, 1, L]`, added to the scores
 */
export function umt5Block(
  params: Params,
  config: Umt5Config,
  index: number,
  x: Tensor,
  buckets: Tensor,
  keyMask: Tensor,
): Tensor {
  const block = params.at("encoder", "block", index, "layer");
  const attended = norm(block.at(0, "layer_norm"), config, x);
  const mixed = add(x, selfAttention(block.at(0, "SelfAttention"), config, attended, buckets, keyMask));
  const normed = norm(block.at(1, "layer_norm"), config, mixed);
  return add(mixed, feedForward(block.at(1, "DenseReluDense"), config, normed));
}

/** The norm after the last block. `[B, L, width]` */
export function umt5Norm(params: Params, config: Umt5Config, x: Tensor): Tensor {
  return norm(params.at("encoder", "final_layer_norm"), config, x);
}

/**
 * Text embeddings as the video transformer takes them: hidden states with the rows at padding set to zero
 * (Wan2.1 `text2video.py` trims and pads with zeros).
 * @param ids `[B, L]` i32, padded with `padTokenId` after the end token
 * @param mask `[B, L]` f32 or i32, 1 on real tokens, the end token included
 * @returns `[B, L, width]`
 */
export function umt5Encode(params: Params, config: Umt5Config, ids: Tensor, mask: Tensor): Tensor {
  const hidden = umt5HiddenStates(params, config, ids, mask);
  return mul(hidden, reshape(cast(mask, "f32"), [...mask.shape, 1]));
}
