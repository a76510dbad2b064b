/**
 * Stage 2 on models larger than memory: groups of videos of one anchor.
 * @module
 */
import { VideoModel } from "../answer/index.ts";
import { throwIfAborted } from "../base/abort.ts";
import { fold, type Key, normal } from "../base/keys.ts";
import { bestRougeL } from "../metrics/index.ts";
import { BlockwiseDit, flowMatchGrid } from "../models/wan/index.ts";
import type { LoraOptions } from "../nn/index.ts";
import { PAPER_REWARDS, type Rollout, rewardMetrics } from "../rewards/index.ts";
import { f32, type NdArray, sizeOf } from "../tensor/index.ts";
import { adaptersOff, withoutAdapters } from "./caption-policy.ts";
import { flowPolicyLoss } from "./flow-policy-loss.ts";
import { type FlowTransition, rolloutFlow } from "./flow-rollout.ts";
import { packCoefficients } from "./flow-sde.ts";
import type { OpenRewards } from "./grpo-rewards.ts";
import { advantagesOf } from "./grpo-settings.ts";
import type { LargeContext } from "./large-context.ts";
import {
  advantageSettings,
  type GroupGradients,
  type GroupOptions,
  respond,
  rewardsOf,
} from "./large-groups.ts";
import type { Arrays } from "./large-lora.ts";
import type { LargeSample } from "./large-samples.ts";
import { addGradients } from "./large-sum.ts";
import { vdmGradients } from "./large-vdm-gradients.ts";

/** The language model that writes anchors: adapters of stage 1, or none. */
type Writer = { readonly lora: LoraOptions; readonly adapters: Arrays } | undefined;

/** Stage 2: groups of videos. */
export class VideoGroups {
  readonly #large: LargeContext;
  readonly #rewards: OpenRewards;
  readonly #writer: Writer;

  private constructor(large: LargeContext, rewards: OpenRewards, writer: Writer) {
    this.#large = large;
    this.#rewards = rewards;
    this.#writer = writer;
  }

  static async open(large: LargeContext, writer: Writer): Promise<VideoGroups> {
    const weights = large.settings.rewards ?? PAPER_REWARDS.stage2;
    return new VideoGroups(large, await rewardsOf(large, weights), writer);
  }

  /** Rollouts, rewards and gradients of one sample. */
  async gradients(sample: LargeSample, adapters: Arrays, options: GroupOptions): Promise<GroupGradients> {
    const large = this.#large;
    const { settings, lora, part, suite, threads } = large;
    const { group, beta, clip } = settings;
    const { key, signal } = options;
    const { anchor, rougeL } = await this.#anchor(sample, options);
    const { references, clean } = await large.latents(sample, signal);
    const context = await large.context(anchor, signal);
    const { shape } = clean;
    const last = settings.rolloutSteps - 1;
    const trainedSteps = Math.min(last, settings.trainedSteps ?? last);
    const noise = (at: Key): NdArray => f32(normal(at, sizeOf(shape)), shape);
    const base = { weights: part.binding, lora, threads };
    const dit = (parameters: Arrays): BlockwiseDit =>
      new BlockwiseDit(suite.vdm.config, {
        threads,
        lora,
        weights: withoutAdapters(part.binding),
        keep: false,
        parameters,
      });
    const policy = dit(adapters);
    const velocity = (model: BlockwiseDit, noisy: NdArray, timestep: number): Promise<NdArray> =>
      model.velocity(
        { references, noisy, timestep: f32([timestep]), context },
        { ...(signal && { signal }) },
      );
    const rollouts: { readonly trained: readonly FlowTransition[]; readonly latents: NdArray }[] = [];
    for (let row = 0; row < group; row++) {
      const steps = rolloutFlow({
        model: async (noisy, timestep) => {
          const v = await velocity(policy, noisy, timestep);
          return { velocity: v, conditional: v };
        },
        grid: flowMatchGrid({
          steps: settings.rolloutSteps,
          shift: settings.shift ?? suite.manifest.answer.shift,
        }),
        start: noise(fold(key, "start", row)),
        noise: (index) => noise(fold(key, "step", row, index)),
        scheme: "wan",
        isStochastic: (index) => index < trainedSteps,
        signal,
      });
      const trained: FlowTransition[] = [];
      let next = await steps.next();
      for (; !next.done; next = await steps.next()) if (next.value.isStochastic) trained.push(next.value);
      rollouts.push({ trained, latents: next.value });
    }
    const video = await VideoModel.open(suite, { threads, isBlockwise: true });
    const referenceVideo = await large.answerFrames(sample.output, signal);
    const rows: (readonly number[])[] = [];
    for (const { latents } of rollouts) {
      const drawn = await video.decode(latents, { signal });
      const rollout: Rollout = {
        caption: anchor,
        video: drawn,
        referenceVideo,
        ...(sample.world && { sample: sample.world }),
      };
      rows.push(...(await this.#rewards.set.score([rollout], { ...(signal && { signal }) })).rows);
    }
    await video.release();
    const { names, weights } = this.#rewards.set;
    const { advantages, live } = advantagesOf({ weights, rows }, advantageSettings(group));
    const metrics = { ...rewardMetrics({ names, weights, rows }), "anchors/rougeL": rougeL };
    const sum: Record<string, NdArray> = {};
    let total = 0;
    if (live.length === 0) return { loss: 0, gradients: sum, metrics };
    const share = 1 / (group * trainedSteps);
    const off = beta > 0 ? dit(adaptersOff(adapters)) : undefined;
    for (const [row, { trained }] of rollouts.entries())
      for (const { x, next, timestep, coefficients } of trained) {
        throwIfAborted(signal);
        const referenceVelocity = off && (await velocity(off, x, timestep));
        const feeds = {
          x,
          next,
          coefficients: packCoefficients([coefficients]),
          advantages: f32([advantages[row]!]),
          ...(referenceVelocity && { referenceVelocity }),
        };
        const own = await vdmGradients(
          suite.vdm.config,
          base,
          {
            references,
            noisy: x,
            timestep: f32([timestep]),
            context,
            feeds,
            loss: (v, feed) =>
              flowPolicyLoss(
                {
                  x: feed("x"),
                  next: feed("next"),
                  velocity: v,
                  coefficients: feed("coefficients"),
                  advantages: feed("advantages"),
                  ...(referenceVelocity && { referenceVelocity: feed("referenceVelocity") }),
                },
                { clip, beta, advantageClamp: 5 },
              ).loss,
          },
          adapters,
        );
        addGradients(sum, own.gradients, share);
        total += own.loss * share;
      }
    return { loss: total, gradients: sum, metrics };
  }

  /** A caption of the language model near enough to the reference, else the reference itself. */
  async #anchor(
    sample: LargeSample,
    { key, signal }: GroupOptions,
  ): Promise<{ readonly anchor: string; readonly rougeL: number }> {
    const { anchorDraws, anchorRougeL } = this.#large.settings;
    const responses = await respond(this.#large, await this.#large.prompt(sample, signal), this.#writer, {
      samples: anchorDraws,
      key: fold(key, "anchor"),
      signal,
    });
    for (const { caption } of responses) {
      if (caption === null) continue;
      const rougeL = bestRougeL([sample.caption], caption);
      if (rougeL >= anchorRougeL) return { anchor: caption, rougeL };
    }
    return { anchor: sample.caption, rougeL: 1 };
  }

  release(): Promise<void> {
    return this.#rewards.release();
  }
}
