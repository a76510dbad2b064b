/**
 * Peak signal-to-noise ratio: how near two clips are, pixel by pixel: `10·log10(255² / mean squared error)` in dB.
 *
 * Range 0 … 99 dB (equal clips count as 99). What games it: a still scene. Repeating the last input frame scores about 27 dB
 * on the playroom, so it measures autoencoders, never events.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { Clip } from "../media/clip.ts";

/** What equal clips score: a number rather than infinity, so that means stay finite. */
export const PSNR_OF_EQUAL_CLIPS_DB = 99;

/**
 * Peak signal-to-noise ratio of two 8-bit clips in dB: 10·log10(255² / mean squared error over all frames).
 *
 * @param counts which pixels count, one entry a pixel of `[T, H, W]`; default all
 * @throws `VANS_METRICS_SHAPE` where sizes differ
 * @example
 * ```ts
 * import { psnrDb } from "vans/metrics";
 * const clip = (level: number) => ({ frameCount: 1, height: 1, width: 1, frameRateHz: 8, rgb: new Uint8Array(3).fill(level) });
 * psnrDb(clip(0), clip(255)); // => 0
 * psnrDb(clip(7), clip(7)); // => 99
 * ```
 */
export function psnrDb(truth: Clip, other: Clip, counts?: ArrayLike<number>): number {
  if (truth.rgb.length !== other.rgb.length || (counts && counts.length * 3 !== truth.rgb.length)) {
    throw new VansError("VANS_METRICS_SHAPE", "two clips of different sizes cannot be compared", {
      asked: `${truth.frameCount} frames of ${truth.width}x${truth.height}`,
      found: `${other.frameCount} frames of ${other.width}x${other.height}${counts ? `, ${counts.length} pixels that count` : ""}`,
    });
  }
  let total = 0;
  let values = 0;
  for (let p = 0; p < truth.rgb.length; p += 3) {
    if (counts && !counts[p / 3]) continue;
    values += 3;
    for (let c = p; c < p + 3; c++) total += (truth.rgb[c]! - other.rgb[c]!) ** 2;
  }
  return total === 0 ? PSNR_OF_EQUAL_CLIPS_DB : 10 * Math.log10((255 * 255 * values) / total);
}

/**
 * The pixels of a clip that move: those that in some frame differ from the first frame by more than `threshold` levels
 * in a channel, in all frames. `[T, H, W]`, 1 or 0.
 */
export function movingPixels(clip: Clip, threshold = 16): Uint8Array {
  const { frameCount, height, width, rgb } = clip;
  const area = height * width;
  const moves = new Uint8Array(area);
  for (let frame = 1; frame < frameCount; frame++) {
    for (let p = 0; p < area; p++) {
      for (let c = 0; c < 3; c++) {
        if (Math.abs(rgb[(frame * area + p) * 3 + c]! - rgb[p * 3 + c]!) > threshold) moves[p] = 1;
      }
    }
  }
  const out = new Uint8Array(frameCount * area);
  for (let frame = 0; frame < frameCount; frame++) out.set(moves, frame * area);
  return out;
}
