/**
 * UniPC (Zhao et al., arXiv 2302.04867) for flow matching, in closed form for order 2: a multistep predictor, and a
 * corrector that looks at the new velocity before the next prediction.
 *
 * Settings of Wan and diffusers: `bh2`, prediction of the clean sample, `lower_order_final`, corrector from the second
 * step on.
 * @module
 */
import { internalError } from "../../base/index.ts";
import type { NoiseGrid } from "./schedule.ts";

/** ln((1 - σ) / σ), half the log of the signal-to-noise ratio. */
const lambda = (sigma: number): number => Math.log(1 - sigma) - Math.log(sigma);

/** An order-2 UniPC run over one grid. Holds the last two clean estimates; one instance serves one sampling run. */
export class UnipcSolver {
  private readonly sigmas: Float64Array;
  private index = 0;
  /** Clean estimates, newest last. */
  private clean: Float64Array[] = [];
  /** The sample before the last prediction, after its correction. */
  private last: Float64Array | undefined;
  private lastOrder = 0;

  constructor({ sigmas }: NoiseGrid) {
    this.sigmas = Float64Array.from(sigmas);
  }

  private get steps(): number {
    return this.sigmas.length - 1;
  }

  /** The sample at the next level from the one at this level and its velocity. */
  step(x: Float32Array, velocity: Float32Array): Float32Array {
    const i = this.index;
    if (i >= this.steps) throw internalError("a UniPC run was stepped beyond its grid");
    const sigma = this.sigmas[i]!;
    const estimate = Float64Array.from(x, (value, j) => value - sigma * velocity[j]!);
    const corrected = i === 0 ? Float64Array.from(x) : this.correct(estimate);
    this.clean = [...this.clean.slice(-1), estimate];
    const order = Math.min(2, this.steps - i, i + 1);
    this.last = corrected;
    this.lastOrder = order;
    this.index++;
    return this.predict(corrected, order);
  }

  /** x_i again, with the clean estimate at level i known (UniC). */
  private correct(estimate: Float64Array): Float64Array {
    const i = this.index;
    const [sigma, before] = [this.sigmas[i]!, this.sigmas[i - 1]!];
    const h = lambda(sigma) - lambda(before);
    const phi = Math.expm1(-h);
    const newest = this.clean[this.clean.length - 1]!;
    const older = this.clean[this.clean.length - 2];
    const { last } = this;
    const alpha = 1 - sigma;
    if (this.lastOrder === 1 || !older) {
      return last!.map(
        (value, j) =>
          (sigma / before) * value - alpha * phi * (newest[j]! + 0.5 * (estimate[j]! - newest[j]!)),
      );
    }
    const r = (lambda(this.sigmas[i - 2]!) - lambda(before)) / h;
    const b1 = (phi / -h - 1) / phi;
    const b2 = (2 * ((phi / -h - 1) / -h - 0.5)) / phi;
    const rho1 = (b1 - b2) / (1 - r);
    const rho2 = b1 - rho1;
    return last!.map((value, j) => {
      const m = newest[j]!;
      const correction = (rho1 * (older[j]! - m)) / r + rho2 * (estimate[j]! - m);
      return (sigma / before) * value - alpha * phi * (m + correction);
    });
  }

  /** The sample at level i + 1 (UniP). */
  private predict(x: Float64Array, order: number): Float32Array {
    const i = this.index - 1;
    const newest = this.clean[this.clean.length - 1]!;
    const [sigma, next] = [this.sigmas[i]!, this.sigmas[i + 1]!];
    // At σ' = 0 the general form has infinite logarithms; its limit is the clean estimate.
    if (next === 0) return Float32Array.from(newest);
    const h = lambda(next) - lambda(sigma);
    const phi = Math.expm1(-h);
    const alpha = 1 - next;
    const older = this.clean[this.clean.length - 2];
    if (order === 1 || !older)
      return Float32Array.from(x, (value, j) => (next / sigma) * value - alpha * phi * newest[j]!);
    const r = (lambda(this.sigmas[i - 1]!) - lambda(sigma)) / h;
    return Float32Array.from(x, (value, j) => {
      const m = newest[j]!;
      return (next / sigma) * value - alpha * phi * (m + (0.5 * (older[j]! - m)) / r);
    });
  }
}
