/**
 * Rows of a table that stays on disk: what an embedding needs of it.
 * @module
 */
import { type FileWeight, f32, type NdArray } from "../tensor/index.ts";
import { float32FromBf16, float32FromF16 } from "./half.ts";
import { openWeightFile, readBytes } from "./safetensors.ts";

/**
 * Rows of a stored matrix by index, as f32.
 *
 * @param weight `[rows, width]`
 * @returns `[indices, width]`
 * @throws `VANS_WEIGHTS_NOT_FOUND`, `VANS_WEIGHTS_TRUNCATED`, RangeError for an index outside of the table
 */
export async function readRows(weight: FileWeight | NdArray, indices: ArrayLike<number>): Promise<NdArray> {
  const [rows, width] = weight.shape as [number, number];
  const out = new Float32Array(indices.length * width);
  for (let i = 0; i < indices.length; i++)
    if (!(indices[i]! >= 0 && indices[i]! < rows))
      throw new RangeError(`row ${indices[i]} of a table of ${rows}`);
  if ("data" in weight) {
    for (let i = 0; i < indices.length; i++)
      out.set(weight.data.subarray(indices[i]! * width, (indices[i]! + 1) * width), i * width);
    return f32(out, [indices.length, width]);
  }
  const { path, byteOffset, dtype } = weight;
  const rowBytes = weight.byteLength / rows;
  const file = await openWeightFile(path);
  try {
    for (let i = 0; i < indices.length; i++) {
      const bytes = await readBytes(file, path, byteOffset + indices[i]! * rowBytes, rowBytes);
      const row =
        dtype === "f32"
          ? new Float32Array(bytes)
          : dtype === "bf16"
            ? float32FromBf16(new Uint16Array(bytes))
            : float32FromF16(new Uint16Array(bytes));
      out.set(row, i * width);
    }
  } finally {
    await file.close();
  }
  return f32(out, [indices.length, width]);
}
