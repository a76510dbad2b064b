/**
 * All rewards by name, ready to score, and their weighted sum.
 * @module
 */
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { clipScoreReward } from "./clip-score.ts";
import { clipVideoReward } from "./clip-video.ts";
import { captionEventReward, videoEventReward } from "./event.ts";
import { formatReward } from "./format.ts";
import type { RewardDefinition, RewardModels, Rollout, ScoreOptions } from "./reward.ts";
import { rougeLReward } from "./rouge-l.ts";
import { rougeLMeanReward } from "./rouge-l-mean.ts";

/** All rewards. */
export const REWARDS = {
  format: formatReward,
  "rouge-l": rougeLReward,
  "rouge-l-mean": rougeLMeanReward,
  "clip-video": clipVideoReward,
  "clip-score": clipScoreReward,
  "caption-event": captionEventReward,
  "video-event": videoEventReward,
} as const satisfies Record<string, RewardDefinition>;

/** Name of a reward. */
export type RewardName = keyof typeof REWARDS;

/** All names. */
export const REWARD_NAMES = Object.keys(REWARDS) as [RewardName, ...RewardName[]];

/** How much each reward counts; those that are not named are not computed. */
export type RewardWeights = Readonly<Partial<Record<RewardName, number>>>;

/** The rewards of the paper's stages, all of weight 1. */
export const PAPER_REWARDS = {
  /** `rf + rt1 + rv1`: the language model is tuned. */
  stage1: { format: 1, "rouge-l": 1, "clip-video": 1 },
  /** `rv2 + rc2`: the video model is tuned. */
  stage2: { "clip-video": 1, "clip-score": 1 },
} as const satisfies Record<string, RewardWeights>;

/** Scores of rollouts, as training and logs take them. */
export interface RewardTable {
  readonly names: readonly RewardName[];
  /** One a name. */
  readonly weights: readonly number[];
  /** One row a rollout, one column a name. */
  readonly rows: readonly (readonly number[])[];
}

/** Rewards made ready to score. */
export class RewardSet {
  readonly names: readonly RewardName[];
  readonly weights: readonly number[];
  readonly #scores: readonly ReturnType<RewardDefinition["make"]>[];

  /** @throws `VANS_REWARD_WEIGHT` where no reward or no finite weight is given, `VANS_REWARD_MODEL` */
  constructor(weights: RewardWeights, models: RewardModels) {
    const chosen = REWARD_NAMES.filter((name) => weights[name] !== undefined);
    const numbers = chosen.map((name) => weights[name]!);
    if (chosen.length === 0 || !numbers.every(Number.isFinite)) {
      throw new VansError("VANS_REWARD_WEIGHT", "these weights reward nothing that can be computed", {
        asked: "a finite weight for at least one reward",
        found: JSON.stringify(weights),
        fix: `rewards are ${REWARD_NAMES.join(", ")}`,
      });
    }
    this.names = chosen;
    this.weights = numbers;
    this.#scores = chosen.map((name) => REWARDS[name].make(models));
  }

  /**
   * Scores rollouts one after the other.
   * @throws `VANS_REWARD_INPUT` where a rollout lacks a field, `VANS_REWARD_RANGE` where a score is outside of its range,
   * `VANS_RUN_ABORTED` between two rollouts
   */
  async score(rollouts: readonly Rollout[], options: ScoreOptions = {}): Promise<RewardTable> {
    const rows: number[][] = [];
    for (const rollout of rollouts) {
      throwIfAborted(options.signal);
      const row: number[] = [];
      for (const [i, score] of this.#scores.entries())
        row.push(withinRange(this.names[i]!, await score(rollout, options)));
      rows.push(row);
    }
    return { names: this.names, weights: this.weights, rows };
  }
}

/** Cosines of unit vectors leave their range by rounding. */
const ROUNDING = 1e-5;

function withinRange(name: RewardName, value: number): number {
  const [low, high] = REWARDS[name].range;
  if (value >= low - ROUNDING && value <= high + ROUNDING) return Math.min(high, Math.max(low, value));
  throw new VansError("VANS_REWARD_RANGE", `the reward ${name} gave ${value}`, {
    asked: `${low} … ${high}`,
    why: "a model gave a number that is none, or weights of another model are loaded",
  });
}

/** Options of {@link combineRewards}. */
export interface CombineRewardsOptions {
  /**
   * `none`: the weighted sum of the scores as they are (the paper). `per-reward`: each reward is normalised within its
   * group first, to mean 0 and deviation 1, so that no reward counts more because it spreads more (GDPO, arXiv 2601.05242).
   */
  readonly normalise: "none" | "per-reward";
  /** The group of each row; needed for `per-reward`. */
  readonly groups?: ArrayLike<number | string>;
}

/** Added to deviations, as in TRL. */
const EPSILON = 1e-4;

/**
 * One number a rollout: the weighted sum of its rewards. `combinedAdvantages` of vans/train makes advantages of the
 * table's rows by the same rules; this sum is for logs, best-of-N and evaluation.
 *
 * @throws `VANS_REWARD_GROUPS` where groups are missing or too few
 * @example
 * ```ts
 * import { combineRewards } from "vans/rewards";
 * const table = { names: ["format", "rouge-l"] as const, weights: [1, 2], rows: [[1, 0.5], [0, 0.25]] };
 * combineRewards(table, { normalise: "none" }); // => [2, 0.5]
 * ```
 */
export function combineRewards(
  { weights, rows }: RewardTable,
  { normalise, groups }: CombineRewardsOptions,
): number[] {
  const sums = (values: readonly (readonly number[])[]): number[] =>
    values.map((row) => row.reduce((sum, value, k) => sum + weights[k]! * value, 0));
  if (normalise === "none") return sums(rows);
  if (groups?.length !== rows.length) {
    throw new VansError("VANS_REWARD_GROUPS", "rewards are normalised within groups, which were not given", {
      asked: `${rows.length} group ids`,
      found: String(groups?.length ?? 0),
    });
  }
  const members = new Map<number | string, number[]>();
  for (const i of rows.keys()) members.set(groups[i]!, [...(members.get(groups[i]!) ?? []), i]);
  const normal = rows.map((row) => row.map(() => 0));
  for (const own of members.values()) {
    for (const k of weights.keys()) {
      const values = own.map((i) => rows[i]![k]!);
      // Without spread a reward says nothing about its group; rounding must not make it speak.
      if (values.every((value) => value === values[0])) continue;
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
      const deviation = Math.sqrt(squares / (values.length - 1)) + EPSILON;
      for (const [at, i] of own.entries()) normal[i]![k] = (values[at]! - mean) / deviation;
    }
  }
  return sums(normal);
}

/** Mean and population deviation of each reward, under TRL's names: `rewards/<name>/mean`, `rewards/<name>/std`. */
export function rewardMetrics({ names, rows }: RewardTable): Record<string, number> {
  const metrics: Record<string, number> = {};
  if (rows.length === 0) return metrics;
  names.forEach((name, k) => {
    const values = rows.map((row) => row[k]!);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    metrics[`rewards/${name}/mean`] = mean;
    metrics[`rewards/${name}/std`] = Math.sqrt(squares / values.length);
  });
  return metrics;
}
