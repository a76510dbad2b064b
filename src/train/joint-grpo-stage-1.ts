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
 *    it is counted, and an update whose groups are all without spread does not move the optimizer.
 * 5. Learning rate, batch and number of updates are the recipe's; small models want larger rates than the paper's 5e-5.
 * 6. Tokens are drawn at temperature 1 from all text tokens (VANS answers at 0.7, top-p 0.9), for on-policy ratios.
 * 7. No dropout in the adapters, in rollouts or in the loss.
 * @module
 */
import { z } from "zod";
import { loadSuite } from "../answer/index.ts";
import { throwIfAborted } from "../base/abort.ts";
import { fold, type Key } from "../base/keys.ts";
import { openSuiteModels } from "../evaluate/suite-models.ts";
import type { Clip } from "../media/clip.ts";
import { bestRougeL, captionEventVerdict } from "../metrics/index.ts";
import { initQwen, qwenLora } from "../models/qwen25vl/index.ts";
import { compileTrainStep, Params } from "../nn/index.ts";
import {
  combineRewards,
  PAPER_REWARDS,
  type RewardTable,
  type Rollout,
  rewardMetrics,
} from "../rewards/index.ts";
import { compile, type Feeds } from "../runtime/index.ts";
import { f32, input, type NdArray } from "../tensor/index.ts";
import { candidates, type WorldSample } from "../world/index.ts";
import { ADVANTAGE_RULES, combinedAdvantages } from "./advantages.ts";
import {
  adaptersOf,
  adaptersOff,
  CaptionPolicy,
  type CaptionPrompt,
  type CaptionResponse,
  captionLogProbs,
  isAdapterName,
  type ReplaySizes,
  replayFeeds,
} from "./caption-policy.ts";
import { looksAtVideo, moments, openRewards, rewardWeightsSchema } from "./grpo-rewards.ts";
import { firstValues, initFile } from "./initial-weights.ts";
import { optimizerOf } from "./optimizers.ts";
import { DEFAULT_POOL, poolSamples } from "./sample-pool.ts";
import type { PrepareTask } from "./task.ts";
import { throughVideo } from "./through-video.ts";
import { TOKEN_LOSSES, tokenPolicyLoss } from "./token-policy-loss.ts";
import { heldOutSamples, stepKey } from "./world-batches.ts";

const settingsSchema = z.strictObject({
  /** Suite to start from, by name or path. */
  suite: z.string().default("playroom"),
  /** Training samples: so many seeds from the first one on. */
  samples: z.int().positive().default(DEFAULT_POOL.samples),
  firstSeed: z.int().nonnegative().default(DEFAULT_POOL.firstSeed),
  /** G: responses to each prompt. */
  group: z.int().min(2).default(8),
  /** λ of each reward; 0 leaves it out, and with the last one that looks at videos their drawing. */
  rewards: rewardWeightsSchema.prefault(PAPER_REWARDS.stage1),
  /** What ROUGE-L compares with: the sample's reference caption (the paper), or all paraphrases of the right event. */
  references: z.enum(["caption", "paraphrases"]).default("caption"),
  /** CLIP looks at every so many frames. */
  clipEveryFrames: z.int().positive().default(2),
  /** Sum the rewards and normalise the sum in the group, or normalise each first (GDPO). */
  advantageOrder: z.enum(["sum-then-normalize", "normalize-then-sum"]).default("sum-then-normalize"),
  advantageRule: z
    .enum(Object.keys(ADVANTAGE_RULES) as [keyof typeof ADVANTAGE_RULES, ...(keyof typeof ADVANTAGE_RULES)[]])
    .default("flow-grpo"),
  loss: z.enum(TOKEN_LOSSES).default("grpo"),
  ratioLevel: z.enum(["token", "sequence"]).default("token"),
  epsilonLow: z.number().positive().default(0.2),
  epsilonHigh: z.number().positive().default(0.2),
  /** Weight of the KL estimate. */
  beta: z.number().min(0).default(0.004),
  temperature: z.number().positive().default(1),
  /** Optimizer updates on the responses of one rollout. */
  updatesPerRollout: z.int().positive().default(1),
  /** Parts of the batch whose gradients are added up; divides the batch. */
  accumulate: z.int().positive().default(1),
  loraRank: z.int().positive().default(8),
  loraAlpha: z.number().positive().default(32),
  /** Places of a prompt and of a response. */
  promptLength: z.int().positive().default(112),
  maxNewTokens: z.int().positive().default(64),
  /** Denoising steps of the videos that are rewarded; default the suite's. */
  drawSteps: z.int().positive().optional(),
  /** Held-out samples that are answered greedily at sheet time. */
  heldOut: z.int().nonnegative().default(64),
});

/** Metrics that the graph gives, under TRL's names. */
const GRAPH_METRICS = {
  loss: "loss",
  policyLoss: "policy_loss",
  kl: "kl",
  clipLow: "clip_ratio/low_mean",
  clipHigh: "clip_ratio/high_mean",
  clipRegion: "clip_ratio/region_mean",
  clipLowMin: "clip_ratio/low_min",
  clipHighMax: "clip_ratio/high_max",
  gradientNorm: "grad_norm",
} as const;

/** Prepares the task `joint-grpo-1`. */
export const prepareJointGrpo1: PrepareTask = async (recipe, context) => {
  const settings = settingsSchema.parse(recipe.settings);
  const { group, beta, temperature, accumulate } = settings;
  const { threads, batch: promptCount } = recipe;
  const suite = await loadSuite(settings.suite);
  const lora = qwenLora({ rank: settings.loraRank, alpha: settings.loraAlpha });
  const policy = await CaptionPolicy.open(suite, { lora, threads });
  const { config } = policy;
  const sizes: ReplaySizes = {
    prompts: promptCount / accumulate,
    samples: group,
    promptLength: settings.promptLength,
    completionLength: settings.maxNewTokens,
  };

  // The loss. Old and reference log-probabilities come from `replay`, which is the same forward at the same batch shape.
  const example = policy.prompt(heldOutSamples(1)[0]!);
  const params = new Params({ lora });
  const trace = (scope: Params) =>
    captionLogProbs(scope, config, example.grid, example.patches.shape[1]!, sizes, temperature);
  const logProb = trace(params);
  const { shape } = logProb;
  const inputs = {
    logProb,
    oldLogProb: input("oldLogProb", shape),
    ...(beta > 0 && { referenceLogProb: input("referenceLogProb", shape) }),
    mask: input("completionMask", shape, "i32"),
    advantages: input("advantages", [shape[0]!]),
    tokenCount: input("tokenCount", []),
  };
  const lossOptions = {
    kind: settings.loss,
    level: settings.ratioLevel,
    epsilonLow: settings.epsilonLow,
    epsilonHigh: settings.epsilonHigh,
    maxLength: settings.maxNewTokens,
  };
  const { loss, ratio, kl, clipLow, clipHigh, clipRegion, clipLowMin, clipHighMax } = tokenPolicyLoss(
    inputs,
    {
      ...lossOptions,
      beta,
    },
  );
  const { loss: policyLoss } = tokenPolicyLoss(inputs, { ...lossOptions, beta: 0 });
  const trained = new Map([...params.tensors].filter(([name]) => isAdapterName(name)));
  const fresh = initQwen(config, stepKey(recipe.seed, 0, "lora"), { lora });
  const step = await compileTrainStep(
    {
      loss,
      params: trained,
      metrics: { policyLoss, kl, ratio, clipLow, clipHigh, clipRegion, clipLowMin, clipHighMax },
      optimizer: optimizerOf(recipe),
      clipNorm: recipe.optimizer.clipNorm,
      ema: true,
      accumulate,
    },
    firstValues(trained, context, await initFile(recipe, context, "vlm"), fresh),
    { threads, weights: policy.binding, stepCount: context.resumed?.optimizerSteps ?? 0 },
  );
  const replayGraph = await compile(
    { logProb: trace(new Params({ lora })) },
    { threads, weights: policy.binding, forTraining: true },
  );
  const replay = async (feeds: Feeds, adapters: Feeds): Promise<NdArray> =>
    (await replayGraph.run({ ...feeds, ...adapters }))["logProb"]!;

  // Rewards.
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
        referenceCaptions: settings.references === "caption" ? [sample.caption] : sample.paraphrases,
        referenceVideo: sample.output,
        sample,
      });
    }
    return { rows: (await rewards.score(rollouts, { signal })).rows, drawn: clips.size };
  };

  const rollOut = async (
    at: number,
    adapters: Feeds,
    key: Key,
    signal: AbortSignal | undefined,
  ): Promise<{ prompts: CaptionPrompt[]; responses: readonly (readonly CaptionResponse[])[] }> => {
    const samples = poolSamples(settings, recipe.seed, at * promptCount, promptCount);
    const prompts = samples.map((sample) => policy.prompt(sample));
    policy.setAdapters(adapters);
    const { maxNewTokens } = settings;
    const responses = await policy.respond(prompts, {
      samples: group,
      temperature,
      maxNewTokens,
      key,
      signal,
    });
    return { prompts, responses };
  };

  return {
    step,

    async update(at, stepSettings, { signal }) {
      const key = stepKey(recipe.seed, at, "joint-grpo-1");
      const adapters = adaptersOf(await step.state());
      const { prompts, responses } = await rollOut(at, adapters, fold(key, "tokens"), signal);
      const all = responses.flat();
      const rows: (readonly number[])[] = [];
      let drawn = 0;
      for (const [p, own] of responses.entries()) {
        throwIfAborted(signal);
        const judged = await rewardsOf(prompts[p]!.sample, own, signal);
        rows.push(...judged.rows);
        drawn += judged.drawn;
      }
      // Groups by the place of their prompt: two samples may ask the same question.
      const groups = all.map((_, i) => Math.floor(i / group));
      const advantages = combinedAdvantages(rows, groups, {
        weights: rewards.weights,
        order: settings.advantageOrder,
        rule: ADVANTAGE_RULES[settings.advantageRule],
      });
      const table: RewardTable = { names: rewards.names, weights: rewards.weights, rows };
      const totals = combineRewards(table, { normalise: "none" });
      const spread = prompts.map((_, p) => moments(totals.slice(p * group, (p + 1) * group)).std);
      const metrics: Record<string, number> = {
        ...responseMetrics(all),
        ...rewardMetrics(table),
        reward: moments(totals).mean,
        reward_std: moments(spread).mean,
        frac_reward_zero_std: groupsWithout(advantages, group) / prompts.length,
        videos_drawn: drawn,
        advantages_abs_mean: moments(advantages.map(Math.abs)).mean,
      };
      if (advantages.every((advantage) => advantage === 0)) return { loss: 0, skipped: 1, ...metrics };

      // From here on the state changes, so nothing stops an update half way.
      throwIfAborted(signal);
      const tokenCount = all.reduce((sum, { tokens }) => sum + tokens.length, 0);
      const feeds: Feeds[] = [];
      let cachedGap = 0;
      for (let part = 0; part < accumulate; part++) {
        const own = [part * sizes.prompts, (part + 1) * sizes.prompts] as const;
        const batch = replayFeeds(config, prompts.slice(...own), responses.slice(...own), sizes);
        const oldLogProb = await replay(batch.feeds, adapters);
        cachedGap = Math.max(cachedGap, cachedDifference(oldLogProb, responses.slice(...own).flat()));
        feeds.push({
          ...batch.feeds,
          completionMask: batch.completionMask,
          oldLogProb,
          ...(beta > 0 && { referenceLogProb: await replay(batch.feeds, adaptersOff(adapters)) }),
          advantages: f32(advantages.slice(own[0] * group, own[1] * group)),
          tokenCount: f32([tokenCount / accumulate], []),
        });
      }
      for (let round = 0; round < settings.updatesPerRollout; round++) {
        const out = await step.step(accumulate === 1 ? feeds[0]! : feeds, stepSettings);
        for (const [name, logged] of Object.entries(GRAPH_METRICS))
          metrics[logged] = (metrics[logged] ?? 0) + Number(out[name]!.data[0]) / settings.updatesPerRollout;
        if (round === 0) {
          const ratios = [...out["ratio"]!.data].map(Math.log);
          metrics["log_ratio/first_max"] = Math.max(...ratios.map(Math.abs));
        }
      }
      return { ...metrics, "log_ratio/cached_max": cachedGap, skipped: 0 };
    },

    /** Greedy answers to held-out samples: what no reward sees. */
    async evaluate(weights) {
      const none: Record<string, number> = {};
      if (settings.heldOut === 0) return none;
      policy.setAdapters(weights);
      const samples = heldOutSamples(settings.heldOut);
      const responses: CaptionResponse[] = [];
      for (let start = 0; start < samples.length; start += promptCount) {
        const prompts = samples.slice(start, start + promptCount).map((sample) => policy.prompt(sample));
        const { maxNewTokens } = settings;
        const key = stepKey(recipe.seed, 0, "held-out");
        responses.push(
          ...(await policy.respond(prompts, { samples: 1, temperature: 0, maxNewTokens, key })).flat(),
        );
      }
      const scores = samples.map((sample, n) => {
        const caption = responses[n]!.caption ?? "";
        const events = candidates(sample).map((event) => event.paraphrases);
        return {
          rougeL: bestRougeL([sample.caption], caption),
          event: captionEventVerdict(caption, events).isRight ? 1 : 0,
        };
      });
      const { "completions/mean_length": length, entropy, format } = responseMetrics(responses);
      return {
        rougeL: moments(scores.map((score) => score.rougeL)).mean,
        captionEventAccuracy: moments(scores.map((score) => score.event)).mean,
        templateRate: format!,
        lengthTokens: length!,
        entropy: entropy!,
      };
    },

    exported: (weights) => weights,

    async release() {
      await replayGraph.release();
      await policy.release();
      await frozen.release();
      await releaseRewards();
    },
  };
};

/** What TRL logs about completions. */
function responseMetrics(responses: readonly CaptionResponse[]): Record<string, number> {
  const lengths = responses.map(({ tokens }) => tokens.length);
  const finished = responses.filter(({ isFinished }) => isFinished).map(({ tokens }) => tokens.length);
  return {
    num_tokens: lengths.reduce((sum, length) => sum + length, 0),
    "completions/mean_length": moments(lengths).mean,
    "completions/min_length": Math.min(...lengths),
    "completions/max_length": Math.max(...lengths),
    "completions/mean_terminated_length": moments(finished).mean,
    "completions/clipped_ratio": 1 - finished.length / responses.length,
    entropy: moments(responses.map((response) => response.entropy)).mean,
    format: moments(responses.map((response) => (response.isWellFormed ? 1 : 0))).mean,
  };
}

/** Groups all of whose advantages are 0. */
function groupsWithout(advantages: readonly number[], group: number): number {
  let count = 0;
  for (let start = 0; start < advantages.length; start += group)
    if (advantages.slice(start, start + group).every((advantage) => advantage === 0)) count++;
  return count;
}

/** How far the cached decoding's log-probabilities are from those of the replay. */
function cachedDifference(replayed: NdArray, responses: readonly CaptionResponse[]): number {
  const width = replayed.shape[1]!;
  let most = 0;
  for (const [row, { logProbs }] of responses.entries())
    for (const [t, value] of logProbs.entries())
      most = Math.max(most, Math.abs(value - replayed.data[row * width + t]!));
  return most;
}
