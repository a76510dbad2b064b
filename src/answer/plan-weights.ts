/**
 * What the weights of a planned stage take: mapped from files, packed for kernels, on a device.
 * @module
 */
import {
  elementCount,
  QUANTIZATIONS,
  type QuantizationName,
  type TensorTable,
  tableBytes,
} from "../weights/index.ts";
import type { StoredAs } from "./graph-memory.ts";
import type { PlannedStage } from "./plan-types.ts";
import { isQuantizable, type QuantizablePart, type QuantizedParts } from "./quantized-parts.ts";
import type { TablePart } from "./suite-tables.ts";

export const F32 = 4;

/** `deviceBytes`: the weights as they lie on a device, in f32 unless quantised. */
export type Stage = Omit<PlannedStage, "fits"> & { readonly deviceBytes: number };
export type Tables = ReadonlyMap<TablePart, TensorTable>;

/** How the tensors of a part are stored. */
export function storage(
  part: QuantizablePart,
  table: TensorTable,
  quantized: QuantizedParts,
): (name: string) => StoredAs {
  return (name) => {
    if (quantized[part] !== undefined && isQuantizable(part, name)) return "quantized";
    return table.get(name)?.dtype === "F32" ? "f32" : "half";
  };
}

/** Bytes of quantised matrices whose names match: kernels keep a copy of them. */
export function packedBytes(
  part: QuantizablePart,
  table: TensorTable,
  to: QuantizationName | undefined,
  chosen: RegExp,
): number {
  if (to === undefined) return 0;
  return quantizedBytes(
    new Map([...table].filter(([name]) => isQuantizable(part, name) && chosen.test(name))),
    to,
  );
}

/** Bytes of matrices once they are quantised, as kernels hold them: with blocks, a sum beside each block's scale. */
export function quantizedBytes(table: TensorTable, to: QuantizationName): number {
  const how = QUANTIZATIONS[to];
  let total = 0;
  for (const { shape } of table.values()) {
    const count = elementCount(shape);
    total +=
      (count * how.bits) / 8 + (how.scheme === "rows" ? shape[0]! * F32 : (count / how.blockSize) * 2 * F32);
  }
  return total;
}

/** Bytes of the weights of a part whose names match: mapped from their files, and on a device. */
export function weightBytes(
  part: QuantizablePart | "vae",
  table: TensorTable,
  quantized: QuantizedParts,
  chosen: RegExp,
): Pick<Stage, "mappedBytes" | "deviceBytes"> {
  const to = part === "vae" ? undefined : quantized[part];
  const few = (name: string): boolean => part !== "vae" && to !== undefined && isQuantizable(part, name);
  const left = new Map([...table].filter(([name]) => chosen.test(name) && !few(name)));
  const packed = part === "vae" ? 0 : packedBytes(part, table, to, chosen);
  const elements = [...left.values()].reduce((total, { shape }) => total + elementCount(shape), 0);
  return { mappedBytes: tableBytes(left) + packed, deviceBytes: elements * F32 + packed };
}
