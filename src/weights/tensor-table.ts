/**
 * Tables of tensors: names, types and shapes of a checkpoint as text, so that its needs are known without it. Names that
 * differ in one layer number share a line: `blocks.{0-29}.ffn.0.weight`.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { BYTES_OF_DTYPE, elementCount, isStoredDtype, type StoredDtype } from "./tensor-data.ts";

/** A tensor of a table. */
export interface TableTensor {
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
}

/** Tensors by name. */
export type TensorTable = ReadonlyMap<string, TableTensor>;

/** A table as it is stored: `"F32 [1536, 256]"` by name or range of names. */
export type StoredTensorTable = Readonly<Record<string, string>>;

/** Writes a table with layer numbers joined to ranges. */
export function storeTensorTable(table: TensorTable): Record<string, string> {
  const groups = new Map<string, { text: string; numbers: number[] }>();
  for (const [name, { dtype, shape }] of table) {
    const text = `${dtype} [${shape.join(", ")}]`;
    const match = /^(\D*?)(?<=^|\.)(\d+)(\..+)$/.exec(name);
    const pattern = match ? `${match[1]}{}${match[3]}` : name;
    const key = `${pattern} ${text}`;
    const group = groups.get(key) ?? { text, numbers: [] };
    if (match) group.numbers.push(Number(match[2]));
    groups.set(key, group);
  }
  const stored: Record<string, string> = {};
  for (const [key, { text, numbers }] of groups) {
    const pattern = key.slice(0, key.length - text.length - 1);
    if (numbers.length === 0) stored[pattern] = text;
    for (const [first, last] of runs(numbers))
      stored[pattern.replace("{}", first === last ? String(first) : `{${first}-${last}}`)] = text;
  }
  return stored;
}

function runs(numbers: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const run = found.at(-1);
    if (run && run[1] === number - 1) run[1] = number;
    else found.push([number, number]);
  }
  return found;
}

/**
 * Reads a stored table.
 * @throws `VANS_WEIGHTS_TABLE` naming the line
 */
export function readTensorTable(
  stored: StoredTensorTable,
  path = "the tensor table",
): Map<string, TableTensor> {
  const table = new Map<string, TableTensor>();
  for (const [pattern, text] of Object.entries(stored)) {
    const match = /^(\w+) \[((?:\d+(?:, )?)*)\]$/.exec(text);
    const dtype = match?.[1];
    if (!match || !isStoredDtype(dtype))
      throw new VansError("VANS_WEIGHTS_TABLE", `${path} has a line that cannot be read`, {
        asked: '"BF16 [2, 3]"',
        found: `${pattern}: ${text}`,
      });
    const shape = match[2] === "" ? [] : match[2]!.split(", ").map(Number);
    const range = /\{(\d+)-(\d+)\}/.exec(pattern);
    if (!range) table.set(pattern, { dtype, shape });
    else
      for (let i = Number(range[1]); i <= Number(range[2]); i++)
        table.set(pattern.replace(range[0], String(i)), { dtype, shape });
  }
  return table;
}

/** Bytes of all tensors of a table. */
export function tableBytes(table: TensorTable): number {
  let total = 0;
  for (const { dtype, shape } of table.values()) total += elementCount(shape) * BYTES_OF_DTYPE[dtype];
  return total;
}
