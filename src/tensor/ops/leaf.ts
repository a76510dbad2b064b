/**
 * Where graphs begin: inputs that change from run to run, parameters that are bound to weights, constants.
 * @module
 */
import { VansError } from "../../base/errors.ts";
import { apply, type Tensor } from "../graph.ts";
import { defineOp } from "../op.ts";
import { bool, type DType, f32, formatShape, i32, type NdArray, type Shape, sizeOf } from "../types.ts";

const noInputs = (): [] => [];

function mustBeBound(kind: string, name: string): never {
  throw new VansError("VANS_TENSOR_UNBOUND", `${kind} "${name}" has no value`, {
    fix: "pass it among the feeds of the run",
  });
}

interface NamedAttrs {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A value given at every run. */
export const inputOp = defineOp<NamedAttrs>({
  name: "input",
  infer: (_, attrs) => [{ dtype: attrs.dtype, shape: attrs.shape }],
  gradient: noInputs,
  lower: (_, __, node) => mustBeBound("input", node.attrs.name),
  evaluate: (_, node) => mustBeBound("input", node.attrs.name),
  flops: () => 0,
});

/** A weight: bound at compile time (from a file or an array) or given at every run (training). */
export const parameterOp = defineOp<NamedAttrs>({
  name: "parameter",
  infer: (_, attrs) => [{ dtype: attrs.dtype, shape: attrs.shape }],
  gradient: noInputs,
  lower: (_, __, node) => mustBeBound("parameter", node.attrs.name),
  evaluate: (_, node) => mustBeBound("parameter", node.attrs.name),
  flops: () => 0,
});

/** A fixed array inside the graph. */
export const constantOp = defineOp<{ readonly array: NdArray }>({
  name: "constant",
  infer: (_, attrs) => [{ dtype: attrs.array.dtype, shape: attrs.array.shape }],
  gradient: noInputs,
  lower: (_, __, node) => mustBeBound("constant", node.op.name),
  evaluate: (_, node) => {
    const { array } = node.attrs;
    return [
      {
        shape: array.shape,
        data: array.data instanceof Float32Array ? Float64Array.from(array.data) : array.data,
      },
    ];
  },
  flops: () => 0,
});

function checkShape(kind: string, name: string, shape: Shape): void {
  for (const axis of shape) {
    if (!Number.isInteger(axis) || axis < 0) {
      throw new VansError("VANS_TENSOR_SHAPE", `${kind} "${name}" has an impossible shape`, {
        found: formatShape(shape),
        fix: "every axis is a non-negative integer; shapes are fixed when a graph is traced",
      });
    }
  }
}

/**
 * A symbolic input, fed at every run under `name`.
 *
 * @example
 * ```ts
 * import { input } from "vans/tensor";
 * input("tokens", [2, 7], "i32").shape; // => [2, 7]
 * ```
 */
export function input(name: string, shape: Shape, dtype: DType = "f32"): Tensor {
  checkShape("input", name, shape);
  return apply(inputOp, [], { name, dtype, shape: [...shape] });
}

/** A symbolic weight under its checkpoint name. Always `f32` in the graph, whatever it is on disk. */
export function parameter(name: string, shape: Shape): Tensor {
  checkShape("parameter", name, shape);
  return apply(parameterOp, [], { name, dtype: "f32", shape: [...shape] });
}

/** A constant array. */
export function constant(array: NdArray): Tensor {
  return apply(constantOp, [], { array });
}

/** A constant of one repeated value. */
export function full(shape: Shape, value: number, dtype: DType = "f32"): Tensor {
  const size = sizeOf(shape);
  if (dtype === "f32") return constant(f32(new Float32Array(size).fill(value), shape));
  if (dtype === "i32") return constant(i32(new Int32Array(size).fill(value), shape));
  return constant(bool(new Uint8Array(size).fill(value ? 1 : 0), shape));
}

/** A scalar f32 constant. */
export function scalar(value: number): Tensor {
  return constant(f32([value], []));
}

/** The integers 0 … count-1. */
export function iota(count: number): Tensor {
  return constant(i32(Int32Array.from({ length: count }, (_, i) => i)));
}

/** What an op accepts where a tensor or a plain number may stand. */
export type TensorLike = Tensor | number;

/** A number as a scalar constant, a tensor as itself. */
export function asTensor(value: TensorLike): Tensor {
  return typeof value === "number" ? scalar(value) : value;
}
