/**
 * All shape arithmetic in one pure place. No graph, no device.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { formatShape, type Shape, type TensorType } from "./types.ts";

/** The error of every shape rule. It always says what to do. */
export function shapeError(
  op: string,
  message: string,
  details: { asked?: string; found?: string; why?: string; fix: string },
): VansError {
  return new VansError("VANS_TENSOR_SHAPE", `${op}: ${message}`, details);
}

/** Refuses inputs that are not f32, naming all of them. */
export function requireFloat(op: string, inputs: readonly (TensorType | undefined)[]): void {
  const given = inputs.filter((x) => x !== undefined);
  if (given.every((x) => x.dtype === "f32")) return;
  throw shapeError(op, `needs f32, got ${given.map((x) => x.dtype).join(" and ")}`, {
    found: given.map((x) => `${x.dtype}${formatShape(x.shape)}`).join(", "),
    fix: 'cast(x, "f32") first',
  });
}

/**
 * The shape of an elementwise result under numpy broadcasting: axes are aligned at the end; sizes agree or one is 1.
 *
 * @example
 * ```ts
 * import { broadcastShapes } from "vans/tensor";
 * broadcastShapes("add", [4, 1, 3], [5, 1]); // => [4, 5, 3]
 * ```
 * @throws `VANS_TENSOR_SHAPE` where two sizes differ and neither is 1.
 */
export function broadcastShapes(op: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    const left = a[a.length - rank + i] ?? 1;
    const right = b[b.length - rank + i] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw shapeError(op, "the shapes do not broadcast", {
        found: `left ${formatShape(a)}, right ${formatShape(b)}: axis ${i - rank} has ${left} against ${right}`,
        why: "axes are aligned at the end, and sizes must agree or be 1",
        fix: "reshape or transpose one side so that the axis agrees, or insert axes of size 1 where it should repeat",
      });
    }
    out.push(left === 1 ? right : left);
  }
  return out;
}

/** A possibly negative axis as 0 … rank-1. */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normal < 0 || normal >= rank) {
    throw shapeError(op, `axis ${axis} does not exist`, {
      found: `a tensor of ${rank} axes`,
      fix: `use an axis from ${-rank} to ${rank - 1}`,
    });
  }
  return normal;
}

/** Several axes, normalised, sorted and checked for repeats. */
export function normalizeAxes(op: string, axes: readonly number[], rank: number): number[] {
  const normal = axes.map((axis) => normalizeAxis(op, axis, rank)).sort((a, b) => a - b);
  for (let i = 1; i < normal.length; i++) {
    if (normal[i] === normal[i - 1])
      throw shapeError(op, `axis ${normal[i]} is named twice`, {
        found: `axes [${axes.join(", ")}] of ${rank}`,
        fix: "name every axis once; negative ones count from the end",
      });
  }
  return normal;
}

/** The shape after reducing sorted axes. */
export function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): number[] {
  const out: number[] = [];
  shape.forEach((size, axis) => {
    if (!axes.includes(axis)) out.push(size);
    else if (keepDims) out.push(1);
  });
  return out;
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i]!;
  }
  return strides;
}

/**
 * For every element of `outShape` in order, the index of the element of `inShape` that broadcasts to it.
 */
export function broadcastIndices(inShape: Shape, outShape: Shape): Int32Array {
  const rank = outShape.length;
  const inStrides = stridesOf(inShape);
  const strides = outShape.map((_, i) => {
    const j = i - (rank - inShape.length);
    return j >= 0 && inShape[j] !== 1 ? inStrides[j]! : 0;
  });
  return stridedIndices(outShape, strides, 0);
}

/** Indices of a strided view in row-major order. */
export function stridedIndices(shape: Shape, strides: readonly number[], offset: number): Int32Array {
  let size = 1;
  for (const axis of shape) size *= axis;
  const out = new Int32Array(size);
  const counter = new Array<number>(shape.length).fill(0);
  let at = offset;
  for (let i = 0; i < size; i++) {
    out[i] = at;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      counter[axis]!++;
      at += strides[axis]!;
      if (counter[axis]! < shape[axis]!) break;
      at -= strides[axis]! * shape[axis]!;
      counter[axis] = 0;
    }
  }
  return out;
}

/**
 * The output size of one convolved axis.
 * @throws `VANS_TENSOR_SHAPE` where the window is larger than the padded axis.
 */
export function convolvedSize(
  op: string,
  size: number,
  kernel: number,
  stride: number,
  padBefore: number,
  padAfter: number,
): number {
  const padded = size + padBefore + padAfter;
  if (padded < kernel) {
    throw shapeError(op, "the kernel is larger than the padded axis", {
      found: `axis ${size}, pads ${padBefore} and ${padAfter}, kernel ${kernel}`,
      fix: "pad more or use a larger input",
    });
  }
  return Math.floor((padded - kernel) / stride) + 1;
}
