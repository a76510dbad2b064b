/**
 * What a reward is, and what it looks at.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { Clip } from "../media/clip.ts";
import type { ClipScorer } from "../metrics/index.ts";
import type { WorldSample } from "../world/index.ts";

/** One answer and what it is compared with. A reward says which fields it reads; a field that it lacks is an error. */
export interface Rollout {
  /** The whole response of the language model. */
  readonly text?: string;
  /** The caption that was drawn; null where the response has none that may be drawn. */
  readonly caption?: string | null;
  /** The video that was drawn; null where there was no caption to draw. */
  readonly video?: Clip | null;
  /** Captions that are right, best first (paraphrases of one event). */
  readonly referenceCaptions?: readonly string[];
  readonly referenceVideo?: Clip;
  /** The sample of the playroom, for rewards that check events. */
  readonly sample?: WorldSample;
}

/** Fields of a rollout. */
export type RolloutField = keyof Rollout;

/** What rewards are computed with. */
export interface RewardModels {
  /** The CLIP that rewards; another one evaluates. */
  readonly clip?: ClipScorer;
  /** The right event and the wrong ones of a sample, drawn and passed through the suite's autoencoder. */
  readonly shownEvents?: (sample: WorldSample) => Promise<readonly Clip[]>;
}

/** Options of {@link Reward.score}. */
export interface ScoreOptions {
  readonly signal?: AbortSignal | undefined;
}

/** A reward: deterministic, the higher the better. */
export interface RewardDefinition {
  /** Lowest and highest value. */
  readonly range: readonly [low: number, high: number];
  /** What it must be given. */
  readonly reads: readonly RolloutField[];
  readonly about: string;
  /** How a policy gets it without doing what it stands for. */
  readonly hackedBy: string;
  /** Makes it ready. @throws `VANS_REWARD_MODEL` without a model that it needs */
  make(models: RewardModels): (rollout: Rollout, options: ScoreOptions) => Promise<number>;
}

/** A field that the reward reads. @throws `VANS_REWARD_INPUT` */
export function need<Field extends RolloutField>(
  reward: string,
  rollout: Rollout,
  field: Field,
): NonNullable<Rollout[Field]> | Extract<Rollout[Field], null> {
  const value = rollout[field];
  if (value !== undefined) return value as NonNullable<Rollout[Field]> | Extract<Rollout[Field], null>;
  throw new VansError("VANS_REWARD_INPUT", `the reward ${reward} was not given "${field}"`, {
    found: `a rollout with ${Object.keys(rollout).join(", ") || "nothing"}`,
    fix: "give the field (null where the response had no caption to draw), or leave the reward out",
  });
}

/** A model that the reward needs. @throws `VANS_REWARD_MODEL` */
export function needModel<Name extends keyof RewardModels>(
  reward: string,
  models: RewardModels,
  name: Name,
): NonNullable<RewardModels[Name]> {
  const model = models[name];
  if (model !== undefined) return model as NonNullable<RewardModels[Name]>;
  throw new VansError("VANS_REWARD_MODEL", `the reward ${reward} needs "${name}"`, {
    fix: "give it where rewards are made",
  });
}
