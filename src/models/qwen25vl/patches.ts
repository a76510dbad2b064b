/**
 * From frames to flat patches, the input of the vision tower.
 * @module
 */
import { VansError } from "../../base/errors.ts";
import { CLIP_MEAN, CLIP_STD } from "../../media/pixels.ts";
import { f32, type NdArray } from "../../tensor/index.ts";
import type { QwenVisionConfig } from "./config.ts";

/** Size of a video in patches: time slices, patch rows, patch columns. */
export type VisionGrid = readonly [time: number, rows: number, columns: number];

/** Frames of one size, 8-bit RGB `[T, H, W, 3]`; a `Clip` is one. */
export interface RgbFrames {
  readonly frameCount: number;
  readonly height: number;
  readonly width: number;
  readonly rgb: Uint8Array;
}

/** What {@link patchify} needs to know of the tower. */
export type PatchLayout = Pick<QwenVisionConfig, "patchSize" | "temporalPatchSize" | "mergeSize">;

/** (x / 255 - mean) / std with CLIP's mean and std, as in Qwen2.5-VL's preprocessor_config.json, in f32 steps, for every level of every channel. */
const NORMALISED = CLIP_MEAN.map((mean, channel) =>
  Float32Array.from({ length: 256 }, (_, level) => {
    const centred = Math.fround(Math.fround(level / 255) - Math.fround(mean));
    return centred / Math.fround(CLIP_STD[channel]!);
  }),
);

/** Tokens that a grid becomes after merging. */
export function visionTokenCount(grid: VisionGrid, layout: Pick<PatchLayout, "mergeSize">): number {
  return (grid[0] * grid[1] * grid[2]) / layout.mergeSize ** 2;
}

/**
 * Normalised patches of a video. The patches of a merge cell follow each other: order (time, cell row, cell column,
 * row in cell, column in cell). A patch is the vector (channel, frame, row, column). A last incomplete time slice is
 * filled by repeating the last frame.
 * @param frames sides are multiples of `patchSize · mergeSize`
 * @returns patches `[N, 3 · temporalPatchSize · patchSize²]`
 *
 * @example
 * ```ts
 * import { patchify } from "vans/models/qwen25vl";
 * const frames = { frameCount: 3, height: 32, width: 16, rgb: new Uint8Array(3 * 32 * 16 * 3) };
 * const { grid, patches } = patchify(frames, { patchSize: 8, temporalPatchSize: 2, mergeSize: 2 });
 * grid; // => [2, 4, 2]
 * patches.shape; // => [16, 384]
 * ```
 * @throws `VANS_MODEL_FRAME_SIZE` where the sides do not fit
 */
export function patchify(
  frames: RgbFrames,
  layout: PatchLayout,
): { readonly patches: NdArray; readonly grid: VisionGrid } {
  const { patchSize, temporalPatchSize, mergeSize } = layout;
  const { frameCount, height, width, rgb } = frames;
  const cell = patchSize * mergeSize;
  if (frameCount < 1 || height < 1 || width < 1 || height % cell !== 0 || width % cell !== 0) {
    throw new VansError("VANS_MODEL_FRAME_SIZE", "the frames cannot be cut into patches", {
      asked: `one frame or more with sides that are multiples of ${cell}`,
      found: `${frameCount} frames of ${width}×${height}`,
      fix: "resize the frames first (smartResize in vans/media)",
    });
  }
  const grid = [Math.ceil(frameCount / temporalPatchSize), height / patchSize, width / patchSize] as const;
  const cells = [height / cell, width / cell] as const;
  const patchLength = 3 * temporalPatchSize * patchSize * patchSize;
  const data = new Float32Array(grid[0] * grid[1] * grid[2] * patchLength);
  let at = 0;
  for (let slice = 0; slice < grid[0]; slice++) {
    for (let place = 0; place < cells[0] * cells[1] * mergeSize * mergeSize; place++) {
      const inCell = place % (mergeSize * mergeSize);
      const cellIndex = (place - inCell) / (mergeSize * mergeSize);
      const row = Math.floor(cellIndex / cells[1]) * mergeSize + Math.floor(inCell / mergeSize);
      const column = (cellIndex % cells[1]) * mergeSize + (inCell % mergeSize);
      for (let channel = 0; channel < 3; channel++) {
        const levels = NORMALISED[channel]!;
        for (let step = 0; step < temporalPatchSize; step++) {
          const frame = Math.min(slice * temporalPatchSize + step, frameCount - 1);
          for (let y = 0; y < patchSize; y++) {
            const line = (frame * height + row * patchSize + y) * width + column * patchSize;
            for (let x = 0; x < patchSize; x++) data[at++] = levels[rgb[(line + x) * 3 + channel]!]!;
          }
        }
      }
    }
  }
  return { patches: f32(data, [data.length / patchLength, patchLength]), grid };
}
