/**
 * A block of the Wan transformer: self-attention and feed-forward under time modulation, cross-attention to the text.
 * @module
 */
import { linear, type Params } from "../../nn/index.ts";
import {
  add,
  attention,
  constant,
  f32,
  geluTanh,
  layerNorm,
  mul,
  reshape,
  rmsNorm,
  rope,
  slice,
  type Tensor,
  transpose,
} from "../../tensor/index.ts";
import type { Probe } from "../probe.ts";
import { type DitConfig, ditHeadWidth } from "./dit-config.ts";

/** Keys and values of one block's cross-attention, `[B or 1, heads, L, headWidth]`. */
export interface TextKeyValue {
  readonly key: Tensor;
  readonly value: Tensor;
}

/** Rotary tables, `[1, S, headWidth / 2]`. */
export interface RopeTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** What a block needs beside the token stream. */
export interface BlockInputs {
  /** Six rows of the time projection, `[B or 1, 6, width]`. */
  readonly modulation: Tensor;
  readonly tables: RopeTables;
  readonly text: TextKeyValue;
  /** Tokens from here on are kept; the ones before take part in self-attention only. Default 0: all are kept. */
  readonly keepFrom?: number;
  readonly probe?: Probe | undefined;
}

/** Layer norm without learned scale and bias. `[…, width]` */
export function plainNorm(config: DitConfig, x: Tensor): Tensor {
  const ones = constant(f32(new Float32Array(config.width).fill(1)));
  const zeros = constant(f32(new Float32Array(config.width)));
  return layerNorm(x, ones, zeros, config.epsilon);
}

/** Modulated norm: norm(x)·(1 + scale) + shift, with scale and shift `[B or 1, 1, width]`. */
export function modulate(config: DitConfig, x: Tensor, shift: Tensor, scale: Tensor): Tensor {
  return add(mul(plainNorm(config, x), add(scale, 1)), shift);
}

/** Row `index` of a `[B, rows, width]` table as `[B, 1, width]`. */
export const tableRow = (table: Tensor, index: number): Tensor => slice(table, 1, index, index + 1);

/** `[B, S, width]` to `[B, heads, S, headWidth]`. */
function toHeads(config: DitConfig, x: Tensor): Tensor {
  const [batch, length] = x.shape as [number, number];
  return transpose(reshape(x, [batch, length, config.headCount, ditHeadWidth(config)]), [0, 2, 1, 3]);
}

/** `[B, heads, S, headWidth]` to `[B, S, width]`. */
function fromHeads(config: DitConfig, x: Tensor): Tensor {
  return reshape(transpose(x, [0, 2, 1, 3]), [x.size(0), x.size(2), config.width]);
}

/** A projection, normed over its whole width before the heads are split (queries and keys). `[B, heads, S, headWidth]` */
function normedHeads(params: Params, config: DitConfig, x: Tensor, name: "q" | "k"): Tensor {
  const projected = linear(params.at(name), x, { out: config.width });
  return toHeads(
    config,
    rmsNorm(projected, params.at(`norm_${name}`).get("weight", [config.width]), config.epsilon),
  );
}

function heads(params: Params, config: DitConfig, x: Tensor, name: "v"): Tensor {
  return toHeads(config, linear(params.at(name), x, { out: config.width }));
}

function selfAttention(params: Params, config: DitConfig, x: Tensor, inputs: BlockInputs): Tensor {
  const { cos, sin } = inputs.tables;
  const from = inputs.keepFrom ?? 0;
  const kept = slice(x, 1, from);
  const q = rope(normedHeads(params, config, kept, "q"), slice(cos, 1, from), slice(sin, 1, from), {
    interleaved: true,
  });
  const k = rope(normedHeads(params, config, x, "k"), cos, sin, { interleaved: true });
  const y = attention(q, k, heads(params, config, x, "v"));
  return linear(params.at("o"), fromHeads(config, y), { out: config.width });
}

/** Keys and values of block `params` (`blocks.N`) for text tokens `[B or 1, L, width]`. */
export function textKeyValue(params: Params, config: DitConfig, textTokens: Tensor): TextKeyValue {
  const scope = params.at("cross_attn");
  return {
    key: normedHeads(scope, config, textTokens, "k"),
    value: heads(scope, config, textTokens, "v"),
  };
}

function crossAttention(params: Params, config: DitConfig, x: Tensor, text: TextKeyValue): Tensor {
  const y = attention(normedHeads(params, config, x, "q"), text.key, text.value);
  return linear(params.at("o"), fromHeads(config, y), { out: config.width });
}

/**
 * One block (Wan2.1 `WanAttentionBlock`): x += g1·SelfAttn(norm(x)·(1+sc1)+sh1); x += CrossAttn(norm3(x), text);
 * x += g2·FFN(norm(x)·(1+sc2)+sh2).
 * @param x `[B, S, width]`
 * @returns `[B, S - keepFrom, width]`
 */
export function ditBlock(params: Params, config: DitConfig, x: Tensor, inputs: BlockInputs): Tensor {
  const { probe, keepFrom = 0 } = inputs;
  const table = add(params.get("modulation", [1, 6, config.width]), inputs.modulation);
  const [shift1, scale1, gate1, shift2, scale2, gate2] = [0, 1, 2, 3, 4, 5].map((i) =>
    tableRow(table, i),
  ) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
  const self = selfAttention(params.at("self_attn"), config, modulate(config, x, shift1, scale1), inputs);
  probe?.("self_attn", self);
  let stream = add(slice(x, 1, keepFrom), mul(self, gate1));
  const norm3 = params.at("norm3");
  const normed = layerNorm(
    stream,
    norm3.get("weight", [config.width]),
    norm3.get("bias", [config.width]),
    config.epsilon,
  );
  const cross = crossAttention(params.at("cross_attn"), config, normed, inputs.text);
  probe?.("cross_attn", cross);
  stream = add(stream, cross);
  const hidden = linear(params.at("ffn", 0), modulate(config, stream, shift2, scale2), {
    out: config.ffnWidth,
  });
  const ffn = linear(params.at("ffn", 2), geluTanh(hidden), { out: config.width });
  probe?.("ffn", ffn);
  stream = add(stream, mul(ffn, gate2));
  probe?.("output", stream);
  return stream;
}
