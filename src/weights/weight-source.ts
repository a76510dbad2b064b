/**
 * A set of named tensors on disk, wherever they lie: one safetensors file or a folder of shards.
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { VansError } from "../base/errors.ts";
import { openWeightFile, readBytes, readSafetensorsHeader } from "./safetensors.ts";
import { asFloat32, decodeElements, type StoredTensor, type TensorInfo } from "./tensor-data.ts";

/** Named tensors that can be listed, located for mapping, and read one at a time. */
export interface WeightSource {
  /** What was opened, for messages. */
  readonly path: string;
  /** Free text fields of the file or files. */
  readonly metadata: Readonly<Record<string, string>>;
  /** All tensor names, sorted. */
  names(): readonly string[];
  has(name: string): boolean;
  /** Type, shape and place of a tensor. Throws `VANS_WEIGHTS_TENSOR_MISSING`. */
  info(name: string): TensorInfo;
  /** One tensor, half types decoded to f32. */
  read(name: string): Promise<StoredTensor>;
  /** One tensor as f32, whatever its type on disk. */
  readFloat32(name: string): Promise<Float32Array<ArrayBuffer>>;
}

/** A source over located tensors; `read` defaults to reading their bytes and decoding them. */
export function weightSource(
  path: string,
  tensors: ReadonlyMap<string, TensorInfo>,
  metadata: Readonly<Record<string, string>>,
  read: (info: TensorInfo, name: string) => Promise<StoredTensor> = readLocated,
): WeightSource {
  const names = [...tensors.keys()].sort();
  const info = (name: string): TensorInfo => {
    const found = tensors.get(name);
    if (found !== undefined) return found;
    throw new VansError("VANS_WEIGHTS_TENSOR_MISSING", `${path} has no tensor ${name}`, {
      found: `${names.length} tensors${names.length > 0 ? `, the first is ${names[0]}` : ""}`,
      fix: "the file may use another naming; see the key maps in vans/weights",
      data: { name, path },
    });
  };
  return {
    path,
    metadata,
    names: () => names,
    has: (name) => tensors.has(name),
    info,
    read: async (name) => read(info(name), name),
    readFloat32: async (name) => asFloat32(await read(info(name), name)),
  };
}

async function readLocated(info: TensorInfo): Promise<StoredTensor> {
  const file = await openWeightFile(info.path);
  try {
    const bytes = await readBytes(file, info.path, info.byteOffset, info.byteLength);
    return { dtype: info.dtype, shape: info.shape, data: decodeElements(bytes, info.dtype) };
  } finally {
    await file.close();
  }
}

/** A source over one safetensors file. */
export async function openSafetensors(path: string): Promise<WeightSource> {
  const header = await readSafetensorsHeader(path);
  return weightSource(path, header.tensors, header.metadata);
}

/**
 * A source over a sharded checkpoint, from its `*.safetensors.index.json`. Shards lie in the same folder; every
 * tensor must be where the index says, and shards may not hold others.
 *
 * @throws `VANS_WEIGHTS_INDEX_INVALID`, and as {@link readSafetensorsHeader}
 */
export async function openSafetensorsIndex(indexPath: string): Promise<WeightSource> {
  const invalid = (problem: string, cause?: unknown) =>
    new VansError("VANS_WEIGHTS_INDEX_INVALID", `the index ${indexPath} is not sound: ${problem}`, {
      fix: "fetch the index and all its shards again, from the same revision",
      cause,
    });
  let index: unknown;
  try {
    index = JSON.parse(await readFile(indexPath, "utf8"));
  } catch (cause) {
    throw invalid("it cannot be read as JSON", cause);
  }
  const map =
    typeof index === "object" && index !== null && "weight_map" in index ? index.weight_map : undefined;
  if (typeof map !== "object" || map === null) throw invalid("it has no weight_map");
  const folder = resolve(dirname(indexPath));
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    if (typeof shard !== "string") throw invalid(`tensor ${name} has no shard`);
    const path = resolve(folder, shard);
    if (!path.startsWith(folder + sep)) throw invalid(`shard ${shard} lies outside the folder`);
    shardOf.set(name, path);
  }
  const tensors = new Map<string, TensorInfo>();
  const metadata: Record<string, string> = {};
  for (const path of [...new Set(shardOf.values())].sort()) {
    const header = await readSafetensorsHeader(path);
    Object.assign(metadata, header.metadata);
    for (const [name, info] of header.tensors) {
      if (shardOf.get(name) !== path)
        throw invalid(`${path} holds ${name}, which the index does not place there`);
      tensors.set(name, info);
    }
  }
  for (const [name, path] of shardOf) {
    if (!tensors.has(name)) throw invalid(`tensor ${name} is not in ${path}, where the index places it`);
  }
  return weightSource(indexPath, tensors, metadata);
}

/** Names under which a folder keeps its weights, in the order they are tried; indexes before single files. */
const FOLDER_FILES = [
  "model.safetensors.index.json",
  "diffusion_pytorch_model.safetensors.index.json",
  "model.safetensors",
  "diffusion_pytorch_model.safetensors",
] as const;

/** The weight file or index inside `folder`. */
export async function findWeightFile(folder: string): Promise<string> {
  for (const name of FOLDER_FILES) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) return path;
  }
  throw new VansError("VANS_WEIGHTS_NOT_FOUND", `the folder ${folder} holds no weights`, {
    asked: FOLDER_FILES.join(", "),
    fix: "give the file itself if it has another name",
  });
}
