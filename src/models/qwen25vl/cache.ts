/**
 * Generation in two graphs of fixed shape: one reads the prompt and fills a cache of keys and values, one extends
 * it by a token. The cache has a fixed capacity and a mask hides what is not filled, so one compiled graph serves all
 * positions.
 * @module
 */
import type { Params } from "../../nn/index.ts";
import {
  broadcastTo,
  cast,
  constant,
  cos,
  input,
  mul,
  pad,
  reshape,
  sin,
  slice,
  type Tensor,
  where,
} from "../../tensor/index.ts";
import type { QwenConfig } from "./config.ts";
import {
  causalMask,
  decoderLayers,
  embedTokens,
  groupedAttention,
  groupedMask,
  logitsOf,
  rotaryTables,
} from "./decoder.ts";
import { embedInputs } from "./forward.ts";
import { ropeFrequencies } from "./positions.ts";

/** Names of the cached keys and values of a layer, `[rows, kvHeads, capacity, headWidth]`. */
export const cacheName = {
  keys: (layer: number): string => `cache.${layer}.keys`,
  values: (layer: number): string => `cache.${layer}.values`,
} as const;

/** Sizes of {@link prefillGraph}. */
export interface PrefillSizes {
  readonly prompts: number;
  /** Tokens of every prompt, padding included. */
  readonly length: number;
  /** Rows of vision features; 0 for text alone. */
  readonly featureCount: number;
  /** Rows of the cache that continue each prompt. */
  readonly samples: number;
  readonly capacity: number;
}

/**
 * Reads left-padded prompts. Inputs `ids` `[P, S]`, `mask` `[P, S]`, `positionIds` `[3, P, S]`, `features` `[n, C]`;
 * outputs `logits` `[P, vocabulary]` after the last token, and the cache with every prompt's rows `samples` times.
 */
export function prefillGraph(
  params: Params,
  config: QwenConfig,
  sizes: PrefillSizes,
): Record<string, Tensor> {
  const { prompts, length, featureCount, samples, capacity } = sizes;
  const { text } = config;
  const ids = input("ids", [prompts, length], "i32");
  const positions = input("positionIds", [3, prompts, length], "i32");
  const tokens = input("mask", [prompts, length], "i32");
  const features = featureCount > 0 ? input("features", [featureCount, text.hiddenSize]) : undefined;
  const outputs: Record<string, Tensor> = {};
  const store = (name: string, value: Tensor): void => {
    const full = pad(value, 2, 0, capacity - length);
    const shape = [prompts, samples, text.kvHeadCount, capacity, text.headWidth];
    const copies = broadcastTo(reshape(full, [prompts, 1, ...shape.slice(2)]), shape);
    outputs[name] = reshape(copies, [prompts * samples, ...shape.slice(2)]);
  };
  const x = embedInputs(params, config, { ids, positionIds: positions, features });
  const mask = groupedMask(text, causalMask(length, tokens));
  const hidden = decoderLayers(params, config, x, rotaryTables(config, positions), (heads, layer) => {
    store(cacheName.keys(layer), heads.k);
    store(cacheName.values(layer), heads.v);
    return groupedAttention(text, heads, mask);
  });
  const last = reshape(slice(hidden, 1, length - 1), [prompts, text.hiddenSize]);
  outputs["logits"] = logitsOf(params, config, last);
  return outputs;
}

/**
 * One more token a row. Inputs `ids` `[R, 1]`, `positions` `[R, 1]` (equal on all three axes), `mask`
 * `[R, 1, 1, capacity]` (added to the scores, 0 where the cache counts, the new place included), `write`
 * `[1, 1, capacity, 1]` bool (true at the new place), and the cache; outputs `logits` `[R, vocabulary]` and the cache.
 */
export function decodeGraph(
  params: Params,
  config: QwenConfig,
  sizes: { readonly rows: number; readonly capacity: number },
): Record<string, Tensor> {
  const { rows, capacity } = sizes;
  const { text } = config;
  const ids = input("ids", [rows, 1], "i32");
  const places = reshape(cast(input("positions", [rows, 1], "i32"), "f32"), [rows, 1, 1]);
  const angle = mul(places, constant(ropeFrequencies(config)));
  const mask = input("mask", [rows, 1, 1, capacity]);
  const write = input("write", [1, 1, capacity, 1], "bool");
  const outputs: Record<string, Tensor> = {};
  const extend = (name: string, added: Tensor): Tensor => {
    const before = input(name, [rows, text.kvHeadCount, capacity, text.headWidth]);
    const after = where(write, added, before);
    outputs[name] = after;
    return after;
  };
  const tables = { cos: cos(angle), sin: sin(angle) };
  const x = embedTokens(params, config, ids);
  const hidden = decoderLayers(params, config, x, tables, ({ q, k, v }, layer) => {
    const keys = extend(cacheName.keys(layer), k);
    const values = extend(cacheName.values(layer), v);
    return groupedAttention(text, { q, k: keys, v: values }, mask);
  });
  outputs["logits"] = logitsOf(params, config, reshape(hidden, [rows, text.hiddenSize]));
  return outputs;
}
