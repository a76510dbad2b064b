/**
 * From clips to what I3D sees. Repositories differ here, and so do their numbers: record the choice beside any
 * Fréchet distance.
 * @module
 */
import type { Clip } from "../../media/clip.ts";
import { frameOf, resizeBilinearTorch } from "../../media/resize.ts";
import { f32, type NdArray } from "../../tensor/index.ts";

/**
 * - `stretch`: both sides to the size, the aspect is lost (google-research/frechet_video_distance, StyleGAN-V).
 * - `crop`: the shorter side to the size, then the centre (common_metrics_on_video_quality).
 */
export type I3dFit = "stretch" | "crop";

/** Options of {@link i3dPixels}. */
export interface I3dPixelOptions {
  readonly fit: I3dFit;
  /** Side in pixels; default 224. */
  readonly size?: number;
}

/**
 * A clip resized bilinearly without antialias and scaled to [-1, 1].
 * @returns `[1, 3, T, size, size]`
 */
export function i3dPixels(clip: Clip, { fit, size = 224 }: I3dPixelOptions): NdArray {
  const shorter = Math.min(clip.height, clip.width);
  const along = (side: number): number =>
    fit === "stretch" || side === shorter ? size : Math.ceil((side * size) / shorter);
  const [height, width] = [along(clip.height), along(clip.width)];
  const top = Math.floor((height - size) / 2);
  const left = Math.floor((width - size) / 2);
  const plane = size * size;
  const data = new Float32Array(3 * clip.frameCount * plane);
  for (let frame = 0; frame < clip.frameCount; frame++) {
    const levels = resizeBilinearTorch(frameOf(clip, frame), { height, width });
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++)
        for (let channel = 0; channel < 3; channel++) {
          const level = levels[((top + y) * width + left + x) * 3 + channel]!;
          data[(channel * clip.frameCount + frame) * plane + y * size + x] = (level / 255 - 0.5) * 2;
        }
  }
  return f32(data, [1, 3, clip.frameCount, size, size]);
}
