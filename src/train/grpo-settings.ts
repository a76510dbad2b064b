/**
 * Settings that the tasks of policy training share, with their defaults.
 * @module
 */
import { z } from "zod";
import { ADVANTAGE_RULES, type AdvantageRuleName, combinedAdvantages } from "./advantages.ts";
import { SDE_SCHEMES, type SdeScheme } from "./flow-sde.ts";
import { alarmSettingsSchema } from "./grpo-alarms.ts";
import { REFERENCE_CAPTIONS } from "./reference-captions.ts";
import { DEFAULT_POOL } from "./sample-pool.ts";
import { TOKEN_LOSSES } from "./token-policy-loss.ts";

/** Where samples come from, how they are grouped and scored. */
export const commonFields = {
  /** Suite to start from, by name or path. */
  suite: z.string().default("playroom-sft"),
  /** Training samples: so many seeds from the first one on. */
  samples: z.int().positive().default(DEFAULT_POOL.samples),
  firstSeed: z.int().nonnegative().default(DEFAULT_POOL.firstSeed),
  /** G: answers to each prompt. */
  group: z.int().min(2).default(8),
  /** CLIP looks at every so many frames. */
  clipEveryFrames: z.int().positive().default(2),
  /** Sum the rewards and normalise the sum in the group, or normalise each first (GDPO, arXiv 2601.05242). */
  advantageOrder: z.enum(["sum-then-normalize", "normalize-then-sum"]).default("sum-then-normalize"),
  advantageRule: z
    .enum(Object.keys(ADVANTAGE_RULES) as [AdvantageRuleName, ...AdvantageRuleName[]])
    .default("flow-grpo"),
  /** Optimizer updates on one rollout. */
  updatesPerRollout: z.int().positive().default(1),
  /**
   * Every so many updates (the first one among them) the first gradient is computed a second time from what a replay gave,
   * and a log-ratio other than exactly 0 stops the run. Otherwise the first update takes its own forward as the old policy.
   */
  replayCheckEvery: z.int().positive().default(50),
  /** Thresholds of alarms. */
  alarms: alarmSettingsSchema.prefault({}),
};

/** The loss over tokens. */
export const tokenFields = {
  loss: z.enum(TOKEN_LOSSES).default("grpo"),
  ratioLevel: z.enum(["token", "sequence"]).default("token"),
  epsilonLow: z.number().positive().default(0.2),
  epsilonHigh: z.number().positive().default(0.2),
  temperature: z.number().positive().default(1),
  /**
   * Responses that are cut off at their greatest length: `zero` takes all their rewards away, `mask` leaves their tokens
   * out of the loss (their rewards still count for the group), `keep` treats them like others.
   */
  truncated: z.enum(["zero", "mask", "keep"]).default("keep"),
  /** Parts of the batch whose gradients are added up; divides the batch. Default: one prompt a part. */
  accumulate: z.int().positive().optional(),
  /** Places of a prompt and of a response. */
  promptLength: z.int().positive().default(112),
  maxNewTokens: z.int().positive().default(64),
  /** What ROUGE-L compares with: the sample's reference caption (the paper), or all captions, all literal ones, of its event. */
  references: z.enum(REFERENCE_CAPTIONS).default("caption"),
};

/** Rollouts and loss of the video model. */
export const flowFields = {
  /** Rows that run at once, in rollout and replay; divides the group. */
  rows: z.int().positive().default(4),
  advantageClamp: z.number().positive().default(5),
  clip: z.number().positive().default(1e-3),
  ratio: z.enum(["density", "unbiased"]).default("density"),
  scheme: z.enum(SDE_SCHEMES as [SdeScheme, ...SdeScheme[]]).default("wan"),
  noiseLevel: z.number().positive().optional(),
  /** Steps of a rollout. */
  rolloutSteps: z.int().min(2).default(10),
  /** Default the suite's. */
  shift: z.number().positive().optional(),
  guidanceScale: z.number().positive().optional(),
  /** Stochastic (and trained) steps: so many in sequence, the first one drawn below `below`. Default: all but the last. */
  window: z.strictObject({ size: z.int().positive(), below: z.int().positive() }).optional(),
  /** Policy losses of steps weighted by 1/λ, normalised to mean 1 (Flash-GRPO, arXiv 2605.15980). */
  stepWeights: z.enum(["equal", "inverse-lambda"]).default("equal"),
};

/** Settings of advantages. */
export interface AdvantageSettings {
  readonly group: number;
  readonly advantageOrder: "sum-then-normalize" | "normalize-then-sum";
  readonly advantageRule: AdvantageRuleName;
}

/** Advantages of a batch, and which groups have any spread: the others teach nothing and are left out. */
export interface GroupedAdvantages {
  readonly advantages: readonly number[];
  /** Places of the groups that have spread, in order. */
  readonly live: readonly number[];
}

/**
 * Advantages of rewards whose groups stand one after the other. Groups go by the place of their prompt, never by its text:
 * two samples may ask the same question.
 */
export function advantagesOf(
  table: { readonly weights: readonly number[]; readonly rows: readonly (readonly number[])[] },
  { group, advantageOrder, advantageRule }: AdvantageSettings,
): GroupedAdvantages {
  const { rows, weights } = table;
  const groups = rows.map((_, i) => Math.floor(i / group));
  const rule = ADVANTAGE_RULES[advantageRule];
  const advantages = combinedAdvantages(rows, groups, { weights, order: advantageOrder, rule });
  const count = rows.length / group;
  const live = Array.from({ length: count }, (_, g) => g).filter((g) =>
    advantages.slice(g * group, (g + 1) * group).some((advantage) => advantage !== 0),
  );
  return { advantages, live };
}
