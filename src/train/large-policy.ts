/**
 * Joint-GRPO on models larger than memory: one prompt's group at a time, models opened when they are needed and given back.
 *
 * As the stages for smaller models, with these differences: one update a rollout, so that ratios are exactly 1; the video
 * model's policy is its conditional branch (guidance scale 1), whose gradient goes through one branch; a sample without an
 * anchor of enough ROUGE-L is drawn from its reference caption.
 * @module
 */
import { openPart, TextEncoder, VideoModel } from "../answer/index.ts";
import { throwIfAborted } from "../base/abort.ts";
import { fold, type Key, normal } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { bestRougeL } from "../metrics/index.ts";
import { BlockwiseQwen, generate } from "../models/qwen25vl/index.ts";
import { BlockwiseDit, flowMatchGrid } from "../models/wan/index.ts";
import type { LoraOptions } from "../nn/index.ts";
import { drawableCaption, PAPER_REWARDS, type Rollout, rewardMetrics } from "../rewards/index.ts";
import { crossEntropy, f32, type NdArray, neg, reshape, sizeOf, type Tensor } from "../tensor/index.ts";
import { adaptersOff, withoutAdapters } from "./caption-policy.ts";
import { flowPolicyLoss } from "./flow-policy-loss.ts";
import { type FlowTransition, rolloutFlow } from "./flow-rollout.ts";
import { packCoefficients } from "./flow-sde.ts";
import { looksAtVideo, moments, type OpenRewards, openRewards } from "./grpo-rewards.ts";
import { advantagesOf } from "./grpo-settings.ts";
import type { LargeContext, LargePrompt } from "./large-context.ts";
import { type Arrays, type LargeGradients, vdmGradients, vlmGradients, vlmValues } from "./large-lora.ts";
import type { LargeSample } from "./large-samples.ts";
import { addGradients } from "./large-sum.ts";
import { vlmRow } from "./large-supervised.ts";
import { tokenPolicyLoss } from "./token-policy-loss.ts";

/** Gradients of a group, and what is logged. */
export interface GroupGradients extends LargeGradients {
  readonly metrics: Record<string, number>;
}

/** What one group is computed with. */
export interface GroupOptions {
  readonly key: Key;
  readonly signal: AbortSignal | undefined;
}

interface Written {
  readonly tokens: Int32Array;
  readonly text: string;
  readonly caption: string | null;
}

/** Responses of the language model to one prompt, with adapters or the suite's own weights. */
async function respond(
  large: LargeContext,
  prompt: LargePrompt,
  policy: { readonly lora: LoraOptions; readonly adapters: Arrays } | undefined,
  options: GroupOptions & { readonly samples: number },
): Promise<readonly Written[]> {
  const { suite, threads, tokenizer, settings } = large;
  const part = await openPart(suite, "vlm");
  const model = new BlockwiseQwen(suite.vlm.config, part.stored("model.embed_tokens.weight"), {
    threads,
    weights: policy ? withoutAdapters(part.binding) : part.binding,
    lora: policy?.lora ?? part.lora,
    ...(policy && { parameters: policy.adapters }),
  });
  const { eosTokenIds } = suite.vlm.config;
  try {
    const features = await model.features(prompt.patches, [prompt.grid], { signal: options.signal });
    const steps = generate(model, [{ ids: prompt.ids, features, grids: [prompt.grid] }], {
      temperature: 1,
      maxNewTokens: settings.answerTokens,
      bannedTokenIds: [...tokenizer.specialIds].filter((id) => !eosTokenIds.includes(id)),
      ...options,
    });
    for (;;) {
      const next = await steps.next();
      if (!next.done) continue;
      return next.value.map(({ tokens }) => {
        const text = tokenizer.decode([...tokens], { skipSpecialTokens: true });
        return { tokens, text, caption: drawableCaption(text) };
      });
    }
  } finally {
    await model.release();
  }
}

async function rewardsOf(large: LargeContext, weights: LargeContext["settings"]["rewards"] & object) {
  const { suite, settings, threads } = large;
  return openRewards(suite, weights, {
    // Only rewards that check events of the playroom ask for it.
    throughAutoencoder: async (clip) => {
      const video = await VideoModel.open(suite, { threads, isBlockwise: true });
      const { all } = await video.references(clip);
      const back = await video.decode(all);
      await video.release();
      return back;
    },
    everyFrames: settings.clipEveryFrames,
    threads,
  });
}

const advantageSettings = (group: number) =>
  ({ group, advantageOrder: "sum-then-normalize", advantageRule: "flow-grpo" }) as const;

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
