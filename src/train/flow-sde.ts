/**
 * Stochastic steps of flow matching: the schemes of Flow-GRPO, DanceGRPO and CPS, and the plain Euler step, as one
 * formula with two numbers for each scheme.
 *
 * With x̂0 = x - σ·v and x̂1 = x + (1 - σ)·v, every scheme steps from σ to σ' by
 * mean = (1 - σ')·x̂0 + c·x̂1, next = mean + std·noise. Since v enters linearly, a step is
 * mean = x·ofSample + v·ofVelocity. The same coefficients serve the rollout here and the replay in a graph.
 *
 * Sources: Flow-GRPO 9745241 (`sd3_sde_with_logprob.py`, `wan_pipeline_with_logprob.py`), DanceGRPO 15cc71d
 * (`train_grpo_wan_2_1.py`); the common form is our own derivation.
 * @module
 */
import { VansError } from "../base/index.ts";
import { f32, type NdArray } from "../tensor/index.ts";

/** One step of one scheme. */
interface SchemeStep {
  /** Weight of the noise estimate x̂1. */
  readonly c: number;
  /** Deviation of the added noise. */
  readonly std: number;
  /** False where the scheme's published log-probability is -(next - mean)² without constants. */
  readonly isDensity: boolean;
}

interface SchemeInputs {
  readonly sigma: number;
  readonly next: number;
  /** The second level of the grid. */
  readonly second: number;
  readonly noiseLevel: number;
}

/** A step of dx = (v + s²/(2σ)·x̂1)dσ + s·dw, whose marginals are those of the plain flow for any s. */
function diffused({ sigma, next }: SchemeInputs, s: number): SchemeStep {
  const size = sigma - next;
  return { c: next - (s * s * size) / (2 * sigma), std: s * Math.sqrt(size), isDensity: true };
}

/**
 * The same diffusion integrated exactly for a fixed x̂0: e^-I is how much of the old noise is left, with I = ∫ s²/σ² dσ
 * from σ' to σ. Never ill-conditioned, c² + std² = σ'², and at σ' = 0 there is no noise (our own derivation).
 */
function integrated({ next }: SchemeInputs, kept: number): SchemeStep {
  return { c: next * Math.sqrt(kept), std: next * Math.sqrt(1 - kept), isDensity: true };
}

const SCHEMES = {
  /** Euler; no noise, no probability. */
  ode: {
    noiseLevel: 0,
    step: ({ next }: SchemeInputs): SchemeStep => ({ c: next, std: 0, isDensity: true }),
  },
  /** Flow-GRPO for SD3 and Flux: s = a·√(σ / (1 - σ)), where the first σ = 1 is replaced by the second in 1 - σ. */
  flow: {
    noiseLevel: 0.7,
    step: (inputs: SchemeInputs): SchemeStep => {
      const { sigma, second, noiseLevel } = inputs;
      return diffused(inputs, noiseLevel * Math.sqrt(sigma / (1 - (sigma === 1 ? second : sigma))));
    },
  },
  /** Flow-GRPO for Wan: s = second level · σ. It has no noise level. */
  wan: {
    noiseLevel: 1,
    step: (inputs: SchemeInputs): SchemeStep => diffused(inputs, inputs.second * inputs.sigma),
  },
  /** DanceGRPO: s is constant. */
  dance: { noiseLevel: 0.3, step: (inputs: SchemeInputs): SchemeStep => diffused(inputs, inputs.noiseLevel) },
  /** Coefficient-preserving sampling (arXiv 2509.05952): c² + std² = σ'². */
  cps: {
    noiseLevel: 0.8,
    step: ({ next, noiseLevel }: SchemeInputs): SchemeStep => {
      const std = next * Math.sin((noiseLevel * Math.PI) / 2);
      return { c: Math.sqrt(next * next - std * std), std, isDensity: false };
    },
  },
  /** `flow` with x̂0 fixed during the step. */
  "exact-flow": {
    noiseLevel: 0.7,
    step: (inputs: SchemeInputs): SchemeStep => {
      const { sigma, next, noiseLevel } = inputs;
      return integrated(inputs, ((next * (1 - sigma)) / (sigma * (1 - next))) ** (noiseLevel * noiseLevel));
    },
  },
  /** `wan` with x̂0 fixed during the step. */
  "exact-wan": {
    noiseLevel: 1,
    step: (inputs: SchemeInputs): SchemeStep =>
      integrated(inputs, Math.exp(-inputs.second * inputs.second * (inputs.sigma - inputs.next))),
  },
  /** `dance` with x̂0 fixed during the step. */
  "exact-dance": {
    noiseLevel: 0.3,
    step: (inputs: SchemeInputs): SchemeStep => {
      const { sigma, next, noiseLevel } = inputs;
      return integrated(inputs, Math.exp(-noiseLevel * noiseLevel * (1 / next - 1 / sigma)));
    },
  },
} as const;

/** Name of a scheme. */
export type SdeScheme = keyof typeof SCHEMES;

/** All schemes. */
export const SDE_SCHEMES = Object.keys(SCHEMES) as readonly SdeScheme[];

/** A step as numbers: the same for every element of a sample. */
export interface StepCoefficients {
  /** mean = x·ofSample + v·ofVelocity */
  readonly ofSample: number;
  readonly ofVelocity: number;
  /** next = mean + std·noise */
  readonly std: number;
  /** logProb = -precision·mean((next - mean)²) - offset */
  readonly precision: number;
  readonly offset: number;
}

/** Which step of which grid. */
export interface StepOptions {
  /** Noise levels, the final 0 included. */
  readonly sigmas: ArrayLike<number>;
  /** From `sigmas[index]` to `sigmas[index + 1]`. */
  readonly index: number;
  /** Size of the noise; default: flow 0.7, dance 0.3, cps 0.8 (the upstream defaults). `ode` and `wan` have none. */
  readonly noiseLevel?: number | undefined;
}

/**
 * The numbers of one step.
 * @throws `VANS_TRAIN_STEP_INDEX` where the grid has no such step
 */
export function stepCoefficients(scheme: SdeScheme, options: StepOptions): StepCoefficients {
  const { sigmas, index, noiseLevel = SCHEMES[scheme].noiseLevel } = options;
  const [sigma, next, second] = [sigmas[index], sigmas[index + 1], sigmas[1]];
  if (sigma === undefined || next === undefined || second === undefined) {
    throw new VansError("VANS_TRAIN_STEP_INDEX", "the grid has no such step", {
      asked: `step ${index}`,
      found: `${sigmas.length} noise levels`,
    });
  }
  const { c, std, isDensity } = SCHEMES[scheme].step({ sigma, next, second, noiseLevel });
  const hasNoise = std > 0;
  return {
    ofSample: 1 - next + c,
    ofVelocity: c * (1 - sigma) - (1 - next) * sigma,
    std,
    precision: hasNoise ? (isDensity ? 1 / (2 * std * std) : 1) : 0,
    offset: hasNoise && isDensity ? Math.log(std) + 0.5 * Math.log(2 * Math.PI) : 0,
  };
}

/** Inputs of {@link sdeStep}; either the noise or the already drawn next sample. */
export type SdeStepInputs = {
  /** Latents at this level, `[B, …]`. */
  readonly x: NdArray;
  /** The (guided) velocity of the generated frames, `[B, …]`. */
  readonly velocity: NdArray;
} & ({ readonly noise: NdArray } | { readonly next: NdArray });

/** What a step gives. */
export interface SdeStepResult {
  /** Expected next latents, `[B, …]`. */
  readonly mean: NdArray;
  /** Next latents as they are stored (f32); log-probabilities are those of the stored values. */
  readonly next: NdArray;
  /** Deviation of the noise, one a sample. */
  readonly std: number[];
  /** Mean over the elements of a sample of the log-density (`cps`: of -(next - mean)²), one a sample. */
  readonly logProb: number[];
}

/**
 * One step of a batch. Pure; sums in f64.
 * @param coefficients one a sample, or one for all
 */
export function sdeStep(
  coefficients: StepCoefficients | readonly StepCoefficients[],
  inputs: SdeStepInputs,
): SdeStepResult {
  const { x, velocity } = inputs;
  const batch = x.shape[0]!;
  const size = x.data.length / batch;
  const mean = new Float32Array(x.data.length);
  const next = "next" in inputs ? (inputs.next.data as Float32Array) : new Float32Array(x.data.length);
  const std: number[] = [];
  const logProb: number[] = [];
  for (let sample = 0; sample < batch; sample++) {
    const step = "std" in coefficients ? coefficients : coefficients[sample]!;
    // Rounded product by product, as f32 graphs do it.
    const [a, b] = [Math.fround(step.ofSample), Math.fround(step.ofVelocity)];
    let squares = 0;
    for (let i = sample * size; i < (sample + 1) * size; i++) {
      mean[i] = Math.fround(a * x.data[i]!) + Math.fround(b * velocity.data[i]!);
      if ("noise" in inputs) next[i] = mean[i]! + step.std * inputs.noise.data[i]!;
      squares += (next[i]! - mean[i]!) ** 2;
    }
    std.push(step.std);
    logProb.push(-step.precision * (squares / size) - step.offset);
  }
  return { mean: f32(mean, x.shape), next: f32(next, x.shape), std, logProb };
}

/** Names of the columns of {@link packCoefficients}. */
export const COEFFICIENT_COLUMNS = ["ofSample", "ofVelocity", "precision", "offset", "klPrecision"] as const;

/**
 * Coefficients of a batch as a graph takes them, `[B, 5]`: one graph then serves every step and scheme.
 * `klPrecision` is 1 / (2·std²), which differs from the precision of `cps`.
 */
export function packCoefficients(steps: readonly StepCoefficients[]): NdArray {
  const rows = steps.flatMap(({ ofSample, ofVelocity, std, precision, offset }) => [
    ofSample,
    ofVelocity,
    precision,
    offset,
    std > 0 ? 1 / (2 * std * std) : 0,
  ]);
  return f32(rows, [steps.length, COEFFICIENT_COLUMNS.length]);
}

/**
 * KL divergence between two steps of equal deviation, per element: mean((mean - meanReference)²) / (2·std²), one a
 * sample (Flow-GRPO's form for Wan; the SD3 form leaves out the step size).
 */
export function stepKl(mean: NdArray, meanReference: NdArray, std: readonly number[]): number[] {
  const size = mean.data.length / std.length;
  return std.map((deviation, sample) => {
    let squares = 0;
    for (let i = sample * size; i < (sample + 1) * size; i++)
      squares += (mean.data[i]! - meanReference.data[i]!) ** 2;
    return squares / size / (2 * deviation * deviation);
  });
}
