/**
 * Image resizing that reproduces, to the last bit where that is possible, what the reference pipelines used:
 * PIL (8-bit fixed point), torch's antialiased bicubic on 8-bit frames, torch's plain bilinear, and nearest.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { Clip } from "./clip.ts";
import { roundHalfEven } from "./frame-index.ts";

/** One 8-bit RGB picture. */
export interface RgbImage {
  readonly height: number;
  readonly width: number;
  /** `[H, W, 3]`, row-major. */
  readonly rgb: Uint8Array;
}

/** Height and width in pixels. */
export interface ImageSize {
  readonly height: number;
  readonly width: number;
}

/**
 * - `pil-bicubic`, `pil-bilinear`: `PIL.Image.resize`, antialiased, each pass rounded to 8 bits.
 * - `torch-bicubic`: `interpolate(mode="bicubic", antialias=True)` in f32, clamped, rounded to even (torchvision on u8).
 * - `torch-bilinear`: `interpolate(mode="bilinear")` without antialias, rounded to even.
 * - `nearest`: the source pixel whose cell holds the centre of the target pixel.
 */
export const RESIZE_METHODS = [
  "pil-bicubic",
  "pil-bilinear",
  "torch-bicubic",
  "torch-bilinear",
  "nearest",
] as const;
export type ResizeMethod = (typeof RESIZE_METHODS)[number];

/** The weights of every output position: `first[i]` is its first source index, `weights` holds `size` numbers each. */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Float64Array;
  readonly size: number;
}

/** Keys' cubic with a = -0.5, which both PIL and torch's antialiased bicubic use. */
function cubic(x: number): number {
  const t = Math.abs(x);
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  if (t < 2) return ((-0.5 * t + 2.5) * t - 4) * t + 2;
  return 0;
}

function triangle(x: number): number {
  const t = Math.abs(x);
  return t < 1 ? 1 - t : 0;
}

const FILTERS = {
  bicubic: { weight: cubic, support: 2 },
  bilinear: { weight: triangle, support: 1 },
} as const;
type Filter = keyof typeof FILTERS;

/**
 * Antialiasing taps: the filter is stretched by the scale when shrinking, cut at the border and normalised.
 * Pillow `precompute_coeffs` (src/libImaging/Resample.c); torch's `_compute_weights_aa` is the same formula.
 */
function antialiasedTaps(from: number, to: number, filter: Filter): Taps {
  const { weight, support: radius } = FILTERS[filter];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = radius * stretch;
  const size = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Float64Array(to * size);
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const low = Math.max(Math.trunc(centre - support + 0.5), 0);
    const high = Math.min(Math.trunc(centre + support + 0.5), from);
    let total = 0;
    for (let j = low; j < high; j++) {
      const w = weight((j - centre + 0.5) / stretch);
      weights[i * size + j - low] = w;
      total += w;
    }
    if (total !== 0) for (let j = 0; j < high - low; j++) weights[i * size + j]! /= total;
    first[i] = low;
    count[i] = high - low;
  }
  return { first, count, weights, size };
}

const PIL_PRECISION_BITS = 22; // 32 - 8 - 2, as in Pillow's Resample.c

/** Pillow's `normalize_coeffs_8bpc`: weights as 22-bit fixed point, rounded away from zero. */
function fixedPoint(taps: Taps): Int32Array {
  return Int32Array.from(taps.weights, (w) => Math.trunc(w * 2 ** PIL_PRECISION_BITS + (w < 0 ? -0.5 : 0.5)));
}

const clamp8 = (value: number): number => (value < 0 ? 0 : Math.min(value, 255));

function pilHorizontal(image: RgbImage, width: number, filter: Filter): RgbImage {
  if (width === image.width) return image;
  const taps = antialiasedTaps(image.width, width, filter);
  const fixed = fixedPoint(taps);
  const out = new Uint8Array(image.height * width * 3);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < width; x++) {
      const base = (y * image.width + taps.first[x]!) * 3;
      const at = (y * width + x) * 3;
      for (let channel = 0; channel < 3; channel++) {
        let sum = 1 << (PIL_PRECISION_BITS - 1);
        for (let j = 0; j < taps.count[x]!; j++)
          sum += image.rgb[base + j * 3 + channel]! * fixed[x * taps.size + j]!;
        out[at + channel] = clamp8(sum >> PIL_PRECISION_BITS);
      }
    }
  }
  return { height: image.height, width, rgb: out };
}

function pilVertical(image: RgbImage, height: number, filter: Filter): RgbImage {
  if (height === image.height) return image;
  const taps = antialiasedTaps(image.height, height, filter);
  const fixed = fixedPoint(taps);
  const row = image.width * 3;
  const out = new Uint8Array(height * row);
  for (let y = 0; y < height; y++) {
    const base = taps.first[y]! * row;
    for (let x = 0; x < row; x++) {
      let sum = 1 << (PIL_PRECISION_BITS - 1);
      for (let j = 0; j < taps.count[y]!; j++)
        sum += image.rgb[base + j * row + x]! * fixed[y * taps.size + j]!;
      out[y * row + x] = clamp8(sum >> PIL_PRECISION_BITS);
    }
  }
  return { height, width: image.width, rgb: out };
}

/** torch's separable antialiased bicubic: rows first, then columns, in f32, then clamped and rounded to even. */
function torchBicubic(image: RgbImage, size: ImageSize): RgbImage {
  const horizontal = antialiasedTaps(image.width, size.width, "bicubic");
  const vertical = antialiasedTaps(image.height, size.height, "bicubic");
  const row = size.width * 3;
  const middle = new Float32Array(image.height * row);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const base = (y * image.width + horizontal.first[x]!) * 3;
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let j = 0; j < horizontal.count[x]!; j++)
          sum += image.rgb[base + j * 3 + channel]! * horizontal.weights[x * horizontal.size + j]!;
        middle[y * row + x * 3 + channel] = sum;
      }
    }
  }
  const out = new Uint8Array(size.height * row);
  for (let y = 0; y < size.height; y++) {
    const base = vertical.first[y]! * row;
    for (let x = 0; x < row; x++) {
      let sum = 0;
      for (let j = 0; j < vertical.count[y]!; j++)
        sum += middle[base + j * row + x]! * vertical.weights[y * vertical.size + j]!;
      out[y * row + x] = clamp8(roundHalfEven(Math.fround(sum)));
    }
  }
  return { ...size, rgb: out };
}

/**
 * `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` without antialias, in f32: the resize of
 * FVD pipelines.
 *
 * @returns f32 `[H, W, 3]` in 0 … 255, not rounded.
 */
export function resizeBilinearTorch(image: RgbImage, size: ImageSize): Float32Array {
  checkSize(image, size);
  const columns = plainTaps(image.width, size.width);
  const rows = plainTaps(image.height, size.height);
  const out = new Float32Array(size.height * size.width * 3);
  for (let y = 0; y < size.height; y++) {
    const top = rows.low[y]! * image.width;
    const bottom = rows.high[y]! * image.width;
    const v = rows.fraction[y]!;
    for (let x = 0; x < size.width; x++) {
      const left = columns.low[x]!;
      const right = columns.high[x]!;
      const u = columns.fraction[x]!;
      for (let channel = 0; channel < 3; channel++) {
        const at = (index: number): number => image.rgb[index * 3 + channel]!;
        out[(y * size.width + x) * 3 + channel] =
          (1 - v) * ((1 - u) * at(top + left) + u * at(top + right)) +
          v * ((1 - u) * at(bottom + left) + u * at(bottom + right));
      }
    }
  }
  return out;
}

/** Neighbours and weight of every output position, in f32 as `area_pixel_compute_source_index` does it. */
function plainTaps(from: number, to: number): { low: Int32Array; high: Int32Array; fraction: Float32Array } {
  const low = new Int32Array(to);
  const high = new Int32Array(to);
  const fraction = new Float32Array(to);
  const scale = Math.fround(from / to);
  for (let i = 0; i < to; i++) {
    const source = Math.max(Math.fround(Math.fround(scale * (i + 0.5)) - 0.5), 0);
    low[i] = Math.min(Math.trunc(source), from - 1);
    high[i] = Math.min(low[i]! + 1, from - 1);
    fraction[i] = Math.min(Math.max(source - low[i]!, 0), 1);
  }
  return { low, high, fraction };
}

function nearest(image: RgbImage, size: ImageSize): RgbImage {
  const out = new Uint8Array(size.height * size.width * 3);
  for (let y = 0; y < size.height; y++) {
    const sourceY = Math.min(Math.floor(((y + 0.5) * image.height) / size.height), image.height - 1);
    for (let x = 0; x < size.width; x++) {
      const sourceX = Math.min(Math.floor(((x + 0.5) * image.width) / size.width), image.width - 1);
      const from = (sourceY * image.width + sourceX) * 3;
      out.set(image.rgb.subarray(from, from + 3), (y * size.width + x) * 3);
    }
  }
  return { ...size, rgb: out };
}

function checkSize(image: RgbImage, size: ImageSize): void {
  for (const [name, value] of Object.entries({ height: size.height, width: size.width })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new VansError("VANS_MEDIA_SIZE_INVALID", `an image cannot have the ${name} ${value}`, {
        asked: `resize ${image.height}x${image.width} to ${size.height}x${size.width} (height x width)`,
        fix: "give whole numbers of at least 1",
      });
    }
  }
  if (image.rgb.length !== image.height * image.width * 3) {
    throw new VansError("VANS_MEDIA_SIZE_INVALID", "the picture's bytes do not fit its size", {
      asked: `[${image.height}, ${image.width}, 3] = ${image.height * image.width * 3} bytes`,
      found: `${image.rgb.length} bytes`,
    });
  }
}

/**
 * Resizes one picture.
 *
 * @param image `[H, W, 3]`
 * @returns a new picture of `size` (or the same object where nothing changes)
 * @throws VANS_MEDIA_SIZE_INVALID
 *
 * @example
 * ```ts
 * import { resizeImage } from "vans/media";
 * const dot = { height: 1, width: 1, rgb: Uint8Array.of(10, 20, 30) };
 * [...resizeImage(dot, { height: 1, width: 2 }, "pil-bicubic").rgb]; // => [10, 20, 30, 10, 20, 30]
 * ```
 */
export function resizeImage(image: RgbImage, size: ImageSize, method: ResizeMethod): RgbImage {
  checkSize(image, size);
  if (image.height === size.height && image.width === size.width) return image;
  switch (method) {
    case "pil-bicubic":
      return pilVertical(pilHorizontal(image, size.width, "bicubic"), size.height, "bicubic");
    case "pil-bilinear":
      return pilVertical(pilHorizontal(image, size.width, "bilinear"), size.height, "bilinear");
    case "torch-bicubic":
      return torchBicubic(image, size);
    case "torch-bilinear":
      return { ...size, rgb: Uint8Array.from(resizeBilinearTorch(image, size), roundHalfEven) };
    case "nearest":
      return nearest(image, size);
  }
}

/**
 * The largest size of the given aspect that covers `target` when the shorter excess is cropped: scale so that the
 * picture covers the target, as DiffSynth's and VANS's `crop_and_resize` do.
 */
export function coveringSize(image: ImageSize, target: ImageSize): ImageSize {
  const scale = Math.max(target.width / image.width, target.height / image.height);
  return {
    height: Math.max(roundHalfEven(image.height * scale), target.height),
    width: Math.max(roundHalfEven(image.width * scale), target.width),
  };
}

/**
 * Cuts the centre of a picture. Offsets are `floor((H - h) / 2)`, as transformers' `center_crop` has them; where the
 * picture is smaller than the crop, the rest is black.
 */
export function cropCentre(image: RgbImage, size: ImageSize): RgbImage {
  checkSize(image, size);
  if (image.height === size.height && image.width === size.width) return image;
  const top = Math.floor((image.height - size.height) / 2);
  const left = Math.floor((image.width - size.width) / 2);
  const rgb = new Uint8Array(size.height * size.width * 3);
  const firstColumn = Math.max(0, -left);
  const lastColumn = Math.min(size.width, image.width - left);
  for (let y = Math.max(0, -top); y < Math.min(size.height, image.height - top); y++) {
    const from = ((y + top) * image.width + left) * 3;
    rgb.set(
      image.rgb.subarray(from + firstColumn * 3, from + lastColumn * 3),
      (y * size.width + firstColumn) * 3,
    );
  }
  return { ...size, rgb };
}

/** Keeps the top left part of a picture. */
export function cropTopLeft(image: RgbImage, size: ImageSize): RgbImage {
  if (size.height >= image.height && size.width >= image.width) return image;
  const height = Math.min(size.height, image.height);
  const width = Math.min(size.width, image.width);
  const rgb = new Uint8Array(height * width * 3);
  for (let y = 0; y < height; y++)
    rgb.set(image.rgb.subarray(y * image.width * 3, (y * image.width + width) * 3), y * width * 3);
  return { height, width, rgb };
}

/** Frame `index` of a clip as a picture that shares the clip's memory. */
export function frameOf(clip: Clip, index: number): RgbImage {
  if (!Number.isInteger(index) || index < 0 || index >= clip.frameCount)
    throw new RangeError(`frame ${index} of a clip of ${clip.frameCount} frames`);
  const bytes = clip.height * clip.width * 3;
  return {
    height: clip.height,
    width: clip.width,
    rgb: clip.rgb.subarray(index * bytes, (index + 1) * bytes),
  };
}

/** Joins pictures of one size into a clip. */
export function clipOf(frames: readonly RgbImage[], frameRateHz: number): Clip {
  const first = frames[0];
  if (first === undefined) throw new RangeError("a clip needs at least one frame");
  const bytes = first.height * first.width * 3;
  const rgb = new Uint8Array(bytes * frames.length);
  frames.forEach((frame, index) => {
    if (frame.height !== first.height || frame.width !== first.width) {
      throw new VansError("VANS_MEDIA_SIZE_INVALID", `frame ${index} has another size than frame 0`, {
        asked: `${first.height}x${first.width} (height x width)`,
        found: `${frame.height}x${frame.width}`,
      });
    }
    rgb.set(frame.rgb, index * bytes);
  });
  return { frameCount: frames.length, height: first.height, width: first.width, frameRateHz, rgb };
}

/** Applies a picture function to every frame. */
export function mapFrames(clip: Clip, change: (frame: RgbImage, index: number) => RgbImage): Clip {
  const frames = Array.from({ length: clip.frameCount }, (_, index) => change(frameOf(clip, index), index));
  return clipOf(frames, clip.frameRateHz);
}

/** Resizes every frame of a clip; see {@link resizeImage}. */
export function resizeClip(clip: Clip, size: ImageSize, method: ResizeMethod): Clip {
  if (clip.height === size.height && clip.width === size.width) return clip;
  return mapFrames(clip, (frame) => resizeImage(frame, size, method));
}

/** Scales every frame so that it covers `size`, then cuts the centre: what the video models are fed with. */
export function fitClip(clip: Clip, size: ImageSize, method: ResizeMethod = "pil-bilinear"): Clip {
  if (clip.height === size.height && clip.width === size.width) return clip;
  const covering = coveringSize(clip, size);
  return mapFrames(clip, (frame) => cropCentre(resizeImage(frame, covering, method), size));
}
