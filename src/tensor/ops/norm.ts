/**
 * Layer norm and RMS norm over the last axis, through the runtime's fused kernels.
 * @module
 */
import { applyAll, type Tensor } from "../graph.ts";
import { defineOp, type Ops } from "../op.ts";
import { requireFloat, shapeError } from "../shape.ts";
import { formatShape, type Shape, sizeOf, type TensorType } from "../types.ts";
import { div, maximum, mul, sqrt } from "./elementwise.ts";
import { reshape } from "./layout.ts";
import { sum } from "./reduce.ts";

interface NormAttrs {
  readonly epsilon: number;
}

function checkScale(op: string, x: TensorType, parts: readonly (TensorType | undefined)[]): Shape {
  requireFloat(op, [x, ...parts]);
  const width = x.shape[x.shape.length - 1];
  for (const part of parts) {
    if (part && (part.shape.length !== 1 || part.shape[0] !== width)) {
      throw shapeError(op, "scale and bias have the size of the last axis", {
        found: `x ${formatShape(x.shape)}, given ${formatShape(part.shape)}`,
        fix: `give [${width}], or transpose x so that the normalised axis is last`,
      });
    }
  }
  return [...x.shape.slice(0, -1), 1];
}

/** factor · Σ over the last axis of x·weights: `[…, width]` and `[width]` give `[…, 1]`. */
function weightedRows(x: Tensor, weights: Tensor, factor: number, ops: Ops): Tensor {
  const width = x.size(-1);
  const flat = ops.matmul(ops.reshape(x, [-1, width]), ops.reshape(weights, [width, 1]), { alpha: factor });
  return ops.reshape(flat, [...x.shape.slice(0, -1), 1]);
}

/** Σ over all axes but the last of x·weights: `[…, width]` and `[…, 1]` give `[width]`. */
function weightedColumns(x: Tensor, weights: Tensor, ops: Ops): Tensor {
  const width = x.size(-1);
  return ops.reshape(ops.matmul(ops.reshape(weights, [1, -1]), ops.reshape(x, [-1, width])), [width]);
}

/** Σ over all axes but the last, as a product with ones: half the time of the runtime's sum. */
function columnSums(x: Tensor, ops: Ops): Tensor {
  const width = x.size(-1);
  const flat = ops.reshape(x, [-1, width]);
  return ops.reshape(ops.matmul(ops.full([1, flat.size(0)], 1), flat), [width]);
}

const layerNormOp = defineOp<NormAttrs>({
  name: "layerNorm",
  infer: ([x, scale, bias]) => {
    const stats: TensorType = { dtype: "f32", shape: checkScale("layerNorm", x!, [scale, bias]) };
    return [{ dtype: "f32", shape: x!.shape }, stats, stats];
  },
  // With c = x - mean and u = g·scale: dx = rstd·(u - mean(u) - c·rstd²·mean(u·c)).
  gradient: (node, [g, meanGradient, rstdGradient], ops) => {
    if (meanGradient || rstdGradient)
      throw shapeError("layerNorm", "its statistics are not differentiable", {
        fix: "use the normalised output only",
      });
    if (!g) return [undefined, undefined, undefined];
    const [x, scale] = node.inputs as [Tensor, Tensor, Tensor];
    const mean = ops.outputTensor(node as never, 1);
    const rstd = ops.outputTensor(node as never, 2);
    const width = x.size(-1);
    const centred = ops.sub(x, mean);
    const gx = ops.mul(g, centred);
    const keep = { axes: [-1], keepDims: true };
    if (isConstantOnes(scale)) {
      const slope = ops.mul(ops.mul(ops.sum(gx, keep), 1 / width), ops.mul(rstd, rstd));
      const projected = ops.sub(ops.sub(g, ops.mean(g, keep)), ops.mul(centred, slope));
      return [ops.mul(projected, rstd), undefined, columnSums(g, ops)];
    }
    // Row sums weighted by the scale and column sums weighted by 1/std are products with a vector.
    const slope = ops.mul(weightedRows(gx, scale, 1 / width, ops), ops.mul(rstd, rstd));
    const shifted = ops.sub(ops.mul(g, scale), weightedRows(g, scale, 1 / width, ops));
    const dx = ops.mul(ops.sub(shifted, ops.mul(centred, slope)), rstd);
    return [dx, weightedColumns(gx, rstd, ops), columnSums(g, ops)];
  },
  lower: (emit, inputs, node) => {
    const epsilon = { epsilon: { float: node.attrs.epsilon }, axis: { int: -1 } };
    if (emit.target === "cpu" || !emit.forTraining)
      return emit.node("LayerNormalization", inputs, epsilon, { outputCount: emit.forTraining ? 3 : 1 });
    // Elsewhere the kernel does not return its statistics.
    const axes = emit.ints([-1]);
    const [x, scale, bias] = inputs as [string, string, string];
    const mean = emit.node("ReduceMean", [x, axes], { keepdims: { int: 1 } })[0]!;
    const centred = emit.node("Sub", [x, mean])[0]!;
    const variance = emit.node("ReduceMean", [emit.node("Mul", [centred, centred])[0]!, axes], {
      keepdims: { int: 1 },
    })[0]!;
    const shifted = emit.node("Add", [variance, emit.floats([node.attrs.epsilon], [])])[0]!;
    const rstd = emit.node("Reciprocal", emit.node("Sqrt", [shifted]))[0]!;
    const normal = emit.node("Mul", [centred, rstd])[0]!;
    const y = emit.node("Add", [emit.node("Mul", [normal, scale])[0]!, bias])[0]!;
    return [y, mean, rstd];
  },
  evaluate: ([x, scale, bias], node) => {
    const width = x!.shape[x!.shape.length - 1]!;
    const data = new Float64Array(x!.data.length);
    const rows = data.length / width;
    const means = new Float64Array(rows);
    const rstds = new Float64Array(rows);
    for (let r = 0; r < rows; r++) {
      let mean = 0;
      for (let i = 0; i < width; i++) mean += x!.data[r * width + i]! / width;
      let variance = 0;
      for (let i = 0; i < width; i++) variance += (x!.data[r * width + i]! - mean) ** 2 / width;
      const rstd = 1 / Math.sqrt(variance + node.attrs.epsilon);
      means[r] = mean;
      rstds[r] = rstd;
      for (let i = 0; i < width; i++)
        data[r * width + i] = (x!.data[r * width + i]! - mean) * rstd * scale!.data[i]! + bias!.data[i]!;
    }
    const stats = node.types[1]!.shape;
    return [
      { shape: x!.shape, data },
      { shape: stats, data: means },
      { shape: stats, data: rstds },
    ];
  },
  flops: (node) => 8 * sizeOf(node.types[0]!.shape),
});

/** True for a constant of ones: the norm has no learned scale. */
function isConstantOnes(scale: Tensor): boolean {
  if (scale.node.op.name !== "constant") return false;
  const { array } = scale.node.attrs as { array: { data: ArrayLike<number> } };
  return Array.prototype.every.call(array.data, (value: number) => value === 1);
}

const rmsNormOp = defineOp<NormAttrs>({
  name: "rmsNorm",
  infer: ([x, scale]) => {
    const stats = checkScale("rmsNorm", x!, [scale]);
    return [
      { dtype: "f32", shape: x!.shape },
      { dtype: "f32", shape: stats },
    ];
  },
  // With u = g·scale: dx = rstd·(u - x·rstd²·mean(u·x)).
  gradient: (node, [g, rstdGradient], ops) => {
    if (rstdGradient)
      throw shapeError("rmsNorm", "its statistic is not differentiable", {
        fix: "use the normalised output only",
      });
    if (!g) return [undefined, undefined];
    const [x, scale] = node.inputs as [Tensor, Tensor];
    const rstd = ops.outputTensor(node as never, 1);
    const gx = ops.mul(g, x);
    const slope = ops.mul(weightedRows(gx, scale, 1 / x.size(-1), ops), ops.mul(rstd, rstd));
    const dx = ops.mul(ops.sub(ops.mul(g, scale), ops.mul(x, slope)), rstd);
    return [dx, weightedColumns(gx, rstd, ops)];
  },
  lower: (emit, inputs, node) => {
    const attributes = { epsilon: { float: node.attrs.epsilon }, axis: { int: -1 } };
    if (emit.target === "cpu" || !emit.forTraining) {
      return emit.node("SimplifiedLayerNormalization", inputs, attributes, {
        outputCount: emit.forTraining ? 2 : 1,
      });
    }
    const [x, scale] = inputs as [string, string];
    const square = emit.node("ReduceMean", [emit.node("Mul", [x, x])[0]!, emit.ints([-1])], {
      keepdims: { int: 1 },
    })[0]!;
    const shifted = emit.node("Add", [square, emit.floats([node.attrs.epsilon], [])])[0]!;
    const rstd = emit.node("Reciprocal", emit.node("Sqrt", [shifted]))[0]!;
    return [emit.node("Mul", [emit.node("Mul", [x, rstd])[0]!, scale])[0]!, rstd];
  },
  evaluate: ([x, scale], node) => {
    const width = x!.shape[x!.shape.length - 1]!;
    const data = new Float64Array(x!.data.length);
    const rstds = new Float64Array(data.length / width);
    for (let r = 0; r < rstds.length; r++) {
      let square = 0;
      for (let i = 0; i < width; i++) square += x!.data[r * width + i]! ** 2 / width;
      const rstd = 1 / Math.sqrt(square + node.attrs.epsilon);
      rstds[r] = rstd;
      for (let i = 0; i < width; i++) data[r * width + i] = x!.data[r * width + i]! * rstd * scale!.data[i]!;
    }
    return [
      { shape: x!.shape, data },
      { shape: node.types[1]!.shape, data: rstds },
    ];
  },
  flops: (node) => 4 * sizeOf(node.types[0]!.shape),
});

/**
 * Layer norm over the last axis: (x - mean) / √(variance + epsilon) · scale + bias.
 * @param x `[…, width]`
 * @param scale `[width]`
 * @param bias `[width]`
 */
export function layerNorm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: number): Tensor {
  return applyAll(layerNormOp, [x, scale, bias], { epsilon })[0]!;
}

/**
 * RMS norm over the last axis: x / √(mean(x²) + epsilon) · scale.
 * @param x `[…, width]`
 * @param scale `[width]`
 */
export function rmsNorm(x: Tensor, scale: Tensor, epsilon: number): Tensor {
  return applyAll(rmsNormOp, [x, scale], { epsilon })[0]!;
}

/**
 * The Wan VAE's norm over the channel axis: x / max(‖x‖₂, 1e-12) · √C · gamma (Wan2.1 vae.py, RMS_norm).
 * @param x `[N, C, …]`
 * @param gamma C values in any shape
 */
export function channelNorm(x: Tensor, gamma: Tensor): Tensor {
  const channels = x.size(1);
  const norm = maximum(sqrt(sum(mul(x, x), { axes: [1], keepDims: true })), 1e-12);
  const column = reshape(gamma, [channels, ...x.shape.slice(2).map(() => 1)]);
  return mul(mul(x, div(Math.sqrt(channels), norm)), column);
}
