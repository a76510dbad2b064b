/**
 * Pooling over windows, axis by axis: a maximum or a sum over a box is one over its columns, then rows, then frames.
 * @module
 */
import { add, maximum, mul, pad, slice, type Tensor } from "../../tensor/index.ts";
import type { Triple } from "./config.ts";

/** Zeros before and after an axis so that it comes out as ceil(size / stride), TensorFlow's "SAME"; odd ones go behind. */
export function samePadding(
  size: number,
  kernel: number,
  stride: number,
): readonly [before: number, after: number] {
  const total = Math.max(kernel - (size % stride === 0 ? stride : size % stride), 0);
  const before = Math.floor(total / 2);
  return [before, total - before];
}

/** Combines the places of every window of one axis. */
function overAxis(
  x: Tensor,
  axis: number,
  kernel: number,
  stride: number,
  combine: (a: Tensor, b: Tensor) => Tensor,
): Tensor {
  const windows = Math.floor((x.size(axis) - kernel) / stride) + 1;
  const taps = Array.from({ length: kernel }, (_, at) =>
    slice(x, axis, at, at + (windows - 1) * stride + 1, stride),
  );
  return taps.reduce(combine);
}

/**
 * Maxima over windows with "SAME" padding. The padding is zeros, as in the reference, so `x` must not be negative.
 * @param x `[N, C, T, H, W]`
 */
export function maxPool(x: Tensor, kernel: Triple, stride: Triple): Tensor {
  // Columns first: memory runs along them.
  return [2, 1, 0].reduce((pooled, i) => {
    if (kernel[i] === 1 && stride[i] === 1) return pooled;
    const axis = i + 2;
    const [before, after] = samePadding(pooled.size(axis), kernel[i]!, stride[i]!);
    return overAxis(pad(pooled, axis, before, after), axis, kernel[i]!, stride[i]!, maximum);
  }, x);
}

/**
 * Means over all windows that fit, one step apart.
 * @param x `[N, C, T, H, W]`
 */
export function averagePool(x: Tensor, kernel: Triple): Tensor {
  const total = [2, 1, 0].reduce((pooled, i) => overAxis(pooled, i + 2, kernel[i]!, 1, add), x);
  return mul(total, 1 / (kernel[0] * kernel[1] * kernel[2]));
}
