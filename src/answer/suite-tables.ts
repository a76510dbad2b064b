/**
 * Which tensors the checkpoints of a suite hold, from the committed table or from the models themselves.
 * @module
 */
import { readFile } from "node:fs/promises";
import { clipConfig } from "../models/clip/config.ts";
import { clipParameters } from "../models/clip/init.ts";
import { qwenParameters } from "../models/qwen25vl/init.ts";
import { qwenLora } from "../models/qwen25vl/lora.ts";
import {
  readTensorTable,
  type StoredDtype,
  type StoredTensorTable,
  type TableTensor,
  type TensorTable,
} from "../weights/index.ts";
import type { Suite } from "./suite.ts";
import { neededTensors, type SuitePart } from "./suite-weights.ts";

/** Checkpoints of a suite that a table describes. */
export type TablePart = SuitePart | "clip" | "vlmAdapter" | "vdmAdapter";

/** Types in which the parts of VANS are published. */
const PUBLISHED: Readonly<Record<TablePart, StoredDtype>> = {
  vlm: "BF16",
  vdm: "F32",
  vae: "F32",
  textEncoder: "BF16",
  clip: "F32",
  vlmAdapter: "BF16",
  vdmAdapter: "BF16",
};

/** Tables from the models' own parameters, in the types in which the parts of VANS are published. */
export function suiteTables(suite: Suite, clipJson?: unknown): Map<TablePart, TensorTable> {
  const { config } = suite.vlm;
  const lora = qwenLora();
  const adapter = [...qwenParameters(config, { lora })].filter(([name]) => name.includes(".lora_"));
  const tables = new Map<TablePart, TensorTable>();
  const add = (part: TablePart, tensors: Iterable<readonly [string, readonly number[]]>): void => {
    const entries = [...tensors].map(([name, shape]): [string, TableTensor] => [
      name,
      { dtype: PUBLISHED[part], shape },
    ]);
    tables.set(part, new Map(entries));
  };
  for (const part of ["vlm", "vdm", "vae", "textEncoder"] as const) add(part, neededTensors(suite, part));
  if (clipJson !== undefined) add("clip", clipParameters(clipConfig(clipJson)));
  add("vlmAdapter", adapter);
  add("vdmAdapter", neededTensors(suite, "vdm"));
  return tables;
}

/** The committed table of a suite, or what its models say. */
export async function readSuiteTables(suite: Suite): Promise<Map<TablePart, TensorTable>> {
  const { tensors } = suite.manifest;
  if (tensors === undefined) return suiteTables(suite);
  const path = suite.at(tensors);
  const stored = JSON.parse(await readFile(path, "utf8")) as Record<TablePart, StoredTensorTable>;
  return new Map(
    Object.entries(stored).map(([part, table]): [TablePart, TensorTable] => [
      part as TablePart,
      readTensorTable(table, path),
    ]),
  );
}
