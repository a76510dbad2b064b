/**
 * Weights in 4 or 8 bits, as the runtime's own kernels read them, and the file that holds them.
 *
 * `blocks` (com.microsoft MatMulNBits): every run of `blockSize` inputs of an output has one scale; q = round(w / scale)
 * + 2^(bits-1). In 8 bits scale = max|w| / 127; in 4 bits scale = -w/8 for the w with the largest magnitude (as in ggml). `rows` (DynamicQuantizeMatMul): one
 * scale an output, signed bytes, stored transposed.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { QuantizedWeight } from "../tensor/index.ts";
import { type PlannedTensor, writeSafetensorsStream } from "./safetensors-stream.ts";
import type { WeightSource } from "./weight-source.ts";

/** How weights are quantised. */
export type QuantizationScheme =
  | { readonly scheme: "blocks"; readonly bits: 4 | 8; readonly blockSize: number }
  | {
      readonly scheme: "rows";
      readonly bits: 8;
      /** The largest number that a weight becomes: 127, or {@link LEVELS_7_BITS}. Default 127. */
      readonly levels?: number;
    };

/** For processors whose integer products saturate (`integerProductsSaturate`): 2 · 255 · 63 still fits 16 bits. */
export const LEVELS_7_BITS = 63;

/** The schemes by the names that options use. `8bit-fast` quantises activations a row at a time. */
export const QUANTIZATIONS = {
  "4bit": { scheme: "blocks", bits: 4, blockSize: 32 },
  "8bit": { scheme: "blocks", bits: 8, blockSize: 64 },
  "8bit-fast": { scheme: "rows", bits: 8 },
} as const satisfies Readonly<Record<string, QuantizationScheme>>;

/** Name of a quantisation. */
export type QuantizationName = keyof typeof QUANTIZATIONS;

/** A quantised matrix in memory. */
export interface QuantizedMatrix {
  readonly packed: Uint8Array;
  readonly scales: Float32Array;
}

/**
 * Quantises `[rows, width]` (rows are outputs).
 *
 * @throws `VANS_WEIGHTS_QUANTIZE` where the width is no multiple of the block
 */
export function quantizeMatrix(
  data: Float32Array,
  rows: number,
  width: number,
  how: QuantizationScheme,
): QuantizedMatrix {
  return how.scheme === "rows"
    ? byRows(data, rows, width, how.levels ?? 127)
    : byBlocks(data, rows, width, how.bits, how.blockSize);
}

function byBlocks(
  data: Float32Array,
  rows: number,
  width: number,
  bits: 4 | 8,
  blockSize: number,
): QuantizedMatrix {
  if (width % blockSize !== 0)
    throw new VansError("VANS_WEIGHTS_QUANTIZE", "the width of a matrix is no multiple of the block", {
      asked: `blocks of ${blockSize}`,
      found: `${rows} x ${width}`,
      fix: "leave this matrix as it is, or use smaller blocks",
    });
  const blocks = width / blockSize;
  const scales = new Float32Array(rows * blocks);
  const packed = new Uint8Array((rows * width * bits) / 8);
  const middle = bits === 4 ? 8 : 128;
  // The sums are positive, so cutting off their fraction rounds; Math.round takes several times as long.
  const rounding = middle + 0.5;
  let at = 0;
  for (let block = 0; block < scales.length; block++) {
    const start = block * blockSize;
    let largest = 0;
    let least = 0;
    for (let i = start; i < start + blockSize; i++) {
      const value = data[i]!;
      if (value > largest) largest = value;
      else if (value < least) least = value;
    }
    // Eight numbers below zero and seven above: in 4 bits the largest value takes the side with one more.
    const scale =
      bits === 4 ? (-least > largest ? least : largest) / -middle : Math.max(largest, -least) / (middle - 1);
    scales[block] = scale;
    const inverse = scale === 0 ? 0 : 1 / scale;
    if (bits === 8) {
      for (let i = start; i < start + blockSize; i++) packed[at++] = (data[i]! * inverse + rounding) | 0;
    } else {
      for (let i = start; i < start + blockSize; i += 2) {
        const low = Math.min(15, (data[i]! * inverse + rounding) | 0);
        const high = Math.min(15, (data[i + 1]! * inverse + rounding) | 0);
        packed[at++] = low | (high << 4);
      }
    }
  }
  return { packed, scales };
}

function byRows(data: Float32Array, rows: number, width: number, levels: number): QuantizedMatrix {
  const scales = new Float32Array(rows);
  const inverse = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let largest = 0;
    for (let i = row * width; i < (row + 1) * width; i++) {
      const value = Math.abs(data[i]!);
      if (value > largest) largest = value;
    }
    scales[row] = largest / levels;
    inverse[row] = largest > 0 ? levels / largest : 0;
  }
  const packed = new Int8Array(rows * width);
  // Tiles keep both sides of the transposition in the cache.
  const tile = 64;
  for (let row0 = 0; row0 < rows; row0 += tile) {
    for (let column0 = 0; column0 < width; column0 += tile) {
      const rowEnd = Math.min(rows, row0 + tile);
      const columnEnd = Math.min(width, column0 + tile);
      for (let row = row0; row < rowEnd; row++)
        for (let column = column0; column < columnEnd; column++)
          packed[column * rows + row] = Math.round(data[row * width + column]! * inverse[row]!);
    }
  }
  return { packed: new Uint8Array(packed.buffer), scales };
}

/** The numbers that a quantised matrix stands for, `[rows, width]`. */
export function dequantizeMatrix(
  { packed, scales }: QuantizedMatrix,
  rows: number,
  width: number,
  how: QuantizationScheme,
): Float32Array {
  const out = new Float32Array(rows * width);
  if (how.scheme === "rows") {
    const signed = new Int8Array(packed.buffer, packed.byteOffset, packed.length);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < width; column++)
        out[row * width + column] = signed[column * rows + row]! * scales[row]!;
    return out;
  }
  const { bits, blockSize } = how;
  for (let i = 0; i < out.length; i++) {
    const stored = bits === 8 ? packed[i]! - 128 : ((packed[i >> 1]! >> (4 * (i & 1))) & 15) - 8;
    out[i] = stored * scales[Math.floor(i / blockSize)]!;
  }
  return out;
}

const FORMAT = "vans-quantized-1";

/** Options of {@link writeQuantized}. */
export interface WriteQuantizedOptions {
  /** Matrices to quantise; the others are left out of the file and taken from the original. */
  readonly isChosen: (name: string, shape: readonly number[]) => boolean;
  /** Further names under which chosen matrices are written, by the name in the source: tied weights. */
  readonly alsoAs?: Readonly<Record<string, string>> | undefined;
  /** See {@link QuantizationScheme}; for `8bit-fast` alone. */
  readonly levels?: number | undefined;
  /** Called after each matrix. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes the chosen matrices of a source quantised: `<name>.packed` (U8) and `<name>.scales` (F32), scheme and shapes in
 * the metadata. One matrix is in memory at a time.
 *
 * @throws `VANS_WEIGHTS_QUANTIZE` if nothing is chosen, and as reading does
 */
export async function writeQuantized(
  path: string,
  source: WeightSource,
  name: QuantizationName,
  options: WriteQuantizedOptions,
): Promise<void> {
  const how: QuantizationScheme = {
    ...QUANTIZATIONS[name],
    ...(options.levels !== undefined && { levels: options.levels }),
  };
  const chosen = source
    .names()
    .filter(
      (tensor) =>
        source.info(tensor).shape.length === 2 && options.isChosen(tensor, source.info(tensor).shape),
    )
    .filter((tensor) => how.scheme === "rows" || source.info(tensor).shape[1]! % how.blockSize === 0);
  if (chosen.length === 0)
    throw new VansError("VANS_WEIGHTS_QUANTIZE", `nothing in ${source.path} is to be quantised`, {
      fix: "check that the file belongs to this model",
    });
  for (const [from, to] of Object.entries(options.alsoAs ?? {})) {
    const { shape } = source.info(from);
    if (how.scheme === "rows" || shape[1]! % how.blockSize === 0) chosen.push(to);
  }
  const storedName = (tensor: string): string =>
    Object.entries(options.alsoAs ?? {}).find(([, to]) => to === tensor)?.[0] ?? tensor;
  const sizes = (tensor: string): [number, number] =>
    source.info(storedName(tensor)).shape as [number, number];
  const scales = chosen.map((tensor): PlannedTensor => {
    const [rows, width] = sizes(tensor);
    const shape = how.scheme === "rows" ? [rows] : [rows, width / how.blockSize];
    return { name: `${tensor}.scales`, dtype: "F32", shape };
  });
  const packed = chosen.map((tensor): PlannedTensor => {
    const [rows, width] = sizes(tensor);
    return { name: `${tensor}.packed`, dtype: "U8", shape: [(rows * width * how.bits) / 8] };
  });
  // Bytes of a multiple of 4 each, so the scales behind them lie where they can be mapped.
  const kept = new Map<string, Float32Array>();
  const plan = [...packed, ...scales];
  let done = 0;
  await writeSafetensorsStream(
    path,
    plan,
    async ({ name: entry }) => {
      options.signal?.throwIfAborted();
      const tensor = entry.replace(/\.(packed|scales)$/, "");
      if (entry.endsWith(".scales")) {
        const values = kept.get(tensor)!;
        return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      }
      const [rows, width] = sizes(tensor);
      const result = quantizeMatrix(await source.readFloat32(storedName(tensor)), rows, width, how);
      kept.set(tensor, result.scales);
      options.onProgress?.(++done, chosen.length);
      return result.packed;
    },
    {
      metadata: {
        format: FORMAT,
        quantization: name,
        shapes: JSON.stringify(Object.fromEntries(chosen.map((tensor) => [tensor, sizes(tensor)]))),
      },
    },
  );
}

/**
 * The quantised weights of a file that {@link writeQuantized} made, by the names of the originals.
 *
 * @throws `VANS_WEIGHTS_HEADER_INVALID` for a file of another kind
 */
export function quantizedWeights(source: WeightSource): Map<string, QuantizedWeight> {
  const { format, quantization, shapes } = source.metadata;
  if (format !== FORMAT || !quantization || !Object.hasOwn(QUANTIZATIONS, quantization) || !shapes)
    throw new VansError("VANS_WEIGHTS_HEADER_INVALID", `${source.path} holds no quantised weights`, {
      asked: FORMAT,
      found: format ?? "no format in its metadata",
      fix: "make it with vans suites quantize",
    });
  const how: QuantizationScheme = QUANTIZATIONS[quantization as QuantizationName];
  const found = new Map<string, QuantizedWeight>();
  for (const [name, shape] of Object.entries(JSON.parse(shapes) as Record<string, [number, number]>)) {
    found.set(name, {
      scheme: how.scheme,
      bits: how.bits,
      blockSize: how.scheme === "blocks" ? how.blockSize : 0,
      shape,
      packed: source.info(`${name}.packed`),
      scales: source.info(`${name}.scales`),
    });
  }
  return found;
}
