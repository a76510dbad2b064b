/**
 * A model that metrics use, opened from the folder of a suite's part: `config.json` and weights.
 * @module
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { VansError } from "../base/errors.ts";
import type { FileWeight, NdArray, WeightBinding } from "../tensor/index.ts";
import { openWeights } from "../weights/index.ts";

const MAPPED = { F32: "f32", BF16: "bf16", F16: "f16" } as const;

const isMapped = (dtype: string): dtype is keyof typeof MAPPED => Object.hasOwn(MAPPED, dtype);

/**
 * The parsed `config.json` of a folder.
 * @throws `VANS_METRICS_MODEL` where it is missing or no JSON
 */
export async function readModelJson(folder: string): Promise<unknown> {
  const path = join(folder, "config.json");
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new VansError("VANS_METRICS_MODEL", `${path} cannot be read`, {
      cause,
      fix: "give the folder of a suite's part, with config.json and weights",
    });
  }
}

/**
 * Weights of a folder for the runtime: mapped from their file where its layout allows it, else read.
 * @throws as `openWeights`; the binding itself gives undefined for names that the file lacks
 */
export async function bindWeights(folder: string): Promise<WeightBinding> {
  const source = await openWeights(folder);
  const located = new Map<string, FileWeight | NdArray>();
  for (const name of source.names()) {
    const { path, byteOffset, byteLength, dtype, shape, contiguous } = source.info(name);
    located.set(
      name,
      contiguous && isMapped(dtype)
        ? { path, byteOffset, byteLength, shape, dtype: MAPPED[dtype] }
        : { dtype: "f32", shape, data: await source.readFloat32(name) },
    );
  }
  return { weight: (name) => located.get(name) };
}

/** SHA-256 of the weights of a folder, in hexadecimal; of several files, of their bytes one after the other. */
export async function weightsSha256(folder: string): Promise<string> {
  const source = await openWeights(folder);
  const paths = new Set([...source.names()].map((name) => source.info(name).path));
  const hash = createHash("sha256");
  for (const path of [...paths].sort()) hash.update(await readFile(path));
  return hash.digest("hex");
}
