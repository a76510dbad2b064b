/**
 * Softmax and its logarithm over the last axis, and the cross-entropy built on it.
 * @module
 */
import { apply, type Tensor } from "../graph.ts";
import { defineOp } from "../op.ts";
import { requireFloat, shapeError } from "../shape.ts";
import { formatShape, sizeOf, type TensorType } from "../types.ts";
import { neg } from "./elementwise.ts";
import { pickLast } from "./indexing.ts";

type NoAttrs = Record<string, never>;

function eachRow(
  data: ArrayLike<number>,
  width: number,
  row: (start: number, max: number, total: number) => void,
): void {
  for (let start = 0; start < data.length; start += width) {
    let max = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < width; i++) max = Math.max(max, data[start + i]!);
    let total = 0;
    for (let i = 0; i < width; i++) total += Math.exp(data[start + i]! - max);
    row(start, max, total);
  }
}

function checkRow(op: string, x: TensorType): void {
  requireFloat(op, [x]);
  if (x.shape.length > 0) return;
  throw shapeError(op, "needs at least one axis", {
    found: formatShape(x.shape),
    fix: "reshape to [1] or keep the axis of classes",
  });
}

const softmaxOp = defineOp<NoAttrs>({
  name: "softmax",
  infer: ([x]) => {
    checkRow("softmax", x!);
    return [{ dtype: "f32", shape: x!.shape }];
  },
  gradient: (node, [g], ops) => {
    if (!g) return [undefined];
    const y = ops.outputTensor(node as never, 0);
    return [ops.mul(y, ops.sub(g, ops.sum(ops.mul(g, y), { axes: [-1], keepDims: true })))];
  },
  lower: (emit, inputs) => emit.node("Softmax", inputs, { axis: { int: -1 } }),
  evaluate: ([x], node) => {
    const { shape } = node.types[0]!;
    const data = new Float64Array(x!.data.length);
    const width = shape[shape.length - 1]!;
    eachRow(x!.data, width, (start, max, total) => {
      for (let i = 0; i < width; i++) data[start + i] = Math.exp(x!.data[start + i]! - max) / total;
    });
    return [{ shape, data }];
  },
  flops: (node) => 4 * sizeOf(node.types[0]!.shape),
});

const logSoftmaxOp = defineOp<NoAttrs>({
  name: "logSoftmax",
  infer: ([x]) => {
    checkRow("logSoftmax", x!);
    return [{ dtype: "f32", shape: x!.shape }];
  },
  gradient: (node, [g], ops) => {
    if (!g) return [undefined];
    const y = ops.outputTensor(node as never, 0);
    return [ops.sub(g, ops.mul(ops.exp(y), ops.sum(g, { axes: [-1], keepDims: true })))];
  },
  lower: (emit, inputs) => {
    if (emit.target !== "webgpu") return emit.node("LogSoftmax", inputs, { axis: { int: -1 } });
    // WebGPU has no such kernel, and a step over the CPU would move every logit twice.
    const over = emit.ints([-1]);
    const keep = { keepdims: { int: 1 } };
    const centred = emit.node("Sub", [inputs[0]!, emit.node("ReduceMax", [inputs[0]!, over], keep)[0]!])[0]!;
    const total = emit.node("ReduceSum", [emit.node("Exp", [centred])[0]!, over], keep)[0]!;
    return emit.node("Sub", [centred, emit.node("Log", [total])[0]!]);
  },
  evaluate: ([x], node) => {
    const { shape } = node.types[0]!;
    const data = new Float64Array(x!.data.length);
    const width = shape[shape.length - 1]!;
    eachRow(x!.data, width, (start, max, total) => {
      for (let i = 0; i < width; i++) data[start + i] = x!.data[start + i]! - max - Math.log(total);
    });
    return [{ shape, data }];
  },
  flops: (node) => 4 * sizeOf(node.types[0]!.shape),
});

/** Softmax over the last axis. */
export const softmax = (x: Tensor): Tensor => apply(softmaxOp, [x], {});

/** Logarithm of the softmax over the last axis. */
export const logSoftmax = (x: Tensor): Tensor => apply(logSoftmaxOp, [x], {});

/**
 * Negative log-probability of each target.
 * @param logits `[…, classes]`
 * @param targets `[…]` i32, each within the classes
 * @returns `[…]` f32, not reduced
 */
export const crossEntropy = (logits: Tensor, targets: Tensor): Tensor =>
  neg(pickLast(logSoftmax(logits), targets));
