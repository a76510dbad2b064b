/**
 * Ops that move values without changing them: reshape, transpose, broadcast.
 * @module
 */
import { apply, type Node, Tensor } from "../graph.ts";
import { defineOp } from "../op.ts";
import {
  broadcastIndices,
  broadcastShapes,
  normalizeAxis,
  shapeError,
  stridedIndices,
  stridesOf,
} from "../shape.ts";
import { formatShape, type Shape, sameShape, sizeOf } from "../types.ts";
import { pick } from "./picked-values.ts";

/** Output `index` of a node as a tensor. */
export function outputTensor(node: Node, index: number): Tensor {
  return new Tensor(node, index);
}

const zeroFlops = (): number => 0;

const reshapeOp = defineOp<{ readonly shape: Shape }>({
  name: "reshape",
  infer: ([x], attrs) => {
    if (sizeOf(x!.shape) !== sizeOf(attrs.shape)) {
      throw shapeError("reshape", "the number of elements must stay the same", {
        found: `from ${formatShape(x!.shape)} (${sizeOf(x!.shape)}) to ${formatShape(attrs.shape)} (${sizeOf(attrs.shape)})`,
        fix: "one axis of the new shape may be -1; it is computed",
      });
    }
    return [{ dtype: x!.dtype, shape: attrs.shape }];
  },
  gradient: (node, [g], ops) => [g && ops.reshape(g, node.inputs[0]!.shape)],
  // allowzero: an axis of 0 means 0 and not "copy the input's axis".
  lower: (emit, [x], node) =>
    emit.node("Reshape", [x!, emit.ints(node.attrs.shape)], { allowzero: { int: 1 } }),
  evaluate: ([x], node) => [{ shape: node.attrs.shape, data: x!.data }],
  flops: zeroFlops,
});

/**
 * The same values in another shape; one axis may be -1.
 *
 * @example
 * ```ts
 * import { input, reshape } from "vans/tensor";
 * reshape(input("x", [2, 3, 4]), [2, -1]).shape; // => [2, 12]
 * ```
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const open = shape.indexOf(-1);
  const known = shape.reduce((product, axis) => (axis === -1 ? product : product * axis), 1);
  const full = open < 0 ? [...shape] : shape.map((axis) => (axis === -1 ? sizeOf(x.shape) / known : axis));
  if (open >= 0 && (shape.lastIndexOf(-1) !== open || !Number.isInteger(full[open]))) {
    throw shapeError("reshape", "the open axis cannot be computed", {
      found: `from ${formatShape(x.shape)} (${sizeOf(x.shape)}) to ${formatShape(shape)}`,
      fix: "leave one axis open at most, and let the others divide the number of elements",
    });
  }
  if (sameShape(full, x.shape)) return x;
  // Of several reshapes in a row only the last counts.
  if (x.node.op.name === "reshape" && sizeOf(full) === sizeOf(x.shape))
    return reshape(x.node.inputs[0]!, full);
  return apply(reshapeOp, [x], { shape: full });
}

const transposeOp = defineOp<{ readonly permutation: readonly number[] }>({
  name: "transpose",
  infer: ([x], { permutation }) => {
    if (
      [...permutation].sort((a, b) => a - b).some((axis, i) => axis !== i) ||
      permutation.length !== x!.shape.length
    ) {
      throw shapeError("transpose", "the permutation must name every axis once", {
        found: `shape ${formatShape(x!.shape)}, permutation [${permutation.join(", ")}]`,
        fix: `use each of 0 … ${x!.shape.length - 1} once, or swapAxes()`,
      });
    }
    return [{ dtype: x!.dtype, shape: permutation.map((axis) => x!.shape[axis]!) }];
  },
  gradient: (node, [g], ops) => {
    const inverse: number[] = [];
    node.attrs.permutation.forEach((axis, i) => {
      inverse[axis] = i;
    });
    return [g && ops.transpose(g, inverse)];
  },
  lower: (emit, inputs, node) => emit.node("Transpose", inputs, { perm: { ints: node.attrs.permutation } }),
  evaluate: ([x], node) => {
    const { shape, dtype } = node.types[0]!;
    const strides = stridesOf(x!.shape);
    const at = stridedIndices(
      shape,
      node.attrs.permutation.map((axis) => strides[axis]!),
      0,
    );
    return [{ shape, data: pick(x!.data, at, dtype) }];
  },
  flops: zeroFlops,
});

/** Axes in a new order: axis i of the result is axis `permutation[i]` of x. */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  if (permutation.every((axis, i) => axis === i) && permutation.length === x.rank) return x;
  return apply(transposeOp, [x], { permutation: [...permutation] });
}

/** Swaps two axes (negative ones count from the end). */
export function swapAxes(x: Tensor, a: number, b: number): Tensor {
  const permutation = x.shape.map((_, i) => i);
  const first = normalizeAxis("swapAxes", a, x.rank);
  const second = normalizeAxis("swapAxes", b, x.rank);
  permutation[first] = second;
  permutation[second] = first;
  return transpose(x, permutation);
}

const broadcastOp = defineOp<{ readonly shape: Shape }>({
  name: "broadcast",
  infer: ([x], attrs) => {
    const shape = broadcastShapes("broadcastTo", x!.shape, attrs.shape);
    if (!sameShape(shape, attrs.shape)) {
      throw shapeError("broadcastTo", "the target is smaller than the tensor", {
        found: `from ${formatShape(x!.shape)} to ${formatShape(attrs.shape)}`,
        fix: "broadcasting only adds and repeats; sum() or slice() makes smaller",
      });
    }
    return [{ dtype: x!.dtype, shape: attrs.shape }];
  },
  gradient: (node, [g], ops) => [g && ops.sumTo(g, node.inputs[0]!.shape)],
  lower: (emit, [x], node) => emit.node("Expand", [x!, emit.ints(node.attrs.shape)]),
  evaluate: ([x], node) => {
    const { shape, dtype } = node.types[0]!;
    return [{ shape, data: pick(x!.data, broadcastIndices(x!.shape, shape), dtype) }];
  },
  flops: zeroFlops,
});

/** Repeats axes of size 1 (and missing leading ones) up to `shape`. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : apply(broadcastOp, [x], { shape: [...shape] });
}

/** Repeats every element of an axis `times` times in place (a a b b …): nearest upsampling along that axis. */
export function repeatInterleave(x: Tensor, axis: number, times: number): Tensor {
  if (times === 1) return x;
  const at = normalizeAxis("repeatInterleave", axis, x.rank);
  const column = reshape(x, [...x.shape.slice(0, at + 1), 1, ...x.shape.slice(at + 1)]);
  const wide = broadcastTo(column, [...x.shape.slice(0, at + 1), times, ...x.shape.slice(at + 1)]);
  return reshape(
    wide,
    x.shape.map((s, i) => (i === at ? s * times : s)),
  );
}
