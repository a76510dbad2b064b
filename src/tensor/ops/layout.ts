/**
 * Ops that move values without changing them: reshape, transpose, broadcast, slice, concat, split, pad.
 * @module
 */
import { apply, applyAll, type Node, Tensor } from "../graph.ts";
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
import { allocate } from "./elementwise.ts";

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

function pick(
  data: Float64Array | Int32Array | Uint8Array,
  at: Int32Array,
  dtype: "f32" | "i32" | "bool",
): Float64Array | Int32Array | Uint8Array {
  const out = allocate(dtype, at.length);
  for (let i = 0; i < at.length; i++) out[i] = data[at[i]!]!;
  return out;
}

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

interface SliceAttrs {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

const sliceOp = defineOp<SliceAttrs>({
  name: "slice",
  infer: ([x], { axis, start, end, step }) => {
    const size = x!.shape[axis]!;
    if (start < 0 || end > size || start > end || step < 1) {
      throw shapeError("slice", `range ${start} … ${end} step ${step} does not fit axis ${axis}`, {
        found: `shape ${formatShape(x!.shape)}`,
        fix: `use 0 <= start <= end <= ${size} and step >= 1`,
      });
    }
    return [
      { dtype: x!.dtype, shape: x!.shape.map((s, i) => (i === axis ? Math.ceil((end - start) / step) : s)) },
    ];
  },
  gradient: (node, [g], ops) => {
    if (!g) return [undefined];
    const { axis, start, step } = node.attrs;
    const size = node.inputs[0]!.shape[axis]!;
    const spread = ops.dilate(g, axis, step);
    return [ops.pad(spread, axis, start, size - start - spread.shape[axis]!)];
  },
  lower: (emit, [x], { attrs }) =>
    emit.node("Slice", [
      x!,
      emit.ints([attrs.start]),
      emit.ints([attrs.end]),
      emit.ints([attrs.axis]),
      emit.ints([attrs.step]),
    ]),
  evaluate: ([x], node) => {
    const { axis, start, step } = node.attrs;
    const { shape, dtype } = node.types[0]!;
    const strides = stridesOf(x!.shape);
    const offset = start * strides[axis]!;
    const at = stridedIndices(
      shape,
      strides.map((stride, i) => (i === axis ? stride * step : stride)),
      offset,
    );
    return [{ shape, data: pick(x!.data, at, dtype) }];
  },
  flops: zeroFlops,
});

/** Elements `start` … `end`-1 of an axis (negative positions count from the end), every `step`-th. */
export function slice(x: Tensor, axis: number, start: number, end: number = x.size(axis), step = 1): Tensor {
  const at = normalizeAxis("slice", axis, x.rank);
  const size = x.shape[at]!;
  const from = start < 0 ? start + size : start;
  const to = end < 0 ? end + size : end;
  if (from === 0 && to === size && step === 1) return x;
  return apply(sliceOp, [x], { axis: at, start: from, end: to, step });
}

/** One index of an axis, which disappears. */
export function select(x: Tensor, axis: number, index: number): Tensor {
  const at = normalizeAxis("select", axis, x.rank);
  const from = index < 0 ? index + x.shape[at]! : index;
  return reshape(
    slice(x, at, from, from + 1),
    x.shape.filter((_, i) => i !== at),
  );
}

const concatOp = defineOp<{ readonly axis: number }>({
  name: "concat",
  infer: (inputs, { axis }) => {
    const first = inputs[0]!;
    inputs.forEach((x, i) => {
      const fits =
        x.dtype === first.dtype &&
        x.shape.length === first.shape.length &&
        x.shape.every((s, j) => j === axis || s === first.shape[j]);
      if (!fits) {
        throw shapeError("concat", `part ${i} does not fit part 0 along axis ${axis}`, {
          found: `part 0 ${first.dtype}${formatShape(first.shape)}, part ${i} ${x.dtype}${formatShape(x.shape)}`,
          fix: `all axes but ${axis} and the element type must agree`,
        });
      }
    });
    const total = inputs.reduce((sum, x) => sum + x.shape[axis]!, 0);
    return [{ dtype: first.dtype, shape: first.shape.map((s, i) => (i === axis ? total : s)) }];
  },
  gradient: (node, [g], ops) => {
    if (!g) return node.inputs.map(() => undefined);
    const { axis } = node.attrs;
    return ops.split(
      g,
      axis,
      node.inputs.map((x) => x.shape[axis]!),
    );
  },
  lower: (emit, inputs, node) => emit.node("Concat", inputs, { axis: { int: node.attrs.axis } }),
  evaluate: (inputs, node) => {
    const { shape, dtype } = node.types[0]!;
    const { axis } = node.attrs;
    const outer = sizeOf(shape.slice(0, axis));
    const data = allocate(dtype, sizeOf(shape));
    const rowSize = sizeOf(shape.slice(axis));
    let offset = 0;
    for (const x of inputs) {
      const chunk = sizeOf(x.shape.slice(axis));
      for (let o = 0; o < outer; o++)
        data.set(x.data.subarray(o * chunk, (o + 1) * chunk), o * rowSize + offset);
      offset += chunk;
    }
    return [{ shape, data }];
  },
  flops: zeroFlops,
});

/** Joins tensors along an axis. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  if (parts.length === 0)
    throw shapeError("concat", "needs at least one part", {
      fix: "leave the concat out where there is nothing",
    });
  if (parts.length === 1) return parts[0]!;
  return apply(concatOp, parts, { axis: normalizeAxis("concat", axis, parts[0]!.rank) });
}

/** Stacks tensors of one shape along a new axis. */
export function stack(parts: readonly Tensor[], axis: number): Tensor {
  const at = axis < 0 ? axis + parts[0]!.rank + 1 : axis;
  return concat(
    parts.map((part) => reshape(part, [...part.shape.slice(0, at), 1, ...part.shape.slice(at)])),
    at,
  );
}

const splitOp = defineOp<{ readonly axis: number; readonly sizes: readonly number[] }>({
  name: "split",
  infer: ([x], { axis, sizes }) => {
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (total !== x!.shape[axis] || sizes.some((size) => !Number.isInteger(size) || size < 0)) {
      throw shapeError("split", `sizes must be whole and sum to the size of axis ${axis}`, {
        found: `sizes [${sizes.join(", ")}] sum to ${total}, shape ${formatShape(x!.shape)}`,
        fix: `give whole sizes that sum to ${x!.shape[axis]}; equal chunks must divide it`,
      });
    }
    return sizes.map((size) => ({ dtype: x!.dtype, shape: x!.shape.map((s, i) => (i === axis ? size : s)) }));
  },
  gradient: (node, gradients, ops) => {
    if (node.inputs[0]!.dtype !== "f32") return [undefined];
    const parts = gradients.map((g, i) => g ?? ops.full(node.types[i]!.shape, 0));
    return [ops.concat(parts, node.attrs.axis)];
  },
  lower: (emit, [x], { attrs }) =>
    emit.node(
      "Split",
      [x!, emit.ints(attrs.sizes)],
      { axis: { int: attrs.axis } },
      { outputCount: attrs.sizes.length },
    ),
  evaluate: ([x], node) => {
    const strides = stridesOf(x!.shape);
    let offset = 0;
    return node.types.map(({ shape, dtype }, i) => {
      const at = stridedIndices(shape, strides, offset * strides[node.attrs.axis]!);
      offset += node.attrs.sizes[i]!;
      return { shape, data: pick(x!.data, at, dtype) };
    });
  },
  flops: zeroFlops,
});

/** Cuts an axis into parts of the given sizes. */
export function split(x: Tensor, axis: number, sizes: readonly number[]): Tensor[] {
  if (sizes.length === 1) return [x];
  return applyAll(splitOp, [x], { axis: normalizeAxis("split", axis, x.rank), sizes: [...sizes] });
}

/** Cuts an axis into `count` equal parts. */
export function chunk(x: Tensor, axis: number, count: number): Tensor[] {
  return split(x, axis, new Array<number>(count).fill(x.size(axis) / count));
}

interface PadAttrs {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const padOp = defineOp<PadAttrs>({
  name: "pad",
  infer: ([x], { before, after }) => {
    if (
      before.length !== x!.shape.length ||
      after.length !== x!.shape.length ||
      [...before, ...after].some((p) => p < 0)
    ) {
      throw shapeError("pad", "needs a non-negative pad before and after every axis", {
        found: `shape ${formatShape(x!.shape)}, before [${before.join(", ")}], after [${after.join(", ")}]`,
        fix: "use pad(x, axis, before, after) for one axis, slice() to cut",
      });
    }
    return [{ dtype: x!.dtype, shape: x!.shape.map((s, i) => s + before[i]! + after[i]!) }];
  },
  gradient: (node, [g], ops) => {
    if (!g) return [undefined];
    const { before } = node.attrs;
    return [
      node.inputs[0]!.shape.reduce(
        (cut, size, axis) => ops.slice(cut, axis, before[axis]!, before[axis]! + size),
        g,
      ),
    ];
  },
  lower: (emit, [x], { attrs }) => emit.node("Pad", [x!, emit.ints([...attrs.before, ...attrs.after])]),
  evaluate: ([x], node) => {
    const { shape, dtype } = node.types[0]!;
    const data = allocate(dtype, sizeOf(shape));
    const strides = stridesOf(shape);
    const offset = node.attrs.before.reduce((sum, pad, i) => sum + pad * strides[i]!, 0);
    const at = stridedIndices(x!.shape, strides, offset);
    for (let i = 0; i < at.length; i++) data[at[i]!] = x!.data[i]!;
    return [{ shape, data }];
  },
  flops: zeroFlops,
});

/** Zeros before and after every axis. */
export function padAll(x: Tensor, before: readonly number[], after: readonly number[]): Tensor {
  if ([...before, ...after].every((p) => p === 0)) return x;
  return apply(padOp, [x], { before: [...before], after: [...after] });
}

/** Zeros before and after one axis. */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  const at = normalizeAxis("pad", axis, x.rank);
  return padAll(
    x,
    x.shape.map((_, i) => (i === at ? before : 0)),
    x.shape.map((_, i) => (i === at ? after : 0)),
  );
}

/** `step`-1 zeros between neighbours of an axis; the gradient of a strided slice. */
export function dilate(x: Tensor, axis: number, step: number): Tensor {
  if (step === 1) return x;
  const at = normalizeAxis("dilate", axis, x.rank);
  const size = x.shape[at]!;
  if (size === 0) return x;
  const column = reshape(x, [...x.shape.slice(0, at + 1), 1, ...x.shape.slice(at + 1)]);
  const merged = x.shape.map((s, i) => (i === at ? s * step : s));
  return slice(reshape(pad(column, at + 1, 0, step - 1), merged), at, 0, (size - 1) * step + 1);
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
