/**
 * Products with a weight that is stored small: half types are widened a few rows at a time, quantised ones go through
 * the runtime's own integer kernels. The model's graph does not know: how a weight is stored is decided when it is bound.
 * @module
 */
import { VansError } from "../../base/errors.ts";
import type { Node } from "../graph.ts";
import type { OnnxEmitter } from "../op.ts";
import { formatShape, type Shape, type StoredDType, sizeOf } from "../types.ts";

/** Bytes of a file that the runtime maps. */
export interface FileRange {
  readonly path: string;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/**
 * A matrix `[out, in]` that is stored in whole numbers.
 *
 * `blocks`: com.microsoft `MatMulNBits`, `bits` 4 or 8, one scale for `blockSize` inputs of an output, no zero points;
 * `packed` is `[out, in / blockSize, blockSize · bits / 8]` of bytes (the first of two 4-bit numbers in the low half, zero at 8, or at 128 for 8 bits), `scales`
 * `[out, in / blockSize]` f32.
 * `rows`: `DynamicQuantizeMatMul`, 8 bits on both sides: `packed` is `[in, out]` signed bytes with one scale for an output
 * (`scales` `[out]` f32), activations get one scale a row.
 */
export interface QuantizedWeight {
  readonly scheme: "blocks" | "rows";
  readonly bits: 4 | 8;
  readonly blockSize: number;
  readonly shape: Shape;
  readonly packed: FileRange;
  readonly scales: FileRange;
}

/** True for a weight that is stored in whole numbers. */
export const isQuantized = (weight: object | undefined): weight is QuantizedWeight =>
  weight !== undefined && "packed" in weight;

/** The part of the emitter that binds ranges of files. */
export interface RangeEmitter extends OnnxEmitter {
  /** A constant that lies in a file; the same range is written once. */
  range(dtype: StoredDType | "u8" | "i8", shape: Shape, range: FileRange): string;
}

/** A weight matrix as it is stored. */
export type SmallWeight =
  | QuantizedWeight
  | (FileRange & { readonly dtype: StoredDType; readonly shape: Shape });

/** Weights of fewer elements are widened whole. */
const LEAST_ELEMENTS = 2 ** 20;
/** Products with more rows widen the whole weight: their parts would have to be joined, and the product costs more than that. */
const FEW_ROWS = 1024;

/**
 * Elements of a half-typed weight that a product with so many rows widens at once: 4 MB of f32, which stays in the cache of a core,
 * for a few rows; more rows want fewer calls; very many all in one.
 */
export function widenedElements(xRows: number): number {
  if (xRows > FEW_ROWS) return Number.POSITIVE_INFINITY;
  return xRows > 32 ? 2 ** 21 : 2 ** 20;
}

/** True for `x · Wᵀ` with two axes on both sides. */
function isPlainProduct({ op, attrs, inputs }: Node): boolean {
  if (op.name !== "matmul") return false;
  const { transposeA, transposeB, alpha } = attrs as {
    transposeA: boolean;
    transposeB: boolean;
    alpha: number;
  };
  return !transposeA && transposeB && alpha === 1 && inputs.slice(0, 2).every(({ rank }) => rank === 2);
}

/** True for a product whose weight, a parameter, is widened in parts if its type is a half one. */
export function isWidenedInParts(node: Node): boolean {
  if (!isPlainProduct(node)) return false;
  const w = node.inputs[1]!;
  return w.node.op.name === "parameter" && sizeOf(w.shape) > LEAST_ELEMENTS;
}

/** The stored weight that a product has on its right, if it is multiplied in the form in which it is stored. */
export function weightOfProduct(node: Node, stored: ReadonlyMap<Node, SmallWeight>): SmallWeight | undefined {
  if (!isPlainProduct(node)) return undefined;
  const weight = stored.get(node.inputs[1]!.node);
  if (!weight || isQuantized(weight)) return weight;
  return weight.dtype !== "f32" && isWidenedInParts(node) ? weight : undefined;
}

/** `x · Wᵀ (+ bias)` with the weight as it is stored. */
export function lowerWeightProduct(
  emit: RangeEmitter,
  x: string,
  bias: string | undefined,
  weight: SmallWeight,
  xRows: number,
): string {
  if (!isQuantized(weight)) return widened(emit, x, bias, weight, xRows);
  return weight.scheme === "blocks" ? byBlocks(emit, x, bias, weight) : byRows(emit, x, bias, weight);
}

function widened(
  emit: RangeEmitter,
  x: string,
  bias: string | undefined,
  weight: FileRange & { readonly dtype: StoredDType; readonly shape: Shape },
  xRows: number,
): string {
  const [rows, width] = weight.shape as [number, number];
  const atOnce = Math.min(rows, Math.max(1, Math.floor(widenedElements(xRows) / width)));
  const rowBytes = weight.byteLength / rows;
  const parts: string[] = [];
  for (let start = 0; start < rows; start += atOnce) {
    const count = Math.min(atOnce, rows - start);
    const { path, byteOffset } = weight;
    const range = { path, byteOffset: byteOffset + start * rowBytes, byteLength: count * rowBytes };
    const part = emit.range(weight.dtype, [count, width], range);
    const wide = emit.node("Cast", [part], { to: { int: 1 } })[0]!;
    parts.push(emit.node("Gemm", [x, wide], { transB: { int: 1 } })[0]!);
  }
  const joined = parts.length === 1 ? parts[0]! : emit.node("Concat", parts, { axis: { int: 1 } })[0]!;
  return bias === undefined ? joined : emit.node("Add", [joined, bias])[0]!;
}

function byBlocks(emit: RangeEmitter, x: string, bias: string | undefined, weight: QuantizedWeight): string {
  const [rows, width] = weight.shape as [number, number];
  const blocks = width / weight.blockSize;
  const packed = emit.range("u8", [rows, blocks, (weight.blockSize * weight.bits) / 8], weight.packed);
  const scales = emit.range("f32", [rows, blocks], weight.scales);
  const y = emit.node(
    "MatMulNBits",
    [x, packed, scales],
    {
      K: { int: width },
      N: { int: rows },
      bits: { int: weight.bits },
      block_size: { int: weight.blockSize },
      // 4: activations in 8 bits too, a scale for each block of them.
      accuracy_level: { int: 4 },
    },
    { domain: "com.microsoft" },
  )[0]!;
  return bias === undefined ? y : emit.node("Add", [y, bias])[0]!;
}

function byRows(emit: RangeEmitter, x: string, bias: string | undefined, weight: QuantizedWeight): string {
  const [rows, width] = weight.shape as [number, number];
  const packed = emit.range("i8", [width, rows], weight.packed);
  const scales = emit.range("f32", [rows], weight.scales);
  // The kernel has one scale for all rows of x; rows are brought to the same size before and back after.
  const size = emit.node("ReduceMax", [emit.node("Abs", [x])[0]!, emit.ints([-1])], {
    keepdims: { int: 1 },
  })[0]!;
  const safe = emit.node("Max", [size, emit.floats([1e-20], [])])[0]!;
  const even = emit.node("Div", [x, safe])[0]!;
  const product = emit.node(
    "DynamicQuantizeMatMul",
    [even, packed, scales],
    {},
    { domain: "com.microsoft" },
  )[0]!;
  const y = emit.node("Mul", [product, safe])[0]!;
  return bias === undefined ? y : emit.node("Add", [y, bias])[0]!;
}

/** A quantised weight whose use has no kernel. */
export function quantizedElsewhere(name: string, shape: Shape): VansError {
  return new VansError(
    "VANS_WEIGHTS_QUANTIZED_USE",
    `the quantised weight "${name}" is used outside of a linear layer`,
    {
      found: `${formatShape(shape)}`,
      why: "quantised weights stand on the right of x · Wᵀ only; gradients and look-ups need the weights themselves",
      fix: "leave this weight out of the quantised file, or bind the original one",
    },
  );
}
