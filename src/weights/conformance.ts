/**
 * Runs the reference case of weight files: torch `.pth`, safetensors with half types, shards.
 * @module
 */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CaseCheck, type CaseFolder, exactCheck, openCase, sameNumbers } from "./case-folder.ts";
import { openWeights } from "./open-weights.ts";
import { PthTensor, type PthValue, readPthTensor, readPthTree } from "./pth.ts";
import {
  readSafetensors,
  readSafetensorsHeader,
  type WritableTensor,
  writeSafetensors,
} from "./safetensors.ts";
import { asFloat32, elementCount, type StoredTensor } from "./tensor-data.ts";

/** torch's names of the types, as `values.dtypes` states them. */
const DTYPE_NAMES: Readonly<Record<string, string>> = {
  F32: "float32",
  F64: "float64",
  F16: "float16",
  BF16: "bfloat16",
  I64: "int64",
  I32: "int32",
  I16: "int16",
  I8: "int8",
  U8: "uint8",
  BOOL: "bool",
};

/**
 * Checks every tensor of every weight file in the folder against `io.safetensors`: type, shape and exact values,
 * and that our writer gives the half types' bytes back.
 */
export async function runFormatsCase(folder: string, opened?: CaseFolder): Promise<CaseCheck[]> {
  const golden = opened ?? (await openCase(folder));
  const dtypes = golden.description.values["dtypes"] as Record<string, string>;
  const shapes = golden.description.values["shapes"] as Record<string, number[]>;
  const matches = (name: string, tensor: StoredTensor): boolean =>
    DTYPE_NAMES[tensor.dtype] === dtypes[name] &&
    sameNumbers(tensor.shape, shapes[name] ?? [-1]) &&
    matchesGolden(golden, name, tensor);

  const checks: CaseCheck[] = [];
  for (const file of (await readdir(folder)).sort()) {
    const path = join(folder, file);
    if (file === "io.safetensors") continue;
    if (file.endsWith(".pth")) checks.push(...(await checkPth(golden, path, file, matches)));
    if (!file.endsWith(".safetensors") && !file.endsWith(".index.json")) continue;
    const source = await openWeights(path);
    for (const name of source.names())
      checks.push(exactCheck(`${file}: ${name}`, matches(name, await source.read(name))));
    if (file.endsWith(".safetensors"))
      checks.push(exactCheck(`${file}: written again`, await survivesRewriting(path)));
  }
  checks.push(
    exactCheck(`unused tensors: ${golden.unused().join(", ") || "none"}`, golden.unused().length === 0),
  );
  return checks;
}

/** Equality with the expected values; tensors without elements have none. */
function matchesGolden(golden: CaseFolder, name: string, tensor: StoredTensor): boolean {
  if (elementCount(tensor.shape) === 0) return tensor.data.length === 0;
  const expected = golden.tensor(name);
  if (!sameNumbers(expected.shape, tensor.shape)) return false;
  const exact = expected.data instanceof Float32Array ? asFloat32(tensor) : tensor.data;
  return sameNumbers(exact, expected.data);
}

async function checkPth(
  golden: CaseFolder,
  path: string,
  file: string,
  matches: (name: string, tensor: StoredTensor) => boolean,
): Promise<CaseCheck[]> {
  const tree = await readPthTree(path);
  const entries: readonly [PthValue, PthValue][] = tree instanceof Map ? [...tree] : [];
  const checks: CaseCheck[] = [exactCheck(`${file}: a dict`, entries.length > 0)];
  for (const [key, value] of entries) {
    const name = String(key);
    if (value instanceof PthTensor)
      checks.push(exactCheck(`${file}: ${name}`, matches(name, await readPthTensor(path, value))));
    else if (value instanceof Map)
      checks.push(...(await checkStateDict(golden, path, `${file}: ${name}`, value)));
    else
      checks.push(
        exactCheck(
          `${file}: ${name} is a plain value`,
          typeof value === "number" || typeof value === "string",
        ),
      );
  }
  return checks;
}

/** The nested file: `weight` is the tensor `bf16`, `bias` the first row of `f32`. */
async function checkStateDict(
  golden: CaseFolder,
  path: string,
  label: string,
  dict: ReadonlyMap<PthValue, PthValue>,
): Promise<CaseCheck[]> {
  const read = async (name: string) => {
    const tensor = dict.get(name);
    return tensor instanceof PthTensor ? readPthTensor(path, tensor) : undefined;
  };
  const weight = await read("weight");
  const bias = await read("bias");
  const base = golden.tensor("f32");
  const row = asFloat32(base).slice(0, base.shape[1]);
  return [
    exactCheck(`${label}.weight`, weight?.dtype === "BF16" && matchesGolden(golden, "bf16", weight)),
    exactCheck(
      `${label}.bias`,
      bias !== undefined && sameNumbers(bias.shape, [row.length]) && sameNumbers(asFloat32(bias), row),
    ),
  ];
}

/** True if our writer reproduces types, shapes and exact values of a file from its decoded values. */
async function survivesRewriting(path: string): Promise<boolean> {
  const before = await readSafetensors(path);
  const { metadata } = await readSafetensorsHeader(path);
  const scratch = await mkdtemp(join(tmpdir(), "vans-formats-"));
  try {
    const copy = join(scratch, "copy.safetensors");
    const tensors = [...before].map(([name, tensor]): [string, WritableTensor] => [name, tensor]);
    await writeSafetensors(copy, tensors, { metadata });
    const after = await readSafetensors(copy);
    const copied = await readSafetensorsHeader(copy);
    return (
      JSON.stringify(copied.metadata) === JSON.stringify(metadata) &&
      after.size === before.size &&
      [...before].every(([name, tensor]) => {
        const other = after.get(name);
        return (
          other?.dtype === tensor.dtype &&
          sameNumbers(other.shape, tensor.shape) &&
          sameNumbers(other.data, tensor.data)
        );
      })
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
