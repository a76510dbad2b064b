/**
 * The transformer row: 6 pre-norm layers of width 192 on 16 sequences of 112 tokens, 2.66 M parameters, AdamW.
 * @module
 */
import { linear, Params } from "../../src/nn/index.ts";
import {
  add,
  attention,
  chunk,
  geluTanh,
  input,
  layerNorm,
  mean,
  mul,
  reshape,
  sub,
  type Tensor,
  transpose,
} from "../../src/tensor/index.ts";
import { type BenchRow, normalFeed } from "./row.ts";

const SETTINGS = { layers: 6, width: 192, heads: 6, batch: 16, tokens: 112, epsilon: 1e-5 } as const;

function norm(params: Params, x: Tensor): Tensor {
  const { width, epsilon } = SETTINGS;
  return layerNorm(x, params.get("weight", [width]), params.get("bias", [width]), epsilon);
}

/** `[B, S, 3·C]` as queries, keys and values `[B, heads, S, C / heads]`. */
function splitHeads(qkv: Tensor): Tensor[] {
  const { batch, tokens, heads, width } = SETTINGS;
  return chunk(qkv, 2, 3).map((part) =>
    transpose(reshape(part, [batch, tokens, heads, width / heads]), [0, 2, 1, 3]),
  );
}

/** Layers without biases in their products, so that blocks and final norm have 2,659,200 parameters. */
function layer(params: Params, x: Tensor): Tensor {
  const { batch, tokens, width } = SETTINGS;
  const qkv = linear(params.at("qkv"), norm(params.at("norm1"), x), { out: 3 * width, bias: false });
  const [q, k, v] = splitHeads(qkv) as [Tensor, Tensor, Tensor];
  const mixed = reshape(transpose(attention(q, k, v), [0, 2, 1, 3]), [batch, tokens, width]);
  const attended = add(x, linear(params.at("out"), mixed, { out: width, bias: false }));
  const hidden = geluTanh(
    linear(params.at("up"), norm(params.at("norm2"), attended), { out: 4 * width, bias: false }),
  );
  return add(attended, linear(params.at("down"), hidden, { out: width, bias: false }));
}

/** Mean squared error of the last norm's output against a fixed target. */
export const TRANSFORMER_ROW: BenchRow = {
  name: "transformer",
  title: "transformer step, 6 x 192, 16 x 112 tokens, AdamW",
  bar: 1,
  settings: SETTINGS,
  trace: () => {
    const params = new Params();
    const shape = [SETTINGS.batch, SETTINGS.tokens, SETTINGS.width];
    let x = input("x", shape);
    for (let i = 0; i < SETTINGS.layers; i++) x = layer(params.at("layers", i), x);
    const error = sub(norm(params.at("norm"), x), input("target", shape));
    return {
      loss: mean(mul(error, error)),
      params: params.tensors,
      feeds: { x: normalFeed("x", shape), target: normalFeed("target", shape) },
    };
  },
};
