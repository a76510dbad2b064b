/**
 * Learning-rate schedules and the decay of moving averages of weights.
 *
 * Sources: transformers/optimization.py (`get_scheduler`), flow_grpo/ema.py (`EMAModuleWrapper`).
 * @module
 */

/** How the learning rate runs over a training. Steps count optimizer steps from 0. */
export interface LearningRateSchedule {
  /** The shape after the warm-up: level, straight to the end, or half a cosine to the end. */
  readonly kind: "constant" | "linear" | "cosine";
  /** The highest learning rate. */
  readonly base: number;
  /** Steps over which the rate rises from 0 in a straight line. Default 0. */
  readonly warmupSteps?: number;
  /** Number of steps in all; needed for `linear` and `cosine`. */
  readonly totalSteps?: number;
  /** The share of `base` that the rate falls to at the end. Default 0. */
  readonly finalFraction?: number;
}

/**
 * The learning rate used at optimizer step `step` (0 for the first).
 *
 * @throws RangeError if the schedule falls and has no `totalSteps`
 * @example
 * ```ts
 * import { learningRate } from "vans/nn";
 * const schedule = { kind: "linear", base: 0.1, warmupSteps: 10, totalSteps: 110 } as const;
 * learningRate(schedule, 5); // => 0.05
 * learningRate(schedule, 60); // => 0.05
 * ```
 */
export function learningRate(schedule: LearningRateSchedule, step: number): number {
  const { kind, base, warmupSteps = 0, totalSteps, finalFraction = 0 } = schedule;
  if (step < warmupSteps) return base * (step / Math.max(1, warmupSteps));
  if (kind === "constant") return base;
  if (totalSteps === undefined) throw new RangeError(`a ${kind} schedule needs totalSteps`);
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  const shape = kind === "linear" ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
  return base * (finalFraction + (1 - finalFraction) * shape);
}

/** How a moving average of weights is kept. */
export interface MovingAverageRule {
  /** The decay of a long training; early steps use less, so that the start is forgotten quickly. */
  readonly decay: number;
  /** The average moves every so many steps. Default 1. */
  readonly interval?: number;
}

/**
 * The decay at optimizer step `step` (0 for the first): `min((1 + step) / (10 + step), decay)`, and 1 (no change) at
 * steps in between if `interval` is above 1. The update is `average = d · average + (1 − d) · weights`.
 *
 * @example
 * ```ts
 * import { movingAverageDecay } from "vans/nn";
 * movingAverageDecay({ decay: 0.99 }, 0); // => 0.1
 * movingAverageDecay({ decay: 0.99 }, 5000); // => 0.99
 * movingAverageDecay({ decay: 0.99, interval: 8 }, 0); // => 1
 * ```
 */
export function movingAverageDecay({ decay, interval = 1 }: MovingAverageRule, step: number): number {
  return (step + 1) % interval === 0 ? Math.min((1 + step) / (10 + step), decay) : 1;
}
