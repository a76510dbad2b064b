/**
 * Values with 95 % intervals: how far a share or a mean over samples can be trusted.
 * @module
 */
import { bits, fold, type Key, keyFromSeed } from "../base/keys.ts";

/** A measured value with its 95 % interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Number of samples. */
  readonly n: number;
}

/** Two-sided 95 % point of the standard normal distribution. */
const Z95 = 1.959963984540054;

/**
 * A share of `n` with its 95 % Wilson interval, which stays within [0, 1] and has a width also at 0 and 1.
 *
 * Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
 *
 * @example
 * ```ts
 * import { shareEstimate } from "vans/metrics";
 * const { value, low, high } = shareEstimate(8, 10);
 * value; // => 0.8
 * low.toFixed(3); // => "0.490"
 * high.toFixed(3); // => "0.943"
 * ```
 * @throws RangeError without samples
 */
export function shareEstimate(hits: number, n: number): Estimate {
  if (!(n > 0) || hits < 0 || hits > n) throw new RangeError(`${hits} of ${n} is no share`);
  const value = hits / n;
  const squared = Z95 * Z95;
  const centre = value + squared / (2 * n);
  const spread = Z95 * Math.sqrt((value * (1 - value)) / n + squared / (4 * n * n));
  const scale = 1 + squared / n;
  return {
    value,
    // At the ends the formula is exact; rounding must not put the value itself outside.
    low: hits === 0 ? 0 : (centre - spread) / scale,
    high: hits === n ? 1 : (centre + spread) / scale,
    n,
  };
}

/** Options of {@link meanEstimate}. */
export interface MeanEstimateOptions {
  /** Where the resampling's random numbers come from. Default: a fixed key, so that equal values have equal intervals. */
  readonly key?: Key;
  /** Default 1000. */
  readonly resamples?: number;
}

/**
 * A mean with its 95 % percentile bootstrap interval (Efron, "Bootstrap methods: another look at the jackknife", 1979).
 *
 * @throws RangeError without samples
 */
export function meanEstimate(values: readonly number[], options: MeanEstimateOptions = {}): Estimate {
  const n = values.length;
  if (n === 0) throw new RangeError("there is no mean of no values");
  const value = values.reduce((sum, one) => sum + one, 0) / n;
  const { resamples = 1000, key = fold(keyFromSeed(0), "bootstrap") } = options;
  if (values.every((one) => one === values[0])) return { value, low: value, high: value, n };
  const means = new Float64Array(resamples);
  for (let round = 0; round < resamples; round++) {
    const draws = bits(fold(key, round), n);
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[Math.floor((draws[i]! / 4294967296) * n)]!;
    means[round] = sum / n;
  }
  means.sort();
  return { value, low: percentile(means, 0.025), high: percentile(means, 0.975), n };
}

/** A percentile of sorted numbers, interpolated. */
function percentile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const rest = at - below;
  const next = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return sorted[below]! * (1 - rest) + next * rest;
}
