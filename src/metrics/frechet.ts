/**
 * The Fréchet distance between two sets of features seen as normal distributions: the distance behind FID and FVD.
 *
 * `|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½)`, in double precision. The trace of the root is the sum of the singular
 * values of `X₁X₂ᵀ` (centred features) or of the roots of the eigenvalues of `Σ₁^½ Σ₂ Σ₁^½`, whichever is smaller;
 * both are symmetric and hold for singular covariances (fewer samples than features).
 * Range 0 … ∞. What games it and what it depends on: see `fvd.ts`.
 * Dowson and Landau, "The Fréchet distance between multivariate normal distributions" (1982).
 * @module
 */
import { VansError } from "../base/errors.ts";
import { symmetricEigen } from "./symmetric-eigen.ts";

/** Features of a set: row-major `[count, size]`, one row for each sample. */
export interface FeatureSet {
  readonly data: ArrayLike<number>;
  readonly count: number;
  readonly size: number;
}

/** Options of {@link frechetDistance}. */
export interface FrechetOptions {
  /** The covariance divides by `N` (StyleGAN-V) or by `N-1` (numpy's default, most FID code). Default `N-1`. */
  readonly divisor?: "N" | "N-1";
}

/** A Fréchet distance and the part of it that comes from the means. */
export interface FrechetResult {
  readonly distance: number;
  readonly meanTerm: number;
}

/** Means and centred rows. */
interface Centred {
  readonly mean: Float64Array;
  readonly rows: Float64Array;
  readonly count: number;
  readonly size: number;
  /** What the covariance divides by; with one sample the covariance is zero. */
  readonly divisor: number;
}

/**
 * The Fréchet distance of two feature sets of the same width, each with at least one sample.
 *
 * @throws `VANS_METRICS_FEATURES_INVALID` if widths differ, a set is empty, or data and counts disagree
 * @example
 * ```ts
 * import { frechetDistance } from "vans/metrics";
 * const a = { data: [0, 2], count: 2, size: 1 };
 * const b = { data: [3, 5], count: 2, size: 1 };
 * frechetDistance(a, b).distance; // => 9
 * ```
 */
export function frechetDistance(
  a: FeatureSet,
  b: FeatureSet,
  { divisor = "N-1" }: FrechetOptions = {},
): FrechetResult {
  for (const set of [a, b]) {
    if (set.size === a.size && set.count > 0 && set.data.length === set.count * set.size) continue;
    throw new VansError("VANS_METRICS_FEATURES_INVALID", "the feature sets cannot be compared", {
      asked: "two sets of the same width with at least one sample",
      found: `[${a.count}, ${a.size}] with ${a.data.length} numbers, [${b.count}, ${b.size}] with ${b.data.length}`,
    });
  }
  const first = centre(a, divisor);
  const second = centre(b, divisor);
  let meanTerm = 0;
  for (let i = 0; i < a.size; i++) meanTerm += (first.mean[i]! - second.mean[i]!) ** 2;
  const root =
    Math.min(a.count, b.count) <= a.size
      ? rootFromSamples(first, second)
      : rootFromCovariances(first, second);
  const distance = meanTerm + trace(first) + trace(second) - 2 * root;
  // Equal sets give a tiny negative number through rounding.
  return { distance: Math.max(0, distance), meanTerm };
}

function centre({ data, count, size }: FeatureSet, divisor: "N" | "N-1"): Centred {
  const mean = new Float64Array(size);
  for (let row = 0; row < count; row++)
    for (let i = 0; i < size; i++) mean[i]! += data[row * size + i]! / count;
  const rows = new Float64Array(count * size);
  for (let row = 0; row < count; row++)
    for (let i = 0; i < size; i++) rows[row * size + i] = data[row * size + i]! - mean[i]!;
  return { mean, rows, count, size, divisor: divisor === "N" ? count : Math.max(1, count - 1) };
}

/** The trace of the covariance. */
function trace({ rows, divisor }: Centred): number {
  let sum = 0;
  for (const value of rows) sum += value * value;
  return sum / divisor;
}

/** `tr (Σ₁Σ₂)^½` as the sum of singular values of `X₁X₂ᵀ`, through the smaller of its two Gram matrices. */
function rootFromSamples(a: Centred, b: Centred): number {
  const [few, many] = a.count <= b.count ? [a, b] : [b, a];
  const products = multiplyTransposed(few.rows, few.count, many.rows, many.count, few.size);
  const gram = multiplyTransposed(products, few.count, products, few.count, many.count);
  return sumOfRoots(gram, few.count) / Math.sqrt(few.divisor * many.divisor);
}

/** `tr (Σ₁Σ₂)^½` through `Σ₁^½ Σ₂ Σ₁^½`. */
function rootFromCovariances(a: Centred, b: Centred): number {
  const { size } = a;
  const { values, vectors } = symmetricEigen(covariance(a), size);
  const half = new Float64Array(size * size);
  for (let j = 0; j < size; j++) {
    const root = Math.sqrt(Math.max(0, values[j]!));
    for (let row = 0; row < size; row++) half[row * size + j] = vectors[row * size + j]! * root;
  }
  // Rows of X₂ U √Λ: its Gram matrix has the eigenvalues of Σ₁^½ Σ₂ Σ₁^½.
  const projected = transposeOf(half, size);
  const rotated = multiplyTransposed(projected, size, covariance(b), size, size);
  return sumOfRoots(multiplyTransposed(rotated, size, projected, size, size), size);
}

function covariance({ rows, count, size, divisor }: Centred): Float64Array {
  const out = new Float64Array(size * size);
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < size; i++) {
      const value = rows[row * size + i]! / divisor;
      for (let j = 0; j <= i; j++) out[i * size + j]! += value * rows[row * size + j]!;
    }
  }
  for (let i = 0; i < size; i++) for (let j = 0; j < i; j++) out[j * size + i] = out[i * size + j]!;
  return out;
}

/** `A Bᵀ` of row-major `[rowsA, inner]` and `[rowsB, inner]`. */
function multiplyTransposed(
  a: Float64Array,
  rowsA: number,
  b: Float64Array,
  rowsB: number,
  inner: number,
): Float64Array {
  const out = new Float64Array(rowsA * rowsB);
  for (let i = 0; i < rowsA; i++) {
    for (let j = 0; j < rowsB; j++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += a[i * inner + k]! * b[j * inner + k]!;
      out[i * rowsB + j] = sum;
    }
  }
  return out;
}

function transposeOf(matrix: Float64Array, size: number): Float64Array {
  return Float64Array.from(matrix, (_, index) => matrix[(index % size) * size + Math.floor(index / size)]!);
}

function sumOfRoots(matrix: Float64Array, size: number): number {
  return symmetricEigen(matrix, size).values.reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0);
}
