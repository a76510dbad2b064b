/**
 * The safetensors file format: 8 bytes header length, a JSON header, then the bytes of all tensors without holes.
 *
 * Format: https://github.com/huggingface/safetensors#format. Numbers are little-endian, as on every platform that
 * Node and ONNX Runtime support.
 * @module
 */
import { type FileHandle, open } from "node:fs/promises";
import { VansError } from "../base/errors.ts";
import { writeFileAtomically } from "./atomic-file.ts";
import { bf16FromFloat32, f16FromFloat32 } from "./half.ts";
import {
  BYTES_OF_DTYPE,
  decodeElements,
  elementCount,
  isStoredDtype,
  type StoredDtype,
  type StoredTensor,
  type TensorElements,
  type TensorInfo,
} from "./tensor-data.ts";

/** The header of one safetensors file. */
export interface SafetensorsHeader {
  /** Tensors in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The free text fields of `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** The reference implementation refuses longer headers as well. */
const MAX_HEADER_BYTES = 100_000_000;

/** Node reads at most 2^31 - 1 bytes at once; stay well below. */
const READ_CHUNK_BYTES = 1 << 30;

/** Reads exactly `byteLength` bytes at `byteOffset`, or throws `VANS_WEIGHTS_TRUNCATED`. */
export async function readBytes(
  file: FileHandle,
  path: string,
  byteOffset: number,
  byteLength: number,
): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(byteLength);
  let done = 0;
  while (done < byteLength) {
    const wanted = Math.min(byteLength - done, READ_CHUNK_BYTES);
    const { bytesRead } = await file.read(bytes, done, wanted, byteOffset + done);
    if (bytesRead === 0) {
      throw truncated(
        path,
        `bytes ${byteOffset} to ${byteOffset + byteLength}`,
        `the file ends at ${byteOffset + done}`,
      );
    }
    done += bytesRead;
  }
  return bytes.buffer;
}

/** Opens a weight file for reading; a missing or unreadable one is `VANS_WEIGHTS_NOT_FOUND`. */
export async function openWeightFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (cause) {
    throw new VansError("VANS_WEIGHTS_NOT_FOUND", `the weight file ${path} cannot be opened`, {
      found: cause instanceof Error ? cause.message : String(cause),
      fix: "check the path; a suite folder must hold the files that its config names",
      cause,
    });
  }
}

/**
 * Reads the header of a safetensors file, and nothing else of it.
 *
 * Every entry is checked: known type, shape and byte range agree, ranges lie inside the file, touch each other and
 * never overlap.
 *
 * @throws `VANS_WEIGHTS_NOT_FOUND`, `VANS_WEIGHTS_TRUNCATED`, `VANS_WEIGHTS_HEADER_INVALID`
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  const file = await openWeightFile(path);
  try {
    return await headerOf(file, path);
  } finally {
    await file.close();
  }
}

/**
 * Reads all tensors of one safetensors file, F16 and BF16 decoded to f32.
 *
 * @throws as {@link readSafetensorsHeader}
 */
export async function readSafetensors(path: string): Promise<Map<string, StoredTensor>> {
  const file = await openWeightFile(path);
  try {
    const header = await headerOf(file, path);
    const out = new Map<string, StoredTensor>();
    for (const [name, info] of header.tensors) out.set(name, await tensorOf(file, info));
    return out;
  } finally {
    await file.close();
  }
}

/**
 * Reads one tensor of a safetensors file.
 *
 * @throws `VANS_WEIGHTS_TENSOR_MISSING` if the file has no tensor of that name, and as {@link readSafetensorsHeader}
 */
export async function readTensor(path: string, name: string): Promise<StoredTensor> {
  const file = await openWeightFile(path);
  try {
    const info = (await headerOf(file, path)).tensors.get(name);
    if (info === undefined) {
      throw new VansError("VANS_WEIGHTS_TENSOR_MISSING", `${path} has no tensor ${name}`, {
        fix: "list the names with readSafetensorsHeader; the file may use another naming (see key maps)",
        data: { name, path },
      });
    }
    return await tensorOf(file, info);
  } finally {
    await file.close();
  }
}

/** Reads and decodes the tensor that `info` describes from the open file. */
async function tensorOf(file: FileHandle, info: TensorInfo): Promise<StoredTensor> {
  const bytes = await readBytes(file, info.path, info.byteOffset, info.byteLength);
  return { dtype: info.dtype, shape: info.shape, data: decodeElements(bytes, info.dtype) };
}

async function headerOf(file: FileHandle, path: string): Promise<SafetensorsHeader> {
  const stat = await file.stat();
  if (!stat.isFile()) throw invalid(path, "it is not a regular file");
  const fileBytes = stat.size;
  if (fileBytes < 8) throw truncated(path, "at least 8 bytes", `${fileBytes} bytes`);
  const lengthField = new DataView(await readBytes(file, path, 0, 8)).getBigUint64(0, true);
  if (lengthField > BigInt(MAX_HEADER_BYTES)) {
    throw invalid(path, `its header claims ${lengthField} bytes; at most ${MAX_HEADER_BYTES} are allowed`);
  }
  const headerBytes = Number(lengthField);
  if (8 + headerBytes > fileBytes) {
    throw truncated(path, `a header of ${headerBytes} bytes`, `the file has ${fileBytes} bytes in all`);
  }
  const entries = parseHeader(path, await readBytes(file, path, 8, headerBytes));

  const dataStart = 8 + headerBytes;
  const tensors: [string, TensorInfo][] = [];
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(entries)) {
    if (name === "__metadata__") metadata = metadataOf(path, entry);
    else tensors.push([name, tensorEntry(path, name, entry, dataStart)]);
  }

  tensors.sort(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const [name, info] of tensors) {
    if (info.byteOffset !== end) {
      const relation = info.byteOffset < end ? "overlaps the tensor before it" : "leaves a hole before it";
      throw invalid(
        path,
        `tensor ${name} starts at byte ${info.byteOffset}, which ${relation} (expected ${end})`,
      );
    }
    end += info.byteLength;
  }
  if (end > fileBytes) throw truncated(path, `${end} bytes, as the header says`, `${fileBytes} bytes`);
  if (end < fileBytes)
    throw invalid(path, `${fileBytes - end} bytes after the last tensor belong to nothing`);
  return { tensors: new Map(tensors), metadata };
}

function parseHeader(path: string, bytes: ArrayBuffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (isRecord(value)) return value;
  } catch (cause) {
    throw invalid(path, "its header is not JSON", cause);
  }
  throw invalid(path, "its header is not a JSON object");
}

function metadataOf(path: string, entry: unknown): Record<string, string> {
  if (!isRecord(entry) || Object.values(entry).some((value) => typeof value !== "string")) {
    throw invalid(path, "__metadata__ must map names to texts");
  }
  return entry as Record<string, string>;
}

function tensorEntry(path: string, name: string, entry: unknown, dataStart: number): TensorInfo {
  if (!isRecord(entry)) throw invalid(path, `the entry of tensor ${name} is not an object`);
  const { dtype, shape, data_offsets: range } = entry;
  if (!isStoredDtype(dtype))
    throw invalid(path, `tensor ${name} has the unknown type ${JSON.stringify(dtype)}`);
  if (!isSizeList(shape)) throw invalid(path, `tensor ${name} has the shape ${JSON.stringify(shape)}`);
  if (!isSizeList(range) || range.length !== 2 || range[0]! > range[1]!) {
    throw invalid(path, `tensor ${name} has the byte range ${JSON.stringify(range)}`);
  }
  const byteLength = range[1]! - range[0]!;
  const needed = elementCount(shape) * BYTES_OF_DTYPE[dtype];
  if (byteLength !== needed) {
    throw invalid(
      path,
      `tensor ${name} is ${dtype} [${shape.join(", ")}], ${needed} bytes, but its range has ${byteLength}`,
    );
  }
  return { dtype, shape, path, byteOffset: dataStart + range[0]!, byteLength, contiguous: true };
}

/** What {@link writeSafetensors} takes for one tensor. `dtype` is needed only where the array does not tell it. */
export interface WritableTensor {
  readonly shape: readonly number[];
  readonly data: TensorElements | Float32Array;
  /** Overrides the option `dtype` for this tensor; `BOOL` marks bytes as booleans. */
  readonly dtype?: StoredDtype;
}

/** Options of {@link writeSafetensors}. */
export interface WriteSafetensorsOptions {
  /** The type f32 arrays get on disk, rounded to nearest even. Default `F32`. Other arrays keep their own type. */
  readonly dtype?: "F32" | "BF16" | "F16";
  /** Free text fields for `__metadata__`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Writes a safetensors file atomically: a temporary file, forced to disk, renamed over `path`.
 *
 * The data begins at a multiple of 8 bytes and tensors are ordered by falling element size, then by name (as the
 * reference implementation does), so each lies at a multiple of its element size and can be mapped as ONNX external
 * data. The same tensors give the same bytes.
 *
 * @throws `VANS_WEIGHTS_SHAPE_MISMATCH` if a shape and its array disagree
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [string, WritableTensor]>,
  { dtype: floatDtype = "F32", metadata }: WriteSafetensorsOptions = {},
): Promise<void> {
  const planned = [...tensors].map(([name, tensor]) => {
    const dtype = tensor.dtype ?? dtypeOfArray(tensor.data, floatDtype);
    checkWritable(path, name, tensor, dtype);
    return { name, tensor, dtype };
  });
  planned.sort((a, b) => BYTES_OF_DTYPE[b.dtype] - BYTES_OF_DTYPE[a.dtype] || compareText(a.name, b.name));

  const header: [string, unknown][] = [];
  if (metadata !== undefined && Object.keys(metadata).length > 0) header.push(["__metadata__", metadata]);
  const names = new Set<string>(["__metadata__"]);
  let end = 0;
  for (const { name, tensor, dtype } of planned) {
    if (names.has(name)) throw invalid(path, `two tensors are called ${name}`);
    names.add(name);
    const start = end;
    end += tensor.data.length * BYTES_OF_DTYPE[dtype];
    header.push([name, { dtype, shape: tensor.shape, data_offsets: [start, end] }]);
  }
  // Built by hand, since an object would move names that look like integers to the front.
  const text = `{${header.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
  const json = new TextEncoder().encode(text);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(8 + headerBytes).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(headerBytes), true);
  head.set(json, 8);

  await writeFileAtomically(path, async (file) => {
    await writeAll(file, head);
    for (const { tensor, dtype } of planned) await writeAll(file, encode(tensor.data, dtype));
  });
}

function dtypeOfArray(data: WritableTensor["data"], floatDtype: "F32" | "BF16" | "F16"): StoredDtype {
  if (data instanceof Float32Array) return floatDtype;
  if (data instanceof Float64Array) return "F64";
  if (data instanceof BigInt64Array) return "I64";
  if (data instanceof BigUint64Array) return "U64";
  if (data instanceof Int32Array) return "I32";
  if (data instanceof Uint32Array) return "U32";
  if (data instanceof Int16Array) return "I16";
  if (data instanceof Uint16Array) return "U16";
  if (data instanceof Int8Array) return "I8";
  return "U8";
}

function checkWritable(path: string, name: string, tensor: WritableTensor, dtype: StoredDtype): void {
  const needed = elementCount(tensor.shape);
  if (!isSizeList(tensor.shape) || needed !== tensor.data.length) {
    throw new VansError("VANS_WEIGHTS_SHAPE_MISMATCH", `tensor ${name} for ${path} does not fit its shape`, {
      asked: `[${tensor.shape.join(", ")}], ${needed} elements`,
      found: `${tensor.data.length} elements`,
    });
  }
  const isFloat = tensor.data instanceof Float32Array;
  const isHalf = dtype === "BF16" || dtype === "F16";
  const own = dtypeOfArray(tensor.data, "F32");
  const fits = own === dtype || (isHalf && isFloat) || (own === "U8" && dtype === "BOOL");
  if (!fits) {
    throw new VansError(
      "VANS_WEIGHTS_DTYPE_UNSUPPORTED",
      `tensor ${name} for ${path} cannot be written as ${dtype}`,
      {
        found: `an array of ${own}`,
      },
    );
  }
}

function encode(data: WritableTensor["data"], dtype: StoredDtype): Uint8Array {
  let stored: ArrayBufferView = data;
  if (data instanceof Float32Array && dtype === "BF16") stored = bf16FromFloat32(data);
  if (data instanceof Float32Array && dtype === "F16") stored = f16FromFloat32(data);
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.length - done, READ_CHUNK_BYTES));
    done += bytesWritten;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizeList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function truncated(path: string, asked: string, found: string): VansError {
  return new VansError("VANS_WEIGHTS_TRUNCATED", `the weight file ${path} is cut short`, {
    asked,
    found,
    why: "an interrupted download or copy",
    fix: "fetch the file again and compare its size",
  });
}

function invalid(path: string, problem: string, cause?: unknown): VansError {
  return new VansError("VANS_WEIGHTS_HEADER_INVALID", `${path} is not a sound safetensors file: ${problem}`, {
    why: "the file is damaged, or was not written by a safetensors library",
    fix: "fetch the file again and compare its hash (vans suites verify), or write it with a safetensors library",
    cause,
  });
}
