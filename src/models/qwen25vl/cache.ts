/**
 * Generation in two graphs of fixed shape: one reads the prompt and gives its keys and values, one extends them by a
 * token. The cache of keys and values has a fixed capacity and a mask hides what is not filled, so one compiled graph
 * serves all positions.
 * @module
 */
import type { Params } from "../../nn/index.ts";
import {
  add,
  cast,
  concat,
  constant,
  cos,
  input,
  matmul,
  mul,
  reshape,
  sin,
  slice,
  softmax,
  type Tensor,
  where,
} from "../../tensor/index.ts";
import type { QwenConfig, QwenTextConfig } from "./config.ts";
import {
  causalMask,
  decoderLayers,
  embedTokens,
  groupedAttention,
  groupedMask,
  type Heads,
  logitsOf,
  rotaryTables,
} from "./decoder.ts";
import { embedInputs } from "./forward.ts";
import { ropeFrequencies } from "./positions.ts";

/** Names of the keys and values of a layer. */
export const cacheName = {
  keys: (layer: number): string => `cache.${layer}.keys`,
  values: (layer: number): string => `cache.${layer}.values`,
  /** What the host has to append. */
  added: (name: string): string => `added.${name}`,
} as const;

/** Sizes of {@link prefillGraph}. */
export interface PrefillSizes {
  readonly prompts: number;
  /** Tokens of every prompt, padding included. */
  readonly length: number;
  /** Rows of vision features; 0 for text alone. */
  readonly featureCount: number;
}

/**
 * Reads left-padded prompts. Inputs `ids` `[P, S]`, `mask` `[P, S]`, `positionIds` `[3, P, S]`, `features` `[n, C]`;
 * outputs `logits` `[P, vocabulary]` after the last token, and keys and values `[P, kvHeads, S, headWidth]`.
 */
export function prefillGraph(
  params: Params,
  config: QwenConfig,
  sizes: PrefillSizes,
): Record<string, Tensor> {
  const { prompts, length, featureCount } = sizes;
  const { text } = config;
  const ids = input("ids", [prompts, length], "i32");
  const positions = input("positionIds", [3, prompts, length], "i32");
  const tokens = input("mask", [prompts, length], "i32");
  const features = featureCount > 0 ? input("features", [featureCount, text.hiddenSize]) : undefined;
  const outputs: Record<string, Tensor> = {};
  const x = embedInputs(params, config, { ids, positionIds: positions, features });
  const mask = groupedMask(text, causalMask(length, tokens));
  const hidden = decoderLayers(params, config, x, rotaryTables(config, positions), (heads, layer) => {
    outputs[cacheName.keys(layer)] = heads.k;
    outputs[cacheName.values(layer)] = heads.v;
    return groupedAttention(text, heads, mask);
  });
  const last = reshape(slice(hidden, 1, length - 1), [prompts, text.hiddenSize]);
  outputs["logits"] = logitsOf(params, config, last);
  return outputs;
}

/** Sizes of {@link decodeGraph}. */
export interface DecodeSizes {
  readonly rows: number;
  readonly capacity: number;
  /**
   * Who puts the new keys and values into the cache. `host`: the graph returns them, and the cache is an input that it
   * only reads; on the CPU plain arrays are read without a copy. `graph`: the graph returns the whole cache, which
   * then stays on the device.
   */
  readonly appends: "host" | "graph";
}

/**
 * One more token a row. Inputs `ids` `[R, 1]`, `positions` `[R, 1]` (equal on all three axes), `mask`
 * `[R, 1, 1, capacity]` (added to the scores of the cache, 0 where it counts) and the cache
 * `[R, kvHeads, capacity, headWidth]`; output `logits` `[R, vocabulary]`. With `appends: "host"` the mask leaves the
 * new place out and outputs `added.…` `[R, kvHeads, 1, headWidth]` are to be appended. With `appends: "graph"` the mask
 * counts the new place, `write` `[1, 1, capacity, 1]` bool is true there, and the outputs named like the cache replace it.
 */
export function decodeGraph(params: Params, config: QwenConfig, sizes: DecodeSizes): Record<string, Tensor> {
  const { rows, capacity, appends } = sizes;
  const { text } = config;
  const ids = input("ids", [rows, 1], "i32");
  const places = reshape(cast(input("positions", [rows, 1], "i32"), "f32"), [rows, 1, 1]);
  const angle = mul(places, constant(ropeFrequencies(config)));
  const mask = input("mask", [rows, 1, 1, capacity]);
  const outputs: Record<string, Tensor> = {};
  const stored = (name: string): Tensor => input(name, [rows, text.kvHeadCount, capacity, text.headWidth]);
  const replaced = (name: string, added: Tensor): Tensor => {
    const after = where(input("write", [1, 1, capacity, 1], "bool"), added, stored(name));
    outputs[name] = after;
    return after;
  };
  const x = embedTokens(params, config, ids);
  const tables = { cos: cos(angle), sin: sin(angle) };
  const hidden = decoderLayers(params, config, x, tables, (heads, layer) => {
    const [keys, values] = [cacheName.keys(layer), cacheName.values(layer)];
    if (appends === "graph") {
      const own = { q: heads.q, k: replaced(keys, heads.k), v: replaced(values, heads.v) };
      return groupedAttention(text, own, mask);
    }
    outputs[cacheName.added(keys)] = heads.k;
    outputs[cacheName.added(values)] = heads.v;
    return attendBeside(text, heads, { keys: stored(keys), values: stored(values), mask });
  });
  outputs["logits"] = logitsOf(params, config, reshape(hidden, [rows, text.hiddenSize]));
  return outputs;
}

/** Attention of one token to a cache and to itself, without joining the two: the cache is not copied. */
export function attendBeside(
  text: QwenTextConfig,
  { q, k, v }: Heads,
  cache: { readonly keys: Tensor; readonly values: Tensor; readonly mask: Tensor },
): Tensor {
  const group = text.headCount / text.kvHeadCount;
  const queries = reshape(q, [q.size(0), text.kvHeadCount, group, text.headWidth]);
  const scale = { transposeB: true, alpha: 1 / Math.sqrt(text.headWidth) };
  const before = add(matmul(queries, cache.keys, scale), cache.mask);
  const weights = softmax(concat([before, matmul(queries, k, scale)], 3));
  const capacity = cache.keys.size(2);
  const mixed = add(
    matmul(slice(weights, 3, 0, capacity), cache.values),
    mul(slice(weights, 3, capacity), v),
  );
  return reshape(mixed, q.shape);
}
