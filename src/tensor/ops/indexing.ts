/**
 * Looking up by integers: rows of a table, elements along an axis, and the scatters that are their gradients.
 * @module
 */
import { VansError } from "../../base/errors.ts";
import { apply, type Tensor } from "../graph.ts";
import { defineOp, type Value } from "../op.ts";
import { normalizeAxis, shapeError, stridesOf } from "../shape.ts";
import { formatShape, type Shape, sameShape, sizeOf } from "../types.ts";
import { allocate, cast, equal, mul } from "./elementwise.ts";
import { reshape } from "./layout.ts";
import { iota } from "./leaf.ts";
import { sum } from "./reduce.ts";

const zeroFlops = (): number => 0;

function needIntegers(op: string, dtype: string): void {
  if (dtype !== "i32")
    throw shapeError(op, `the indices must be i32, got ${dtype}`, { fix: 'input(name, shape, "i32")' });
}

/** What the runtime refuses as a whole, the interpreter names: the op, the index and the axis. */
function checkIndices(op: string, indices: Value, size: number): void {
  const at = indices.data.findIndex((index) => index < 0 || index >= size);
  if (at < 0) return;
  throw new VansError("VANS_TENSOR_INDEX", `${op}: an index lies outside of its axis`, {
    found: `index ${indices.data[at]} at position ${at} of ${formatShape(indices.shape)}, axis of ${size}`,
    why: "an id outside of the vocabulary, or tables and indices of different models",
    fix: `feed indices from 0 to ${size - 1}`,
  });
}

const gatherOp = defineOp<{ readonly axis: number }>({
  name: "gather",
  infer: ([x, indices], { axis }) => {
    needIntegers("gather", indices!.dtype);
    return [
      {
        dtype: x!.dtype,
        shape: [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)],
      },
    ];
  },
  gradient: (node, [g], ops) => {
    const [x, indices] = node.inputs as [Tensor, Tensor];
    if (!g || x.dtype !== "f32") return [undefined, undefined];
    const { axis } = node.attrs;
    // Rows are added up along the first axis; another axis is moved there and back.
    const count = sizeOf(indices.shape);
    const outer = sizeOf(x.shape.slice(0, axis));
    const inner = sizeOf(x.shape.slice(axis + 1));
    const rows = ops.reshape(ops.transpose(ops.reshape(g, [outer, count, inner]), [1, 0, 2]), [
      count,
      outer * inner,
    ]);
    const added = ops.scatterRows(rows, ops.reshape(indices, [count]), x.shape[axis]!);
    const back = ops.transpose(ops.reshape(added, [x.shape[axis]!, outer, inner]), [1, 0, 2]);
    return [ops.reshape(back, x.shape), undefined];
  },
  lower: (emit, inputs, node) => emit.node("Gather", inputs, { axis: { int: node.attrs.axis } }),
  evaluate: ([x, indices], node) => {
    const { axis } = node.attrs;
    const { shape, dtype } = node.types[0]!;
    const outer = sizeOf(x!.shape.slice(0, axis));
    const inner = sizeOf(x!.shape.slice(axis + 1));
    const size = x!.shape[axis]!;
    const count = indices!.data.length;
    checkIndices("gather", indices!, size);
    const data = allocate(dtype, sizeOf(shape));
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < count; i++) {
        const from = (o * size + indices!.data[i]!) * inner;
        data.set(x!.data.subarray(from, from + inner), (o * count + i) * inner);
      }
    }
    return [{ shape, data }];
  },
  flops: zeroFlops,
});

/**
 * Picks entries of an axis: `[…, axis, …]` and indices `[…i]` give `[…, …i, …]`. Indices must be within the axis.
 *
 * @example
 * ```ts
 * import { gather, input } from "vans/tensor";
 * gather(input("table", [100, 8]), input("ids", [2, 5], "i32")).shape; // => [2, 5, 8]
 * ```
 */
export function gather(x: Tensor, indices: Tensor, axis = 0): Tensor {
  return apply(gatherOp, [x, indices], { axis: normalizeAxis("gather", axis, x.rank) });
}

/** Rows of an embedding table `[vocabulary, width]` for integer ids. */
export const embedding = (table: Tensor, ids: Tensor): Tensor => gather(table, ids, 0);

/** Up to this many rows, and this many elements of the one-hot matrix, the product beats the scatter. */
const ONE_HOT_ROWS = 128;
const ONE_HOT_ELEMENTS = 1_000_000;

const scatterRowsOp = defineOp<{ readonly rows: number }>({
  name: "scatterRows",
  infer: ([updates, indices], { rows }) => {
    needIntegers("scatterRows", indices!.dtype);
    if (
      updates!.shape.length !== 2 ||
      indices!.shape.length !== 1 ||
      updates!.shape[0] !== indices!.shape[0]
    ) {
      throw shapeError("scatterRows", "needs one index a row", {
        found: `rows ${formatShape(updates!.shape)}, indices ${formatShape(indices!.shape)}`,
        fix: "rows [n, width], indices [n]",
      });
    }
    return [{ dtype: "f32", shape: [rows, updates!.shape[1]!] }];
  },
  gradient: (node, [g], ops) => [g && ops.gather(g, node.inputs[1]!, 0), undefined],
  lower: (emit, [updates, indices], node) => {
    const [rows, width] = node.types[0]!.shape as [number, number];
    const zeros = emit.node("Expand", [emit.floats([0], [1, 1]), emit.ints([rows, width])])[0]!;
    const count = node.inputs[1]!.shape[0]!;
    const long = emit.node("Cast", [indices!], { to: { int: 7 } })[0]!;
    const column = emit.node("Reshape", [long, emit.ints([count, 1])], { allowzero: { int: 1 } })[0]!;
    if (emit.target === "cpu" || emit.target === "wasm") {
      // The CPU's ScatterND adds from several threads without locks and now and then loses rows of equal indices
      // (onnxruntime 1.30). A product with one-hot rows is quick for small tables; ScatterElements has one thread.
      if (rows <= ONE_HOT_ROWS && count * rows <= ONE_HOT_ELEMENTS && count > 0) {
        const names = emit.ints(Array.from({ length: rows }, (_, i) => i));
        const hits = emit.node("Cast", emit.node("Equal", [column, names]), { to: { int: 1 } })[0]!;
        return emit.node("Gemm", [hits, updates!], { transA: { int: 1 } });
      }
      const wide = emit.node("Expand", [column, emit.ints([count, width])])[0]!;
      const how = { axis: { int: 0 }, reduction: { text: "add" } };
      return emit.node("ScatterElements", [zeros, wide, updates!], how);
    }
    return emit.node("ScatterND", [zeros, column, updates!], { reduction: { text: "add" } });
  },
  evaluate: ([updates, indices], node) => {
    const { shape } = node.types[0]!;
    const width = shape[1]!;
    checkIndices("scatterRows", indices!, shape[0]!);
    const data = new Float64Array(sizeOf(shape));
    for (let i = 0; i < indices!.data.length; i++) {
      for (let j = 0; j < width; j++) data[indices!.data[i]! * width + j]! += updates!.data[i * width + j]!;
    }
    return [{ shape, data }];
  },
  flops: (node) => sizeOf(node.inputs[0]!.shape),
});

/** Adds up rows `[n, width]` at their indices `[n]` into a zero table `[rows, width]`. */
export function scatterRows(updates: Tensor, indices: Tensor, rows: number): Tensor {
  return apply(scatterRowsOp, [updates, indices], { rows });
}

const takeOp = defineOp<{ readonly axis: number }>({
  name: "takeAlong",
  infer: ([x, indices], { axis }) => {
    needIntegers("takeAlong", indices!.dtype);
    const fits =
      x!.shape.length === indices!.shape.length &&
      x!.shape.every((s, i) => i === axis || s === indices!.shape[i]);
    if (!fits)
      throw shapeError("takeAlong", `all axes but ${axis} must agree`, {
        found: `${formatShape(x!.shape)} and indices ${formatShape(indices!.shape)}`,
        fix: `broadcastTo() the indices, or use gather() for whole entries of axis ${axis}`,
      });
    return [{ dtype: x!.dtype, shape: indices!.shape }];
  },
  gradient: (node, [g], ops) => {
    const [x, indices] = node.inputs as [Tensor, Tensor];
    return [g && ops.putAlong(g, indices, node.attrs.axis, x.shape), undefined];
  },
  lower: (emit, inputs, node) => emit.node("GatherElements", inputs, { axis: { int: node.attrs.axis } }),
  evaluate: ([x, indices], node) => {
    const { shape, dtype } = node.types[0]!;
    checkIndices("takeAlong", indices!, x!.shape[node.attrs.axis]!);
    const data = allocate(dtype, sizeOf(shape));
    alongAxis(x!.shape, shape, node.attrs.axis, indices!.data, (from, to) => {
      data[to] = x!.data[from]!;
    });
    return [{ shape, data }];
  },
  flops: zeroFlops,
});

/** Visits (position in the large tensor, position in the indexed one). */
function alongAxis(
  large: Shape,
  small: Shape,
  axis: number,
  indices: ArrayLike<number>,
  visit: (large: number, small: number) => void,
): void {
  const strides = stridesOf(large);
  const smallStrides = stridesOf(small);
  const size = sizeOf(small);
  for (let i = 0; i < size; i++) {
    let at = 0;
    for (let a = 0; a < small.length; a++) {
      const coordinate = a === axis ? indices[i]! : Math.floor(i / smallStrides[a]!) % small[a]!;
      at += coordinate * strides[a]!;
    }
    visit(at, i);
  }
}

/** Elements of an axis picked by indices of the same rank (`torch.gather`). */
export function takeAlong(x: Tensor, indices: Tensor, axis: number): Tensor {
  return apply(takeOp, [x, indices], { axis: normalizeAxis("takeAlong", axis, x.rank) });
}

const putOp = defineOp<{ readonly axis: number; readonly shape: Shape }>({
  name: "putAlong",
  infer: ([updates, indices], { shape, axis }) => {
    needIntegers("putAlong", indices!.dtype);
    const fits =
      sameShape(updates!.shape, indices!.shape) &&
      shape.length === updates!.shape.length &&
      shape.every((s, i) => i === axis || s === updates!.shape[i]);
    if (!fits) {
      throw shapeError("putAlong", `updates and indices need one shape, the target's but for axis ${axis}`, {
        found: `updates ${formatShape(updates!.shape)}, indices ${formatShape(indices!.shape)}, target ${formatShape(shape)} along axis ${axis}`,
        fix: "broadcastTo() the indices to the shape of the updates",
      });
    }
    return [{ dtype: "f32", shape }];
  },
  gradient: (node, [g], ops) => [g && ops.takeAlong(g, node.inputs[1]!, node.attrs.axis), undefined],
  lower: (emit, [updates, indices], { attrs }) => {
    const zeros = emit.node("Expand", [
      emit.floats(
        [0],
        attrs.shape.map(() => 1),
      ),
      emit.ints(attrs.shape),
    ])[0]!;
    return emit.node("ScatterElements", [zeros, indices!, updates!], {
      axis: { int: attrs.axis },
      reduction: { text: "add" },
    });
  },
  evaluate: ([updates, indices], node) => {
    const { shape, axis } = node.attrs;
    checkIndices("putAlong", indices!, shape[axis]!);
    const data = new Float64Array(sizeOf(shape));
    alongAxis(shape, updates!.shape, axis, indices!.data, (to, from) => {
      data[to]! += updates!.data[from]!;
    });
    return [{ shape, data }];
  },
  flops: (node) => sizeOf(node.inputs[0]!.shape),
});

/** Adds updates at their indices along an axis of a zero tensor of `shape`. */
export function putAlong(updates: Tensor, indices: Tensor, axis: number, shape: Shape): Tensor {
  return apply(putOp, [updates, indices], {
    axis: normalizeAxis("putAlong", axis, shape.length),
    shape: [...shape],
  });
}

/** 1 at the index, 0 elsewhere: `[…]` i32 to `[…, classes]` f32. */
export function oneHot(indices: Tensor, classes: number): Tensor {
  return cast(equal(reshape(indices, [...indices.shape, 1]), iota(classes)), "f32");
}

/** The element of the last axis that an index names: `[…, classes]` and `[…]` give `[…]`. */
export function pickLast(x: Tensor, indices: Tensor): Tensor {
  const classes = x.size(-1);
  // A product with a one-hot row is faster for small vocabularies; a lookup saves memory for large ones.
  if (classes <= 2048) return sum(mul(x, oneHot(indices, classes)), { axes: [-1] });
  return reshape(takeAlong(x, reshape(indices, [...indices.shape, 1]), x.rank - 1), indices.shape);
}
