/**
 * Stage 1 on models larger than memory: groups of responses to one prompt.
 * @module
 */
import { TextEncoder, VideoModel } from "../answer/index.ts";
import { throwIfAborted } from "../base/abort.ts";
import { fold } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { PAPER_REWARDS, type Rollout, rewardMetrics } from "../rewards/index.ts";
import { crossEntropy, f32, type NdArray, neg, reshape, type Tensor } from "../tensor/index.ts";
import { adaptersOff } from "./caption-policy.ts";
import { looksAtVideo, moments, type OpenRewards } from "./grpo-rewards.ts";
import { advantagesOf } from "./grpo-settings.ts";
import type { LargeContext } from "./large-context.ts";
import {
  advantageSettings,
  type GroupGradients,
  type GroupOptions,
  respond,
  rewardsOf,
  type Written,
} from "./large-groups.ts";
import type { Arrays } from "./large-lora.ts";
import type { LargeSample } from "./large-samples.ts";
import { addGradients } from "./large-sum.ts";
import { vlmRow } from "./large-supervised.ts";
import { vlmGradients, vlmValues } from "./large-vlm-gradients.ts";
import { tokenPolicyLoss } from "./token-policy-loss.ts";

/** Stage 1: groups of responses. */
export class CaptionGroups {
  readonly #large: LargeContext;
  readonly #rewards: OpenRewards;

  private constructor(large: LargeContext, rewards: OpenRewards) {
    this.#large = large;
    this.#rewards = rewards;
  }

  static async open(large: LargeContext): Promise<CaptionGroups> {
    return new CaptionGroups(large, await rewardsOf(large, large.settings.rewards ?? PAPER_REWARDS.stage1));
  }

  /** Responses, rewards and gradients of one prompt. */
  async gradients(sample: LargeSample, adapters: Arrays, options: GroupOptions): Promise<GroupGradients> {
    const large = this.#large;
    const { settings, lora, part, suite, threads } = large;
    const { group, clip, beta } = settings;
    const { signal, key } = options;
    const prompt = await large.prompt(sample, signal);
    const responses = await respond(
      large,
      prompt,
      { lora, adapters },
      {
        samples: group,
        key: fold(key, "tokens"),
        signal,
      },
    );
    const rows = await this.#scores(sample, responses, options);
    const { names, weights } = this.#rewards.set;
    const table = { names, weights, rows };
    const { advantages, live } = advantagesOf(table, advantageSettings(group));
    const sum: Record<string, NdArray> = {};
    let total = 0;
    const base = { weights: part.binding, lora, threads };
    const stored = part.stored("model.embed_tokens.weight");
    const off = adaptersOff(adapters);
    for (const [i, { tokens }] of responses.entries()) {
      if (live.length === 0) break;
      throwIfAborted(signal);
      const { labels, ...row } = vlmRow(large, prompt, tokens);
      const shape = [1, tokens.length];
      const logProbOf = (logits: Tensor, feed: (name: string) => Tensor): Tensor =>
        reshape(neg(crossEntropy(logits, feed("labels"))), shape);
      const reference =
        beta > 0
          ? await vlmValues(
              suite.vlm.config,
              base,
              stored,
              { ...row, feeds: { labels }, read: logProbOf },
              off,
            )
          : undefined;
      const feeds = {
        labels,
        mask: f32(new Float32Array(tokens.length).fill(1), shape),
        advantages: f32([advantages[i]!]),
        ...(reference && { reference }),
      };
      const own = await vlmGradients(
        suite.vlm.config,
        base,
        stored,
        {
          ...row,
          feeds,
          loss: (logits, feed) =>
            tokenPolicyLoss(
              {
                logProb: logProbOf(logits, feed),
                mask: feed("mask"),
                advantages: feed("advantages"),
                ...(reference && { referenceLogProb: feed("reference") }),
              },
              { kind: "grpo", epsilonLow: clip, epsilonHigh: clip, beta },
            ).loss,
        },
        adapters,
      );
      addGradients(sum, own.gradients, 1 / group);
      total += own.loss / group;
    }
    return {
      loss: total,
      gradients: sum,
      metrics: { ...rewardMetrics(table), ...lengths(responses) },
    };
  }

  /** One row a response; equal captions are drawn once, from the same noise. */
  async #scores(
    sample: LargeSample,
    responses: readonly Written[],
    { key, signal }: GroupOptions,
  ): Promise<readonly (readonly number[])[]> {
    const large = this.#large;
    const isDrawn = this.#rewards.set.names.some(looksAtVideo);
    const clips = new Map<string, Clip>();
    if (isDrawn) {
      const captions = new Set(responses.flatMap(({ caption }) => (caption === null ? [] : [caption])));
      for (const [caption, clip] of await drawAll(large, sample, [...captions], { key, signal }))
        clips.set(caption, clip);
    }
    const referenceVideo = isDrawn ? await large.answerFrames(sample.output, signal) : undefined;
    const rollouts = responses.map(
      ({ text, caption }): Rollout => ({
        text,
        caption,
        video: caption === null ? null : (clips.get(caption) ?? null),
        referenceCaptions: [sample.caption],
        ...(referenceVideo && { referenceVideo }),
        ...(sample.world && { sample: sample.world }),
      }),
    );
    return (await this.#rewards.set.score(rollouts, { ...(signal && { signal }) })).rows;
  }

  release(): Promise<void> {
    return this.#rewards.release();
  }
}

const lengths = (responses: readonly Written[]): Record<string, number> => ({
  "completions/mean_length": moments(responses.map(({ tokens }) => tokens.length)).mean,
});

/** Videos of several captions by the suite's own sampler, from the same noise. */
async function drawAll(
  large: LargeContext,
  sample: LargeSample,
  captions: readonly string[],
  { key, signal }: GroupOptions,
): Promise<Map<string, Clip>> {
  const { suite, threads, settings } = large;
  const { answer } = suite.manifest;
  const run = { threads, isBlockwise: true };
  const encoder = await TextEncoder.open(suite, run);
  const contexts = new Map<string, NdArray>();
  for (const text of new Set([...captions, answer.negativePrompt]))
    contexts.set(text, (await encoder.encode(text, { signal })).context);
  await encoder.release();
  const video = await VideoModel.open(suite, run);
  const { references } = await video.references((await large.frames(sample.input, signal)).frames, {
    signal,
  });
  const clips = new Map<string, Clip>();
  const how = { ...answer, steps: settings.drawSteps ?? answer.steps };
  for (const caption of captions) {
    const order = {
      references,
      context: contexts.get(caption)!,
      negativeContext: contexts.get(answer.negativePrompt),
      key: fold(key, "draw"),
    };
    const steps = video.draw(order, how, { signal, batchBranches: false });
    let next = await steps.next();
    while (!next.done) next = await steps.next();
    clips.set(caption, await video.decode(next.value, { signal }));
  }
  await video.release();
  return clips;
}
