/**
 * Between 8-bit pixels and the numbers that models take: scaling to [-1, 1] and back, CLIP preprocessing.
 * @module
 */
import type { Clip } from "./clip.ts";
import { roundHalfEven } from "./frame-index.ts";
import { cropCentre, type ImageSize, type RgbImage, resizeImage } from "./resize.ts";

/** OpenAI CLIP's mean and standard deviation, which Qwen2.5-VL uses as well. */
export const CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073] as const;
export const CLIP_STD = [0.26862954, 0.26130258, 0.27577711] as const;

/** 8-bit levels to f32 in [-1, 1]: `level * (2 / 255) - 1`, every step in f32 (VANS `preprocess_image`). */
export function signedFromLevels(levels: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const out = new Float32Array(levels.length);
  const scale = Math.fround(2 / 255);
  for (let i = 0; i < out.length; i++) out[i] = Math.fround(levels[i]! * scale) - 1;
  return out;
}

/**
 * How decoded values become 8-bit levels.
 * - `truncate`: `trunc(clip((x + 1) * 127.5, 0, 255))` (VANS, DiffSynth `vae_output_to_image`)
 * - `round`: `round(clip(x / 2 + 0.5, 0, 1) * 255)`, halves to even (diffusers)
 */
export type LevelRounding = "truncate" | "round";

/** Values in [-1, 1] to 8-bit levels; values outside are clipped, NaN becomes 0. */
export function levelsFromSigned(
  values: ArrayLike<number>,
  rounding: LevelRounding,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = levelFromSigned(values[i]!, rounding);
  return out;
}

function levelFromSigned(value: number, rounding: LevelRounding): number {
  if (Number.isNaN(value)) return 0;
  if (rounding === "truncate") {
    const level = Math.fround(Math.fround(value + 1) * 127.5);
    return Math.trunc(Math.min(Math.max(level, 0), 255));
  }
  const share = Math.min(Math.max(Math.fround(value / 2 + 0.5), 0), 1);
  return roundHalfEven(Math.fround(share * 255));
}

/** A clip as the video models take it: f32 `[3, T, H, W]` in [-1, 1]. */
export function valuesFromClip(clip: Clip): Float32Array<ArrayBuffer> {
  const plane = clip.frameCount * clip.height * clip.width;
  const out = new Float32Array(3 * plane);
  const table = signedFromLevels(Uint8Array.from({ length: 256 }, (_, level) => level));
  for (let i = 0; i < plane; i++)
    for (let channel = 0; channel < 3; channel++)
      out[channel * plane + i] = table[clip.rgb[i * 3 + channel]!]!;
  return out;
}

/** Options of {@link clipFromValues}. */
export interface ClipFromValuesOptions extends ImageSize {
  readonly frameCount: number;
  readonly frameRateHz: number;
  readonly rounding?: LevelRounding;
}

/** Decoded values f32 `[3, T, H, W]` as a clip. Rounds as VANS does (`truncate`) unless told otherwise. */
export function clipFromValues(values: ArrayLike<number>, options: ClipFromValuesOptions): Clip {
  const { frameCount, height, width, frameRateHz, rounding = "truncate" } = options;
  const plane = frameCount * height * width;
  if (values.length !== 3 * plane) {
    throw new RangeError(
      `values must be [3, ${frameCount}, ${height}, ${width}] = ${3 * plane} numbers, got ${values.length}`,
    );
  }
  const rgb = new Uint8Array(3 * plane);
  for (let i = 0; i < plane; i++)
    for (let channel = 0; channel < 3; channel++)
      rgb[i * 3 + channel] = levelFromSigned(values[channel * plane + i]!, rounding);
  return { frameCount, height, width, frameRateHz, rgb };
}

/** Mean and standard deviation, a number per channel. */
export interface Normalisation {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/**
 * `(level / 255 - mean) / std` per channel, planes first.
 *
 * @param image `[H, W, 3]`
 * @returns f32 `[3, H, W]`
 */
export function normaliseImage(
  image: RgbImage,
  { mean, std }: Normalisation = { mean: CLIP_MEAN, std: CLIP_STD },
): Float32Array<ArrayBuffer> {
  const plane = image.height * image.width;
  const out = new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < plane; i++)
      out[channel * plane + i] = (image.rgb[i * 3 + channel]! / 255 - mean[channel]!) / std[channel]!;
  }
  return out;
}

/** Options of {@link clipPixels}. */
export interface ClipPixelsOptions {
  /** Length of the shorter side after the resize; 224 for ViT-L/14. */
  readonly shortestSide: number;
  /** The centre that is cut out; a square of `shortestSide` by default. */
  readonly crop?: ImageSize;
}

/** CLIP's picture before normalisation: PIL bicubic to the shorter side, centre crop. The longer side is truncated. */
export function clipCrop(image: RgbImage, options: ClipPixelsOptions): RgbImage {
  const side = options.shortestSide;
  const crop = options.crop ?? { height: side, width: side };
  const longer = (long: number, short: number): number => Math.trunc((side * long) / short);
  const size =
    image.width <= image.height
      ? { height: longer(image.height, image.width), width: side }
      : { height: side, width: longer(image.width, image.height) };
  return cropCentre(resizeImage(image, size, "pil-bicubic"), crop);
}

/**
 * CLIP's pixel values: {@link clipCrop}, then mean and standard deviation.
 *
 * @returns f32 `[3, crop height, crop width]`
 */
export function clipPixels(image: RgbImage, options: ClipPixelsOptions): Float32Array<ArrayBuffer> {
  return normaliseImage(clipCrop(image, options));
}
