/**
 * What one update of a stage did, written down while it runs, so that a peer can do the same again: the tokens that were
 * drawn, the captions and noise of the videos, the rewards.
 * @module
 */

import { RewardSet, type Rollout } from "../src/rewards/index.ts";
import type { Feeds } from "../src/runtime/index.ts";
import type { NdArray } from "../src/tensor/index.ts";
import type { CaptionPrompt, CaptionResponse, RespondOptions } from "../src/train/caption-policy.ts";
import { CaptionPolicy } from "../src/train/caption-policy.ts";
import { VideoPolicy } from "../src/train/video-policy.ts";

/** One call of the language model. */
export interface RecordedResponses {
  readonly prompts: readonly CaptionPrompt[];
  readonly samples: number;
  readonly responses: readonly (readonly CaptionResponse[])[];
}

/** One evaluation of the video policy. */
export interface RecordedVelocity {
  readonly noisy: NdArray;
  readonly velocity: NdArray;
}

/** Everything that is recorded, in the order in which it happened. */
export interface Recording {
  readonly responses: RecordedResponses[];
  readonly rollouts: Rollout[];
  readonly rewards: (readonly number[])[];
  readonly velocities: RecordedVelocity[];
  /** Milliseconds in the language model, in rewards, and up to the end of the last reward. */
  writeMs: number;
  rewardMs: number;
  rolloutMs: number;
}

/** Records what happens while `work` runs. The recorded methods are put back afterwards. */
export async function recorded<T>(
  work: () => Promise<T>,
): Promise<{ recording: Recording; result: T; ms: number }> {
  const recording: Recording = {
    responses: [],
    rollouts: [],
    rewards: [],
    velocities: [],
    writeMs: 0,
    rewardMs: 0,
    rolloutMs: 0,
  };
  const { respond } = CaptionPolicy.prototype;
  const { score } = RewardSet.prototype;
  const { velocity } = VideoPolicy.prototype;
  const start = performance.now();
  CaptionPolicy.prototype.respond = async function (
    this: CaptionPolicy,
    prompts: readonly CaptionPrompt[],
    options: RespondOptions,
  ) {
    const from = performance.now();
    const responses = await respond.call(this, prompts, options);
    recording.writeMs += performance.now() - from;
    recording.responses.push({ prompts, samples: options.samples, responses });
    return responses;
  };
  RewardSet.prototype.score = async function (this: RewardSet, ...args: Parameters<RewardSet["score"]>) {
    const from = performance.now();
    const table = await score.apply(this, args);
    recording.rewardMs += performance.now() - from;
    recording.rolloutMs = performance.now() - start;
    recording.rollouts.push(...args[0]);
    recording.rewards.push(...table.rows);
    return table;
  };
  VideoPolicy.prototype.velocity = async function (this: VideoPolicy, adapters: Feeds, feeds: Feeds) {
    const found = await velocity.call(this, adapters, feeds);
    recording.velocities.push({ noisy: feeds["noisy"] as NdArray, velocity: found });
    return found;
  };
  try {
    const result = await work();
    return { recording, result, ms: performance.now() - start };
  } finally {
    CaptionPolicy.prototype.respond = respond;
    RewardSet.prototype.score = score;
    VideoPolicy.prototype.velocity = velocity;
  }
}
