/**
 * Joint-GRPO, stage 2: context-faithful adaptation of the video model (arXiv 2511.16669, section 3.3) by Flow-GRPO
 * (arXiv 2505.05470).
 *
 * The frozen language model of stage 1 writes an anchor caption; one whose ROUGE-L against the reference caption is
 * under 0.6 is thrown away and drawn again. The video model draws G videos from the anchor and the reference frames by
 * stochastic steps. Each is rewarded for its likeness to the true video and to the anchor: r = λv2·rv2 + λc2·rc2.
 * Adapters of the video model then move along the clipped ratio of the trained steps, with the closed-form KL to the
 * model without adapters.
 *
 * Deviations from the paper:
 * 1. Adapters (Flow-GRPO's targets and rank) are trained where the paper does not say what is.
 * 2. The last step adds no noise: its Gaussian is so narrow that log-densities explode, and videos would end noisy.
 * 3. The deviation has 1e-4 added and advantages are clamped to ±5 (Flow-GRPO).
 * 4. A sample without a passing anchor after `anchorRounds` rounds is passed over for the next one of the pool (or gets its
 *    reference caption: `anchorFallback`).
 * 5. Anchors are drawn at temperature 1, so that a sample that comes again may bring another one.
 * 6. The moving average is updated at every step (Flow-GRPO: every eighth, decay 0.9); it serves evaluation and export.
 * 7. A group without spread in its rewards is counted and left out: no replay, no gradient, no share in the mean.
 * 8. Beyond the paper, as settings: a window of stochastic steps, 1/λ weights of steps, the unbiased ratio, other schemes,
 *    rewards normalised one by one, the event reward. `captions: reference` makes it GRPO on the video model alone.
 * @module
 */
import { z } from "zod";
import { loadSuite } from "../answer/index.ts";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { fold, integer } from "../base/keys.ts";
import { qwenLora } from "../models/qwen25vl/index.ts";
import { initDit } from "../models/wan/index.ts";
import { combineRewards, PAPER_REWARDS, type RewardTable, rewardMetrics } from "../rewards/index.ts";
import type { Feeds } from "../runtime/index.ts";
import { compileAdapterStep } from "./adapter-step.ts";
import { anchorFields, findAnchors, greedyCaptions } from "./anchors.ts";
import { adaptersOf, CaptionPolicy } from "./caption-policy.ts";
import { FrozenVideo } from "./frozen-video.ts";
import { GrpoAlarms } from "./grpo-alarms.ts";
import { type HeldOutLook, HeldOutVideos, heldOutSheet } from "./grpo-held-out.ts";
import { moments, openRewards, rewardWeightsSchema } from "./grpo-rewards.ts";
import { advantagesOf, commonFields, flowFields } from "./grpo-settings.ts";
import { firstValues, initFile } from "./initial-weights.ts";
import { optimizerOf } from "./optimizers.ts";
import type { PrepareTask } from "./task.ts";
import { rowOf, type VideoChunk, VideoLearner } from "./video-learner.ts";
import { VideoPolicy } from "./video-policy.ts";
import { heldOutSamples, stepKey } from "./world-batches.ts";

const settingsSchema = z.strictObject({
  ...commonFields,
  ...flowFields,
  ...anchorFields,
  /** λ of each reward; 0 leaves it out. */
  rewards: rewardWeightsSchema.prefault(PAPER_REWARDS.stage2),
  /** Weight of the closed-form KL. */
  beta: z.number().min(0).default(0.004),
  loraRank: z.int().positive().default(32),
  loraAlpha: z.number().positive().default(64),
  maxNewTokens: z.int().positive().default(64),
  /** Sizes of the language model's adapters in `init.vlm`, the weights of a stage 1. */
  vlmLoraRank: z.int().positive().default(8),
  vlmLoraAlpha: z.number().positive().default(32),
  /** Held-out samples that are drawn at sheet time, by the plain sampler. */
  heldOut: z.int().nonnegative().default(16),
});

/** KL alarm: per element of the latents, with steps of equal deviation. */
const KL_MOST = 0.01;

/** Prepares the task `joint-grpo-2`. */
export const prepareJointGrpo2: PrepareTask = async (recipe, context) => {
  const settings = settingsSchema.parse(recipe.settings);
  const { group, rows, advantageClamp } = settings;
  const { threads, batch: groupCount } = recipe;
  if (group % rows !== 0)
    throw new VansError("VANS_RECIPE_INVALID", "settings.rows must divide settings.group", {
      found: `${rows} rows, groups of ${group}`,
    });
  const suite = await loadSuite(settings.suite);
  const { answer } = suite.manifest;
  const guidanceScale = settings.guidanceScale ?? answer.guidanceScale;
  const policy = await VideoPolicy.open(suite, { ...settings, rows, guidanceScale, threads });
  const shift = settings.shift ?? answer.shift;
  const learner = await VideoLearner.open(policy, { ...settings, shift, threads });
  const last = settings.rolloutSteps - 1;
  const trainedSteps = settings.window?.size ?? last;
  const fresh = initDit(policy.config, stepKey(recipe.seed, 0, "lora"), { lora: policy.lora });
  const step = await compileAdapterStep(
    {
      params: learner.params,
      optimizer: optimizerOf(recipe),
      clipNorm: recipe.optimizer.clipNorm,
      threads,
      stepCount: context.resumed?.optimizerSteps ?? 0,
    },
    firstValues(learner.params, context, await initFile(recipe, context, "vdm"), fresh),
  );
  const alarms = new GrpoAlarms({
    settings: settings.alarms,
    klMost: settings.alarms.klMost ?? KL_MOST,
    heldMetric: "videoEventAccuracy",
    resumed: context.resumed?.state,
  });

  // The frozen parts: captions, texts, frames.
  const stage1 = await initFile(recipe, context, "vlm");
  const vlmLora = qwenLora({ rank: settings.vlmLoraRank, alpha: settings.vlmLoraAlpha });
  const writer = await CaptionPolicy.open(suite, { threads, ...(stage1 && { lora: vlmLora }) });
  if (stage1) writer.setAdapters(stage1);
  const frozen = await FrozenVideo.open(suite, policy, threads);
  const { negativeContext } = frozen;
  const { set: rewards, release: releaseRewards } = await openRewards(suite, settings.rewards, {
    throughAutoencoder: async (clip) => frozen.decode(await frozen.encode(clip)),
    everyFrames: settings.clipEveryFrames,
    threads,
  });

  const held = heldOutSamples(settings.heldOut);
  const heldVideos = new HeldOutVideos(held);
  let heldCaptions: readonly string[] | undefined;
  let seen: { readonly weights: Feeds; readonly look: HeldOutLook } | undefined;

  return {
    step: {
      get stepCount() {
        return step.stepCount;
      },
      state: async () => ({ ...(await step.state()), ...alarms.state() }),
      release: () => step.release(),
    },

    async update(at, stepSettings, { signal }) {
      const key = stepKey(recipe.seed, at, "joint-grpo-2");
      let adapters = adaptersOf(await step.state());
      const first = settings.window ? integer(fold(key, "window"), settings.window.below) : 0;
      const isTrained = (index: number): boolean =>
        index >= first && index < first + trainedSteps && index < last;
      const { groups, metrics: anchorMetrics } = await findAnchors(writer, settings, {
        seed: recipe.seed,
        at,
        count: groupCount,
        key,
        signal,
      });

      // Rollouts and rewards.
      const chunks: VideoChunk[] = [];
      const scores: (readonly number[])[] = [];
      for (const [g, { sample, anchor }] of groups.entries()) {
        const references = await frozen.references(sample);
        const condition = { references, context: await frozen.context(anchor), negativeContext };
        for (let from = 0; from < group; from += rows) {
          const rolled = await learner.rollOut(condition, adapters, {
            from: g * group + from,
            isTrained,
            key: fold(key, "rollout", g, from),
            signal,
          });
          chunks.push(rolled);
          for (let row = 0; row < rows; row++) {
            const video = await frozen.decode(rowOf(rolled.latents, row));
            const rollout = { caption: anchor, video, referenceVideo: sample.output, sample };
            scores.push(...(await rewards.score([rollout], { signal })).rows);
          }
        }
      }
      const table: RewardTable = { names: rewards.names, weights: rewards.weights, rows: scores };
      const grouped = advantagesOf(table, settings);
      const advantages = grouped.advantages.map((a) =>
        Math.min(Math.max(a, -advantageClamp), advantageClamp),
      );
      const totals = combineRewards(table, { normalise: "none" });
      const spreads = groups.map((_, g) => moments(totals.slice(g * group, (g + 1) * group)).std);
      const metrics: Record<string, number> = {
        loss: 0,
        ...rewardMetrics(table),
        reward: moments(totals).mean,
        reward_std: moments(spreads).mean,
        frac_reward_zero_std: 1 - grouped.live.length / groupCount,
        advantages_abs_mean: moments(advantages.map(Math.abs)).mean,
        ...anchorMetrics,
        window_first: first,
      };

      // From here on the state changes, so nothing stops an update half way.
      throwIfAborted(signal);
      const live = chunks.filter(({ from }) => grouped.live.includes(Math.floor(from / group)));
      const rounds = live.length === 0 ? 0 : settings.updatesPerRollout;
      for (let round = 0; round < rounds; round++) {
        if (round > 0) adapters = adaptersOf(await step.state());
        const check = at % settings.replayCheckEvery === 0;
        const { sum, metrics: own } = await learner.gradient(live, advantages, adapters, { round, check });
        const moved = await step.step(sum.feeds(), stepSettings);
        // Of several updates the last one is logged: the first has nothing but ratios of 1.
        Object.assign(metrics, own, { grad_norm: Number(moved["gradientNorm"]!.data[0]) });
      }
      return { ...metrics, skipped: rounds === 0 ? 1 : 0, ...alarms.update(at + 1, metrics) };
    },

    /** Held-out samples through the plain sampler: what no reward sees. */
    async evaluate(weights, at) {
      heldCaptions ??= await greedyCaptions(writer, held, settings.maxNewTokens);
      seen = { weights, look: await heldVideos.look(frozen.models(weights), heldCaptions) };
      const { metrics } = seen.look;
      return { ...metrics, ...(held.length > 0 && alarms.held(at, metrics)) };
    },

    async sheet(weights, at) {
      if (seen?.weights !== weights) return undefined;
      return heldOutSheet(seen.look, `${recipe.name}, update ${at}: fixed captions, plain sampler`);
    },

    exported: (weights) => weights,

    async release() {
      await Promise.all([policy.release(), writer.release(), frozen.release(), releaseRewards()]);
      await learner.release();
    },
  };
};
