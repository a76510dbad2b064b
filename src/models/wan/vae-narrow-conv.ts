/**
 * Convolutions with few channels, forward and backward.
 *
 * The runtime convolves by gathering the values under a filter (27 a channel for 3x3x3) and multiplying matrices. With 8
 * filters the gathering costs more than the product. So the three temporal taps become three times as many filters over
 * single frames (9 values a channel), and their results are shifted in time and added. The backward pass is the same in
 * mirror image. Weight gradients share the gathering between both sides: x moved to 3 columns, the gradient moved to 3 rows.
 * @module
 */
import {
  add,
  type ConvGeometry,
  concat,
  constant,
  conv,
  convInputGradient,
  gather,
  i32,
  matmul,
  pad,
  padAll,
  reshape,
  type Shape,
  slice,
  stack,
  sum,
  type Tensor,
  transpose,
} from "../../tensor/index.ts";
import { withOwnGradient } from "./own-gradient.ts";

/** Geometry of a 3x3 convolution of single frames that keeps their size. */
const BY_FRAME = { strides: [1, 1, 1], padsBefore: [0, 1, 1], padsAfter: [0, 1, 1] } as const;

/** Weight `[O, C, 3, 3, 3]` as the weight of single frames, `[O·3, C, 1, 3, 3]`: three filters for each. */
function tapsAsFilters(weight: Tensor): Tensor {
  const [out, channels] = weight.shape as [number, number];
  return reshape(transpose(weight, [0, 2, 1, 3, 4]), [out * 3, channels, 1, 3, 3]);
}

/** The weight that leads back from outputs to inputs: `[C·3, O, 1, 3, 3]`, rows and columns reversed. */
function tapsAsFiltersBack(weight: Tensor): Tensor {
  const [out, channels] = weight.shape as [number, number];
  const flat = reshape(transpose(weight, [1, 2, 0, 3, 4]), [channels * 3 * out, 9]);
  const reversed = constant(i32([8, 7, 6, 5, 4, 3, 2, 1, 0], [9]));
  return reshape(gather(flat, reversed, 1), [channels * 3, out, 1, 3, 3]);
}

/**
 * Adds the results of the three taps, each moved to the frame that it belongs to.
 * @param all `[B, O·3, T, H, W]`: for each channel the taps for two frames before, one before and the same
 * @param direction 1: taps look back; -1: they look ahead
 */
function gatherTaps(all: Tensor, direction: 1 | -1): Tensor {
  const [batch, filters, frames, height, width] = all.shape as [number, number, number, number, number];
  const joined = reshape(all, [batch, filters / 3, 3 * frames, height, width]);
  let total = slice(joined, 2, 2 * frames, 3 * frames);
  for (const distance of [1, 2]) {
    const [kept, start] = [frames - distance, (2 - distance) * frames];
    if (kept <= 0) break;
    const from = direction === 1 ? start : start + distance;
    const [before, after] = direction === 1 ? [distance, 0] : [0, distance];
    total = add(total, pad(slice(joined, 2, from, from + kept), 2, before, after));
  }
  return total;
}

function forward([x, weight, bias]: readonly Tensor[]): Tensor {
  // Only the filter of the frame itself has the bias.
  const [out] = weight!.shape as [number];
  const biases = reshape(pad(reshape(bias!, [out, 1]), 1, 2, 0), [3 * out]);
  return gatherTaps(conv(x!, tapsAsFilters(weight!), { ...BY_FRAME, bias: biases }), 1);
}

function weightGradient(x: Tensor, g: Tensor): Tensor {
  const [batch, channels, frames, height, width] = x.shape as [number, number, number, number, number];
  const out = g.size(1);
  const positions = frames * height * width;
  // The gradient as the frame two before, one before and the same frame saw it.
  const ahead = pad(g, 2, 0, 2);
  const taps = concat([slice(ahead, 2, 2), slice(ahead, 2, 1, frames + 1), g], 1);
  const rows = reshape(taps, [batch, 3 * out, positions]);
  const bordered = padAll(x, [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]);
  const columns = concat(
    [0, 1, 2].map((column) => slice(bordered, 4, column, column + width)),
    1,
  );
  const products = [0, 1, 2].map((row) => {
    const slid = reshape(slice(columns, 3, row, row + height), [batch, 3 * channels, positions]);
    return sum(matmul(rows, slid, { transposeB: true }), { axes: [0] });
  });
  // [row, tap, out, column, channel]
  const all = reshape(stack(products, 0), [3, 3, out, 3, channels]);
  return transpose(all, [2, 4, 1, 0, 3]);
}

function backward(g: Tensor, [x, weight]: readonly Tensor[]): Tensor[] {
  return [
    gatherTaps(conv(g, tapsAsFiltersBack(weight!), BY_FRAME), -1),
    weightGradient(x!, g),
    sum(g, { axes: [0, 2, 3, 4] }),
  ];
}

const applyCausal = withOwnGradient("narrowCausalConv", forward, backward);

/**
 * Causal 3x3x3 convolution with zeros around each frame and before the first.
 * @param x `[B, C, T, H, W]`
 * @param weight `[O, C, 3, 3, 3]`
 * @param bias `[O]`
 * @returns `[B, O, T, H, W]`
 */
export const narrowCausalConv = (x: Tensor, weight: Tensor, bias: Tensor): Tensor =>
  applyCausal([x, weight, bias]);

/** Geometry of a 3x3 convolution of frames `[B, C, H, W]` or clips `[B, C, T, H, W]` that keeps their size. */
const framed = (rank: number): ConvGeometry =>
  rank === 5 ? BY_FRAME : { strides: [1, 1], padsBefore: [1, 1], padsAfter: [1, 1] };

function frameWeightGradient(x: Tensor, g: Tensor, shape: Shape): Tensor {
  const [out, channels] = shape as [number, number];
  const rowAxis = x.rank - 2;
  const [height, width] = [x.size(-2), x.size(-1)];
  const tall = pad(g, rowAxis, 1, 1);
  const wide = pad(x, rowAxis + 1, 1, 1);
  const flat = (parts: readonly Tensor[]): Tensor => {
    const joined = concat(parts, 1);
    return reshape(joined, [joined.size(0), joined.size(1), -1]);
  };
  const rows = flat([slice(tall, rowAxis, 2), g, slice(tall, rowAxis, 0, height)]);
  const columns = flat([slice(wide, rowAxis + 1, 0, width), x, slice(wide, rowAxis + 1, 2)]);
  const products = sum(matmul(rows, columns, { transposeB: true }), { axes: [0] });
  // [row, out, column, channel]
  return reshape(transpose(reshape(products, [3, out, 3, channels]), [1, 3, 0, 2]), shape);
}

const applyFrames = withOwnGradient(
  "frameConv",
  ([x, weight, bias]) => conv(x!, weight!, { ...framed(x!.rank), bias: bias! }),
  (g, [x, weight]) => [
    convInputGradient(g, weight!, { ...framed(x!.rank), spatial: x!.shape.slice(2) }),
    frameWeightGradient(x!, g, weight!.shape),
    sum(g, { axes: g.shape.map((_, i) => i).filter((i) => i !== 1) }),
  ],
);

/**
 * 3x3 convolution of single frames with a zero border.
 * @param x `[B, C, H, W]` or `[B, C, T, H, W]`
 * @param weight `[O, C, 3, 3]` or `[O, C, 1, 3, 3]`
 * @param bias `[O]`
 * @returns x with O channels
 */
export const frameConv = (x: Tensor, weight: Tensor, bias: Tensor): Tensor => applyFrames([x, weight, bias]);
