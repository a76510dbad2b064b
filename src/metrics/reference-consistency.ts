/**
 * Reference consistency: does an answer stay in the scene that the input showed?
 *
 * Measure (ours; the paper asks people instead): an event changes a few things and leaves the rest. So the last input
 * frame and every answer frame are averaged over 5×5 pixels (which takes away the noise of codecs and autoencoders), and
 * a pixel is kept where no channel differs by more than {@link KEPT_LEVELS}. The share of kept pixels, averaged over all
 * answer frames, is 0 … 1; the verdict is "kept" from {@link KEPT_SHARE} on.
 *
 * Calibration on 160 playroom samples: true answers 0.59 … 0.96 (median 0.85; the lowest are glasses that spill their
 * water; through the autoencoder about 0.02 less), answers before another backdrop 0.00 … 0.12, answers with other
 * objects before the same backdrop 0.40 … 0.75. So it tells rooms apart, and whether the things in a room are
 * the same is asked of identity accuracy.
 *
 * What games it: doing nothing. A repeated last frame scores 1, so read `motionEnergy` or event accuracy beside it. It
 * hardly sees small objects. A camera that moves counts as another scene.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { type Clip, frameOf, type RgbImage } from "../media/index.ts";

/** Largest difference of an averaged channel, in levels of 255, at which a pixel still counts as kept. */
export const KEPT_LEVELS = 10;
/** Smallest mean share of kept pixels at which the scene counts as kept. */
export const KEPT_SHARE = 0.5;
/** Pixels on each side of the averaged neighbourhood. */
const RADIUS = 2;

/** What a comparison with the input found. */
export interface ReferenceVerdict {
  /** Mean share of kept pixels, 0 … 1. */
  readonly keptShare: number;
  /** The same for each answer frame. */
  readonly perFrame: readonly number[];
  /** True from {@link KEPT_SHARE} on. */
  readonly isKept: boolean;
}

/**
 * The verdict on an answer, from the input that it answers.
 *
 * @param input its last frame is the scene
 * @throws `VANS_METRICS_SHAPE` where frame sizes differ or a clip is empty
 * @example
 * ```ts
 * import { referenceVerdict } from "vans/metrics";
 * const grey = (level: number) =>
 *   ({ frameCount: 1, height: 4, width: 4, frameRateHz: 8, rgb: new Uint8Array(48).fill(level) });
 * referenceVerdict(grey(90), grey(95)).isKept; // => true
 * referenceVerdict(grey(90), grey(120)).keptShare; // => 0
 * ```
 */
export function referenceVerdict(input: Clip, answer: Clip): ReferenceVerdict {
  if (
    input.height !== answer.height ||
    input.width !== answer.width ||
    input.frameCount === 0 ||
    answer.frameCount === 0
  ) {
    throw new VansError("VANS_METRICS_SHAPE", "the answer and its input cannot be compared", {
      asked: "frames of one size",
      found: `input ${input.frameCount} of ${input.width}x${input.height}, answer ${answer.frameCount} of ${answer.width}x${answer.height}`,
    });
  }
  const scene = smoothed(frameOf(input, input.frameCount - 1));
  const perFrame = Array.from({ length: answer.frameCount }, (_, frame) =>
    keptShare(scene, smoothed(frameOf(answer, frame))),
  );
  const mean = perFrame.reduce((sum, share) => sum + share, 0) / perFrame.length;
  return { keptShare: mean, perFrame, isKept: mean >= KEPT_SHARE };
}

function keptShare(scene: Float32Array, frame: Float32Array): number {
  let kept = 0;
  for (let p = 0; p < scene.length; p += 3) {
    const far = Math.max(
      Math.abs(scene[p]! - frame[p]!),
      Math.abs(scene[p + 1]! - frame[p + 1]!),
      Math.abs(scene[p + 2]! - frame[p + 2]!),
    );
    if (far <= KEPT_LEVELS) kept++;
  }
  return (3 * kept) / scene.length;
}

/** Means over neighbourhoods, cut at the border; first along rows, then along columns. */
function smoothed({ height, width, rgb }: RgbImage): Float32Array {
  const across = alongAxis(Float32Array.from(rgb), height, width, 3, 3 * width);
  return alongAxis(across, width, height, 3 * width, 3);
}

/** Means along one axis: `count` places a `step` apart, in each of `lines` lines a `lineStep` apart, for 3 channels. */
function alongAxis(
  values: Float32Array,
  lines: number,
  count: number,
  step: number,
  lineStep: number,
): Float32Array {
  const out = new Float32Array(values.length);
  for (let line = 0; line < lines; line++)
    for (let channel = 0; channel < 3; channel++) {
      const at = line * lineStep + channel;
      for (let i = 0; i < count; i++) {
        const from = Math.max(0, i - RADIUS);
        const to = Math.min(count - 1, i + RADIUS);
        let sum = 0;
        for (let k = from; k <= to; k++) sum += values[at + k * step]!;
        out[at + i * step] = sum / (to - from + 1);
      }
    }
  return out;
}
