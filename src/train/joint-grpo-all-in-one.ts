/**
 * The rival of the two stages: language model and video model learn at once, from rollouts through both (the row "all in one
 * stage" of the ablation in arXiv 2511.16669, which holds that it is worse than two stages).
 *
 * For a clip and a question the language model draws G responses, and the video model draws one video from each caption by
 * stochastic steps. The four rewards of both stages are summed, r = λf·rf + λt1·rt1 + λv·rv + λc·rc, where rc compares the
 * video with the response's own caption. One advantage a rollout serves both policies: the tokens that were written, and the
 * steps that were drawn.
 *
 * Deviations from the paper, which says no more of this row than its name:
 * 1. Both policies move at every update, each gradient scaled down to `clipNorm` on its own, at one learning rate.
 * 2. There is no anchor filter: captions are whatever the language model writes.
 * 3. A response without a caption has no video and no reward; its row is drawn from the negative text and has the advantage 0
 *    for the video model.
 * 4. Each of the G videos starts from noise of its own, also where captions are equal.
 * 5. A group without spread is counted and left out for both models; without any group nothing moves.
 * 6. As in the two stages: adapters on both models, no dropout, temperature 1, last denoising step without noise.
 * @module
 */
import { z } from "zod";
import { loadSuite } from "../answer/index.ts";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { fold, integer } from "../base/keys.ts";
import { initQwen, qwenLora } from "../models/qwen25vl/index.ts";
import { initDit } from "../models/wan/index.ts";
import { combineRewards, type RewardTable, type Rollout, rewardMetrics } from "../rewards/index.ts";
import type { Feeds } from "../runtime/index.ts";
import type { NdArray } from "../tensor/index.ts";
import { compileAdapterStep } from "./adapter-step.ts";
import { greedyCaptions } from "./anchors.ts";
import { CaptionLearner, responseMetrics } from "./caption-learner.ts";
import { adaptersOf, CaptionPolicy, joinedRows } from "./caption-policy.ts";
import { FrozenVideo } from "./frozen-video.ts";
import { GrpoAlarms } from "./grpo-alarms.ts";
import { type HeldOutLook, HeldOutVideos, heldOutSheet } from "./grpo-held-out.ts";
import { moments, openRewards, rewardWeightsSchema } from "./grpo-rewards.ts";
import { advantagesOf, commonFields, flowFields, tokenFields } from "./grpo-settings.ts";
import { firstValues, initFile } from "./initial-weights.ts";
import { optimizerOf } from "./optimizers.ts";
import { referenceCaptions } from "./reference-captions.ts";
import { poolSamples } from "./sample-pool.ts";
import type { PrepareTask } from "./task.ts";
import { rowOf, type VideoChunk, VideoLearner } from "./video-learner.ts";
import { VideoPolicy } from "./video-policy.ts";
import { heldOutSamples, stepKey } from "./world-batches.ts";

/** All rewards of both stages. */
const ALL_REWARDS = { format: 1, "rouge-l": 1, "clip-video": 1, "clip-score": 1 } as const;

const settingsSchema = z.strictObject({
  ...commonFields,
  ...tokenFields,
  ...flowFields,
  rewards: rewardWeightsSchema.prefault(ALL_REWARDS),
  /** Weights of the KL terms: of the tokens, of the denoising steps. */
  vlmBeta: z.number().min(0).default(0.004),
  beta: z.number().min(0).default(0.004),
  vlmLoraRank: z.int().positive().default(8),
  vlmLoraAlpha: z.number().positive().default(32),
  loraRank: z.int().positive().default(32),
  loraAlpha: z.number().positive().default(64),
  /** Held-out samples that are answered, caption and video, at sheet time. */
  heldOut: z.int().nonnegative().default(16),
});

/** KL alarm: nats a token of the language model. */
const KL_MOST = 0.2;

/** Names of the language model's and of the video model's weights in one file: the models' own, which never meet. */
export const isVideoModelName = (name: string): boolean => name.startsWith("blocks.");

const only = (weights: Feeds, isVideo: boolean): Record<string, NdArray> =>
  Object.fromEntries(Object.entries(weights).filter(([name]) => isVideoModelName(name) === isVideo));

/** Metrics of one model under its name. */
const prefixed = (prefix: string, metrics: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`${prefix}/${name}`, value]));

/** Prepares the task `joint-grpo-all-in-one`. */
export const prepareJointGrpoAllInOne: PrepareTask = async (recipe, context) => {
  const settings = settingsSchema.parse(recipe.settings);
  const { group, rows, advantageClamp, maxNewTokens, temperature } = settings;
  const { threads, batch: promptCount } = recipe;
  if (group % rows !== 0)
    throw new VansError("VANS_RECIPE_INVALID", "settings.rows must divide settings.group", {
      found: `${rows} rows, groups of ${group}`,
    });
  const suite = await loadSuite(settings.suite);
  const { answer } = suite.manifest;

  // Both policies.
  const vlmLora = qwenLora({ rank: settings.vlmLoraRank, alpha: settings.vlmLoraAlpha });
  const writer = await CaptionPolicy.open(suite, { lora: vlmLora, threads });
  const tokens = await CaptionLearner.open(writer, writer.prompt(heldOutSamples(1)[0]!), {
    ...settings,
    beta: settings.vlmBeta,
    lora: vlmLora,
    prompts: promptCount,
    threads,
  });
  const guidanceScale = settings.guidanceScale ?? answer.guidanceScale;
  const policy = await VideoPolicy.open(suite, { ...settings, rows, guidanceScale, ownTexts: true, threads });
  const shift = settings.shift ?? answer.shift;
  const videos = await VideoLearner.open(policy, { ...settings, shift, threads });
  const last = settings.rolloutSteps - 1;
  const trainedSteps = settings.window?.size ?? last;

  // One optimizer over both sets of adapters.
  const fresh = {
    ...initQwen(writer.config, stepKey(recipe.seed, 0, "vlm-lora"), { lora: vlmLora }),
    ...initDit(policy.config, stepKey(recipe.seed, 0, "lora"), { lora: policy.lora }),
  };
  const params = new Map([...tokens.params, ...videos.params]);
  const given = { ...(await initFile(recipe, context, "vlm")), ...(await initFile(recipe, context, "vdm")) };
  const step = await compileAdapterStep(
    { params, optimizer: optimizerOf(recipe), threads, stepCount: context.resumed?.optimizerSteps ?? 0 },
    firstValues(params, context, given, fresh),
  );
  const alarms = new GrpoAlarms({
    settings: settings.alarms,
    klMost: settings.alarms.klMost ?? KL_MOST,
    heldMetric: "videoEventAccuracy",
    resumed: context.resumed?.state,
  });

  const frozen = await FrozenVideo.open(suite, policy, threads);
  const { negativeContext } = frozen;
  const { set: rewards, release: releaseRewards } = await openRewards(suite, settings.rewards, {
    throughAutoencoder: async (clip) => frozen.decode(await frozen.encode(clip)),
    everyFrames: settings.clipEveryFrames,
    threads,
  });
  const held = heldOutSamples(settings.heldOut);
  const heldVideos = new HeldOutVideos(held);
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
      const key = stepKey(recipe.seed, at, "joint-grpo-all-in-one");
      let adapters = adaptersOf(await step.state());
      const first = settings.window ? integer(fold(key, "window"), settings.window.below) : 0;
      const isTrained = (index: number): boolean =>
        index >= first && index < first + trainedSteps && index < last;

      // Captions, and one video from each.
      const samples = poolSamples(settings, recipe.seed, at * promptCount, promptCount);
      const prompts = samples.map((sample) => writer.prompt(sample));
      writer.setAdapters(only(adapters, false));
      const responses = await writer.respond(prompts, {
        samples: group,
        temperature,
        maxNewTokens,
        key: fold(key, "tokens"),
        signal,
      });
      const chunks: VideoChunk[] = [];
      const scores: (readonly number[])[] = [];
      for (const [p, sample] of samples.entries()) {
        const references = await frozen.references(sample);
        for (let from = 0; from < group; from += rows) {
          const own = responses[p]!.slice(from, from + rows);
          const texts: NdArray[] = [];
          for (const { caption } of own)
            texts.push(caption === null ? negativeContext : await frozen.context(caption));
          const condition = { references, context: joinedRows(texts), negativeContext };
          const rolled = await videos.rollOut(condition, only(adapters, true), {
            from: p * group + from,
            isTrained,
            key: fold(key, "rollout", p, from),
            signal,
          });
          chunks.push(rolled);
          for (const [row, { text, caption, isFinished }] of own.entries()) {
            const video = caption === null ? null : await frozen.decode(rowOf(rolled.latents, row));
            const rollout: Rollout = {
              text,
              caption,
              video,
              referenceCaptions: referenceCaptions(sample, settings.references),
              referenceVideo: sample.output,
              sample,
            };
            const [judged] = (await rewards.score([rollout], { signal })).rows;
            scores.push(settings.truncated === "zero" && !isFinished ? judged!.map(() => 0) : judged!);
          }
        }
      }
      const all = responses.flat();
      const table: RewardTable = { names: rewards.names, weights: rewards.weights, rows: scores };
      const grouped = advantagesOf(table, settings);
      const clamped = grouped.advantages.map((a, i) =>
        all[i]!.caption === null ? 0 : Math.min(Math.max(a, -advantageClamp), advantageClamp),
      );
      const totals = combineRewards(table, { normalise: "none" });
      const spread = prompts.map((_, p) => moments(totals.slice(p * group, (p + 1) * group)).std);
      const metrics: Record<string, number> = {
        loss: 0,
        ...responseMetrics(all),
        ...rewardMetrics(table),
        reward: moments(totals).mean,
        reward_std: moments(spread).mean,
        frac_reward_zero_std: 1 - grouped.live.length / promptCount,
        advantages_abs_mean: moments(grouped.advantages.map(Math.abs)).mean,
        window_first: first,
      };

      // From here on the state changes, so nothing stops an update half way.
      throwIfAborted(signal);
      const rollout = await tokens.begin(prompts, responses, grouped, only(adapters, false));
      const live = chunks.filter(({ from }) => grouped.live.includes(Math.floor(from / group)));
      const isSkipped = rollout.parts.length === 0 || live.length === 0;
      const rounds = isSkipped ? 0 : settings.updatesPerRollout;
      for (let round = 0; round < rounds; round++) {
        if (round > 0) adapters = adaptersOf(await step.state());
        const check = at % settings.replayCheckEvery === 0;
        const vlm = await tokens.gradient(rollout, only(adapters, false), check && round === 0);
        const vdm = await videos.gradient(live, clamped, only(adapters, true), { round, check });
        const { clipNorm } = recipe.optimizer;
        await step.step({ ...vlm.sum.feeds(clipNorm), ...vdm.sum.feeds(clipNorm) }, stepSettings);
        Object.assign(metrics, prefixed("vlm", vlm.metrics), prefixed("vdm", vdm.metrics), {
          loss: vlm.metrics["loss"]! + vdm.metrics["loss"]!,
          kl: vlm.metrics["kl"]!,
          "vlm/grad_norm": vlm.sum.norm,
          "vdm/grad_norm": vdm.sum.norm,
        });
      }
      if (!isSkipped) metrics["log_ratio/cached_max"] = rollout.cachedGap;
      return { ...metrics, skipped: isSkipped ? 1 : 0, ...alarms.update(at + 1, metrics) };
    },

    /** Held-out samples through both policies, greedily and by the plain sampler. */
    async evaluate(weights, at) {
      writer.setAdapters(only(weights, false));
      const captions = await greedyCaptions(writer, held, maxNewTokens);
      seen = { weights, look: await heldVideos.look(frozen.models(only(weights, true)), captions) };
      const { metrics } = seen.look;
      return { ...metrics, ...(held.length > 0 && alarms.held(at, metrics)) };
    },

    async sheet(weights, at) {
      if (seen?.weights !== weights) return undefined;
      return heldOutSheet(seen.look, `${recipe.name}, update ${at}: greedy captions, plain sampler`);
    },

    exported: (weights) => weights,

    async release() {
      await Promise.all([writer.release(), policy.release(), frozen.release(), releaseRewards()]);
      await tokens.release();
      await videos.release();
    },
  };
};
