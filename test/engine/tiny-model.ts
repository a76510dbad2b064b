/**
 * A small transformer with everything a real one has, for tests of training: embedding, attention, norms, GELU,
 * cross-entropy.
 * @module
 */
import { fold, integer, keyFromSeed, normal } from "../../src/base/index.ts";
import {
  compileTrainStep,
  linear,
  Params,
  type TrainStep,
  type TrainStepOptions,
} from "../../src/nn/index.ts";
import type { CompileOptions, Feeds } from "../../src/runtime/index.ts";
import {
  add,
  attention,
  crossEntropy,
  embedding,
  f32,
  gelu,
  i32,
  input,
  layerNorm,
  mean,
  type NdArray,
  remat,
  reshape,
  sizeOf,
  type Tensor,
  transpose,
} from "../../src/tensor/index.ts";

/** Sizes of the model. */
export interface TinySizes {
  readonly batch: number;
  readonly tokens: number;
  readonly width: number;
  readonly layers: number;
  /** Trace every layer as a block that is recomputed. */
  readonly remat: boolean;
}

export const TINY: TinySizes = { batch: 4, tokens: 16, width: 32, layers: 2, remat: false };
const HEADS = 4;
const CLASSES = 20;

function layer(params: Params, x: Tensor, sizes: TinySizes): Tensor {
  const { batch, tokens, width } = sizes;
  const heads = (y: Tensor): Tensor =>
    transpose(reshape(y, [batch, tokens, HEADS, width / HEADS]), [0, 2, 1, 3]);
  const norm = (name: string, y: Tensor): Tensor =>
    layerNorm(y, params.at(name).get("weight", [width]), params.at(name).get("bias", [width]), 1e-5);
  const h = norm("norm1", x);
  const part = (name: string): Tensor => heads(linear(params.at(name), h, { out: width }));
  const mixed = transpose(attention(part("q"), part("k"), part("v")), [0, 2, 1, 3]);
  const y = add(x, linear(params.at("o"), reshape(mixed, [batch, tokens, width]), { out: width }));
  const up = gelu(linear(params.at("up"), norm("norm2", y), { out: 2 * width }));
  return add(y, linear(params.at("down"), up, { out: width }));
}

/** The traced loss, and the parameters it asked for. */
export function tinyLoss(
  sizes: TinySizes = TINY,
  params: Params = new Params(),
): { loss: Tensor; params: ReadonlyMap<string, Tensor> } {
  const { batch, tokens, width } = sizes;
  const ids = input("ids", [batch, tokens], "i32");
  let x = embedding(params.get("table", [CLASSES, width]), ids);
  for (let i = 0; i < sizes.layers; i++) {
    const before = x;
    const run = (): Tensor => layer(params.at("layers", i), before, sizes);
    x = sizes.remat ? remat(run) : run();
  }
  const logits = linear(params.at("head"), x, { out: CLASSES });
  return {
    loss: mean(crossEntropy(logits, input("targets", [batch, tokens], "i32"))),
    params: params.tensors,
  };
}

/** First values: norms start as the identity, the rest small and random. */
export function tinyInitial(params: ReadonlyMap<string, Tensor>): Record<string, NdArray> {
  return Object.fromEntries(
    [...params].map(([name, { shape }]): [string, NdArray] => {
      const size = sizeOf(shape);
      if (name.endsWith("bias")) return [name, f32(new Float32Array(size), shape)];
      if (name.includes("norm")) return [name, f32(new Float32Array(size).fill(1), shape)];
      const values = normal(fold(keyFromSeed(7), name), size).map((value) => 0.1 * value);
      return [name, f32(values, shape)];
    }),
  );
}

/** The batch of a step: random ids, the target is the id after next. */
export function tinyBatch(step: number, sizes: TinySizes = TINY): Feeds {
  const count = sizes.batch * sizes.tokens;
  const ids = Int32Array.from({ length: count }, (_, i) => integer(fold(keyFromSeed(3), step, i), CLASSES));
  const shape = [sizes.batch, sizes.tokens];
  return {
    ids: i32(ids, shape),
    targets: i32(
      ids.map((id) => (id + 2) % CLASSES),
      shape,
    ),
  };
}

/**
 * A compiled training step of the model. One thread unless told otherwise: at these sizes a second one only waits,
 * and on a busy machine it waits long.
 */
export async function tinyStep(
  options: Partial<TrainStepOptions> & { readonly sizes?: TinySizes } = {},
  compileOptions: CompileOptions = {},
): Promise<TrainStep> {
  const { sizes = TINY, ...rest } = options;
  const traced = tinyLoss(sizes);
  return compileTrainStep({ ...traced, clipNorm: 1, ...rest }, tinyInitial(traced.params), {
    threads: 1,
    ...compileOptions,
  });
}
