/**
 * The types of stored tensors and how their bytes become typed arrays.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { float32FromBf16, float32FromF16 } from "./half.ts";

/** Bytes of one element, under the names of the safetensors format. */
export const BYTES_OF_DTYPE = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  C64: 8,
} as const;

/** A type that a weight file can hold. `F8_*` and `C64` can be listed and copied as bytes, not decoded. */
export type StoredDtype = keyof typeof BYTES_OF_DTYPE;

/** Decoded elements: half types become f32, BOOL becomes 0/1 bytes, the rest keep their own kind. */
export type TensorElements =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>;

/** A tensor in memory: row-major elements of `shape`; `dtype` is the type on disk. */
export interface StoredTensor {
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly data: TensorElements;
}

/** Where a tensor lies on disk. */
export interface TensorInfo {
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  /** The file that holds the bytes. */
  readonly path: string;
  /** Absolute position of the first byte in that file. */
  readonly byteOffset: number;
  readonly byteLength: number;
  /**
   * True when the bytes at `byteOffset` are the row-major tensor (always so in safetensors), so that they may be
   * mapped; false for a strided view inside a `.pth` file, which has to be read instead.
   */
  readonly contiguous: boolean;
}

/** The number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** True if `name` is a type this project knows. */
export function isStoredDtype(name: unknown): name is StoredDtype {
  return typeof name === "string" && Object.hasOwn(BYTES_OF_DTYPE, name);
}

/**
 * Little-endian bytes of `dtype` as a typed array; F16 and BF16 become f32.
 *
 * @throws `VANS_WEIGHTS_DTYPE_UNSUPPORTED` for types that can only be listed.
 */
export function decodeElements(bytes: ArrayBuffer, dtype: StoredDtype): TensorElements {
  switch (dtype) {
    case "F32":
      return new Float32Array(bytes);
    case "F64":
      return new Float64Array(bytes);
    case "BF16":
      return float32FromBf16(new Uint16Array(bytes));
    case "F16":
      return float32FromF16(new Uint16Array(bytes));
    case "I64":
      return new BigInt64Array(bytes);
    case "U64":
      return new BigUint64Array(bytes);
    case "I32":
      return new Int32Array(bytes);
    case "U32":
      return new Uint32Array(bytes);
    case "I16":
      return new Int16Array(bytes);
    case "U16":
      return new Uint16Array(bytes);
    case "I8":
      return new Int8Array(bytes);
    case "U8":
    case "BOOL":
      return new Uint8Array(bytes);
    default:
      throw new VansError("VANS_WEIGHTS_DTYPE_UNSUPPORTED", `tensors of type ${dtype} cannot be decoded`, {
        fix: "convert the file to F32, BF16 or F16 first",
      });
  }
}

/**
 * The elements of a tensor as f32 (the same array when it is f32 already). 64-bit integers and doubles are rounded.
 *
 * @example
 * ```ts
 * import { asFloat32 } from "vans/weights";
 * [...asFloat32({ dtype: "I64", shape: [2], data: new BigInt64Array([3n, -4n]) })]; // => [3, -4]
 * ```
 */
export function asFloat32(tensor: StoredTensor): Float32Array<ArrayBuffer> {
  const { data } = tensor;
  if (data instanceof Float32Array) return data;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    return Float32Array.from({ length: data.length }, (_, i) => Number(data[i]));
  }
  return new Float32Array(data);
}
