/**
 * The loss that the video transformer is trained with: velocity against noise - clean, on the noisy frames only.
 * @module
 */
import { type DitConfig, type DitOptions, type DitText, ditWithReferences } from "../models/wan/index.ts";
import type { Params } from "../nn/index.ts";
import { add, div, mean, mul, reshape, sub, sum, type Tensor } from "../tensor/index.ts";

/** Timesteps are noise levels times this (Wan2.1, VANS). */
const TIMESTEP_SCALE = 1000;

/** Inputs of {@link flowMatchingLoss}. */
export interface FlowMatchingInputs {
  /** Clean normalised latents of the input clip, `[B or 1, C, R, h, w]`. */
  readonly references: Tensor;
  /** Clean normalised latents of the answer, `[B, C, F, h, w]`. */
  readonly clean: Tensor;
  /** Standard normal, of the same shape. */
  readonly noise: Tensor;
  /** Noise level of each sample, `[B]`. */
  readonly sigma: Tensor;
  /** Text embeddings `[B or 1, L, textWidth]`, or their computed branch. */
  readonly context: Tensor | DitText;
  /** Weight of each sample, `[B]` (`trainingWeight` of VANS); default 1. */
  readonly weight?: Tensor;
  /** Weight of each element, broadcast to `clean`; each sample's loss is then Σ w·e² / Σ w. Default 1. */
  readonly elementWeight?: Tensor;
}

/** What {@link flowMatchingLoss} gives. */
export interface FlowMatchingLoss {
  /** Scalar. */
  readonly loss: Tensor;
  /** Loss of each sample before its weight, `[B]`. */
  readonly sampleLoss: Tensor;
  /** Predicted velocity, `[B, C, F, h, w]`. */
  readonly velocity: Tensor;
}

/** `[B]` as `[B, 1, 1, 1, 1]`. */
const column = (x: Tensor): Tensor => reshape(x, [x.size(0), 1, 1, 1, 1]);

/**
 * mean over the batch of weight · mean((v - (noise - clean))²), with v predicted from references and
 * (1 - σ)·clean + σ·noise at timestep 1000·σ (VANS `training_loss`).
 */
export function flowMatchingLoss(
  params: Params,
  config: DitConfig,
  inputs: FlowMatchingInputs,
  options: DitOptions = {},
): FlowMatchingLoss {
  const { references, clean, noise, sigma, context, weight, elementWeight } = inputs;
  const level = column(sigma);
  const noisy = add(mul(sub(1, level), clean), mul(level, noise));
  const timestep = mul(sigma, TIMESTEP_SCALE);
  const velocity = ditWithReferences(params, config, { references, noisy, timestep, context }, options);
  const error = sub(velocity, sub(noise, clean));
  const square = mul(error, error);
  const axes = [1, 2, 3, 4];
  const sampleLoss = elementWeight
    ? div(sum(mul(square, elementWeight), { axes }), weightTotal(elementWeight, clean))
    : mean(square, { axes });
  return { loss: mean(weight ? mul(sampleLoss, weight) : sampleLoss), sampleLoss, velocity };
}

/** Sum of a broadcast weight over each sample, `[B or 1]`. */
function weightTotal(weight: Tensor, like: Tensor): Tensor {
  const axes = [1, 2, 3, 4];
  const repeats = axes.reduce((count, axis) => count * (like.size(axis) / weight.size(axis)), 1);
  return mul(sum(weight, { axes }), repeats);
}
