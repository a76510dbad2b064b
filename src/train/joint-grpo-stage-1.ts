/**
 * Joint-GRPO, stage 1: visualisation-friendly tuning of the language model (arXiv 2511.16669, section 3.3).
 *
 * For a clip and a question the policy draws G responses. Each is rewarded for its format, for its caption's ROUGE-L
 * against the reference caption, and for the likeness of the video that the frozen video model draws from that caption
 * to the true video: r = λf·rf + λt1·rt1 + λv1·rv1. Advantages are taken in the group, and adapters of the language
 * model move along the token policy loss with a KL estimate to the model without adapters.
 *
 * Deviations from the paper:
 * 1. The ratio's clip range is 0.2, not 1e-3: the latter belongs to the video model's dimension-averaged ratio (Flow-GRPO).
 *    With one update a rollout, the default and what the released numbers suggest, it has no effect.
 * 2. A response without an answer block outside of its thinking has no caption: it gets 0 from every reward and nothing is
 *    drawn; the paper leaves this open.
 * 3. All videos of a group start from the same noise, so that rewards differ by their captions alone, and captions that
 *    are equal are drawn once.
 * 4. The deviation has 1e-4 added (Flow-GRPO), population form as in the paper. A group without spread teaches nothing:
 *    it is counted and left out, of the loss, of what the loss is divided by, and of its cost. An update whose groups are
 *    all without spread does not move the optimizer.
 * 5. Learning rate, batch and number of updates are the recipe's; small models want larger rates than the paper's 5e-5.
 * 6. Tokens are drawn at temperature 1 from all text tokens (VANS answers at 0.7, top-p 0.9), for on-policy ratios.
 * 7. No dropout in the adapters, in rollouts or in the loss.
 * 8. Beyond the paper, as settings: other token losses and ratios, rewards normalised one by one, cut-off responses without
 *    reward or outside of the loss, rewards that check the event.
 * @module
 */
import { z } from "zod";
import { loadSuite } from "../answer/index.ts";
import { throwIfAborted } from "../base/abort.ts";
import { fold } from "../base/keys.ts";
import { openSuiteModels } from "../evaluate/suite-models.ts";
import type { Clip } from "../media/clip.ts";
import { bestRougeL, captionEventVerdict } from "../metrics/index.ts";
import { initQwen, qwenLora } from "../models/qwen25vl/index.ts";
import {
  combineRewards,
  PAPER_REWARDS,
  type RewardTable,
  type Rollout,
  rewardMetrics,
} from "../rewards/index.ts";
import type { Feeds } from "../runtime/index.ts";
import { candidates, type WorldSample } from "../world/index.ts";
import { compileAdapterStep } from "./adapter-step.ts";
import { CaptionLearner, responseMetrics } from "./caption-learner.ts";
import { adaptersOf, CaptionPolicy, type CaptionResponse } from "./caption-policy.ts";
import { GrpoAlarms } from "./grpo-alarms.ts";
import { type HeldOutLook, HeldOutVideos, heldOutSheet } from "./grpo-held-out.ts";
import { looksAtVideo, moments, openRewards, rewardWeightsSchema } from "./grpo-rewards.ts";
import { advantagesOf, commonFields, tokenFields } from "./grpo-settings.ts";
import { firstValues, initFile } from "./initial-weights.ts";
import { optimizerOf } from "./optimizers.ts";
import { referenceCaptions } from "./reference-captions.ts";
import { poolSamples } from "./sample-pool.ts";
import type { PrepareTask } from "./task.ts";
import { throughVideo } from "./through-video.ts";
import { heldOutSamples, stepKey } from "./world-batches.ts";

const settingsSchema = z.strictObject({
  ...commonFields,
  ...tokenFields,
  /** λ of each reward; 0 leaves it out, and with the last one that looks at videos their drawing. */
  rewards: rewardWeightsSchema.prefault(PAPER_REWARDS.stage1),
  /** Weight of the KL estimate. */
  beta: z.number().min(0).default(0.004),
  loraRank: z.int().positive().default(8),
  loraAlpha: z.number().positive().default(32),
  /** Denoising steps of the videos that are rewarded; default the suite's. */
  drawSteps: z.int().positive().optional(),
  /** Held-out samples that are answered greedily at sheet time. */
  heldOut: z.int().nonnegative().default(64),
  /** The first so many of them are also drawn, by the frozen video model. */
  heldOutVideos: z.int().nonnegative().default(8),
});

/** KL alarm: nats a token. */
const KL_MOST = 0.2;

/** Prepares the task `joint-grpo-1`. */
export const prepareJointGrpo1: PrepareTask = async (recipe, context) => {
  const settings = settingsSchema.parse(recipe.settings);
  const { group, temperature, maxNewTokens } = settings;
  const { threads, batch: promptCount } = recipe;
  const suite = await loadSuite(settings.suite);
  const lora = qwenLora({ rank: settings.loraRank, alpha: settings.loraAlpha });
  const policy = await CaptionPolicy.open(suite, { lora, threads });
  const learner = await CaptionLearner.open(policy, policy.prompt(heldOutSamples(1)[0]!), {
    ...settings,
    lora,
    prompts: promptCount,
    threads,
  });
  const fresh = initQwen(policy.config, stepKey(recipe.seed, 0, "lora"), { lora });
  const step = await compileAdapterStep(
    {
      params: learner.params,
      optimizer: optimizerOf(recipe),
      clipNorm: recipe.optimizer.clipNorm,
      threads,
      stepCount: context.resumed?.optimizerSteps ?? 0,
    },
    firstValues(learner.params, context, await initFile(recipe, context, "vlm"), fresh),
  );
  const alarms = new GrpoAlarms({
    settings: settings.alarms,
    klMost: settings.alarms.klMost ?? KL_MOST,
    heldMetric: settings.heldOutVideos > 0 ? "videoEventAccuracy" : "captionEventAccuracy",
    resumed: context.resumed?.state,
  });

  // The frozen video model, which draws what is rewarded, and the rewards.
  const answerSettings = {
    ...suite.manifest.answer,
    ...(settings.drawSteps !== undefined && { steps: settings.drawSteps }),
  };
  const frozen = await openSuiteModels(suite, answerSettings, { threads });
  const { set: rewards, release: releaseRewards } = await openRewards(suite, settings.rewards, {
    throughAutoencoder: (clip) => frozen.throughAutoencoder(clip, {}),
    everyFrames: settings.clipEveryFrames,
    threads,
  });
  const isDrawn = rewards.names.some(looksAtVideo);

  /** Rewards of a group, one row a response; equal captions are drawn once. */
  const rewardsOf = async (
    sample: WorldSample,
    responses: readonly CaptionResponse[],
    signal: AbortSignal | undefined,
  ): Promise<{ readonly rows: RewardTable["rows"]; readonly drawn: number }> => {
    const clips = new Map<string, Clip>();
    const references = isDrawn ? await frozen.references(throughVideo(sample.input), { signal }) : undefined;
    const rollouts: Rollout[] = [];
    for (const { text, caption } of responses) {
      if (references && caption !== null && !clips.has(caption))
        clips.set(caption, await frozen.draw({ references, caption, seed: sample.seed }, { signal }));
      rollouts.push({
        text,
        caption,
        video: caption === null ? null : (clips.get(caption) ?? null),
        referenceCaptions: referenceCaptions(sample, settings.references),
        referenceVideo: sample.output,
        sample,
      });
    }
    const { rows } = await rewards.score(rollouts, { signal });
    const isCut = (i: number): boolean => settings.truncated === "zero" && !responses[i]!.isFinished;
    return { rows: rows.map((row, i) => (isCut(i) ? row.map(() => 0) : row)), drawn: clips.size };
  };

  const held = heldOutSamples(settings.heldOut);
  const heldVideos = new HeldOutVideos(held.slice(0, settings.heldOutVideos));
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
      const key = stepKey(recipe.seed, at, "joint-grpo-1");
      let adapters = adaptersOf(await step.state());
      policy.setAdapters(adapters);
      const samples = poolSamples(settings, recipe.seed, at * promptCount, promptCount);
      const prompts = samples.map((sample) => policy.prompt(sample));
      const responses = await policy.respond(prompts, {
        samples: group,
        temperature,
        maxNewTokens,
        key: fold(key, "tokens"),
        signal,
      });
      const rows: (readonly number[])[] = [];
      let drawn = 0;
      for (const [p, own] of responses.entries()) {
        throwIfAborted(signal);
        const judged = await rewardsOf(samples[p]!, own, signal);
        rows.push(...judged.rows);
        drawn += judged.drawn;
      }
      const table: RewardTable = { names: rewards.names, weights: rewards.weights, rows };
      const grouped = advantagesOf(table, settings);
      const { advantages, live } = grouped;
      const totals = combineRewards(table, { normalise: "none" });
      const spread = prompts.map((_, p) => moments(totals.slice(p * group, (p + 1) * group)).std);
      const metrics: Record<string, number> = {
        loss: 0,
        ...responseMetrics(responses.flat()),
        ...rewardMetrics(table),
        reward: moments(totals).mean,
        reward_std: moments(spread).mean,
        frac_reward_zero_std: 1 - live.length / promptCount,
        videos_drawn: drawn,
        advantages_abs_mean: moments(advantages.map(Math.abs)).mean,
      };

      // From here on the state changes, so nothing stops an update half way.
      throwIfAborted(signal);
      const rollout = await learner.begin(prompts, responses, grouped, adapters);
      const isSkipped = rollout.parts.length === 0;
      const rounds = isSkipped ? 0 : settings.updatesPerRollout;
      for (let round = 0; round < rounds; round++) {
        if (round > 0) adapters = adaptersOf(await step.state());
        const check = round === 0 && at % settings.replayCheckEvery === 0;
        const { sum, metrics: own } = await learner.gradient(rollout, adapters, check);
        const moved = await step.step(sum.feeds(), stepSettings);
        // Of several updates the last one is logged: the first has nothing but ratios of 1.
        Object.assign(metrics, own, { grad_norm: Number(moved["gradientNorm"]!.data[0]) });
      }
      if (!isSkipped) metrics["log_ratio/cached_max"] = rollout.cachedGap;
      return { ...metrics, skipped: isSkipped ? 1 : 0, ...alarms.update(at + 1, metrics) };
    },

    /** Greedy answers to held-out samples: what no reward sees. */
    async evaluate(weights, at) {
      const none: Record<string, number> = {};
      if (held.length === 0) return none;
      policy.setAdapters(weights);
      const responses: CaptionResponse[] = [];
      for (let start = 0; start < held.length; start += promptCount) {
        const prompts = held.slice(start, start + promptCount).map((sample) => policy.prompt(sample));
        const key = stepKey(recipe.seed, 0, "held-out");
        responses.push(
          ...(await policy.respond(prompts, { samples: 1, temperature: 0, maxNewTokens, key })).flat(),
        );
      }
      const scores = held.map((sample, n) => {
        const caption = responses[n]!.caption ?? "";
        const events = candidates(sample).map((event) => event.paraphrases);
        return {
          rougeL: bestRougeL([sample.caption], caption),
          event: captionEventVerdict(caption, events).isRight ? 1 : 0,
        };
      });
      const { "completions/mean_length": length, entropy, format } = responseMetrics(responses);
      // A response without a caption is answered by drawing its question, as the application does.
      const captions = held.map((sample, n) => responses[n]!.caption ?? sample.question);
      seen = { weights, look: await heldVideos.look(frozen, captions) };
      const metrics = {
        rougeL: moments(scores.map((score) => score.rougeL)).mean,
        captionEventAccuracy: moments(scores.map((score) => score.event)).mean,
        templateRate: format!,
        lengthTokens: length!,
        entropy: entropy!,
        ...seen.look.metrics,
      };
      return { ...metrics, ...alarms.held(at, metrics) };
    },

    async sheet(weights, at) {
      if (seen?.weights !== weights) return undefined;
      return heldOutSheet(seen.look, `${recipe.name}, update ${at}: greedy captions, frozen video model`);
    },

    exported: (weights) => weights,

    async release() {
      await learner.release();
      await policy.release();
      await frozen.release();
      await releaseRewards();
    },
  };
};
