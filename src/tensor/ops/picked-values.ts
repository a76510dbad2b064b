/**
 * Values of an array by their places, for the interpreter.
 * @module
 */
import { allocate } from "./elementwise.ts";

/** Values at some places of an array. */
export function pick(
  data: Float64Array | Int32Array | Uint8Array,
  at: Int32Array,
  dtype: "f32" | "i32" | "bool",
): Float64Array | Int32Array | Uint8Array {
  const out = allocate(dtype, at.length);
  for (let i = 0; i < at.length; i++) out[i] = data[at[i]!]!;
  return out;
}
