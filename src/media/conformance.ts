/**
 * Runs the reference case of preprocessing: sizes, frame picks, resizes, CLIP pixels, pixel scaling.
 * @module
 */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isVansError, type VansError } from "../base/errors.ts";
import {
  type CaseCheck,
  type CaseFolder,
  exactCheck,
  openCase,
  type StoredTensor,
} from "../weights/index.ts";
import { linspace, referenceFrames, smartFrameCount, smartResize, uniformFrames } from "./frame-index.ts";
import { clipCrop, clipPixels, levelsFromSigned, signedFromLevels } from "./pixels.ts";
import { type RgbImage, resizeBilinearTorch, resizeImage } from "./resize.ts";

/** Share of 8-bit values that may be one level off ("at most 1 level off on fewer than 0.5% of the values"). */
const LEVEL_TOLERANCE = 0.005;

/**
 * Checks one folder of preprocessing vectors: every table and every tensor that it holds.
 *
 * @param folder a folder with `case.json`, `io.safetensors` and the tables; sizes and counts are read from it
 * @returns one row per table or tensor; `maxError` is the number of wrong rows for tables, the share of values off by
 * one level for 8-bit pictures (`Infinity` if any is off by more), and `max|a - b| / max|b|` for f32
 */
export async function runPreprocessingCase(folder: string, opened?: CaseFolder): Promise<CaseCheck[]> {
  const golden = opened ?? (await openCase(folder));
  const checks: CaseCheck[] = [];
  for (const [file, wrongRows] of Object.entries(TABLES)) {
    if (!existsSync(join(folder, file))) continue;
    checks.push({ name: file, maxError: wrongRows(await golden.table(file)), tolerance: 0 });
  }
  for (const name of golden.names()) {
    const check = checkTensor(golden, name);
    if (check !== undefined) checks.push(check);
  }
  const unknown = (await readdir(folder)).filter(
    (f) => f.endsWith(".json") && f !== "case.json" && !(f in TABLES),
  );
  checks.push(exactCheck(`unknown tables: ${unknown.join(", ") || "none"}`, unknown.length === 0));
  const unused = golden.unused();
  checks.push(exactCheck(`unused tensors: ${unused.join(", ") || "none"}`, unused.length === 0));
  return checks;
}

interface SmartResizeRow {
  readonly height: number;
  readonly width: number;
  readonly min_pixels: number;
  readonly max_pixels: number;
  readonly result: readonly [number, number] | null;
}

interface FrameIndexRow {
  readonly total_frames: number;
  readonly video_fps: number;
  readonly request: {
    readonly fps?: number;
    readonly min_frames?: number;
    readonly max_frames?: number;
    readonly nframes?: number;
  };
  readonly nframes: number | null;
  readonly index: readonly number[] | null;
}

interface LinspaceRow {
  readonly n: number;
  readonly k: number;
  readonly values: readonly number[];
}

/** For every table file: the number of rows that we compute otherwise. */
const TABLES: Readonly<Record<string, (table: unknown) => number>> = {
  "smart_resize.json": (table) =>
    wrong(table as readonly SmartResizeRow[], (row) => {
      const size = orRefused("VANS_MEDIA_ASPECT_REFUSED", () =>
        smartResize(row, { minPixels: row.min_pixels, maxPixels: row.max_pixels }),
      );
      return size === null ? null : [size.height, size.width];
    }),
  "frame_index.json": (table) =>
    wrong(
      (table as readonly FrameIndexRow[]).map((row) => ({
        ...row,
        result: { nframes: row.nframes, index: row.index },
      })),
      (row) => {
        const { nframes, fps, min_frames, max_frames } = row.request;
        const count = orRefused("VANS_MEDIA_TOO_FEW_FRAMES", () =>
          smartFrameCount(
            row.total_frames,
            row.video_fps,
            nframes === undefined
              ? {
                  ...(fps === undefined ? {} : { frameRateHz: fps }),
                  ...(min_frames === undefined ? {} : { minFrames: min_frames }),
                  ...(max_frames === undefined ? {} : { maxFrames: max_frames }),
                }
              : { frameCount: nframes },
          ),
        );
        const index = count === null ? null : uniformFrames(row.total_frames, count);
        const shown =
          index !== null && index.length > 40 ? [...index.slice(0, 20), ...index.slice(-20)] : index;
        return { nframes: count, index: shown };
      },
    ),
  "reference_picks.json": (table) => {
    const rows = Object.entries(table as Readonly<Record<string, readonly number[]>>);
    return wrong(
      rows.map(([total, result]) => ({ total: Number(total), result })),
      (row) => referenceFrames(row.total, row.result.length),
    );
  },
  "linspace.json": (table) =>
    wrong(
      (table as readonly LinspaceRow[]).map((row) => ({ ...row, result: row.values })),
      (row) => [...linspace(0, row.n - 1, row.k)],
    ),
};

function wrong<Row extends { readonly result: unknown }>(
  rows: readonly Row[],
  ours: (row: Row) => unknown,
): number {
  if (rows.length === 0) return Number.POSITIVE_INFINITY;
  return rows.filter((row) => JSON.stringify(ours(row)) !== JSON.stringify(row.result)).length;
}

function orRefused<T>(code: VansError["code"], make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    if (isVansError(error, code)) return null;
    throw error;
  }
}

/** Checks one tensor; names are `<group>.<what>`, where the group's `image` or `value` is the input. */
function checkTensor(golden: CaseFolder, name: string): CaseCheck | undefined {
  const [group, what] = name.split(".") as [string, string?];
  const compute = what === undefined ? undefined : OUTPUTS[what];
  const input = golden.has(`${group}.image`) ? `${group}.image` : `${group}.value`;
  if (compute === undefined || (what !== "scaled" && !golden.has(input))) return undefined;
  const expected = golden.tensor(name);
  const given = what === "scaled" ? expected : golden.tensor(input);
  const ours = compute(given, expected, golden, group);
  return expected.dtype === "U8"
    ? { name, maxError: levelError(ours, expected.data), tolerance: LEVEL_TOLERANCE }
    : { name, maxError: relativeError(ours, expected.data), tolerance: golden.tolerance("f32", 1e-5) };
}

type Compute = (
  input: StoredTensor,
  expected: StoredTensor,
  golden: CaseFolder,
  group: string,
) => ArrayLike<number>;

const OUTPUTS: Readonly<Record<string, Compute>> = {
  pil_bicubic: (input, expected) => planes(resizeImage(imageOf(input), sizeOf(expected), "pil-bicubic")),
  pil_bilinear: (input, expected) => planes(resizeImage(imageOf(input), sizeOf(expected), "pil-bilinear")),
  torch_bicubic: (input, expected) => planes(resizeImage(imageOf(input), sizeOf(expected), "torch-bicubic")),
  torch_bilinear: (input, expected) => {
    const size = sizeOf(expected);
    return planesFirst(resizeBilinearTorch(imageOf(input), size), size.height * size.width);
  },
  cropped: (input, expected) => {
    const crop = sizeOf(expected);
    return planes(clipCrop(imageOf(input), { shortestSide: Math.min(crop.height, crop.width), crop }));
  },
  pixel_values: (input, expected) => {
    const crop = sizeOf(expected);
    return clipPixels(imageOf(input), { shortestSide: Math.min(crop.height, crop.width), crop });
  },
  scaled: (_input, expected) =>
    signedFromLevels(Uint8Array.from({ length: expected.data.length }, (_, level) => level)),
  u8_vans: (input) => levelsFromSigned(input.data as Float32Array, "truncate"),
  u8_diffusers: (input) => levelsFromSigned(input.data as Float32Array, "round"),
};

function sizeOf(tensor: StoredTensor): { height: number; width: number } {
  const [, height, width] = tensor.shape;
  return { height: height!, width: width! };
}

/** A stored `[3, H, W]` as `[H, W, 3]`. */
function imageOf(tensor: StoredTensor): RgbImage {
  const size = sizeOf(tensor);
  const area = size.height * size.width;
  const rgb = new Uint8Array(area * 3);
  for (let i = 0; i < area; i++)
    for (let channel = 0; channel < 3; channel++)
      rgb[i * 3 + channel] = Number(tensor.data[channel * area + i]);
  return { ...size, rgb };
}

function planes(image: RgbImage): Float32Array {
  return planesFirst(image.rgb, image.height * image.width);
}

function planesFirst(values: ArrayLike<number>, area: number): Float32Array {
  const out = new Float32Array(area * 3);
  for (let i = 0; i < area; i++)
    for (let channel = 0; channel < 3; channel++) out[channel * area + i] = values[i * 3 + channel]!;
  return out;
}

function levelError(ours: ArrayLike<number>, expected: ArrayLike<number | bigint>): number {
  if (ours.length !== expected.length) return Number.POSITIVE_INFINITY;
  let off = 0;
  for (let i = 0; i < ours.length; i++) {
    const difference = Math.abs(ours[i]! - Number(expected[i]));
    if (!(difference <= 1)) return Number.POSITIVE_INFINITY;
    if (difference > 0) off++;
  }
  return off / ours.length;
}

function relativeError(ours: ArrayLike<number>, expected: ArrayLike<number | bigint>): number {
  if (ours.length !== expected.length) return Number.POSITIVE_INFINITY;
  let error = 0;
  let largest = 0;
  for (let i = 0; i < ours.length; i++) {
    error = Math.max(error, Math.abs(ours[i]! - Number(expected[i])));
    largest = Math.max(largest, Math.abs(Number(expected[i])));
    if (Number.isNaN(ours[i]!)) return Number.NaN;
  }
  return error / (largest || 1);
}
