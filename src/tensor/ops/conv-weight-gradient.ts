/**
 * The weight gradient of a convolution as matrix products over shifted copies of the input.
 * @module
 */
import type { OnnxEmitter } from "../op.ts";
import { stridesOf } from "../shape.ts";
import { type Shape, sizeOf } from "../types.ts";
import { spatialOf, type WeightGradientAttrs } from "./conv-geometry.ts";

/**
 * The shifts along the last axis become channels, once; for each tap of the other axes a window slides over them (long
 * runs in memory, cheap to copy) and is multiplied with the gradient. Gathering every tap into one product costs 1.4
 * times as much, the runtime's `Conv` with the gradient as its kernel 3-4 times, for the small kernels and few
 * channels of video autoencoders.
 */
export function lowerWeightGradient(
  emit: OnnxEmitter,
  x: string,
  g: string,
  xShape: Shape,
  gShape: Shape,
  attrs: WeightGradientAttrs,
): string[] {
  const { strides, padsBefore, padsAfter, kernel } = attrs;
  const last = kernel.length - 1;
  const [batch, channels] = xShape as [number, number];
  const outChannels = gShape[1]!;
  const out = spatialOf(gShape);
  const reshaped = (value: string, shape: Shape): string =>
    emit.node("Reshape", [value, emit.ints(shape)], { allowzero: { int: 1 } })[0]!;
  const paddedShape = spatialOf(xShape).map((size, i) => size + padsBefore[i]! + padsAfter[i]!);
  const isPadded = [...padsBefore, ...padsAfter].some((pad) => pad > 0);
  const padded = isPadded
    ? emit.node("Pad", [x, emit.ints([0, 0, ...padsBefore, 0, 0, ...padsAfter])])[0]!
    : x;

  /** The positions of some spatial axes that the tap `at` of the kernel meets, one an output position. */
  const window = (value: string, axes: readonly number[], at: (axis: number) => number): string => {
    const isWhole = (axis: number): boolean =>
      at(axis) === 0 && strides[axis] === 1 && out[axis] === paddedShape[axis];
    const cut = axes.filter((axis) => !isWhole(axis));
    if (cut.length === 0) return value;
    const ends = cut.map((axis) => at(axis) + (out[axis]! - 1) * strides[axis]! + 1);
    return emit.node("Slice", [
      value,
      emit.ints(cut.map(at)),
      emit.ints(ends),
      emit.ints(cut.map((axis) => axis + 2)),
      emit.ints(cut.map((axis) => strides[axis]!)),
    ])[0]!;
  };

  const shifted = Array.from({ length: kernel[last]! }, (_, tap) => window(padded, [last], () => tap));
  const columns = shifted.length === 1 ? shifted[0]! : emit.node("Concat", shifted, { axis: { int: 1 } })[0]!;
  const width = kernel[last]! * channels;
  const positions = sizeOf(out);
  const rows = reshaped(g, [batch, outChannels, positions]);
  const leading = kernel.slice(0, last);
  const leadingStrides = stridesOf(leading);
  const leadingAxes = leading.map((_, axis) => axis);
  const products = Array.from({ length: sizeOf(leading) }, (_, tap) => {
    const slid = window(
      columns,
      leadingAxes,
      (axis) => Math.floor(tap / leadingStrides[axis]!) % leading[axis]!,
    );
    return timesTransposed(emit, rows, reshaped(slid, [batch, width, positions]));
  });
  const product =
    products.length === 1 ? products[0]! : emit.node("Concat", products, { axis: { int: 2 } })[0]!;
  const summed = emit.node("ReduceSum", [product, emit.ints([0])], { keepdims: { int: 0 } })[0]!;
  const split = reshaped(summed, [outChannels, sizeOf(kernel), channels]);
  const turned = emit.node("Transpose", [split], { perm: { ints: [0, 2, 1] } })[0]!;
  return [reshaped(turned, [outChannels, channels, ...kernel])];
}

/** `a · bᵀ` of batches of matrices. */
function timesTransposed(emit: OnnxEmitter, a: string, b: string): string {
  if (emit.target === "cpu" || emit.target === "cuda") {
    const flags = { transA: { int: 0 }, transB: { int: 1 }, alpha: { float: 1 } };
    return emit.node("FusedMatMul", [a, b], flags, { domain: "com.microsoft" })[0]!;
  }
  return emit.node("MatMul", [a, emit.node("Transpose", [b], { perm: { ints: [0, 2, 1] } })[0]!])[0]!;
}
