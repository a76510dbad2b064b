/**
 * A folder of golden vectors: configuration, inputs, weights, outputs. It remembers which tensors were used, because
 * a tensor that nothing looked at proves nothing.
 * @module
 */
import { readdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { VansError } from "../../src/base/index.ts";
import { f32, i32, type NdArray, type WeightBinding } from "../../src/tensor/index.ts";
import { asFloat32, readSafetensors, type StoredTensor } from "../../src/weights/index.ts";

/** One comparison. `maxError` is in the measure that the tolerance is stated in. */
export interface Check {
  readonly name: string;
  readonly maxError: number;
  readonly tolerance: number;
}

/** True where a check holds; NaN never does. */
export const passes = (check: Check): boolean => check.maxError <= check.tolerance;

/** What handles one kind of case; recognised by the fields of `case.json` and the tensors it holds, never by its name. */
export interface CaseHandler {
  readonly title: string;
  recognises(golden: GoldenCase): boolean;
  run(golden: GoldenCase): Promise<Check[]>;
}

/** The tensors of one safetensors file, each marked as used when it is asked for. */
export class TensorFile {
  readonly path: string;
  private readonly tensors: ReadonlyMap<string, StoredTensor>;
  private readonly used = new Set<string>();

  constructor(path: string, tensors: ReadonlyMap<string, StoredTensor>) {
    this.path = path;
    this.tensors = tensors;
  }

  names(): string[] {
    return [...this.tensors.keys()];
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  /** Counts a tensor as used that something else has read and compared. */
  markUsed(name: string): void {
    this.used.add(name);
  }

  /** A tensor as f32 (floats) or i32 (integers). */
  get(name: string): NdArray {
    const tensor = this.tensors.get(name);
    if (!tensor)
      throw new VansError("VANS_CASE_TENSOR_MISSING", `${this.path} has no tensor "${name}"`, {
        found: this.names().slice(0, 12).join(", "),
      });
    this.used.add(name);
    const { data, shape } = tensor;
    if (data instanceof BigInt64Array) {
      // Conversion would drop the upper half without a word.
      const large = data.find((value) => BigInt.asIntN(32, value) !== value);
      if (large !== undefined)
        throw new VansError(
          "VANS_CASE_TENSOR_RANGE",
          `"${name}" of ${this.path} holds ${large}, beyond 32 bits`,
        );
      return i32(Int32Array.from(data, Number), shape);
    }
    if (data instanceof Int32Array) return i32(data, shape);
    if (data instanceof Uint8Array) return i32(Int32Array.from(data), shape);
    return f32(asFloat32(tensor), shape);
  }

  /** A tensor as it is stored. */
  stored(name: string): StoredTensor {
    this.get(name);
    return this.tensors.get(name)!;
  }

  /** The file as weights of a graph. Asking for a weight marks it as used. */
  binding(rename: (name: string) => string = (name) => name): WeightBinding {
    return {
      weight: (name) => {
        const key = rename(name);
        return this.tensors.has(key) ? this.get(key) : undefined;
      },
    };
  }

  /** All tensors as plain arrays, marked as used. */
  all(): Record<string, NdArray> {
    return Object.fromEntries(this.names().map((name) => [name, this.get(name)]));
  }

  unused(): string[] {
    return this.names().filter((name) => !this.used.has(name));
  }
}

interface CaseJson {
  readonly title?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly tolerances?: Readonly<Record<string, unknown>>;
  readonly values?: Readonly<Record<string, unknown>>;
}

/** One case folder. */
export class GoldenCase {
  readonly folder: string;
  readonly json: CaseJson;
  /** Own safetensors files by file name, for example `io.safetensors`. */
  readonly files: ReadonlyMap<string, TensorFile>;
  /** File names in the folder. */
  readonly listing: readonly string[];

  constructor(
    folder: string,
    json: CaseJson,
    files: ReadonlyMap<string, TensorFile>,
    listing: readonly string[],
  ) {
    this.folder = folder;
    this.json = json;
    this.files = files;
    this.listing = listing;
  }

  static async open(folder: string): Promise<GoldenCase> {
    const json = JSON.parse(await readFile(join(folder, "case.json"), "utf8")) as CaseJson;
    const listing = (await readdir(folder)).sort();
    const files = new Map<string, TensorFile>();
    for (const name of listing.filter((file) => file.endsWith(".safetensors")))
      files.set(name, await openTensorFile(join(folder, name)));
    return new GoldenCase(resolve(folder), json, files, listing);
  }

  get io(): TensorFile {
    return this.file("io.safetensors");
  }

  file(name: string): TensorFile {
    const file = this.files.get(name);
    if (!file)
      throw new VansError("VANS_CASE_FILE_MISSING", `the case has no file ${name}`, {
        found: this.listing.join(", "),
      });
    return file;
  }

  /** A file named by a relative path of the configuration, for example `../wan_dit/weights.safetensors`; own files are shared. */
  async relative(path: string): Promise<TensorFile> {
    return this.files.get(path) ?? openTensorFile(join(this.folder, path));
  }

  /** A JSON file beside `case.json`. */
  async table<T>(name: string): Promise<T> {
    return JSON.parse(await readFile(join(this.folder, name), "utf8")) as T;
  }

  /** A field of the configuration. */
  config<T>(name: string): T {
    const value = this.json.config?.[name];
    if (value === undefined)
      throw new VansError("VANS_CASE_FIELD_MISSING", `${basename(this.folder)}: config has no "${name}"`);
    return value as T;
  }

  hasConfig(...names: readonly string[]): boolean {
    return names.every((name) => this.json.config?.[name] !== undefined);
  }

  tolerance(name: string, fallback?: number): number {
    const value = this.json.tolerances?.[name];
    if (typeof value === "number") return value;
    if (fallback !== undefined) return fallback;
    throw new VansError("VANS_CASE_FIELD_MISSING", `${basename(this.folder)}: tolerances has no "${name}"`);
  }

  /** Tensors of the case's own files that nothing asked for, as `file: name`. */
  unused(): string[] {
    return [...this.files].flatMap(([file, tensors]) => tensors.unused().map((name) => `${file}: ${name}`));
  }
}

async function openTensorFile(path: string): Promise<TensorFile> {
  return new TensorFile(path, await readSafetensors(path));
}

/** max|a - b| / max|b|, the usual measure; infinite where lengths differ, NaN where a value is. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  let scale = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (Number.isNaN(difference)) return Number.NaN;
    worst = Math.max(worst, difference);
    scale = Math.max(scale, Math.abs(b[i]!));
  }
  return worst === 0 ? 0 : worst / Math.max(scale, 1e-30);
}

/** max|a - b|; infinite where lengths differ, NaN where a value is. */
export function absoluteError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (Number.isNaN(difference)) return Number.NaN;
    worst = Math.max(worst, difference);
  }
  return worst;
}

/** A check of a tensor against its golden value, relative to the largest golden element. */
export function checkRelative(name: string, actual: NdArray, golden: NdArray, tolerance: number): Check {
  return { name, maxError: relativeError(actual.data, golden.data), tolerance };
}

/** A check that allows no difference. */
export function checkExact(name: string, actual: ArrayLike<number>, golden: ArrayLike<number>): Check {
  return { name, maxError: absoluteError(actual, golden), tolerance: 0 };
}
