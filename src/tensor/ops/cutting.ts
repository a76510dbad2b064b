/**
 * Ops that cut values out, join them and put zeros around them: slice, concat, split, pad.
 * @module
 */
import { apply, applyAll, type Tensor } from "../graph.ts";
import { defineOp } from "../op.ts";
import { normalizeAxis, shapeError, stridedIndices, stridesOf } from "../shape.ts";
import { formatShape, sizeOf } from "../types.ts";
import { allocate } from "./elementwise.ts";
import { reshape } from "./layout.ts";
import { pick } from "./picked-values.ts";

const zeroFlops = (): number => 0;

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
