/**
 * Advantages: how much better a sample is than the others of its group.
 * @module
 */
import { VansError } from "../base/index.ts";

/** How rewards become advantages: (reward - group mean) / (deviation + epsilon). */
export interface AdvantageRule {
  /** Sum of squares divided by n (population) or n - 1 (sample). */
  readonly deviation: "population" | "sample";
  /** Whose deviation divides; `none` only subtracts the group's mean. */
  readonly scale: "group" | "batch" | "none";
  readonly epsilon: number;
}

/** The rules of published trainers. */
export const ADVANTAGE_RULES = {
  /** Flow-GRPO, `per_prompt_stat_tracking`; its Wan configuration. */
  "flow-grpo": { deviation: "population", scale: "group", epsilon: 1e-4 },
  /** Flow-GRPO with `global_std`; its SD3 configuration. */
  "flow-grpo-global": { deviation: "population", scale: "batch", epsilon: 1e-4 },
  /** TRL `scale_rewards="group"`. */
  trl: { deviation: "sample", scale: "group", epsilon: 1e-4 },
  /** TRL `scale_rewards="batch"`. */
  "trl-batch": { deviation: "sample", scale: "batch", epsilon: 1e-4 },
  /** TRL `scale_rewards="none"` (Dr. GRPO). */
  "trl-none": { deviation: "sample", scale: "none", epsilon: 1e-4 },
  /** DanceGRPO. */
  dance: { deviation: "sample", scale: "group", epsilon: 1e-8 },
} as const satisfies Record<string, AdvantageRule>;

/** Name of a published rule. */
export type AdvantageRuleName = keyof typeof ADVANTAGE_RULES;

interface Spread {
  readonly mean: number;
  readonly deviation: number;
}

/** Mean and deviation of the values that are numbers. Equal values have deviation 0 exactly. */
function spread(values: readonly number[], kind: AdvantageRule["deviation"]): Spread {
  const known = values.filter((value) => !Number.isNaN(value));
  if (known.length === 0) return { mean: 0, deviation: 0 };
  const isFlat = known.every((value) => value === known[0]);
  if (isFlat) return { mean: known[0]!, deviation: 0 };
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  const squares = known.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (known.length - (kind === "sample" ? 1 : 0))) };
}

function checkLengths(rewards: number, groups: number): void {
  if (rewards === groups) return;
  throw new VansError("VANS_TRAIN_GROUPS", "every reward needs the id of its group", {
    found: `${rewards} rewards, ${groups} group ids`,
  });
}

/** Positions of each group. */
function membersOf(groups: ArrayLike<number | string>): number[][] {
  const members = new Map<number | string, number[]>();
  for (let i = 0; i < groups.length; i++) {
    const list = members.get(groups[i]!) ?? [];
    list.push(i);
    members.set(groups[i]!, list);
  }
  return [...members.values()];
}

/**
 * Advantages of one reward a sample. Groups are named by explicit ids, not by their text, and need not be contiguous.
 * A reward of NaN was not given: it counts in no mean, and its advantage is 0. A group without spread gets exactly 0.
 *
 * @example
 * ```ts
 * import { groupAdvantages } from "vans/train";
 * groupAdvantages([1, 0, 3, 3], ["a", "a", "b", "b"], { deviation: "population", scale: "group", epsilon: 0 }); // => [1, -1, 0, 0]
 * ```
 * @throws `VANS_TRAIN_GROUPS` where the lengths differ
 */
export function groupAdvantages(
  rewards: ArrayLike<number>,
  groups: ArrayLike<number | string>,
  rule: AdvantageRule = ADVANTAGE_RULES["flow-grpo"],
): number[] {
  checkLengths(rewards.length, groups.length);
  const all = Array.from(rewards);
  const advantages = all.map(() => 0);
  const batch = rule.scale === "batch" ? spread(all, rule.deviation).deviation : 0;
  for (const members of membersOf(groups)) {
    const own = spread(
      members.map((i) => all[i]!),
      rule.deviation,
    );
    const divisor =
      rule.scale === "none" ? 1 : (rule.scale === "batch" ? batch : own.deviation) + rule.epsilon;
    for (const i of members) {
      const distance = all[i]! - own.mean;
      advantages[i] = distance === 0 || Number.isNaN(distance) ? 0 : distance / divisor;
    }
  }
  return advantages;
}

/** Options of {@link combinedAdvantages}. */
export interface CombineOptions {
  /** One a reward. */
  readonly weights: readonly number[];
  /**
   * `sum-then-normalize`: weighted sum, then the rule. `normalize-then-sum` (GDPO, arXiv 2601.05242): each reward
   * normalised in its group, weighted sum, normalised over the batch.
   */
  readonly order: "sum-then-normalize" | "normalize-then-sum";
  readonly rule?: AdvantageRule;
}

/**
 * Advantages of several rewards a sample (TRL `multi_objective_aggregation`). NaN means that a reward was not given;
 * a sample without any gets 0.
 * @param rewards one row a sample, one column a reward
 * @throws `VANS_TRAIN_GROUPS` where the lengths differ
 */
export function combinedAdvantages(
  rewards: readonly (readonly number[])[],
  groups: ArrayLike<number | string>,
  options: CombineOptions,
): number[] {
  checkLengths(rewards.length, groups.length);
  const { weights, order, rule = ADVANTAGE_RULES.trl } = options;
  const isScored = rewards.map((row) => row.some((value) => !Number.isNaN(value)));
  const weighted = (rows: readonly (readonly number[])[]): number[] =>
    rows.map((row, i) =>
      isScored[i]
        ? row.reduce((sum, value, k) => (Number.isNaN(value) ? sum : sum + weights[k]! * value), 0)
        : Number.NaN,
    );
  if (order === "sum-then-normalize") return groupAdvantages(weighted(rewards), groups, rule);
  const columns = weights.map((_, k) =>
    groupAdvantages(
      rewards.map((row) => row[k]!),
      groups,
      { ...rule, scale: "group" },
    ),
  );
  const sums = weighted(
    rewards.map((row, i) => row.map((value, k) => (Number.isNaN(value) ? value : columns[k]![i]!))),
  );
  return groupAdvantages(
    sums,
    sums.map(() => 0),
    { ...rule, scale: "group" },
  );
}
