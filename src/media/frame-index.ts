/**
 * Which frames, and which sizes: the arithmetic of the reference preprocessing, in the number types it used.
 *
 * Sources: qwen-vl-utils `vision_process.py` as shipped with VANS (`smart_resize`, `smart_nframes`); torch `linspace`.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { ImageSize } from "./resize.ts";

/** Rounds to the nearest whole number, halves to the even one, as Python and torch do (`Math.round` does not). */
export function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  const fraction = value - low;
  if (fraction !== 0.5) return fraction < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/**
 * `torch.linspace(start, end, steps)` in f32: the first half counts up from `start`, the second half down from `end`.
 *
 * @example
 * ```ts
 * import { linspace } from "vans/media";
 * [...linspace(0, 8, 5)]; // => [0, 2, 4, 6, 8]
 * ```
 */
export function linspace(start: number, end: number, steps: number): Float32Array {
  const out = new Float32Array(steps);
  if (steps === 1) out[0] = start;
  if (steps <= 1) return out;
  const step = Math.fround(Math.fround(end - start) / (steps - 1));
  const half = Math.floor(steps / 2);
  for (let i = 0; i < steps; i++) out[i] = i < half ? start + step * i : end - step * (steps - i - 1);
  return out;
}

/** `round(linspace(0, total - 1, count))`, halves to even: the frames the VLM sees. */
export function uniformFrames(total: number, count: number): number[] {
  return Array.from(linspace(0, total - 1, count), roundHalfEven);
}

/**
 * `trunc(linspace(0, total - 1, count))`: the latent frames that condition the video model (VANS takes 6).
 *
 * @example
 * ```ts
 * import { referenceFrames } from "vans/media";
 * referenceFrames(9, 6); // => [0, 1, 3, 4, 6, 8]
 * ```
 */
export function referenceFrames(total: number, count = 6): number[] {
  return Array.from(linspace(0, total - 1, count), Math.trunc);
}

/** qwen-vl-utils: patch 14 times merge 2. */
export const QWEN_SIZE_FACTOR = 28;
/** Frames come in pairs (temporal patch of 2). */
export const QWEN_FRAME_FACTOR = 2;
/** Pixel bounds of one image as VANS has them: 4 and 256 cells of 28x28. */
export const VANS_IMAGE_PIXELS = { min: 4 * 784, max: 256 * 784 } as const;
/** Pixel bounds of one video frame: 128 and 768 cells of 28x28. */
export const QWEN_VIDEO_PIXELS = { min: 128 * 784, max: 768 * 784 } as const;
/** Pixels of all frames of a video together: 0.9 of 128,000 tokens. */
export const QWEN_VIDEO_TOTAL_PIXELS = Math.trunc(128_000 * 784 * 0.9);
/** VANS samples 1 frame a second, but always 6 frames. */
export const VANS_FRAME_SAMPLING = { frameRateHz: 1, minFrames: 6, maxFrames: 6 } as const;

const MAX_ASPECT = 200;

/** Options of {@link smartResize}. */
export interface SmartResizeOptions {
  readonly minPixels: number;
  readonly maxPixels: number;
  /** Both sides become multiples of this. */
  readonly factor?: number;
}

/**
 * The size at which Qwen2.5-VL sees a picture: sides are multiples of `factor`, area within the bounds, aspect kept
 * as well as possible.
 *
 * @throws VANS_MEDIA_ASPECT_REFUSED where one side is more than 200 times the other
 *
 * @example
 * ```ts
 * import { smartResize } from "vans/media";
 * smartResize({ height: 352, width: 640 }, { minPixels: 100_352, maxPixels: 602_112 }); // => { height: 364, width: 644 }
 * ```
 */
export function smartResize(size: ImageSize, options: SmartResizeOptions): ImageSize {
  const { height, width } = size;
  const { minPixels, maxPixels, factor = QWEN_SIZE_FACTOR } = options;
  if (Math.max(height, width) / Math.min(height, width) > MAX_ASPECT) {
    throw new VansError(
      "VANS_MEDIA_ASPECT_REFUSED",
      "the picture is too long and thin for the language model",
      {
        asked: `${height}x${width} (height x width)`,
        found: `one side is ${(Math.max(height, width) / Math.min(height, width)).toFixed(0)} times the other`,
        fix: `crop it to an aspect of at most ${MAX_ASPECT}`,
      },
    );
  }
  const round = (value: number): number => roundHalfEven(value / factor) * factor;
  const floor = (value: number): number => Math.floor(value / factor) * factor;
  const ceil = (value: number): number => Math.ceil(value / factor) * factor;
  const rounded = { height: Math.max(factor, round(height)), width: Math.max(factor, round(width)) };
  if (rounded.height * rounded.width > maxPixels) {
    const shrink = Math.sqrt((height * width) / maxPixels);
    return {
      height: Math.max(factor, floor(height / shrink)),
      width: Math.max(factor, floor(width / shrink)),
    };
  }
  if (rounded.height * rounded.width < minPixels) {
    const grow = Math.sqrt(minPixels / (height * width));
    return { height: ceil(height * grow), width: ceil(width * grow) };
  }
  return rounded;
}

/** The largest area a frame may have when `frameCount` frames share the video's pixel budget. */
export function videoMaxPixels(frameCount: number): number {
  const share = (QWEN_VIDEO_TOTAL_PIXELS / frameCount) * QWEN_FRAME_FACTOR;
  return Math.max(Math.min(QWEN_VIDEO_PIXELS.max, share), Math.trunc(QWEN_VIDEO_PIXELS.min * 1.05));
}

/** How many frames the VLM asks for: either a number, or a rate with bounds. */
export type FrameCountRequest =
  | { readonly frameCount: number }
  | { readonly frameRateHz?: number; readonly minFrames?: number; readonly maxFrames?: number };

/**
 * How many frames of a video the VLM sees (`smart_nframes`). Without a request: VANS's own sampling (6 frames, fewer
 * for shorter videos).
 *
 * @throws VANS_MEDIA_TOO_FEW_FRAMES where the result is not between 2 and `totalFrames`
 */
export function smartFrameCount(
  totalFrames: number,
  videoRateHz: number,
  request: FrameCountRequest = {},
): number {
  const even = (value: number): number => Math.floor(value / QWEN_FRAME_FACTOR) * QWEN_FRAME_FACTOR;
  let count: number;
  if ("frameCount" in request) {
    count = roundHalfEven(request.frameCount / QWEN_FRAME_FACTOR) * QWEN_FRAME_FACTOR;
  } else {
    const least =
      Math.ceil((request.minFrames ?? VANS_FRAME_SAMPLING.minFrames) / QWEN_FRAME_FACTOR) * QWEN_FRAME_FACTOR;
    const most = even(request.maxFrames ?? Math.min(VANS_FRAME_SAMPLING.maxFrames, totalFrames));
    const wanted = (totalFrames / videoRateHz) * (request.frameRateHz ?? VANS_FRAME_SAMPLING.frameRateHz);
    count = even(Math.min(Math.min(Math.max(wanted, least), most), totalFrames));
  }
  if (count < QWEN_FRAME_FACTOR || count > totalFrames) {
    throw new VansError(
      "VANS_MEDIA_TOO_FEW_FRAMES",
      `the video cannot give the ${count} frames that were asked for`,
      {
        asked: JSON.stringify(request),
        found: `a video of ${totalFrames} frames; frames are taken in pairs`,
        fix: `ask for between ${QWEN_FRAME_FACTOR} and ${even(totalFrames)} frames`,
      },
    );
  }
  return count;
}
