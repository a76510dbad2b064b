/**
 * Sampling: from noise to latents, step by step, with clean references in front and guidance by a negative text.
 * @module
 */
import { throwIfAborted } from "../../base/index.ts";
import { f32, type NdArray, type Shape } from "../../tensor/index.ts";
import { cleanEstimate, type GridOptions } from "./schedule.ts";
import { createSolver, type SchedulerName } from "./solver.ts";

/** One call of the video transformer. */
export interface VelocityRequest {
  /** `[B, C, R, h, w]` */
  readonly references: NdArray;
  /** `[B, C, F, h, w]` */
  readonly noisy: NdArray;
  /** `[B]`, 0 … 1000 */
  readonly timestep: NdArray;
  /** `[B, L, textWidth]`; the same object at every step, so that what depends on it alone can be kept. */
  readonly context: NdArray;
}

/** The video transformer as the sampler sees it: velocities `[B, C, F, h, w]` of the noisy frames. */
export type VelocityModel = (request: VelocityRequest) => Promise<NdArray>;

/** What a guided model is made of. */
export interface GuidanceOptions {
  readonly model: VelocityModel;
  /** Clean normalised latents `[B, C, R, h, w]`. */
  readonly references: NdArray;
  /** Text embeddings `[B, L, textWidth]`. */
  readonly context: NdArray;
  /** Embeddings of the negative text, of the same shape; without them, or at scale 1, there is one branch. */
  readonly negativeContext?: NdArray | undefined;
  /** v = v_negative + scale·(v - v_negative); 5 in VANS. */
  readonly guidanceScale: number;
  /** Run both branches as one batch (default) or one after the other, which needs half the memory. */
  readonly batchBranches?: boolean;
}

/** Velocities of one step. */
export interface GuidedVelocity {
  readonly velocity: NdArray;
  /** The branch of the text itself. */
  readonly conditional: NdArray;
  /** The branch of the negative text, where there is one. */
  readonly negative?: NdArray;
}

/** A guided model: noisy latents `[B, C, F, h, w]` and one timestep to velocities. */
export type GuidedModel = (noisy: NdArray, timestep: number) => Promise<GuidedVelocity>;

/** Two arrays one after the other on the first axis. */
function stacked(a: NdArray, b: NdArray): NdArray {
  const data = new Float32Array(a.data.length + b.data.length);
  data.set(a.data);
  data.set(b.data, a.data.length);
  return f32(data, [a.shape[0]! + b.shape[0]!, ...a.shape.slice(1)]);
}

function halves(x: NdArray): [NdArray, NdArray] {
  const data = x.data as Float32Array;
  const shape: Shape = [x.shape[0]! / 2, ...x.shape.slice(1)];
  const middle = data.length / 2;
  return [f32(data.slice(0, middle), shape), f32(data.slice(middle), shape)];
}

/** A model with classifier-free guidance (Ho & Salimans, arXiv 2207.12598). */
export function guidedModel(options: GuidanceOptions): GuidedModel {
  const { model, references, context, negativeContext, guidanceScale } = options;
  const timestepOf = (noisy: NdArray, timestep: number): NdArray =>
    f32(new Float32Array(noisy.shape[0]!).fill(timestep));
  if (!negativeContext || guidanceScale === 1) {
    return async (noisy, timestep) => {
      const velocity = await model({ references, noisy, timestep: timestepOf(noisy, timestep), context });
      return { velocity, conditional: velocity };
    };
  }
  const guide = (conditional: NdArray, negative: NdArray): GuidedVelocity => {
    const data = Float32Array.from(conditional.data, (value, i) => {
      const base = negative.data[i]!;
      return base + guidanceScale * (value - base);
    });
    return { velocity: f32(data, conditional.shape), conditional, negative };
  };
  if (options.batchBranches ?? true) {
    const both = { references: stacked(references, references), context: stacked(context, negativeContext) };
    return async (noisy, timestep) => {
      const doubled = stacked(noisy, noisy);
      const request = { ...both, noisy: doubled, timestep: timestepOf(doubled, timestep) };
      return guide(...halves(await model(request)));
    };
  }
  return async (noisy, timestep) => {
    const request = { references, noisy, timestep: timestepOf(noisy, timestep) };
    const conditional = await model({ ...request, context });
    return guide(conditional, await model({ ...request, context: negativeContext }));
  };
}

/** Options of {@link sampleLatents}. */
export interface SampleOptions extends GuidanceOptions, GridOptions {
  /** Starting latents `[B, C, F, h, w]`, standard normal. */
  readonly noise: NdArray;
  /** Default `euler`, as in VANS. */
  readonly scheduler?: SchedulerName;
  readonly signal?: AbortSignal | undefined;
}

/** One step of a sampling run. */
export interface SampleStep extends GuidedVelocity {
  /** 1 … total. */
  readonly step: number;
  readonly total: number;
  /** Noise level before the step. */
  readonly sigma: number;
  /** Latents before the step. */
  readonly before: NdArray;
  /** Latents after the step; at the last step the result. */
  readonly latents: NdArray;
  /** The clean latents that this step points to: a preview of the result. */
  readonly preview: NdArray;
}

/**
 * Samples latents. Yields every step; the last step's `latents` are the result, which is also returned.
 * @throws `VANS_SAMPLE_GRID`, `VANS_RUN_ABORTED`
 */
export async function* sampleLatents(options: SampleOptions): AsyncGenerator<SampleStep, NdArray> {
  const { noise, steps, shift, scheduler = "euler", signal } = options;
  const solver = createSolver(scheduler, { steps, shift });
  const guided = guidedModel(options);
  let latents = noise;
  for (let i = 0; i < steps; i++) {
    throwIfAborted(signal);
    const sigma = solver.grid.sigmas[i]!;
    const result = await guided(latents, solver.grid.timesteps[i]!);
    const x = latents.data as Float32Array;
    const v = result.velocity.data as Float32Array;
    const before = latents;
    latents = f32(solver.step(x, v), noise.shape);
    const preview = f32(cleanEstimate(x, v, sigma), noise.shape);
    yield { ...result, step: i + 1, total: steps, sigma, before, latents, preview };
  }
  return latents;
}
