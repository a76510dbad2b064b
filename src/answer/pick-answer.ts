/**
 * The best of several answers by the suite's own rewards, the truth unseen.
 * @module
 */
import { dirname, join } from "node:path";
import { VansError } from "../base/errors.ts";
import { ClipScorer } from "../metrics/index.ts";
import { bestIndex, candidateScores, drawableCaption } from "../rewards/index.ts";
import type { AnswerReport } from "./answer-event.ts";
import { loadSuite } from "./suite.ts";

/** Which answer was picked, and why. */
export interface PickedAnswer {
  readonly by: "rewards";
  /** Place among the report's samples. */
  readonly index: number;
  /** Score of each sample; see `candidateScores` of vans/rewards. */
  readonly scores: readonly number[];
}

/**
 * Picks the answer whose format, likeness to its own caption and agreement with the other answers is best (`candidateScores`),
 * judged by the CLIP that rewards in training.
 *
 * @throws `VANS_ANSWER_REQUEST` for a suite without such a CLIP, `VANS_RUN_ABORTED` between two answers
 */
export async function pickAnswer(
  report: AnswerReport,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<PickedAnswer> {
  const suite = await loadSuite(report.suite.folder);
  const { clip } = suite.manifest;
  if (!clip)
    throw new VansError("VANS_ANSWER_REQUEST", "the best answer cannot be picked by rewards", {
      found: `${suite.name} has no CLIP`,
      fix: "leave --pick out, or use a suite whose suite.json names a clip",
    });
  const scorer = await ClipScorer.open(join(suite.folder, dirname(clip.config)), { name: "reward CLIP" });
  try {
    const candidates = report.samples.map(({ text, clip: video }) => {
      const caption = drawableCaption(text);
      return { text, caption, video: caption === null ? null : video };
    });
    const scores = await candidateScores(candidates, { clip: scorer }, options);
    return { by: "rewards", index: bestIndex(scores), scores };
  } finally {
    await scorer.release();
  }
}
