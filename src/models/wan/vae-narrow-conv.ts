/**
 * The causal 3x3x3 convolution with few channels, forward and backward.
 *
 * The runtime convolves by gathering the values under a filter (27 a channel) and multiplying matrices. With 8 filters
 * the gathering costs more than the product. So the three temporal taps become three times as many filters over single
 * frames (9 values a channel), and their results are shifted in time and added. The backward pass is the same in mirror
 * image; the weight gradient gathers 3 columns of x and slides them over 3 rows.
 * @module
 */
import {
  add,
  chunk,
  concat,
  constant,
  conv,
  full,
  gather,
  i32,
  matmul,
  pad,
  padAll,
  reshape,
  slice,
  stack,
  sum,
  type Tensor,
  transpose,
} from "../../tensor/index.ts";
import { withOwnGradient } from "./own-gradient.ts";

/** Geometry of a 3x3 convolution of single frames that keeps their size. */
const BY_FRAME = { strides: [1, 1, 1], padsBefore: [0, 1, 1], padsAfter: [0, 1, 1] } as const;

/** Weight `[O, C, 3, 3, 3]` as the weight of single frames `[3·O, C, 1, 3, 3]`, one third a temporal tap. */
function tapsAsFilters(weight: Tensor): Tensor {
  const [out, channels] = weight.shape as [number, number];
  return reshape(transpose(weight, [2, 0, 1, 3, 4]), [3 * out, channels, 1, 3, 3]);
}

/** The weight that leads back from outputs to inputs: `[3·C, O, 1, 3, 3]`, rows and columns reversed. */
function tapsAsFiltersBack(weight: Tensor): Tensor {
  const [out, channels] = weight.shape as [number, number];
  const flat = reshape(transpose(weight, [2, 1, 0, 3, 4]), [3 * channels * out, 9]);
  const reversed = constant(i32([8, 7, 6, 5, 4, 3, 2, 1, 0], [9]));
  return reshape(gather(flat, reversed, 1), [3 * channels, out, 1, 3, 3]);
}

/** x moved by so many frames (later where positive), with zeros behind it; undefined where nothing of it is left. */
function shifted(x: Tensor, frames: number): Tensor | undefined {
  const count = x.size(2) - Math.abs(frames);
  if (count <= 0) return undefined;
  if (frames >= 0) return pad(slice(x, 2, 0, count), 2, frames, 0);
  return pad(slice(x, 2, -frames), 2, 0, -frames);
}

/** Thirds of the channels, for the frame two before, one before and the same, moved to where they belong and added. */
function gatherTaps(all: Tensor, direction: 1 | -1): Tensor {
  const [twoBefore, oneBefore, same] = chunk(all, 1, 3) as [Tensor, Tensor, Tensor];
  const moved = [shifted(oneBefore, direction), shifted(twoBefore, 2 * direction)];
  return moved.reduce<Tensor>((total, part) => (part ? add(total, part) : total), same);
}

function forward([x, weight, bias]: readonly Tensor[]): Tensor {
  const out = weight!.size(0);
  const filters = tapsAsFilters(weight!);
  return gatherTaps(conv(x!, filters, { ...BY_FRAME, bias: concat([full([2 * out], 0), bias!], 0) }), 1);
}

function weightGradient(x: Tensor, g: Tensor): Tensor {
  const [batch, channels, frames, height, width] = x.shape as [number, number, number, number, number];
  const out = g.size(1);
  const positions = frames * height * width;
  const zeros = full(g.shape, 0);
  const taps = concat([shifted(g, -2) ?? zeros, shifted(g, -1) ?? zeros, g], 1);
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

const apply = withOwnGradient("narrowCausalConv", forward, backward);

/**
 * Causal 3x3x3 convolution with zeros around each frame and before the first.
 * @param x `[B, C, T, H, W]`
 * @param weight `[O, C, 3, 3, 3]`
 * @param bias `[O]`
 * @returns `[B, O, T, H, W]`
 */
export const narrowCausalConv = (x: Tensor, weight: Tensor, bias: Tensor): Tensor => apply([x, weight, bias]);
