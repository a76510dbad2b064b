/**
 * Torch checkpoints (`.pth`, `.pt`, `.bin`): a zip with a pickle that describes the tensors, and one raw storage per
 * entry. Read without executing anything; half types, views, shared storages and nested dicts included.
 *
 * Layout: torch/serialization.py (`_save`, `_load`) and torch/_utils.py (`_rebuild_tensor_v2`).
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import { VansError } from "../base/errors.ts";
import { PickleGlobal, pickleRefused, unpickle } from "./pickle.ts";
import { openWeightFile, readBytes } from "./safetensors.ts";
import {
  BYTES_OF_DTYPE,
  decodeElements,
  elementCount,
  type StoredDtype,
  type StoredTensor,
  type TensorInfo,
} from "./tensor-data.ts";
import { type WeightSource, weightSource } from "./weight-source.ts";
import { readZipDirectory, type ZipEntry } from "./zip-directory.ts";

/** Storage classes and dtypes that a pickle may name. */
const DTYPE_OF_GLOBAL: Readonly<Record<string, StoredDtype>> = {
  "torch.FloatStorage": "F32",
  "torch.DoubleStorage": "F64",
  "torch.HalfStorage": "F16",
  "torch.BFloat16Storage": "BF16",
  "torch.LongStorage": "I64",
  "torch.IntStorage": "I32",
  "torch.ShortStorage": "I16",
  "torch.CharStorage": "I8",
  "torch.ByteStorage": "U8",
  "torch.BoolStorage": "BOOL",
  "torch.uint16": "U16",
  "torch.uint32": "U32",
  "torch.uint64": "U64",
  "torch.float8_e4m3fn": "F8_E4M3",
  "torch.float8_e5m2": "F8_E5M2",
};

/** A storage without a type, used by `_rebuild_tensor_v3`. */
const UNTYPED_STORAGE = "torch.storage.UntypedStorage";

/** Functions that a pickle may name; what they mean is written out in {@link rebuild}. */
const KNOWN_FUNCTIONS: ReadonlySet<string> = new Set([
  "collections.OrderedDict",
  "torch._utils._rebuild_tensor",
  "torch._utils._rebuild_tensor_v2",
  "torch._utils._rebuild_tensor_v3",
  "torch._utils._rebuild_parameter",
  "torch._utils._rebuild_parameter_with_state",
  "torch._tensor._rebuild_from_type_v2",
  "torch.Size",
]);

/** Types that occur as an argument only. */
const KNOWN_TYPES: ReadonlySet<string> = new Set([
  "torch.Tensor",
  "torch.nn.parameter.Parameter",
  UNTYPED_STORAGE,
]);

/** A tensor that is materialised may not blow up a broadcast view without bound. */
const MAX_EXPANDED_ELEMENTS = 2 ** 28;
const MAX_PICKLE_BYTES = 256 * 2 ** 20;
const MAX_DEPTH = 64;
const MAX_VALUES = 4_000_000;

class Storage {
  readonly dtype: StoredDtype | undefined;
  readonly entry: ZipEntry;
  constructor(dtype: StoredDtype | undefined, entry: ZipEntry) {
    this.dtype = dtype;
    this.entry = entry;
  }
}

/** A tensor of a torch file: a strided view of a storage. Offsets and strides count elements. */
export class PthTensor {
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly elementOffset: number;
  /** Absolute position of the storage in the file, and its length. */
  readonly storage: ZipEntry;

  constructor(
    dtype: StoredDtype,
    shape: readonly number[],
    strides: readonly number[],
    elementOffset: number,
    storage: ZipEntry,
  ) {
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.elementOffset = elementOffset;
    this.storage = storage;
  }
}

/** Anything a checkpoint may hold beside tensors, as plain data; dicts are maps, lists and tuples are arrays. */
export type PthValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PthTensor
  | readonly PthValue[]
  | ReadonlyMap<PthValue, PthValue>;

/**
 * Reads the structure of a torch file: nested dicts and lists with {@link PthTensor} leaves, whose data stay on disk.
 *
 * @throws `VANS_WEIGHTS_PICKLE_REFUSED` if the pickle asks for anything but data, `VANS_WEIGHTS_ZIP_INVALID`,
 *   `VANS_WEIGHTS_TRUNCATED`, `VANS_WEIGHTS_NOT_FOUND`
 */
export async function readPthTree(path: string): Promise<PthValue> {
  const file = await openWeightFile(path);
  try {
    return await treeOf(file, path);
  } finally {
    await file.close();
  }
}

/** Options of {@link openPth}. */
export interface OpenPthOptions {
  /** Keys of the dict that holds the tensors, from the root, joined by dots: `state_dict` for training checkpoints. */
  readonly under?: string;
}

/**
 * Opens the tensors of a torch file. Nested dicts and lists give dotted names (`state_dict.weight`); values that are
 * no tensors are left out.
 *
 * @throws as {@link readPthTree}; `VANS_WEIGHTS_TENSOR_MISSING` if there is no dict `under`
 */
export async function openPth(path: string, { under }: OpenPthOptions = {}): Promise<WeightSource> {
  const tensors = new Map<string, PthTensor>();
  collect(await readPthTree(path), [], tensors);
  const prefix = under === undefined ? "" : `${under}.`;
  const located = new Map<string, TensorInfo>();
  for (const [name, tensor] of tensors) {
    if (name.startsWith(prefix)) located.set(name.slice(prefix.length), locate(path, tensor));
  }
  if (under !== undefined && located.size === 0) {
    throw new VansError("VANS_WEIGHTS_TENSOR_MISSING", `${path} has no tensors under ${under}`, {
      found: [...new Set([...tensors.keys()].map((name) => name.split(".")[0]))].slice(0, 8).join(", "),
      fix: "name one of those found, or none for all tensors",
    });
  }
  return weightSource(path, located, {}, (_, name) => readPthTensor(path, tensors.get(prefix + name)!));
}

/** Reads one tensor of a torch file, laid out row by row; half types become f32. */
export async function readPthTensor(path: string, tensor: PthTensor): Promise<StoredTensor> {
  const { dtype, shape, strides } = tensor;
  const elementBytes = BYTES_OF_DTYPE[dtype];
  const count = elementCount(shape);
  // Only the part of the storage that the view spans is read.
  const spanned =
    count === 0 ? 0 : 1 + shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, 0);
  const start = tensor.storage.byteOffset + tensor.elementOffset * elementBytes;
  const file = await openWeightFile(path);
  try {
    const bytes = await readBytes(file, path, start, spanned * elementBytes);
    const rows = isContiguous(tensor) ? bytes : gather(new Uint8Array(bytes), tensor, count);
    return { dtype, shape, data: decodeElements(rows, dtype) };
  } finally {
    await file.close();
  }
}

/** The bytes of a strided view, row by row. */
function gather(source: Uint8Array, tensor: PthTensor, count: number): ArrayBuffer {
  const elementBytes = BYTES_OF_DTYPE[tensor.dtype];
  const out = new Uint8Array(count * elementBytes);
  const { shape, strides } = tensor;
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let element = 0; element < count; element++) {
    for (let byte = 0; byte < elementBytes; byte++) {
      out[element * elementBytes + byte] = source[from * elementBytes + byte]!;
    }
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      from += strides[axis]!;
      if (index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return out.buffer;
}

function locate(path: string, tensor: PthTensor): TensorInfo {
  const elementBytes = BYTES_OF_DTYPE[tensor.dtype];
  return {
    dtype: tensor.dtype,
    shape: tensor.shape,
    path,
    byteOffset: tensor.storage.byteOffset + tensor.elementOffset * elementBytes,
    byteLength: elementCount(tensor.shape) * elementBytes,
    contiguous: isContiguous(tensor),
  };
}

function isContiguous({ shape, strides }: PthTensor): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 0) return true;
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** Collects tensors under dotted names. Depth and number are bounded, since a pickle may contain itself. */
function collect(
  value: PthValue,
  trail: readonly string[],
  out: Map<string, PthTensor>,
  budget = { left: MAX_VALUES },
): void {
  if (trail.length > MAX_DEPTH || budget.left-- <= 0)
    throw pickleRefused("its values are nested without end");
  if (value instanceof PthTensor) {
    const name = trail.join(".");
    if (out.has(name)) throw pickleRefused(`two tensors are called ${name}`);
    out.set(name, value);
  } else if (value instanceof Map) {
    for (const [key, child] of value) collect(child, [...trail, String(key)], out, budget);
  } else if (Array.isArray(value)) {
    for (const [index, child] of value.entries()) collect(child, [...trail, String(index)], out, budget);
  }
}

async function treeOf(file: FileHandle, path: string): Promise<PthValue> {
  const entries = await readZipDirectory(file, path);
  const pickleName = [...entries.keys()].find((name) => name.endsWith("/data.pkl"));
  const notTorch = (problem: string, fix: string) =>
    new VansError("VANS_WEIGHTS_ZIP_INVALID", `${path} is not a torch checkpoint: ${problem}`, { fix });
  if (pickleName === undefined) throw notTorch("it holds no data.pkl", "give a file written by torch.save");
  const folder = pickleName.slice(0, -"data.pkl".length);
  if (entries.has(`${folder}constants.pkl`)) {
    throw notTorch(
      "it is a TorchScript archive, which holds a program",
      "export its state dict with torch.save",
    );
  }
  const order = entries.get(`${folder}byteorder`);
  if (order !== undefined) {
    const text = new TextDecoder().decode(
      await readBytes(file, path, order.byteOffset, Math.min(order.byteLength, 16)),
    );
    if (text !== "little") throw notTorch(`its byte order is ${text}`, "save it on a little-endian machine");
  }
  const pickle = entries.get(pickleName)!;
  if (pickle.byteLength > MAX_PICKLE_BYTES) throw pickleRefused(`it has ${pickle.byteLength} bytes`);
  const bytes = new Uint8Array(await readBytes(file, path, pickle.byteOffset, pickle.byteLength));
  const tree = unpickle(bytes, {
    global: knownGlobal,
    call: rebuild,
    // `OrderedDict` carries `_metadata` (module versions) this way; parameters may carry attributes. Data only.
    setState: (target) => {
      if (target instanceof Map || target instanceof PthTensor) return target;
      throw pickleRefused("it sets state on something that is neither dict nor tensor");
    },
    persistent: (id) => storageOf(id, folder, entries),
  });
  return tree as PthValue;
}

function knownGlobal(name: string): PickleGlobal {
  if (KNOWN_FUNCTIONS.has(name) || KNOWN_TYPES.has(name) || Object.hasOwn(DTYPE_OF_GLOBAL, name)) {
    return new PickleGlobal(name);
  }
  throw pickleRefused(`it names ${name}`, { global: name });
}

/** The meaning of the few functions that checkpoints use. */
function rebuild(callee: PickleGlobal, args: readonly unknown[]): unknown {
  switch (callee.name) {
    case "collections.OrderedDict":
      return orderedDict(args);
    case "torch.Size":
      return sizes(args[0]);
    case "torch._utils._rebuild_tensor":
    case "torch._utils._rebuild_tensor_v2":
      return tensorOf(args[0], args[1], args[2], args[3], undefined);
    case "torch._utils._rebuild_tensor_v3":
      return tensorOf(args[0], args[1], args[2], args[3], args[6]);
    case "torch._utils._rebuild_parameter":
    case "torch._utils._rebuild_parameter_with_state":
      if (args[0] instanceof PthTensor) return args[0];
      break;
    case "torch._tensor._rebuild_from_type_v2":
      if (args[0] instanceof PickleGlobal && Array.isArray(args[2])) return rebuild(args[0], args[2]);
      break;
  }
  throw pickleRefused(`it calls ${callee.name} with unexpected arguments`, { global: callee.name });
}

function orderedDict(args: readonly unknown[]): Map<unknown, unknown> {
  const pairs = args[0] ?? [];
  if (pairs instanceof Map) return new Map(pairs);
  if (!Array.isArray(pairs) || !pairs.every((pair) => Array.isArray(pair) && pair.length === 2)) {
    throw pickleRefused("an OrderedDict is made of something that is no list of pairs");
  }
  return new Map(pairs as [unknown, unknown][]);
}

function tensorOf(
  storage: unknown,
  offset: unknown,
  shape: unknown,
  strides: unknown,
  dtypeName: unknown,
): PthTensor {
  if (!(storage instanceof Storage)) throw pickleRefused("a tensor has no storage");
  const dtype = dtypeName instanceof PickleGlobal ? DTYPE_OF_GLOBAL[dtypeName.name] : storage.dtype;
  if (dtype === undefined) throw pickleRefused("a tensor has no known type");
  const [elementOffset] = sizes([offset]);
  const size = sizes(shape);
  const stride = sizes(strides);
  if (size.length !== stride.length)
    throw pickleRefused(`a tensor has ${size.length} sizes but ${stride.length} strides`);
  const count = elementCount(size);
  const capacity = Math.floor(storage.entry.byteLength / BYTES_OF_DTYPE[dtype]);
  const last = elementOffset! + size.reduce((sum, length, axis) => sum + (length - 1) * stride[axis]!, 0);
  if (count > 0 && last >= capacity) {
    throw new VansError(
      "VANS_WEIGHTS_SHAPE_MISMATCH",
      "a tensor of the torch file reaches behind its storage",
      {
        asked: `[${size.join(", ")}] with strides [${stride.join(", ")}] from element ${elementOffset}`,
        found: `storage ${storage.entry.name} has ${capacity} elements`,
        why: "the file is damaged",
        fix: "fetch the file again and compare its hash",
      },
    );
  }
  if (!(count <= Math.max(capacity, MAX_EXPANDED_ELEMENTS)))
    throw pickleRefused(`a tensor claims ${count} elements`);
  return new PthTensor(dtype, size, stride, elementOffset!, storage.entry);
}

function sizes(value: unknown): number[] {
  if (Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0))
    return value as number[];
  throw pickleRefused("a tensor has sizes that are no list of counts");
}

/** `("storage", class, key, device, elements)`, torch's persistent id. */
function storageOf(id: unknown, folder: string, entries: ReadonlyMap<string, ZipEntry>): Storage {
  if (
    !Array.isArray(id) ||
    id[0] !== "storage" ||
    !(id[1] instanceof PickleGlobal) ||
    typeof id[2] !== "string"
  ) {
    throw pickleRefused("it has a reference that is no storage");
  }
  const dtype = DTYPE_OF_GLOBAL[id[1].name];
  if (dtype === undefined && id[1].name !== UNTYPED_STORAGE)
    throw pickleRefused(`it has a storage of ${id[1].name}`);
  const entry = entries.get(`${folder}data/${id[2]}`);
  if (entry === undefined) throw pickleRefused(`storage ${id[2]} is not in the file`);
  return new Storage(dtype, entry);
}
