/**
 * The configuration of a UMT5 text encoder, read from the fields of its `config.json`.
 * @module
 */
import { z } from "zod";
import { configError, count, parseConfig } from "../parse-config.ts";

/** Sizes of a UMT5 encoder. */
export interface Umt5Config {
  readonly vocabularySize: number;
  readonly width: number;
  readonly headCount: number;
  /** Elements per head; `headCount · headWidth` need not be `width`. */
  readonly headWidth: number;
  readonly ffnWidth: number;
  readonly layerCount: number;
  /** Rows of the table of relative positions; half of them are for keys after the query. */
  readonly bucketCount: number;
  /** Distances from here on share the last bucket. */
  readonly maxDistance: number;
  readonly epsilon: number;
  readonly padTokenId: number;
  readonly eosTokenId: number;
}

const schema = z.object({
  vocab_size: count,
  d_model: count,
  d_kv: count,
  d_ff: count,
  num_layers: count,
  num_heads: count,
  relative_attention_num_buckets: count.default(32),
  relative_attention_max_distance: count.default(128),
  feed_forward_proj: z.literal("gated-gelu").default("gated-gelu"),
  layer_norm_epsilon: z.number().positive().default(1e-6),
  pad_token_id: z.int().nonnegative().default(0),
  eos_token_id: z.int().nonnegative().default(1),
});

const WHAT = "the UMT5 encoder";

/**
 * The configuration from a parsed `config.json` of transformers (`UMT5Config`).
 * @throws `VANS_MODEL_CONFIG` naming every field that is missing or does not fit
 */
export function umt5Config(raw: unknown): Umt5Config {
  const json = parseConfig(schema, raw, WHAT);
  if (json.relative_attention_num_buckets % 4 !== 0)
    throw configError(WHAT, `${json.relative_attention_num_buckets} buckets; a multiple of 4 is needed`);
  return {
    vocabularySize: json.vocab_size,
    width: json.d_model,
    headCount: json.num_heads,
    headWidth: json.d_kv,
    ffnWidth: json.d_ff,
    layerCount: json.num_layers,
    bucketCount: json.relative_attention_num_buckets,
    maxDistance: json.relative_attention_max_distance,
    epsilon: json.layer_norm_epsilon,
    padTokenId: json.pad_token_id,
    eosTokenId: json.eos_token_id,
  };
}

/** The encoder of `google/umt5-xxl`, Wan's text encoder: 5,680,910,336 parameters. */
export const UMT5_XXL: Umt5Config = umt5Config({
  vocab_size: 256384,
  d_model: 4096,
  d_kv: 64,
  d_ff: 10240,
  num_layers: 24,
  num_heads: 64,
});
