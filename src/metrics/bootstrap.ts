/**
 * Bootstrap intervals of any statistic of a set of samples, and of differences between two systems on the same samples
 * (Efron, "Bootstrap methods: another look at the jackknife", 1979; percentile intervals).
 *
 * A statistic is resampled as a whole: each round draws as many samples as there are, with repetition, and computes it
 * again, so corpus metrics (BLEU, Fréchet distances) have intervals like means. Two systems are compared on the same
 * draws: what makes a sample hard for both then cancels.
 *
 * Range: that of the statistic. What games it: too few samples (below about 30 intervals are too narrow), and picking the
 * one of many differences that excludes 0.
 * @module
 */
import { bits, fold, keyFromSeed } from "../base/keys.ts";
import type { Estimate } from "./estimate.ts";

/** A statistic of samples: of all of them in their order, or of the rows that are named. */
export interface SampleStatistic {
  /** Number of samples. */
  readonly n: number;
  readonly of: (rows?: ArrayLike<number>) => number;
  /**
   * True where repeated samples shift the statistic (Fréchet distances grow, as a set with repetitions spreads less like
   * the other). The mean shift is then taken off the resampled values.
   */
  readonly isShifted?: boolean;
}

/** Options of the bootstrap. */
export interface BootstrapOptions {
  /** Default 1000. */
  readonly resamples?: number;
}

/** A difference between two systems. */
export interface PairedDifference {
  /** First minus second. */
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Samples that both have. */
  readonly n: number;
}

const DEFAULT_RESAMPLES = 1000;

/** Draws by number of samples, so that metrics of one group share them; the last few groups are kept. */
const draws = new Map<number, Uint32Array[]>();
const KEPT_SIZES = 24;

/** The rows of a round; the same for equal numbers of samples, so that intervals are reproducible and pairs match. */
function rowsOfRound(n: number, round: number): Uint32Array {
  const rounds = draws.get(n) ?? [];
  if (rounds.length === 0) {
    if (draws.size >= KEPT_SIZES) draws.delete(draws.keys().next().value!);
    draws.set(n, rounds);
  }
  rounds[round] ??= Uint32Array.from(bits(fold(keyFromSeed(0), "paired bootstrap", round), n), (draw) =>
    Math.floor((draw / 4294967296) * n),
  );
  return rounds[round];
}

const known = new WeakMap<SampleStatistic, Map<number, Float64Array>>();

/**
 * The statistic in every round, around its own value where repetition shifts it. Equal draws for equal `n`; remembered as
 * long as the statistic lives, because differences and intervals ask for the same.
 */
export function resampled(
  statistic: SampleStatistic,
  { resamples = DEFAULT_RESAMPLES }: BootstrapOptions = {},
): Float64Array {
  const before = known.get(statistic) ?? new Map<number, Float64Array>();
  known.set(statistic, before);
  const found = before.get(resamples);
  if (found) return found;
  const values = Float64Array.from({ length: resamples }, (_, round) =>
    statistic.of(rowsOfRound(statistic.n, round)),
  );
  const shift = statistic.isShifted
    ? values.reduce((sum, value) => sum + value, 0) / resamples - statistic.of()
    : 0;
  const made = values.map((value) => value - shift);
  before.set(resamples, made);
  return made;
}

/**
 * A statistic with its 95 % interval.
 *
 * @throws RangeError without samples
 * @example
 * ```ts
 * import { bootstrapEstimate } from "vans/metrics";
 * const values = [1, 2, 3, 4];
 * const of = (rows: ArrayLike<number> = [0, 1, 2, 3]) => Math.max(...Array.from(rows, (row) => values[row]!));
 * bootstrapEstimate({ n: 4, of }).value; // => 4
 * ```
 */
export function bootstrapEstimate(statistic: SampleStatistic, options: BootstrapOptions = {}): Estimate {
  if (statistic.n === 0) throw new RangeError("there is no statistic of no samples");
  const { low, high } = intervalOf(resampled(statistic, options));
  return { value: statistic.of(), low, high, n: statistic.n };
}

/**
 * First minus second, with the paired bootstrap's 95 % interval.
 *
 * @throws RangeError where the systems have different numbers of samples, or none
 * @example
 * ```ts
 * import { pairedDifference } from "vans/metrics";
 * const mean = (values: readonly number[]) => ({
 *   n: values.length,
 *   of: (rows: ArrayLike<number> = values.map((_, i) => i)) =>
 *     Array.from(rows, (row) => values[row]!).reduce((sum, value) => sum + value, 0) / rows.length,
 * });
 * const { value, low, high } = pairedDifference(mean([2, 3, 9]), mean([1, 2, 8]));
 * [low, value, high].map((one) => one.toFixed(6)); // => ["1.000000", "1.000000", "1.000000"]
 * ```
 */
export function pairedDifference(
  first: SampleStatistic,
  second: SampleStatistic,
  options: BootstrapOptions = {},
): PairedDifference {
  const { n } = first;
  if (n === 0 || second.n !== n) throw new RangeError(`${n} and ${second.n} samples cannot be paired`);
  const [a, b] = [resampled(first, options), resampled(second, options)];
  const { low, high } = intervalOf(a.map((value, round) => value - b[round]!));
  return { value: first.of() - second.of(), low, high, n };
}

/** The 2.5 % and 97.5 % points of some numbers, interpolated. */
export function intervalOf(values: Float64Array): { readonly low: number; readonly high: number } {
  const sorted = Float64Array.from(values).sort();
  const point = (share: number): number => {
    const at = share * (sorted.length - 1);
    const below = Math.floor(at);
    const next = sorted[Math.min(below + 1, sorted.length - 1)]!;
    return sorted[below]! * (1 - (at - below)) + next * (at - below);
  };
  return { low: point(0.025), high: point(0.975) };
}
