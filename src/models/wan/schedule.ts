/**
 * Noise levels of flow matching: x_σ = (1 - σ)·clean + σ·noise, velocity = noise - clean, timestep = 1000·σ.
 *
 * Grids of VANS / DiffSynth (Euler), Wan (FlowUniPC) and diffusers (UniPC with flow sigmas, FlowMatchEuler), computed in
 * f64 and rounded to f32.
 * @module
 */
import { VansError } from "../../base/index.ts";

/** Noise levels of a sampling run. */
export interface NoiseGrid {
  /** From the first noise level down, the final 0 included: `steps + 1` values. */
  readonly sigmas: Float32Array;
  /** What the model is told at each step, 0 … 1000: `steps` values. */
  readonly timesteps: Float32Array;
}

/** Options of all grids. */
export interface GridOptions {
  readonly steps: number;
  /** Values above 1 spend more steps at high noise; 5 in VANS and Wan. */
  readonly shift: number;
}

/** Timesteps in the training of Wan. */
const TRAIN_STEPS = 1000;

/**
 * shift·σ / (1 + (shift - 1)·σ)
 *
 * @example
 * ```ts
 * import { shiftSigma } from "vans/models/wan";
 * shiftSigma(0.5, 3); // => 0.75
 * ```
 */
export function shiftSigma(sigma: number, shift: number): number {
  return (shift * sigma) / (1 + (shift - 1) * sigma);
}

function evenly(from: number, to: number, count: number): number[] {
  const step = count > 1 ? (to - from) / (count - 1) : 0;
  return Array.from({ length: count }, (_, i) => from + i * step);
}

function checkGrid({ steps, shift }: GridOptions): void {
  if (Number.isInteger(steps) && steps > 0 && shift > 0) return;
  throw new VansError("VANS_SAMPLE_GRID", "there is no such noise schedule", {
    asked: `${steps} steps, shift ${shift}`,
    fix: "use a whole number of steps from 1 and a shift above 0",
  });
}

/** Sigmas with the final 0, timesteps by `timestep`. */
function grid(sigmas: readonly number[], timestep: (sigma: number) => number): NoiseGrid {
  return {
    sigmas: Float32Array.from([...sigmas, 0]),
    timesteps: Float32Array.from(sigmas, timestep),
  };
}

/**
 * The grid of the released VANS (DiffSynth `FlowMatchScheduler`, `extra_one_step`): evenly from 1 to 0, shifted.
 *
 * @example
 * ```ts
 * import { flowMatchGrid } from "vans/models/wan";
 * [...flowMatchGrid({ steps: 2, shift: 3 }).sigmas]; // => [1, 0.75, 0]
 * ```
 * @throws `VANS_SAMPLE_GRID`
 */
export function flowMatchGrid(options: GridOptions): NoiseGrid {
  checkGrid(options);
  const sigmas = evenly(1, 0, options.steps + 1).slice(0, -1);
  return grid(
    sigmas.map((sigma) => shiftSigma(sigma, options.shift)),
    (sigma) => TRAIN_STEPS * Math.fround(sigma),
  );
}

/** The grid of Wan's own sampler (`fm_solvers_unipc.py`): evenly from 0.999, shifted; whole timesteps. */
export function wanUnipcGrid(options: GridOptions): NoiseGrid {
  checkGrid(options);
  const first = Math.fround(1 - 1 / TRAIN_STEPS);
  const sigmas = evenly(first, 0, options.steps + 1).slice(0, -1);
  return grid(
    sigmas.map((sigma) => shiftSigma(sigma, options.shift)),
    (sigma) => Math.trunc(TRAIN_STEPS * sigma),
  );
}

/** Keeps λ = ln((1 - σ) / σ) finite at the first step (diffusers `UniPCMultistepScheduler`). */
const FIRST_SIGMA_MARGIN = 1e-6;

/** The grid of diffusers' UniPC with `use_flow_sigmas`: evenly from 1 to 0.001, shifted; whole timesteps. */
export function diffusersUnipcGrid(options: GridOptions): NoiseGrid {
  checkGrid(options);
  const sigmas = evenly(1, 1 / TRAIN_STEPS, options.steps + 1)
    .slice(0, -1)
    .map((sigma) => shiftSigma(sigma, options.shift));
  if (sigmas[0] === 1) sigmas[0] = 1 - FIRST_SIGMA_MARGIN;
  return grid(sigmas, (sigma) => Math.trunc(TRAIN_STEPS * sigma));
}

/** The grid of diffusers' `FlowMatchEulerDiscreteScheduler(shift)`, which shifts the ends and then every level again. */
export function diffusersEulerGrid(options: GridOptions): NoiseGrid {
  checkGrid(options);
  const { steps, shift } = options;
  const last = Math.fround(shiftSigma(1 / TRAIN_STEPS, shift));
  return grid(
    evenly(1, last, steps).map((sigma) => shiftSigma(sigma, shift)),
    (sigma) => TRAIN_STEPS * Math.fround(sigma),
  );
}

/** Noise levels to train on, with the weights of the loss. */
export interface TrainingGrid {
  /** Descending, without the final 0. */
  readonly sigmas: Float32Array;
  readonly timesteps: Float32Array;
  /** Their mean is 1. */
  readonly weights: Float32Array;
}

/**
 * The levels and loss weights of VANS / DiffSynth training: the 1000-step grid, weighted by a bell around timestep 500,
 * y = exp(-2·((t - 500) / 1000)²), lowered to 0 at its least value and scaled to mean 1.
 */
export function trainingGrid({ shift }: { readonly shift: number }): TrainingGrid {
  const { sigmas, timesteps } = flowMatchGrid({ steps: TRAIN_STEPS, shift });
  const bell = Array.from(timesteps, (t) => Math.exp(-2 * ((t - TRAIN_STEPS / 2) / TRAIN_STEPS) ** 2));
  const least = Math.min(...bell);
  const total = bell.reduce((sum, y) => sum + y - least, 0);
  return {
    sigmas: sigmas.slice(0, -1),
    timesteps,
    weights: Float32Array.from(bell, (y) => (TRAIN_STEPS * (y - least)) / total),
  };
}

/** The loss weight at the level of the grid nearest to a timestep, as VANS looks it up. */
export function trainingWeight(training: TrainingGrid, timestep: number): number {
  let nearest = 0;
  training.timesteps.forEach((t, i) => {
    if (Math.abs(t - timestep) < Math.abs(training.timesteps[nearest]! - timestep)) nearest = i;
  });
  return training.weights[nearest]!;
}

/** (1 - σ)·clean + σ·noise */
export function addNoise(clean: Float32Array, noise: Float32Array, sigma: number): Float32Array {
  return clean.map((x, i) => (1 - sigma) * x + sigma * noise[i]!);
}

/** x + (σ' - σ)·velocity */
export function eulerStep(
  x: Float32Array,
  velocity: Float32Array,
  sigma: number,
  sigmaNext: number,
): Float32Array {
  return x.map((value, i) => value + (sigmaNext - sigma) * velocity[i]!);
}

/** The clean latents that a velocity points to: x - σ·velocity. */
export function cleanEstimate(x: Float32Array, velocity: Float32Array, sigma: number): Float32Array {
  return x.map((value, i) => value - sigma * velocity[i]!);
}
