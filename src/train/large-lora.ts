/**
 * Adapter gradients of models larger than memory: forward block by block, keeping what goes into each block, then backward
 * block by block, each block recomputed from its input. One block's weights and values are resident at a time.
 * @module
 */
import { BlockSessions } from "../models/block-sessions.ts";
import type { LoraOptions, Params } from "../nn/index.ts";
import { grad, input, mul, type NdArray, sum, type Tensor, type WeightBinding } from "../tensor/index.ts";

/** Values by name. */
export type Arrays = Readonly<Record<string, NdArray>>;

/** What a step gives. */
export interface LargeGradients {
  readonly loss: number;
  /** By `<layer>.lora_A.weight` and `<layer>.lora_B.weight`. */
  readonly gradients: Record<string, NdArray>;
}

/** Options of both models. */
export interface LargeLoraOptions {
  /** The base's weights; adapters are given to every call. */
  readonly weights: WeightBinding;
  readonly lora: LoraOptions;
  readonly threads?: number | undefined;
}

/** Sessions that take the base from its files and adapters as they are now, a block at a time. */
export function adaptedSessions(
  { weights, lora, threads }: LargeLoraOptions,
  adapters: Arrays,
): BlockSessions {
  return new BlockSessions({ weights: baseOnly(weights), lora, threads, keep: false, parameters: adapters });
}

/** Whether a parameter is a factor of an adapter. */
export const isFactor = (name: string): boolean => /\.lora_[AB]\.weight$/.test(name);

/** Weights of the base only: adapters change and are fed. */
function baseOnly(weights: WeightBinding): WeightBinding {
  return { weight: (name) => (isFactor(name) ? undefined : weights.weight(name)) };
}

/**
 * The gradient graph of a block: outputs `dx` and `d:<factor>` for the gradient `dy` that arrived at its output.
 * @param body the block of the input `x`
 */
export function blockGradientGraph(
  params: Params,
  shape: readonly number[],
  body: (params: Params, x: Tensor) => Tensor,
): Record<string, Tensor> {
  const x = input("x", shape);
  const y = body(params, x);
  const arrived = sum(mul(y, input("dy", y.shape)));
  const names = [...params.tensors.keys()].filter(isFactor);
  const [dx, ...factors] = grad(arrived, [x, ...names.map((name) => params.tensors.get(name)!)]);
  return { dx: dx!, ...Object.fromEntries(names.map((name, i) => [`d:${name}`, factors[i]!])) };
}

/** Keeps the gradients of factors that a block gave. */
export function keepGradients(into: Record<string, NdArray>, out: Arrays): void {
  for (const [name, value] of Object.entries(out)) if (name.startsWith("d:")) into[name.slice(2)] = value;
}

/** An input that is named after what feeds it. */
export const named = (array: NdArray, name: string): Tensor => input(name, array.shape, array.dtype);
