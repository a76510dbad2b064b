/**
 * A rollout of the video transformer as a policy: every step with what a replay needs.
 * @module
 */
import { throwIfAborted } from "../base/index.ts";
import { eulerStep, type GuidedModel, type NoiseGrid } from "../models/wan/index.ts";
import { f32, type NdArray } from "../tensor/index.ts";
import { type SdeScheme, type StepCoefficients, sdeStep, stepCoefficients } from "./flow-sde.ts";

/** Options of {@link rolloutFlow}. */
export interface FlowRolloutOptions {
  /** The policy; the same function that sampling uses. */
  readonly model: GuidedModel;
  readonly grid: NoiseGrid;
  /** Starting noise, `[B, C, F, h, w]`. */
  readonly start: NdArray;
  /** Standard normal noise of a stochastic step, `[B, C, F, h, w]`. */
  readonly noise: (index: number) => NdArray;
  /** The scheme of stochastic steps. */
  readonly scheme: SdeScheme;
  readonly noiseLevel?: number | undefined;
  /** Which steps are stochastic; default all but the last. The others are Euler steps. */
  readonly isStochastic?: (index: number) => boolean;
  readonly signal?: AbortSignal | undefined;
}

/** One step of a rollout. */
export interface FlowTransition {
  readonly index: number;
  /** What the model was told. */
  readonly timestep: number;
  readonly isStochastic: boolean;
  readonly coefficients: StepCoefficients;
  /** Latents before and after the step. */
  readonly x: NdArray;
  readonly next: NdArray;
  readonly velocity: NdArray;
  /** One a sample; 0 for Euler steps. */
  readonly logProb: readonly number[];
}

/** Rolls a batch out step by step. @throws `VANS_RUN_ABORTED` */
export async function* rolloutFlow(options: FlowRolloutOptions): AsyncGenerator<FlowTransition, NdArray> {
  const { model, grid, scheme, noiseLevel, signal } = options;
  const last = grid.timesteps.length - 1;
  const isStochastic = options.isStochastic ?? ((index) => index < last);
  let x = options.start;
  for (let index = 0; index <= last; index++) {
    throwIfAborted(signal);
    const timestep = grid.timesteps[index]!;
    const { velocity } = await model(x, timestep);
    const isNoisy = isStochastic(index);
    const coefficients = stepCoefficients(isNoisy ? scheme : "ode", {
      sigmas: grid.sigmas,
      index,
      noiseLevel: isNoisy ? noiseLevel : undefined,
    });
    // Without noise there is no density, and the step is the sampler's own, bit for bit.
    const { next, logProb } =
      coefficients.std === 0
        ? eulerOf(grid, index, x, velocity)
        : sdeStep(coefficients, { x, velocity, noise: options.noise(index) });
    yield { index, timestep, isStochastic: isNoisy, coefficients, x, next, velocity, logProb };
    x = next;
  }
  return x;
}

function eulerOf(
  { sigmas }: NoiseGrid,
  index: number,
  x: NdArray,
  velocity: NdArray,
): { readonly next: NdArray; readonly logProb: readonly number[] } {
  const [from, to] = [sigmas[index]!, sigmas[index + 1]!];
  const next = eulerStep(x.data as Float32Array, velocity.data as Float32Array, from, to);
  return { next: f32(next, x.shape), logProb: Array.from({ length: x.shape[0]! }, () => 0) };
}
