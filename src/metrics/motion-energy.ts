/**
 * Motion energy: how much happens in a clip at all. Ours; the mean absolute frame difference. It catches videos that hold
 * still, which similarities to a reference reward.
 *
 * Range 0 … 255 levels; truths of the playroom lie at 0.2 … 5. It is no goal: read it against the truth's. What games it:
 * flicker, noise and cuts count as motion.
 * @module
 */
import type { Clip } from "../media/clip.ts";

/**
 * Mean absolute difference between neighbouring frames over all pixels and channels, in levels of 255; 0 for a clip in
 * which nothing moves and for a still image.
 *
 * @example
 * ```ts
 * import { motionEnergy } from "vans/metrics";
 * motionEnergy({ frameCount: 2, height: 1, width: 1, frameRateHz: 8, rgb: Uint8Array.of(0, 0, 0, 3, 0, 0) }); // => 1
 * ```
 */
export function motionEnergy(clip: Clip): number {
  const { frameCount, height, width, rgb } = clip;
  if (frameCount < 2) return 0;
  const frameBytes = height * width * 3;
  let total = 0;
  for (let i = frameBytes; i < frameCount * frameBytes; i++)
    total += Math.abs(rgb[i]! - rgb[i - frameBytes]!);
  return total / ((frameCount - 1) * frameBytes);
}
