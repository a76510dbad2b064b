/**
 * Element types, shapes and plain arrays: the vocabulary that every floor shares.
 * @module
 */

/** Element types that graphs compute with. Weights on disk may also be `bf16` or `f16`; they are cast to `f32` when bound. */
export type DType = "f32" | "i32" | "bool";

/** Element types that a weight may have on disk. */
export type StoredDType = "f32" | "bf16" | "f16";

/** Sizes of the axes, outermost first. `[]` is a scalar. */
export type Shape = readonly number[];

/** What a graph knows of a tensor before it runs. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A plain array with a shape: what goes into a graph and what comes out. `bool` is one byte an element, 0 or 1. */
export interface NdArray {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** Number of elements of a shape. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const axis of shape) size *= axis;
  return size;
}

/** `[2, 3, 4]` as `2×3×4`, a scalar as `scalar`. */
export function formatShape(shape: Shape): string {
  return shape.length === 0 ? "scalar" : `[${shape.join(", ")}]`;
}

/** True where both shapes have the same axes. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((axis, i) => axis === b[i]);
}

/**
 * A plain f32 array from numbers.
 *
 * @example
 * ```ts
 * import { f32 } from "vans/tensor";
 * f32([1, 2, 3, 4], [2, 2]).shape; // => [2, 2]
 * ```
 */
export function f32(values: ArrayLike<number>, shape: Shape = [values.length]): NdArray {
  const data = values instanceof Float32Array ? values : Float32Array.from(values);
  return checked({ dtype: "f32", shape, data });
}

/** A plain i32 array from integers. */
export function i32(values: ArrayLike<number>, shape: Shape = [values.length]): NdArray {
  const data = values instanceof Int32Array ? values : Int32Array.from(values);
  return checked({ dtype: "i32", shape, data });
}

/** A plain bool array from truth values. */
export function bool(values: ArrayLike<number | boolean>, shape: Shape = [values.length]): NdArray {
  const data =
    values instanceof Uint8Array
      ? values
      : Uint8Array.from({ length: values.length }, (_, i) => (values[i] ? 1 : 0));
  return checked({ dtype: "bool", shape, data });
}

function checked(array: NdArray): NdArray {
  if (array.data.length !== sizeOf(array.shape)) {
    throw new RangeError(
      `array of ${array.data.length} elements cannot have shape ${formatShape(array.shape)} (${sizeOf(array.shape)} elements)`,
    );
  }
  return array;
}
