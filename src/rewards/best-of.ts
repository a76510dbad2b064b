/**
 * Best of several answers, picked without knowing the truth.
 *
 * The suite's own rewards, as far as they can be computed when a question is answered:
 * - `format`: the response keeps the template;
 * - `clip-score`: CLIPScore of the video against its own caption, by the CLIP that rewards;
 * - `rouge-l` and `clip-video` compare with a truth that is not there; the other candidates stand in for it, one after the
 *   other: the mean is the reward that the system itself expects (minimum Bayes risk, Kumar & Byrne 2004).
 *
 * `caption-event` and `video-event` ask the simulated world which event is right, so they are never used here.
 * @module
 */
import { type RewardName, RewardSet } from "./registry.ts";
import type { RewardModels, Rollout, ScoreOptions } from "./reward.ts";

/** Rewards that read the answer alone. */
export const TRUTHLESS_REWARDS = ["format", "clip-score"] as const satisfies readonly RewardName[];
/** Rewards that are asked with the other candidates in place of the truth. */
export const CONSENSUS_REWARDS = ["rouge-l", "clip-video"] as const satisfies readonly RewardName[];

/** A candidate: nothing in it comes from the truth. */
export type Candidate = Required<Pick<Rollout, "text" | "caption" | "video">>;

const only = (names: readonly RewardName[]) => Object.fromEntries(names.map((name) => [name, 1]));

/**
 * The score of every candidate, the sum of the rewards above. Without a CLIP those that need one are left out.
 *
 * @throws what rewards throw; nothing for a single candidate, whose consensus is 0
 */
export async function candidateScores(
  candidates: readonly Candidate[],
  models: Pick<RewardModels, "clip">,
  options: ScoreOptions = {},
): Promise<number[]> {
  const canSee = (name: RewardName): boolean => models.clip !== undefined || !name.startsWith("clip-");
  const alone = new RewardSet(only(TRUTHLESS_REWARDS.filter(canSee)), models);
  const together = new RewardSet(only(CONSENSUS_REWARDS.filter(canSee)), models);
  const sum = (row: readonly number[]): number => row.reduce((total, value) => total + value, 0);
  const own = (await alone.score(candidates, options)).rows.map(sum);
  const scores: number[] = [];
  for (const [i, candidate] of candidates.entries()) {
    // One whose caption may not be drawn has nothing to say about others.
    const others = candidates.filter((other, j) => j !== i && other.caption !== null && other.video !== null);
    const compared = others.map(({ caption, video }) => ({
      ...candidate,
      referenceCaptions: [caption!],
      referenceVideo: video!,
    }));
    const { rows } = compared.length > 0 ? await together.score(compared, options) : { rows: [] };
    const agreement = rows.reduce((total, row) => total + sum(row), 0) / Math.max(1, rows.length);
    scores.push(own[i]! + agreement);
  }
  return scores;
}

/** Index of the highest score, the first of equal ones. */
export function bestIndex(scores: readonly number[]): number {
  return scores.reduce((best, score, i) => (score > scores[best]! ? i : best), 0);
}
