/**
 * Event accuracy: does an answer show (or say) the right event rather than one of the wrong ones?
 *
 * A sample has one right event and four wrong ones from the same state. An answer is right where it is nearer to the
 * right event than to every wrong one; a tie is wrong. Ours: the simulated world knows the events.
 *
 * Range: a share, 0 … 1; a guess is right in one of five. What games it: videos are looked at only where candidates
 * differ, so what else is drawn goes unseen, and a blurred mean of two events may be nearest to the right one; captions need
 * but one telling word.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { Clip } from "../media/clip.ts";
import { rougeL } from "./rouge-l.ts";

/** What a comparison found. */
export interface EventVerdict {
  /** True where the right event beats all wrong ones. */
  readonly isRight: boolean;
  /** Distance (video) or score (caption) of every candidate, the right one first. */
  readonly scores: readonly number[];
  /** Index of the best candidate; 0 is the right one. A tie for the best names the first. */
  readonly nearest: number;
}

function checkAlike(answer: Clip, candidates: readonly Clip[]): void {
  for (const clip of candidates) {
    if (clip.rgb.length !== answer.rgb.length) {
      throw new VansError("VANS_METRICS_SHAPE", "the answer and a candidate have different sizes", {
        found: `answer ${answer.frameCount} frames of ${answer.width}x${answer.height}, candidate ${clip.frameCount} of ${clip.width}x${clip.height}`,
      });
    }
  }
}

/**
 * The verdict on a video: mean squared RGB error over all frames, at the pixels where any two candidates differ.
 * @param candidates clips of the right event (first) and the wrong ones, each passed through the suite's autoencoder
 * @throws `VANS_METRICS_SHAPE` where sizes differ
 */
export function videoEventVerdict(answer: Clip, candidates: readonly Clip[]): EventVerdict {
  checkAlike(answer, candidates);
  const totals = new Float64Array(candidates.length);
  const first = candidates[0]!.rgb;
  let pixels = 0;
  for (let p = 0; p < answer.rgb.length; p += 3) {
    const differs = candidates.some(
      (clip) =>
        clip.rgb[p] !== first[p] || clip.rgb[p + 1] !== first[p + 1] || clip.rgb[p + 2] !== first[p + 2],
    );
    if (!differs) continue;
    pixels++;
    candidates.forEach((clip, i) => {
      for (let c = 0; c < 3; c++) totals[i]! += (clip.rgb[p + c]! - answer.rgb[p + c]!) ** 2;
    });
  }
  const scores = [...totals].map((total) => (pixels === 0 ? 0 : total / (pixels * 3)));
  return verdict(scores, (a, b) => a < b);
}

/**
 * The verdict on a caption: the highest ROUGE-L F1 against all paraphrases of each event.
 * @param candidates paraphrases of the right event (first) and of the wrong ones
 */
export function captionEventVerdict(
  caption: string,
  candidates: readonly (readonly string[])[],
): EventVerdict {
  const scores = candidates.map((paraphrases) =>
    Math.max(...paraphrases.map((text) => rougeL(caption, text))),
  );
  return verdict(scores, (a, b) => a > b);
}

function verdict(scores: readonly number[], isBetter: (a: number, b: number) => boolean): EventVerdict {
  let nearest = 0;
  scores.forEach((score, i) => {
    if (isBetter(score, scores[nearest]!)) nearest = i;
  });
  return { isRight: scores.slice(1).every((score) => isBetter(scores[0]!, score)), scores, nearest };
}
