/**
 * Rewards in training: made ready over a suite's CLIP, with the drawings of events that come again.
 * @module
 */
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Suite } from "../answer/index.ts";
import { VansError } from "../base/errors.ts";
import type { Clip } from "../media/clip.ts";
import { ClipScorer } from "../metrics/index.ts";
import { REWARD_NAMES, type RewardName, RewardSet, type RewardWeights } from "../rewards/index.ts";
import { candidates, type WorldSample } from "../world/index.ts";

/** Weights of rewards in a recipe; a weight of 0 leaves a reward out. */
export const rewardWeightsSchema = z
  .partialRecord(z.enum(REWARD_NAMES), z.number())
  .transform(
    (weights): RewardWeights =>
      Object.fromEntries(Object.entries(weights).filter(([, weight]) => weight !== 0)),
  );

/** True where a reward looks at the video. */
export const looksAtVideo = (name: RewardName): boolean => name.startsWith("clip-") || name === "video-event";

/** What rewards are opened with. */
export interface OpenRewardsOptions {
  /** A clip of the answer's size, encoded and decoded again. */
  readonly throughAutoencoder: (clip: Clip) => Promise<Clip>;
  /** CLIP looks at every so many frames. */
  readonly everyFrames: number;
  readonly threads: number;
}

/** Rewards made ready. */
export interface OpenRewards {
  readonly set: RewardSet;
  release(): Promise<void>;
}

/** Samples whose drawn events are kept (1.7 MB each). */
const KEPT_SAMPLES = 64;

/** Makes rewards ready. @throws `VANS_TRAIN_REWARD` where a CLIP reward is asked of a suite without CLIP */
export async function openRewards(
  suite: Suite,
  weights: RewardWeights,
  options: OpenRewardsOptions,
): Promise<OpenRewards> {
  const clip = Object.keys(weights).some((name) => name.startsWith("clip-"))
    ? await openScorer(suite, options)
    : undefined;
  const events = new Map<number, Promise<readonly Clip[]>>();
  const shown = async (sample: WorldSample): Promise<readonly Clip[]> => {
    const clips: Clip[] = [];
    for (const event of candidates(sample)) clips.push(await options.throughAutoencoder(event.render()));
    return clips;
  };
  const shownEvents = (sample: WorldSample): Promise<readonly Clip[]> => {
    const before = events.get(sample.seed);
    if (before) return before;
    if (events.size >= KEPT_SAMPLES) events.delete(events.keys().next().value!);
    const made = shown(sample);
    events.set(sample.seed, made);
    return made;
  };
  return {
    set: new RewardSet(weights, { ...(clip && { clip }), shownEvents }),
    release: async () => clip?.release(),
  };
}

async function openScorer(
  suite: Suite,
  { everyFrames, threads }: Pick<OpenRewardsOptions, "everyFrames" | "threads">,
): Promise<ClipScorer> {
  const { clip } = suite.manifest;
  if (!clip)
    throw new VansError("VANS_TRAIN_REWARD", `${suite.name} has no CLIP to reward with`, {
      fix: "add clip to suite.json, or use rewards that need none",
    });
  return ClipScorer.open(join(suite.folder, dirname(clip.config)), { everyFrames, run: { threads } });
}

/** Mean and population deviation. */
export function moments(values: readonly number[]): { readonly mean: number; readonly std: number } {
  if (values.length === 0) return { mean: 0, std: 0 };
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, std: Math.sqrt(squares / values.length) };
}
