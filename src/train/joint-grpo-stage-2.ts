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
 * Rollout and replay run one compiled forward at one micro-batch, so the log-ratio of an unchanged policy is bitwise 0.
 * The gradient is that of the loss with respect to the velocity, carried on through a second graph of the same model.
 *
 * Deviations from the paper:
 * 1. Adapters (Flow-GRPO's targets and rank) are trained where the paper does not say what is.
 * 2. The last step adds no noise: its Gaussian is so narrow that log-densities explode, and videos would end noisy.
 * 3. The deviation has 1e-4 added and advantages are clamped to ±5 (Flow-GRPO).
 * 4. A sample without a passing anchor after `anchorRounds` rounds is passed over for the next one of the pool.
 * 5. Anchors are drawn at temperature 1, so that a sample that comes again may bring another one.
 * 6. The moving average is updated at every step (Flow-GRPO: every eighth, decay 0.9); it serves evaluation and export.
 * 7. Beyond the paper, as settings: a window of stochastic steps, 1/λ weights of steps, the unbiased ratio, other schemes.
 * @module
 */
import { z } from "zod";
import { loadSuite, openPart, TextEncoder } from "../answer/index.ts";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { fold, integer, type Key, normal } from "../base/keys.ts";
import { evaluateParts, videoModels } from "../evaluate/index.ts";
import type { Clip } from "../media/clip.ts";
import { clipFromValues, valuesFromClip } from "../media/index.ts";
import { rougeL } from "../metrics/index.ts";
import { qwenLora } from "../models/qwen25vl/index.ts";
import { DitRunner, flowMatchGrid, initDit, pickReferenceFrames, Vae } from "../models/wan/index.ts";
import { compileTrainStep, Params } from "../nn/index.ts";
import { combineRewards, PAPER_REWARDS, type RewardTable, rewardMetrics } from "../rewards/index.ts";
import { compile, type Feeds } from "../runtime/index.ts";
import { f32, grad, input, mul, type NdArray, sizeOf, sum } from "../tensor/index.ts";
import type { WorldSample } from "../world/index.ts";
import { ADVANTAGE_RULES, combinedAdvantages } from "./advantages.ts";
import { adaptersOf, adaptersOff, CaptionPolicy, isAdapterName } from "./caption-policy.ts";
import { flowPolicyLoss } from "./flow-policy-loss.ts";
import { type FlowTransition, rolloutFlow } from "./flow-rollout.ts";
import { packCoefficients, SDE_SCHEMES, type SdeScheme } from "./flow-sde.ts";
import { frameSheet } from "./frame-sheet.ts";
import { moments, openRewards, rewardWeightsSchema } from "./grpo-rewards.ts";
import { firstValues, initFile } from "./initial-weights.ts";
import { optimizerOf } from "./optimizers.ts";
import { DEFAULT_POOL, poolSamples } from "./sample-pool.ts";
import type { PrepareTask } from "./task.ts";
import { throughVideo } from "./through-video.ts";
import { type VideoCondition, VideoPolicy } from "./video-policy.ts";
import { heldOutSamples, stepKey } from "./world-batches.ts";

const settingsSchema = z.strictObject({
  /** Suite to start from, by name or path. */
  suite: z.string().default("playroom"),
  samples: z.int().positive().default(DEFAULT_POOL.samples),
  firstSeed: z.int().nonnegative().default(DEFAULT_POOL.firstSeed),
  /** G: videos of each anchor. */
  group: z.int().min(2).default(8),
  /** Rows that run at once, in rollout and replay; divides the group. */
  rows: z.int().positive().default(4),
  /** λ of each reward; 0 leaves it out. */
  rewards: rewardWeightsSchema.prefault(PAPER_REWARDS.stage2),
  /** CLIP looks at every so many frames. */
  clipEveryFrames: z.int().positive().default(2),
  advantageOrder: z.enum(["sum-then-normalize", "normalize-then-sum"]).default("sum-then-normalize"),
  advantageRule: z
    .enum(Object.keys(ADVANTAGE_RULES) as [keyof typeof ADVANTAGE_RULES, ...(keyof typeof ADVANTAGE_RULES)[]])
    .default("flow-grpo"),
  advantageClamp: z.number().positive().default(5),
  clip: z.number().positive().default(1e-3),
  beta: z.number().min(0).default(0.004),
  ratio: z.enum(["density", "unbiased"]).default("density"),
  /** Optimizer updates on one rollout. */
  updatesPerRollout: z.int().positive().default(1),
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
  loraRank: z.int().positive().default(32),
  loraAlpha: z.number().positive().default(64),
  /** Least ROUGE-L of an anchor against the reference caption. */
  anchorRougeL: z.number().min(0).max(1).default(0.6),
  /** Captions drawn at once, and how often. */
  anchorDraws: z.int().positive().default(4),
  anchorRounds: z.int().positive().default(2),
  anchorTemperature: z.number().positive().default(1),
  maxNewTokens: z.int().positive().default(64),
  /** Sizes of the language model's adapters in `init.vlm`, the weights of a stage 1. */
  vlmLoraRank: z.int().positive().default(8),
  vlmLoraAlpha: z.number().positive().default(32),
  /** Held-out samples that are drawn at sheet time, by the plain sampler. */
  heldOut: z.int().nonnegative().default(16),
});

/** A sample with the caption that its videos are drawn from. */
interface Anchored {
  readonly sample: WorldSample;
  readonly anchor: string;
  readonly condition: VideoCondition;
}

/** The rows of one micro-batch: how they came about and what they are worth. */
interface Chunk {
  readonly condition: VideoCondition;
  readonly trained: readonly FlowTransition[];
  /** Index of its first row among all rows. */
  readonly from: number;
}

/** Prepares the task `joint-grpo-2`. */
export const prepareJointGrpo2: PrepareTask = async (recipe, context) => {
  const settings = settingsSchema.parse(recipe.settings);
  const { group, rows, beta } = settings;
  const { threads, batch: groupCount } = recipe;
  if (group % rows !== 0)
    throw new VansError("VANS_RECIPE_INVALID", "settings.rows must divide settings.group", {
      found: `${rows} rows, groups of ${group}`,
    });
  const suite = await loadSuite(settings.suite);
  const { answer } = suite.manifest;
  const shift = settings.shift ?? answer.shift;
  const guidanceScale = settings.guidanceScale ?? answer.guidanceScale;
  const grid = flowMatchGrid({ steps: settings.rolloutSteps, shift });
  const last = settings.rolloutSteps - 1;
  const trainedSteps = settings.window?.size ?? last;
  const policy = await VideoPolicy.open(suite, { ...settings, rows, guidanceScale, threads });
  const { shape } = policy;
  const size = sizeOf(shape);
  const partCount = ((groupCount * group) / rows) * trainedSteps;

  // The frozen parts: captions, texts, frames.
  const stage1 = await initFile(recipe, context, "vlm");
  const vlmLora = qwenLora({ rank: settings.vlmLoraRank, alpha: settings.vlmLoraAlpha });
  const writer = await CaptionPolicy.open(suite, { threads, ...(stage1 && { lora: vlmLora }) });
  if (stage1) writer.setAdapters(stage1);
  const texts = await TextEncoder.open(suite, { threads });
  const vae = new Vae(suite.vae.config, (await openPart(suite, "vae")).binding, { threads });
  const negativeContext = (await texts.encode(answer.negativePrompt)).context;
  const encode = (clip: Clip): Promise<NdArray> =>
    vae.encode(f32(valuesFromClip(clip), [1, 3, clip.frameCount, clip.height, clip.width]));
  const decode = async (latents: NdArray): Promise<Clip> => {
    const video = await vae.decode(latents);
    const [, , frameCount, height, width] = video.shape as [number, number, number, number, number];
    return clipFromValues(video.data as Float32Array, {
      frameCount,
      height,
      width,
      frameRateHz: answer.frameRateHz,
    });
  };
  const { set: rewards, release: releaseRewards } = await openRewards(suite, settings.rewards, {
    throughAutoencoder: async (clip) => decode(await encode(clip)),
    everyFrames: settings.clipEveryFrames,
    threads,
  });

  // The loss as a function of the velocity, with its gradient there.
  const leaf = (name: string) => input(name, shape);
  const velocity = leaf("velocity");
  const { loss, policyLoss, kl, ratio, clippedShare } = flowPolicyLoss(
    {
      x: leaf("x"),
      next: leaf("next"),
      velocity,
      coefficients: input("coefficients", [rows, 5]),
      advantages: input("advantages", [rows]),
      old: { velocity: leaf("oldVelocity") },
      ...(beta > 0 && { referenceVelocity: leaf("referenceVelocity") }),
    },
    // Advantages arrive clamped: a step's weight comes on top.
    { clip: settings.clip, beta, ratio: settings.ratio, advantageClamp: Number.MAX_VALUE },
  );
  const cotangent = grad(loss, [velocity])[0]!;
  const lossGraph = await compile({ loss, policyLoss, kl, ratio, clippedShare, cotangent }, { threads });

  // The gradient of the adapters, from that of the velocity.
  const params = new Params({ lora: policy.lora });
  const traced = policy.trace(params);
  const trained = new Map([...params.tensors].filter(([name]) => isAdapterName(name)));
  const fresh = initDit(policy.config, stepKey(recipe.seed, 0, "lora"), { lora: policy.lora });
  const step = await compileTrainStep(
    {
      loss: sum(mul(traced, leaf("cotangent"))),
      params: trained,
      optimizer: optimizerOf(recipe),
      clipNorm: recipe.optimizer.clipNorm,
      ema: true,
      accumulate: partCount,
    },
    firstValues(trained, context, await initFile(recipe, context, "vdm"), fresh),
    { threads, weights: policy.binding, stepCount: context.resumed?.optimizerSteps ?? 0 },
  );

  /** The next samples of the pool that get an anchor. */
  const anchored = async (
    at: number,
    key: Key,
    signal: AbortSignal | undefined,
  ): Promise<{ groups: Anchored[]; drawn: number; passed: number; passedOver: number }> => {
    const groups: Anchored[] = [];
    let [drawn, passed, passedOver] = [0, 0, 0];
    // Samples that are passed over are replaced from the far side of the pool's order.
    const spare = Math.floor(settings.samples / 2);
    for (let n = 0; groups.length < groupCount; n++) {
      if (n >= groupCount + spare)
        throw new VansError("VANS_TRAIN_ANCHORS", "no sample gets an anchor caption", {
          why: `the language model's captions stay under ROUGE-L ${settings.anchorRougeL}`,
          fix: "train the language model first, or lower settings.anchorRougeL",
        });
      const position = at * groupCount + (n < groupCount ? n : n + spare);
      const sample = poolSamples(settings, recipe.seed, position, 1)[0]!;
      let anchor: string | undefined;
      for (let round = 0; round < settings.anchorRounds && anchor === undefined; round++) {
        throwIfAborted(signal);
        const [responses] = await writer.respond([writer.prompt(sample)], {
          samples: settings.anchorDraws,
          temperature: settings.anchorTemperature,
          maxNewTokens: settings.maxNewTokens,
          key: fold(key, "anchor", n, round),
          signal,
        });
        const good = responses!.filter(
          ({ caption }) => caption !== null && rougeL(sample.caption, caption) >= settings.anchorRougeL,
        );
        drawn += responses!.length;
        passed += good.length;
        anchor = good[0]?.caption ?? undefined;
      }
      if (anchor === undefined) {
        passedOver++;
        continue;
      }
      const latents = await encode(throughVideo(sample.input));
      const { latents: references } = pickReferenceFrames(latents, answer.referenceLatentFrames);
      const { context: text } = await texts.encode(anchor, { signal });
      groups.push({ sample, anchor, condition: { references, context: text, negativeContext } });
    }
    return { groups, drawn, passed, passedOver };
  };

  const draw = (key: Key): NdArray => f32(normal(key, size), shape);

  /** Rolls `rows` videos out of one condition. */
  const rollOut = async (
    condition: VideoCondition,
    adapters: Feeds,
    isTrained: (index: number) => boolean,
    key: Key,
    signal: AbortSignal | undefined,
  ): Promise<{ trained: FlowTransition[]; clips: Clip[] }> => {
    const steps = rolloutFlow({
      model: async (noisy, timestep) => {
        const v = await policy.velocity(adapters, policy.feeds(condition, noisy, timestep));
        return { velocity: v, conditional: v };
      },
      grid,
      start: draw(fold(key, "start")),
      noise: (index) => draw(fold(key, "step", index)),
      scheme: settings.scheme,
      noiseLevel: settings.noiseLevel,
      isStochastic: isTrained,
      signal,
    });
    const kept: FlowTransition[] = [];
    for (;;) {
      const next = await steps.next();
      if (!next.done) {
        if (next.value.isStochastic) kept.push(next.value);
        continue;
      }
      const clips: Clip[] = [];
      for (let row = 0; row < rows; row++) clips.push(await decode(rowOf(next.value, row)));
      return { trained: kept, clips };
    }
  };

  const held = heldOut();
  return {
    step,

    async update(at, stepSettings, { signal }) {
      const key = stepKey(recipe.seed, at, "joint-grpo-2");
      let adapters = adaptersOf(await step.state());
      const first = settings.window ? integer(fold(key, "window"), settings.window.below) : 0;
      const isTrained = (index: number): boolean =>
        index >= first && index < first + trainedSteps && index < last;
      const { groups, drawn, passed, passedOver } = await anchored(at, key, signal);

      // Rollouts and rewards.
      const chunks: Chunk[] = [];
      const scores: (readonly number[])[] = [];
      for (const [g, { sample, anchor, condition }] of groups.entries()) {
        for (let from = 0; from < group; from += rows) {
          const rolled = await rollOut(condition, adapters, isTrained, fold(key, "rollout", g, from), signal);
          chunks.push({ condition, trained: rolled.trained, from: g * group + from });
          const rollouts = rolled.clips.map((video) => ({
            caption: anchor,
            video,
            referenceVideo: sample.output,
            sample,
          }));
          scores.push(...(await rewards.score(rollouts, { signal })).rows);
        }
      }
      const table: RewardTable = { names: rewards.names, weights: rewards.weights, rows: scores };
      const advantages = combinedAdvantages(
        scores,
        scores.map((_, i) => Math.floor(i / group)),
        {
          weights: rewards.weights,
          order: settings.advantageOrder,
          rule: ADVANTAGE_RULES[settings.advantageRule],
        },
      ).map((a) => Math.min(Math.max(a, -settings.advantageClamp), settings.advantageClamp));
      const totals = combineRewards(table, { normalise: "none" });
      const spreads = groups.map((_, g) => moments(totals.slice(g * group, (g + 1) * group)).std);
      const metrics: Record<string, number> = {
        ...rewardMetrics(table),
        reward: moments(totals).mean,
        reward_std: moments(spreads).mean,
        frac_reward_zero_std: spreads.filter((spread) => spread === 0).length / groups.length,
        advantages_abs_mean: moments(advantages.map(Math.abs)).mean,
        "anchors/pass_rate": passed / drawn,
        "anchors/passed_over": passedOver,
        "anchors/rougeL": moments(groups.map(({ sample, anchor }) => rougeL(sample.caption, anchor))).mean,
        window_first: first,
      };
      if (advantages.every((advantage) => advantage === 0)) return { loss: 0, skipped: 1, ...metrics };

      // From here on the state changes, so nothing stops an update half way.
      throwIfAborted(signal);
      const off = adaptersOff(adapters);
      const references = new Map<FlowTransition, NdArray>();
      const stepWeight = inverseLambda(chunks[0]!.trained, settings.stepWeights);
      for (let round = 0; round < settings.updatesPerRollout; round++) {
        const isFirst = round === 0;
        if (!isFirst) adapters = adaptersOf(await step.state());
        const parts: Feeds[] = [];
        const log = new PolicyLog();
        for (const { condition, trained: transitions, from } of chunks) {
          for (const [t, transition] of transitions.entries()) {
            const { x, next, timestep, coefficients, velocity: oldVelocity } = transition;
            const feeds = policy.feeds(condition, x, timestep);
            const replayed = await policy.velocity(adapters, feeds);
            if (beta > 0 && !references.has(transition))
              references.set(transition, await policy.velocity(off, feeds));
            const out = await lossGraph.run({
              x,
              next,
              velocity: replayed,
              oldVelocity,
              ...(beta > 0 && { referenceVelocity: references.get(transition)! }),
              coefficients: packCoefficients(Array.from({ length: rows }, () => coefficients)),
              advantages: f32(advantages.slice(from, from + rows).map((a) => a * stepWeight[t]!)),
            });
            log.add(transition.index, out);
            parts.push({ ...feeds, cotangent: out["cotangent"]! });
          }
        }
        const logged = log.metrics();
        if (isFirst && logged["log_ratio/max"] !== 0)
          throw new VansError(
            "VANS_TRAIN_REPLAY",
            "the replay of an unchanged policy differs from its rollout",
            {
              found: `a log-ratio of ${logged["log_ratio/max"]}`,
              why: "internal: rollout and replay must run one compiled forward at one batch shape",
            },
          );
        const moved = await step.step(partCount === 1 ? parts[0]! : parts, stepSettings);
        if (isFirst || round === settings.updatesPerRollout - 1) Object.assign(metrics, logged);
        metrics["grad_norm"] = Number(moved["gradientNorm"]!.data[0]);
      }
      return { ...metrics, skipped: 0 };
    },

    async evaluate(weights) {
      return (await held.look(weights)).metrics;
    },

    async sheet(weights) {
      const { clips } = await held.look(weights);
      if (clips.length === 0) return undefined;
      const shown = [0, 4, 8, 12, 16];
      return frameSheet(
        clips
          .slice(0, 16)
          .map(({ sample, clip }) => [
            { clip: sample.input, frame: sample.input.frameCount - 1 },
            ...shown.map((frame) => ({ clip: sample.output, frame })),
            ...shown.map((frame) => ({ clip, frame })),
          ]),
      );
    },

    exported: (weights) => weights,

    async release() {
      await Promise.all([
        policy.release(),
        writer.release(),
        texts.release(),
        vae.release(),
        releaseRewards(),
      ]);
      await lossGraph.release();
      await held.release();
    },
  };

  /** Fixed prompts through the plain sampler: what no reward sees. */
  function heldOut() {
    const runner = new DitRunner(policy.config, { threads, weights: policy.binding, lora: policy.lora });
    const models = videoModels({
      vae,
      velocity: runner.velocity,
      embed: async (text) => (await texts.encode(text)).context,
      steps: answer.steps,
      shift: answer.shift,
      guidanceScale: answer.guidanceScale,
      referenceLatentFrames: answer.referenceLatentFrames,
    });
    const drawings = new Map();
    let captions: readonly string[] | undefined;
    let seen: { readonly weights: unknown; readonly result: Looked } | undefined;
    interface Looked {
      readonly metrics: Record<string, number>;
      readonly clips: readonly { readonly sample: WorldSample; readonly clip: Clip }[];
    }
    const look = async (weights: Feeds): Promise<Looked> => {
      if (seen?.weights === weights) return seen.result;
      const samples = heldOutSamples(settings.heldOut);
      captions ??= await greedyCaptions(writer, samples, settings.maxNewTokens);
      runner.setParameters(weights);
      const items = samples.map((sample, n) => ({
        sample,
        parts: ["video" as const],
        input: { frames: throughVideo(sample.input) },
        caption: captions![n]!,
      }));
      const totals: Record<string, number> = {};
      const clips: { sample: WorldSample; clip: Clip }[] = [];
      for await (const { outcome, clip } of evaluateParts(models, items, { drawings })) {
        for (const [name, value] of Object.entries(outcome.values))
          totals[name] = (totals[name] ?? 0) + value / items.length;
        clips.push({ sample: samples[clips.length]!, clip: clip! });
      }
      const motion = (totals["motionEnergy"] ?? 0) / (totals["motionEnergyTruth"] ?? 1);
      // Below half of the true motion videos are about to freeze.
      const metrics =
        items.length === 0 ? {} : { ...totals, motionShare: motion, alarmStatic: motion < 0.5 ? 1 : 0 };
      seen = { weights, result: { metrics, clips } };
      return seen.result;
    };
    return { look, release: () => runner.release() };
  }
};

/** Sums over the micro-batches of one update. */
class PolicyLog {
  readonly #losses: Record<"loss" | "policy_loss" | "kl" | "clip_ratio/region_mean", number[]> = {
    loss: [],
    policy_loss: [],
    kl: [],
    "clip_ratio/region_mean": [],
  };
  readonly #byStep = new Map<
    number,
    { readonly ratios: number[]; readonly kls: number[]; readonly clips: number[] }
  >();

  add(index: number, out: Readonly<Record<string, NdArray>>): void {
    const scalar = (name: string): number => Number(out[name]!.data[0]);
    this.#losses.loss.push(scalar("loss"));
    this.#losses.policy_loss.push(scalar("policyLoss"));
    this.#losses.kl.push(scalar("kl"));
    this.#losses["clip_ratio/region_mean"].push(scalar("clippedShare"));
    const own = this.#byStep.get(index) ?? { ratios: [], kls: [], clips: [] };
    own.ratios.push(...Array.from(out["ratio"]!.data, Math.log));
    own.kls.push(scalar("kl"));
    own.clips.push(scalar("clippedShare"));
    this.#byStep.set(index, own);
  }

  metrics(): Record<string, number> {
    const metrics: Record<string, number> = {};
    for (const [name, values] of Object.entries(this.#losses)) metrics[name] = moments(values).mean;
    let most = 0;
    for (const [index, { ratios, kls, clips }] of this.#byStep) {
      const { mean, std } = moments(ratios);
      metrics[`log_ratio/mean/step_${index}`] = mean;
      metrics[`log_ratio/std/step_${index}`] = std;
      metrics[`kl/step_${index}`] = moments(kls).mean;
      metrics[`clip_ratio/step_${index}`] = moments(clips).mean;
      most = Math.max(most, ...ratios.map(Math.abs));
    }
    metrics["log_ratio/max"] = most;
    return metrics;
  }
}

/** Weights of the trained steps; λ = |∂mean/∂v| / std is how strongly a step's log-density acts on the velocity. */
function inverseLambda(
  transitions: readonly FlowTransition[],
  kind: "equal" | "inverse-lambda",
): readonly number[] {
  if (kind === "equal") return transitions.map(() => 1);
  const inverse = transitions.map(({ coefficients: { ofVelocity, std } }) => std / Math.abs(ofVelocity));
  const { mean } = moments(inverse);
  return inverse.map((value) => value / mean);
}

async function greedyCaptions(
  writer: CaptionPolicy,
  samples: readonly WorldSample[],
  maxNewTokens: number,
): Promise<readonly string[]> {
  const captions: string[] = [];
  for (const sample of samples) {
    const key = stepKey(0, 0, "greedy");
    const options = { samples: 1, temperature: 0, maxNewTokens, key };
    const [[response] = []] = await writer.respond([writer.prompt(sample)], options);
    captions.push(response?.caption ?? sample.question);
  }
  return captions;
}

function rowOf(latents: NdArray, row: number): NdArray {
  const size = latents.data.length / latents.shape[0]!;
  return f32((latents.data as Float32Array).slice(row * size, (row + 1) * size), [
    1,
    ...latents.shape.slice(1),
  ]);
}
