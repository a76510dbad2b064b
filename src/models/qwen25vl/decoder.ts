/**
 * The decoder: grouped-query attention under three-axis rotary positions, gated MLP.
 * Formulas: transformers `modeling_qwen2_5_vl.py` (Qwen2_5_VLTextModel).
 * @module
 */
import { linear, type Params } from "../../nn/index.ts";
import {
  add,
  attention,
  broadcastTo,
  cast,
  concat,
  constant,
  cos,
  embedding,
  equal,
  f32,
  linear as linearOp,
  mul,
  remat,
  reshape,
  rmsNorm,
  rope,
  silu,
  sin,
  slice,
  type Tensor,
  transpose,
  where,
} from "../../tensor/index.ts";
import type { Probe } from "../probe.ts";
import type { QwenConfig, QwenTextConfig } from "./config.ts";
import { ropeFrequencies } from "./positions.ts";

/** Added to scores that must not count. Far below any score, far above the lowest f32. */
export const HIDDEN_SCORE = -1e9;

/** Cosine and sine of every token's angles, `[B, S, headWidth / 2]`. */
export interface RotaryTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Turned queries, turned keys and values of one layer: q `[B, heads, S, D]`, k and v `[B, kvHeads, S, D]`. */
export interface Heads {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

/** Mixes the values of one layer: `[B, heads, S, D]`. */
export type Attend = (heads: Heads, layer: number) => Tensor;

/** How the decoder is traced. */
export interface DecoderOptions {
  /** Receives `hidden.0` (the embeddings), `hidden.1` … after each layer; the last one after the final norm. */
  readonly probe?: Probe | undefined;
  /** Recompute each layer in the backward pass instead of keeping its activations. */
  readonly remat?: boolean | undefined;
}

/**
 * Rotary tables from position ids. The first frequencies turn with the time id, the next with the row id, the last
 * with the column id, as `ropeSections` divides them.
 * @param positions `[3, B, S]` i32
 */
export function rotaryTables(config: Pick<QwenConfig, "text">, positions: Tensor): RotaryTables {
  const [, batch, length] = positions.shape as [number, number, number];
  const frequencies = constant(ropeFrequencies(config));
  const places = cast(positions, "f32");
  let start = 0;
  const angles = config.text.ropeSections.map((section, axis) => {
    const place = reshape(slice(places, 0, axis, axis + 1), [batch, length, 1]);
    const turned = mul(place, slice(frequencies, 0, start, start + section));
    start += section;
    return turned;
  });
  const angle = concat(angles, 2);
  return { cos: cos(angle), sin: sin(angle) };
}

/** Token embeddings. `[B, S]` i32 to `[B, S, C]` */
export function embedTokens(params: Params, { text }: Pick<QwenConfig, "text">, ids: Tensor): Tensor {
  return embedding(embeddingTable(params, text), ids);
}

function embeddingTable(params: Params, text: QwenTextConfig): Tensor {
  return params.at("model", "embed_tokens").get("weight", [text.vocabularySize, text.hiddenSize]);
}

/**
 * All layers and the final norm.
 * @param x `[B, S, C]`
 * @returns `[B, S, C]`
 */
export function decoderLayers(
  params: Params,
  { text }: Pick<QwenConfig, "text">,
  x: Tensor,
  tables: RotaryTables,
  attend: Attend,
  options: DecoderOptions = {},
): Tensor {
  const model = params.at("model");
  let stream = x;
  options.probe?.("hidden.0", stream);
  for (let layer = 0; layer < text.layerCount; layer++) {
    const body = (): Tensor =>
      decoderLayer(model.at("layers", layer), text, stream, tables, (heads) => attend(heads, layer));
    stream = options.remat ? remat(body) : body();
    if (layer < text.layerCount - 1) options.probe?.(`hidden.${layer + 1}`, stream);
  }
  const normal = rmsNorm(stream, model.at("norm").get("weight", [text.hiddenSize]), text.epsilon);
  options.probe?.(`hidden.${text.layerCount}`, normal);
  return normal;
}

/** Logits of normed decoder states: `[…, C]` to `[…, vocabulary]`. */
export function logitsOf(params: Params, { text }: Pick<QwenConfig, "text">, hidden: Tensor): Tensor {
  const table = text.tiesEmbeddings
    ? embeddingTable(params, text)
    : params.at("lm_head").get("weight", [text.vocabularySize, text.hiddenSize]);
  return linearOp(hidden, table);
}

/**
 * One layer.
 * @param params the scope `model.layers.N`
 */
export function decoderLayer(
  params: Params,
  text: QwenTextConfig,
  x: Tensor,
  tables: RotaryTables,
  attend: (heads: Heads) => Tensor,
): Tensor {
  const norm = (name: string, value: Tensor): Tensor =>
    rmsNorm(value, params.at(name).get("weight", [text.hiddenSize]), text.epsilon);
  const attended = add(
    x,
    selfAttention(params.at("self_attn"), text, norm("input_layernorm", x), tables, attend),
  );
  const h = norm("post_attention_layernorm", attended);
  const mlp = params.at("mlp");
  const gate = silu(linear(mlp.at("gate_proj"), h, { out: text.intermediateSize, bias: false }));
  const up = linear(mlp.at("up_proj"), h, { out: text.intermediateSize, bias: false });
  return add(attended, linear(mlp.at("down_proj"), mul(gate, up), { out: text.hiddenSize, bias: false }));
}

function selfAttention(
  params: Params,
  text: QwenTextConfig,
  x: Tensor,
  tables: RotaryTables,
  attend: (heads: Heads) => Tensor,
): Tensor {
  const [batch, length] = x.shape as [number, number];
  const heads = (name: string, count: number): Tensor => {
    const flat = linear(params.at(name), x, { out: count * text.headWidth });
    return transpose(reshape(flat, [batch, length, count, text.headWidth]), [0, 2, 1, 3]);
  };
  const turn = (value: Tensor): Tensor => rope(value, tables.cos, tables.sin, { interleaved: false });
  const mixed = attend({
    q: turn(heads("q_proj", text.headCount)),
    k: turn(heads("k_proj", text.kvHeadCount)),
    v: heads("v_proj", text.kvHeadCount),
  });
  const flat = reshape(transpose(mixed, [0, 2, 1, 3]), [batch, length, text.headCount * text.headWidth]);
  return linear(params.at("o_proj"), flat, { out: text.hiddenSize, bias: false });
}

/**
 * Grouped attention. The queries that share a key-value head become rows of one matrix, so every key-value head is
 * one product and its gradient sums over the group by itself.
 * @param mask `[B or 1, 1, S or group · S, K]`, see {@link groupedMask}
 */
export function groupedAttention(text: QwenTextConfig, { q, k, v }: Heads, mask: Tensor): Tensor {
  const [batch, , length] = q.shape as [number, number, number];
  const group = text.headCount / text.kvHeadCount;
  const rows = reshape(q, [batch, text.kvHeadCount, group * length, text.headWidth]);
  return reshape(attention(rows, k, v, { mask }), q.shape);
}

/** A mask `[B or 1, 1, S, K]` repeated for the queries that share a key-value head: `[B or 1, 1, group · S, K]`. */
export function groupedMask(text: QwenTextConfig, mask: Tensor): Tensor {
  const [batch, , length, keys] = mask.shape as [number, number, number, number];
  const group = text.headCount / text.kvHeadCount;
  const wide = broadcastTo(reshape(mask, [batch, 1, 1, length, keys]), [batch, 1, group, length, keys]);
  return reshape(wide, [batch, 1, group * length, keys]);
}

/**
 * Hides later tokens, and padding where `tokens` says so.
 * @param tokens `[B, S]` i32, 0 on padding; undefined where there is none before a real token
 * @returns `[B or 1, 1, S, S]`
 */
export function causalMask(length: number, tokens: Tensor | undefined): Tensor {
  const later = new Float32Array(length * length);
  for (let query = 0; query < length; query++)
    later.fill(HIDDEN_SCORE, query * length + query + 1, (query + 1) * length);
  const causal = constant(f32(later, [1, 1, length, length]));
  if (!tokens) return causal;
  const keys = reshape(tokens, [tokens.size(0), 1, 1, length]);
  return where(
    equal(keys, constant({ dtype: "i32", shape: [], data: Int32Array.of(0) })),
    HIDDEN_SCORE,
    causal,
  );
}
