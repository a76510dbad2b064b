/**
 * Reading a folder of reference vectors: `case.json`, `io.safetensors`, tables; and checks against them.
 * @module
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { VansError } from "../base/errors.ts";
import { readSafetensors } from "./safetensors.ts";
import type { StoredTensor } from "./tensor-data.ts";

/** One comparison of a case: passed if `maxError <= tolerance` (an error of NaN fails). */
export interface CaseCheck {
  readonly name: string;
  readonly maxError: number;
  readonly tolerance: number;
}

/** The fields of `case.json` that runners use. */
export interface CaseDescription {
  readonly name: string;
  readonly title: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tolerances: Readonly<Record<string, unknown>>;
  readonly values: Readonly<Record<string, unknown>>;
}

/** A case folder; {@link CaseFolder.tensor} remembers what was used. */
export class CaseFolder {
  readonly path: string;
  readonly description: CaseDescription;
  readonly #tensors: ReadonlyMap<string, StoredTensor>;
  readonly #used = new Set<string>();

  constructor(path: string, description: CaseDescription, tensors: ReadonlyMap<string, StoredTensor>) {
    this.path = path;
    this.description = description;
    this.#tensors = tensors;
  }

  /** Names in `io.safetensors`. */
  names(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** A tensor of `io.safetensors`, marked as used. */
  tensor(name: string): StoredTensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) {
      throw new VansError("VANS_CASE_TENSOR_MISSING", `${this.path} has no tensor ${name} in io.safetensors`);
    }
    this.#used.add(name);
    return tensor;
  }

  /** Tensors that nothing has asked for. */
  unused(): readonly string[] {
    return this.names().filter((name) => !this.#used.has(name));
  }

  /** A JSON table of the folder. */
  async table(name: string): Promise<unknown> {
    return readJson(join(this.path, name));
  }

  /** A number of `tolerances`, or `fallback` where the case states none. */
  tolerance(name: string, fallback: number): number {
    const value = this.description.tolerances[name];
    return typeof value === "number" ? value : fallback;
  }
}

/** Opens a case folder; `io.safetensors` may be absent. */
export async function openCase(folder: string): Promise<CaseFolder> {
  const description = (await readJson(join(folder, "case.json"))) as CaseDescription;
  const tensors = await readSafetensors(join(folder, "io.safetensors")).catch((error: unknown) => {
    if (error instanceof VansError && error.code === "VANS_WEIGHTS_NOT_FOUND")
      return new Map<string, StoredTensor>();
    throw error;
  });
  return new CaseFolder(
    folder,
    { ...description, config: description.config ?? {}, values: description.values ?? {} },
    tensors,
  );
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new VansError("VANS_CASE_UNREADABLE", `${path} cannot be read as JSON`, { cause });
  }
}

/** A check that allows no difference. */
export function exactCheck(name: string, passed: boolean): CaseCheck {
  return { name, maxError: passed ? 0 : 1, tolerance: 0 };
}

/** True if both arrays have the same length and the same numbers (NaN equals NaN, 0 differs from -0, 1n equals 1). */
export function sameNumbers(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i] || a[i] === 0) {
      if (!Object.is(Number(a[i]), Number(b[i]))) return false;
    }
  }
  return true;
}
