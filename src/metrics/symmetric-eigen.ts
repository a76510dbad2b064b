/**
 * Eigenvalues and eigenvectors of a real symmetric matrix in double precision.
 *
 * Householder reduction to a tridiagonal matrix, then implicit QL: the procedures tred2 and tql2 of EISPACK
 * (Bowdler, Martin, Reinsch and Wilkinson, Handbook for Automatic Computation II, 1971), in the form of JAMA.
 * @module
 */
import { internalError } from "../base/errors.ts";

/** Eigenvalues rising; column `j` of `vectors` (row-major `[size, size]`) belongs to `values[j]`. */
export interface SymmetricEigen {
  readonly values: Float64Array;
  readonly vectors: Float64Array;
}

const MAX_ITERATIONS = 100;

/** The eigen-decomposition of a symmetric row-major `[size, size]` matrix, of which the lower triangle is read. */
export function symmetricEigen(matrix: Float64Array, size: number): SymmetricEigen {
  const vectors = Float64Array.from(matrix);
  const values = new Float64Array(size);
  const offDiagonal = new Float64Array(size);
  if (size > 0) {
    tridiagonalize(vectors, values, offDiagonal, size);
    diagonalize(vectors, values, offDiagonal, size);
    sortRising(vectors, values, size);
  }
  return { values, vectors };
}

function tridiagonalize(v: Float64Array, d: Float64Array, e: Float64Array, n: number): void {
  for (let j = 0; j < n; j++) d[j] = v[(n - 1) * n + j]!;
  for (let i = n - 1; i > 0; i--) {
    let scale = 0;
    let h = 0;
    for (let k = 0; k < i; k++) scale += Math.abs(d[k]!);
    if (scale === 0) {
      e[i] = d[i - 1]!;
      for (let j = 0; j < i; j++) {
        d[j] = v[(i - 1) * n + j]!;
        v[i * n + j] = 0;
        v[j * n + i] = 0;
      }
    } else {
      for (let k = 0; k < i; k++) {
        d[k]! /= scale;
        h += d[k]! * d[k]!;
      }
      let f = d[i - 1]!;
      let g = f > 0 ? -Math.sqrt(h) : Math.sqrt(h);
      e[i] = scale * g;
      h -= f * g;
      d[i - 1] = f - g;
      e.fill(0, 0, i);
      for (let j = 0; j < i; j++) {
        f = d[j]!;
        v[j * n + i] = f;
        g = e[j]! + v[j * n + j]! * f;
        for (let k = j + 1; k <= i - 1; k++) {
          g += v[k * n + j]! * d[k]!;
          e[k]! += v[k * n + j]! * f;
        }
        e[j] = g;
      }
      f = 0;
      for (let j = 0; j < i; j++) {
        e[j]! /= h;
        f += e[j]! * d[j]!;
      }
      const hh = f / (h + h);
      for (let j = 0; j < i; j++) e[j]! -= hh * d[j]!;
      for (let j = 0; j < i; j++) {
        f = d[j]!;
        g = e[j]!;
        for (let k = j; k <= i - 1; k++) v[k * n + j]! -= f * e[k]! + g * d[k]!;
        d[j] = v[(i - 1) * n + j]!;
        v[i * n + j] = 0;
      }
    }
    d[i] = h;
  }
  for (let i = 0; i < n - 1; i++) {
    v[(n - 1) * n + i] = v[i * n + i]!;
    v[i * n + i] = 1;
    const h = d[i + 1]!;
    if (h !== 0) {
      for (let k = 0; k <= i; k++) d[k] = v[k * n + i + 1]! / h;
      for (let j = 0; j <= i; j++) {
        let g = 0;
        for (let k = 0; k <= i; k++) g += v[k * n + i + 1]! * v[k * n + j]!;
        for (let k = 0; k <= i; k++) v[k * n + j]! -= g * d[k]!;
      }
    }
    for (let k = 0; k <= i; k++) v[k * n + i + 1] = 0;
  }
  for (let j = 0; j < n; j++) {
    d[j] = v[(n - 1) * n + j]!;
    v[(n - 1) * n + j] = 0;
  }
  v[n * n - 1] = 1;
  e[0] = 0;
}

function diagonalize(v: Float64Array, d: Float64Array, e: Float64Array, n: number): void {
  e.copyWithin(0, 1);
  e[n - 1] = 0;
  let shift = 0;
  let largest = 0;
  for (let l = 0; l < n; l++) {
    largest = Math.max(largest, Math.abs(d[l]!) + Math.abs(e[l]!));
    let m = l;
    while (m < n - 1 && Math.abs(e[m]!) > Number.EPSILON * largest) m++;
    let iterations = 0;
    while (m > l && Math.abs(e[l]!) > Number.EPSILON * largest) {
      if (iterations++ > MAX_ITERATIONS)
        throw internalError("the eigenvalues of a symmetric matrix did not converge");
      let g = d[l]!;
      let p = (d[l + 1]! - g) / (2 * e[l]!);
      let r = p < 0 ? -Math.hypot(p, 1) : Math.hypot(p, 1);
      d[l] = e[l]! / (p + r);
      d[l + 1] = e[l]! * (p + r);
      const dl1 = d[l + 1]!;
      const h = g - d[l]!;
      for (let i = l + 2; i < n; i++) d[i]! -= h;
      shift += h;
      p = d[m]!;
      let [c, c2, c3] = [1, 1, 1];
      const el1 = e[l + 1]!;
      let [s, s2] = [0, 0];
      for (let i = m - 1; i >= l; i--) {
        c3 = c2;
        c2 = c;
        s2 = s;
        g = c * e[i]!;
        const hi = c * p;
        r = Math.hypot(p, e[i]!);
        e[i + 1] = s * r;
        s = e[i]! / r;
        c = p / r;
        p = c * d[i]! - s * g;
        d[i + 1] = hi + s * (c * g + s * d[i]!);
        for (let k = 0; k < n; k++) {
          const right = v[k * n + i + 1]!;
          const left = v[k * n + i]!;
          v[k * n + i + 1] = s * left + c * right;
          v[k * n + i] = c * left - s * right;
        }
      }
      p = (-s * s2 * c3 * el1 * e[l]!) / dl1;
      e[l] = s * p;
      d[l] = c * p;
    }
    d[l]! += shift;
    e[l] = 0;
  }
}

function sortRising(v: Float64Array, d: Float64Array, n: number): void {
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => d[a]! - d[b]!);
  const oldValues = d.slice();
  const oldVectors = v.slice();
  for (const [to, from] of order.entries()) {
    d[to] = oldValues[from]!;
    for (let row = 0; row < n; row++) v[row * n + to] = oldVectors[row * n + from]!;
  }
}
