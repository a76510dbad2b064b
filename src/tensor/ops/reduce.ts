/**
 * Reductions over axes.
 * @module
 */
import { apply, type Node, type Tensor } from "../graph.ts";
import { defineOp, type OnnxEmitter, type OpDefinition } from "../op.ts";
import { broadcastIndices, normalizeAxes, reducedShape, requireFloat } from "../shape.ts";
import { type Shape, sameShape, sizeOf } from "../types.ts";
import { div, mul } from "./elementwise.ts";
import { reshape } from "./layout.ts";

interface ReduceAttrs {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

function reduction(
  name: string,
  rules: {
    readonly onnx: (emit: OnnxEmitter, inputs: readonly string[], node: Node<ReduceAttrs>) => string[];
    readonly start: number;
    readonly combine: (kept: number, value: number) => number;
    readonly gradient: OpDefinition<ReduceAttrs>["gradient"];
  },
): OpDefinition<ReduceAttrs> {
  return defineOp<ReduceAttrs>({
    name,
    infer: ([x], attrs) => {
      requireFloat(name, [x]);
      return [{ dtype: "f32", shape: reducedShape(x!.shape, attrs.axes, attrs.keepDims) }];
    },
    gradient: rules.gradient,
    lower: rules.onnx,
    evaluate: ([x], node) => {
      const kept = reducedShape(x!.shape, node.attrs.axes, true);
      const data = new Float64Array(sizeOf(kept)).fill(rules.start);
      const target = broadcastIndices(kept, x!.shape);
      for (let i = 0; i < target.length; i++)
        data[target[i]!] = rules.combine(data[target[i]!]!, x!.data[i]!);
      return [{ shape: node.types[0]!.shape, data }];
    },
    flops: (node) => sizeOf(node.inputs[0]!.shape),
  });
}

const keepAttribute = (attrs: ReduceAttrs) => ({ keepdims: { int: attrs.keepDims ? 1 : 0 } });

/** What a tensor is the square of; undefined where it is none. */
function rootOf(x: Tensor): Tensor | undefined {
  const [a, b] = x.node.inputs;
  const isSquare = x.node.op.name === "mul" && a!.node === b!.node && a!.index === b!.index;
  return isSquare ? a : undefined;
}

const sumOp = reduction("sum", {
  onnx: (emit, [x], { attrs, inputs }) => {
    const axes = emit.ints(attrs.axes);
    // The sum of all squares (norms of gradients) in one pass; over some axes the runtime's kernel is the slower one.
    const root = attrs.axes.length === inputs[0]!.rank ? rootOf(inputs[0]!) : undefined;
    if (root) return emit.node("ReduceSumSquare", [emit.nameOf(root), axes], keepAttribute(attrs));
    return emit.node("ReduceSum", [x!, axes], keepAttribute(attrs));
  },
  start: 0,
  combine: (kept, value) => kept + value,
  gradient: (node, [g], ops) => {
    const x = node.inputs[0]!;
    return [g && ops.broadcastTo(ops.reshape(g, reducedShape(x.shape, node.attrs.axes, true)), x.shape)];
  },
});

const maxOp = reduction("max", {
  onnx: (emit, [x], { attrs }) => emit.node("ReduceMax", [x!, emit.ints(attrs.axes)], keepAttribute(attrs)),
  start: Number.NEGATIVE_INFINITY,
  combine: Math.max,
  // Equal maxima share the gradient evenly.
  gradient: (node, [g], ops) => {
    if (!g) return [undefined];
    const x = node.inputs[0]!;
    const kept = reducedShape(x.shape, node.attrs.axes, true);
    const winners = ops.cast(ops.equal(x, ops.reshape(ops.outputTensor(node as never, 0), kept)), "f32");
    const share = ops.div(ops.reshape(g, kept), ops.sum(winners, { axes: node.attrs.axes, keepDims: true }));
    return [ops.mul(winners, share)];
  },
});

/** Which axes to reduce (default: all) and whether they stay as size 1. */
export interface ReduceOptions {
  readonly axes?: readonly number[];
  readonly keepDims?: boolean;
}

function attrsOf(op: string, x: Tensor, options: ReduceOptions): ReduceAttrs {
  const axes = options.axes ? normalizeAxes(op, options.axes, x.rank) : x.shape.map((_, i) => i);
  return { axes, keepDims: options.keepDims ?? false };
}

/**
 * Sum over axes.
 *
 * @example
 * ```ts
 * import { input, sum } from "vans/tensor";
 * sum(input("x", [2, 3, 4]), { axes: [1] }).shape; // => [2, 4]
 * ```
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  const attrs = attrsOf("sum", x, options);
  if (attrs.axes.length === 0) return x;
  return apply(sumOp, [x], attrs);
}

/** Maximum over axes. */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  const attrs = attrsOf("max", x, options);
  // To ONNX no axes means all axes.
  if (attrs.axes.length === 0) return x;
  return apply(maxOp, [x], attrs);
}

/** Mean over axes. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  const attrs = attrsOf("mean", x, options);
  const count = attrs.axes.reduce((product, axis) => product * x.shape[axis]!, 1);
  return mul(sum(x, options), 1 / count);
}

/** Mean of `x` weighted by `weights` (broadcast): Σ w·x / Σ w. */
export function weightedMean(x: Tensor, weights: Tensor): Tensor {
  return div(sum(mul(x, weights)), sum(weights));
}

/** Sums a gradient back to the shape that was broadcast to it. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.rank - shape.length;
  const axes = x.shape.flatMap((size, axis) =>
    axis < lead || (shape[axis - lead] === 1 && size !== 1) ? [axis] : [],
  );
  return reshape(axes.length > 0 ? sum(x, { axes, keepDims: true }) : x, shape);
}
