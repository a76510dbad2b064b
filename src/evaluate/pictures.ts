/**
 * Drawn videos as pictures: all frames below each other in one png, without loss.
 * @module
 */
import { join } from "node:path";
import type { Clip } from "../media/clip.ts";
import { readClip } from "../media/index.ts";
import { ANSWER_FRAMES, WORLD_FRAME_RATE_HZ } from "../world/index.ts";
import type { EvaluationPart } from "./metric-table.ts";

/** Folder of the pictures inside a report's folder. */
export const PICTURES_FOLDER = "videos";

/** Parts whose videos are kept: those that a person wants to look at. */
const PICTURED_PARTS: readonly EvaluationPart[] = [
  "video-from-truth",
  "video",
  "no-references",
  "extension",
  "still",
  "multi-future",
  "best-of",
];
/** Of those, the ones that are kept of every sample; the others of some of every family. */
const FULLY_PICTURED: readonly EvaluationPart[] = ["video-from-truth", "video"];

/** True for videos that are kept: 40 consecutive seeds have one sample of every family of which all are. */
export function hasPicture(part: EvaluationPart, seed: number): boolean {
  return FULLY_PICTURED.includes(part) || (PICTURED_PARTS.includes(part) && isPictured(seed));
}

/** True for samples of which the videos of all parts are kept. */
export function isPictured(seed: number): boolean {
  return Math.floor(seed / 8) % 5 === 0;
}

/** Name of the picture of a part's video. */
export function pictureName(id: string, part: EvaluationPart): string {
  return `${id}-${part}.png`;
}

/** True for the file names of pictures. */
export function isPictureName(name: string): boolean {
  return PICTURED_PARTS.some((part) => name.endsWith(`-${part}.png`));
}

/** Reads a picture back as the clip that it was; undefined where there is none. */
export async function readPicture(
  folder: string,
  id: string,
  part: EvaluationPart,
): Promise<Clip | undefined> {
  const strip = await readClip(join(folder, pictureName(id, part))).catch(() => undefined);
  if (!strip || strip.height % ANSWER_FRAMES !== 0) return undefined;
  const { height, width, rgb } = strip;
  return {
    frameCount: ANSWER_FRAMES,
    height: height / ANSWER_FRAMES,
    width,
    frameRateHz: WORLD_FRAME_RATE_HZ,
    rgb,
  };
}
