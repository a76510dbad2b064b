/**
 * The latent frames of the input clip that condition the video transformer.
 * @module
 */
import { VansError } from "../../base/index.ts";
import { referenceFrames } from "../../media/frame-index.ts";
import { f32, formatShape, type NdArray } from "../../tensor/index.ts";

/** Reference latents and where they came from. */
export interface PickedReferences {
  /** Latent frames of the clip, `trunc(linspace(0, F - 1, count))`. */
  readonly indices: readonly number[];
  /** `[B, C, count, h, w]` */
  readonly latents: NdArray;
}

/**
 * Picks reference frames as the released VANS does: the whole clip is encoded, then `count` latent frames are taken.
 * @param latents `[B, C, F, h, w]`, normalised
 *
 * @example
 * ```ts
 * import { f32 } from "vans/tensor";
 * import { pickReferenceFrames } from "vans/models/wan";
 * pickReferenceFrames(f32(new Float32Array(9), [1, 1, 9, 1, 1]), 6).indices; // => [0, 1, 3, 4, 6, 8]
 * ```
 * @throws `VANS_DIT_SHAPE` where the latents do not have five axes
 */
export function pickReferenceFrames(latents: NdArray, count = 6): PickedReferences {
  const [batch, channels, frames, rows, columns] = latents.shape as [number, number, number, number, number];
  if (latents.shape.length !== 5 || frames === 0) {
    throw new VansError("VANS_DIT_SHAPE", "reference frames are picked from latents of a clip", {
      asked: "[B, C, F, h, w]",
      found: formatShape(latents.shape),
    });
  }
  const indices = referenceFrames(frames, count);
  const size = rows * columns;
  const data = new Float32Array(batch * channels * count * size);
  let at = 0;
  for (let plane = 0; plane < batch * channels; plane++) {
    for (const index of indices) {
      const start = (plane * frames + index) * size;
      data.set(latents.data.subarray(start, start + size), at);
      at += size;
    }
  }
  return { indices, latents: f32(data, [batch, channels, count, rows, columns]) };
}
