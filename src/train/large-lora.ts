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

/** Moments of AdamW by parameter. */
export interface AdamWState {
  step: number;
  readonly first: Record<string, Float32Array>;
  readonly second: Record<string, Float32Array>;
}

/**
 * One AdamW step on arrays in memory (Loshchilov & Hutter, arXiv 1711.05101; torch's defaults), after clipping the
 * gradients' norm over all parameters.
 * @returns the norm before clipping
 */
export function adamwStep(
  parameters: Readonly<Record<string, NdArray>>,
  gradients: Readonly<Record<string, NdArray>>,
  state: AdamWState,
  options: {
    readonly rate: number;
    readonly beta1?: number;
    readonly beta2?: number;
    readonly weightDecay?: number;
    readonly clipNorm?: number;
  },
): number {
  const { rate, beta1 = 0.9, beta2 = 0.999, weightDecay = 0.01, clipNorm = 1 } = options;
  const epsilon = 1e-8;
  let square = 0;
  for (const { data } of Object.values(gradients)) for (const value of data) square += value * value;
  const norm = Math.sqrt(square);
  const scale = norm > clipNorm ? clipNorm / (norm + 1e-6) : 1;
  state.step++;
  const [fix1, fix2] = [1 - beta1 ** state.step, 1 - beta2 ** state.step];
  for (const [name, { data: g }] of Object.entries(gradients)) {
    const w = parameters[name]!.data;
    state.first[name] ??= new Float32Array(g.length);
    state.second[name] ??= new Float32Array(g.length);
    const [m, v] = [state.first[name], state.second[name]];
    for (let i = 0; i < g.length; i++) {
      const one = g[i]! * scale;
      m[i] = beta1 * m[i]! + (1 - beta1) * one;
      v[i] = beta2 * v[i]! + (1 - beta2) * one * one;
      w[i] = w[i]! * (1 - rate * weightDecay) - (rate * (m[i]! / fix1)) / (Math.sqrt(v[i]! / fix2) + epsilon);
    }
  }
  return norm;
}
