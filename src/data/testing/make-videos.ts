/**
 * Videos on disk for tests and benchmarks: drawn ones with known shots, and playroom ones with annotated steps.
 * @module
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeMp4 } from "../../media/encode.ts";
import { sampleForSeed, WORLD_FRAME_RATE_HZ } from "../../world/index.ts";
import { type DrawnVideo, type DrawVideoOptions, drawVideo } from "./draw-video.ts";

/** Draws a video into a file. Held in memory whole: for short ones. */
export async function writeDrawnVideo(path: string, options: DrawVideoOptions): Promise<DrawnVideo> {
  const drawn = drawVideo(options);
  const { width, height, frameRateHz } = options;
  const rgb = new Uint8Array(drawn.frameCount * width * height * 3);
  for (let i = 0; i < drawn.frameCount; i++) rgb.set(drawn.frame(i), i * width * height * 3);
  await writeMp4(path, { frameCount: drawn.frameCount, width, height, frameRateHz, rgb });
  return drawn;
}

/** Frames of an annotated playroom step: input and answer, their last frame held. */
export const PLAYROOM_STEP_FRAMES = 26;

/**
 * Writes playroom samples as long videos: input and answer of each sample are two annotated steps, their last frames
 * held to 3.25 s. Annotations are in the form of COIN, one video a sample, with the sample's seed in its name.
 *
 * @returns path of the annotations
 */
export async function writePlayroomVideos(folder: string, seeds: readonly number[]): Promise<string> {
  await mkdir(folder, { recursive: true });
  const database: Record<string, unknown> = {};
  const secs = PLAYROOM_STEP_FRAMES / WORLD_FRAME_RATE_HZ;
  for (const seed of seeds) {
    const sample = sampleForSeed(seed);
    const { input, output } = sample;
    const bytes = input.width * input.height * 3;
    const rgb = new Uint8Array(2 * PLAYROOM_STEP_FRAMES * bytes);
    [input, output].forEach((clip, part) => {
      for (let i = 0; i < PLAYROOM_STEP_FRAMES; i++) {
        const frame = Math.min(i, clip.frameCount - 1);
        rgb.set(
          clip.rgb.subarray(frame * bytes, (frame + 1) * bytes),
          (part * PLAYROOM_STEP_FRAMES + i) * bytes,
        );
      }
    });
    const name = `playroom-${String(seed).padStart(6, "0")}`;
    await writeMp4(join(folder, `${name}.mp4`), {
      frameCount: 2 * PLAYROOM_STEP_FRAMES,
      height: input.height,
      width: input.width,
      frameRateHz: WORLD_FRAME_RATE_HZ,
      rgb,
    });
    database[name] = {
      class: sample.goal,
      subset: "training",
      annotation: [
        { id: "0", label: `before seed ${seed}`, segment: [0, secs] },
        { id: "1", label: sample.caption, segment: [secs, 2 * secs] },
      ],
    };
  }
  const path = join(folder, "annotations.json");
  await writeFile(path, JSON.stringify({ database }));
  return path;
}
