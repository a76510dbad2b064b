/**
 * Frames of the playroom as arrays for training: every batch is a pure function of the run's seed and the step.
 * @module
 */
import { fold, integer, type Key, keyFromSeed } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import {
  assertTrainingSeed,
  CURATED_SEED_START,
  EVALUATION_SEED_START,
  sampleForSeed,
  type WorldSample,
} from "../world/index.ts";

/** Seeds from here to the evaluation seeds are for looking while training. */
export const HELD_OUT_SEED_START = 880_000;

/** The key of a step of a run. */
export function stepKey(seed: number, step: number, name: string): Key {
  return fold(keyFromSeed(seed), name, step);
}

/** A random training sample, written about by annotators. */
export function drawSample(key: Key): WorldSample {
  const seed = integer(fold(key, "seed"), CURATED_SEED_START);
  assertTrainingSeed(seed);
  return sampleForSeed(seed);
}

/** Samples that no training step sees and that are not evaluation seeds either. */
export function heldOutSamples(count: number): WorldSample[] {
  const seeds = Array.from({ length: count }, (_, i) => HELD_OUT_SEED_START + i);
  if (HELD_OUT_SEED_START + count > EVALUATION_SEED_START)
    throw new RangeError(`at most ${EVALUATION_SEED_START - HELD_OUT_SEED_START} held-out samples`);
  for (const seed of seeds) assertTrainingSeed(seed);
  return seeds.map(sampleForSeed);
}

/** A window of a clip. */
export interface Window {
  readonly frame: number;
  readonly frames: number;
  readonly top: number;
  readonly left: number;
  readonly size: number;
  /** Mirror left and right. */
  readonly mirrored: boolean;
}

/**
 * Copies a window of a clip into `out` as `[3, T, size, size]` in [-1, 1], at element `offset`.
 * Pixel scaling as the models have it: value / 127.5 - 1.
 */
export function copyWindow(clip: Clip, window: Window, out: Float32Array, offset: number): void {
  const { frame, frames, top, left, size, mirrored } = window;
  const plane = size * size;
  for (let t = 0; t < frames; t++) {
    for (let y = 0; y < size; y++) {
      const row = ((frame + t) * clip.height + top + y) * clip.width;
      for (let x = 0; x < size; x++) {
        const from = (row + left + (mirrored ? size - 1 - x : x)) * 3;
        const to = offset + t * plane + y * size + x;
        out[to] = clip.rgb[from]! / 127.5 - 1;
        out[to + frames * plane] = clip.rgb[from + 1]! / 127.5 - 1;
        out[to + 2 * frames * plane] = clip.rgb[from + 2]! / 127.5 - 1;
      }
    }
  }
}

/** How much there is to see in a window: sum of absolute differences between neighbours in space and first and last frame. */
export function windowEnergy(clip: Clip, window: Window): number {
  const { frame, frames, top, left, size } = window;
  const at = (t: number, y: number, x: number): number => ((t * clip.height + y) * clip.width + x) * 3;
  let energy = 0;
  for (let y = top; y < top + size - 1; y += 2) {
    for (let x = left; x < left + size - 1; x += 2) {
      for (let c = 0; c < 3; c++) {
        const here = clip.rgb[at(frame, y, x) + c]!;
        energy +=
          Math.abs(here - clip.rgb[at(frame, y, x + 1) + c]!) +
          Math.abs(here - clip.rgb[at(frame, y + 1, x) + c]!);
        if (frames > 1) energy += 2 * Math.abs(here - clip.rgb[at(frame + frames - 1, y, x) + c]!);
      }
    }
  }
  return energy;
}

/** The liveliest of several random windows of a random training clip. */
export function drawWindow(key: Key, clip: Clip, frames: number, size: number, tries: number): Window {
  let best: Window | undefined;
  let most = -1;
  for (let i = 0; i < tries; i++) {
    const at = fold(key, i);
    const window: Window = {
      frame: integer(fold(at, "t"), clip.frameCount - frames + 1),
      frames,
      top: integer(fold(at, "y"), clip.height - size + 1),
      left: integer(fold(at, "x"), clip.width - size + 1),
      size,
      mirrored: integer(fold(at, "m"), 2) === 1,
    };
    const energy = tries === 1 ? 0 : windowEnergy(clip, window);
    if (energy > most) [best, most] = [window, energy];
  }
  return best!;
}
