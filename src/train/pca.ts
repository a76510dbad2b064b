/**
 * Principal components of image patches: a linear teacher for the first steps of an autoencoder.
 * @module
 */

/** Components of a data set. */
export interface Components {
  /** `[count, width]`, rows of unit length, by falling variance. */
  readonly rows: readonly Float64Array[];
  readonly variances: readonly number[];
  readonly mean: Float64Array;
}

/**
 * The leading principal components of rows `[n, width]`, by orthogonal iteration on the covariance.
 * Signs are fixed so that the largest entry of each component is positive.
 */
export function principalComponents(
  data: Float32Array,
  width: number,
  count: number,
  iterations = 60,
): Components {
  const n = data.length / width;
  const mean = new Float64Array(width);
  for (let i = 0; i < data.length; i++) mean[i % width]! += data[i]! / n;
  const covariance = new Float64Array(width * width);
  const row = new Float64Array(width);
  for (let r = 0; r < n; r++) {
    for (let j = 0; j < width; j++) row[j] = data[r * width + j]! - mean[j]!;
    for (let i = 0; i < width; i++) {
      const value = row[i]! / n;
      if (value === 0) continue;
      for (let j = i; j < width; j++) covariance[i * width + j]! += value * row[j]!;
    }
  }
  for (let i = 0; i < width; i++)
    for (let j = 0; j < i; j++) covariance[i * width + j] = covariance[j * width + i]!;
  // A deterministic start that is not orthogonal to anything: cosines of different frequencies.
  let rows: Float64Array[] = Array.from({ length: count }, (_, k) =>
    Float64Array.from({ length: width }, (_, i) => Math.cos(((i + 0.5) * (k + 1) * 2.399) % 6.283)),
  );
  const apply = (v: Float64Array): Float64Array => {
    const out = new Float64Array(width);
    for (let i = 0; i < width; i++) {
      let total = 0;
      for (let j = 0; j < width; j++) total += covariance[i * width + j]! * v[j]!;
      out[i] = total;
    }
    return out;
  };
  for (let i = 0; i < iterations; i++) rows = orthonormal(rows.map(apply));
  const variances = rows.map((v) => apply(v).reduce((sum, value, i) => sum + value * v[i]!, 0));
  const order = variances.map((_, i) => i).sort((a, b) => variances[b]! - variances[a]!);
  return {
    rows: order.map((i) => fixedSign(rows[i]!)),
    variances: order.map((i) => variances[i]!),
    mean,
  };
}

function fixedSign(v: Float64Array): Float64Array {
  const largest = v.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
  return largest < 0 ? v.map((value) => -value) : v;
}

/** Gram-Schmidt. */
function orthonormal(rows: readonly Float64Array[]): Float64Array[] {
  const out: Float64Array[] = [];
  for (const source of rows) {
    const v = source.slice();
    for (const before of out) {
      const dot = v.reduce((sum, value, i) => sum + value * before[i]!, 0);
      for (let i = 0; i < v.length; i++) v[i]! -= dot * before[i]!;
    }
    const norm = Math.sqrt(v.reduce((sum, value) => sum + value * value, 0)) || 1;
    out.push(v.map((value) => value / norm));
  }
  return out;
}
