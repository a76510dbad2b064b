/**
 * A suite's video transformer as a policy: one compiled forward that rolls out and replays, with guidance inside.
 * @module
 */
import { openPart, type Suite } from "../answer/index.ts";
import {
  type DitConfig,
  ditLoraTargets,
  ditWithReferences,
  latentFrameCount,
  vaeStride,
} from "../models/wan/index.ts";
import { type LoraOptions, Params } from "../nn/index.ts";
import { compile, type Executable, type Feeds } from "../runtime/index.ts";
import {
  add,
  broadcastTo,
  concat,
  f32,
  input,
  mul,
  type NdArray,
  slice,
  sub,
  type Tensor,
  type WeightBinding,
} from "../tensor/index.ts";
import { alreadyAdapted, withoutAdapters } from "./caption-policy.ts";

/** What all rows of a micro-batch share. */
export interface VideoCondition {
  /** Clean normalised latents `[1, C, R, h, w]`. */
  readonly references: NdArray;
  /** `[1, L, width]`, or one a row where the policy has `ownTexts`. */
  readonly context: NdArray;
  /** Of the negative text; needed unless the guidance scale is 1. */
  readonly negativeContext: NdArray;
}

/** Sizes of the policy. */
export interface VideoPolicyOptions {
  readonly loraRank: number;
  readonly loraAlpha: number;
  /** Rows of a micro-batch, in rollout and replay alike. */
  readonly rows: number;
  /** Guidance is part of the policy; 1 has one branch and half the cost. */
  readonly guidanceScale: number;
  /** Each row of a micro-batch has its own text; default: one for all. */
  readonly ownTexts?: boolean;
  readonly threads: number;
}

/** The policy. */
export class VideoPolicy {
  readonly config: DitConfig;
  readonly lora: LoraOptions;
  /** The frozen weights. */
  readonly binding: WeightBinding;
  /** Latents of a micro-batch, `[rows, C, F, h, w]`. */
  readonly shape: readonly [number, number, number, number, number];
  readonly #suite: Suite;
  readonly #options: VideoPolicyOptions;
  #forward: Promise<Executable> | undefined;

  private constructor(suite: Suite, binding: WeightBinding, options: VideoPolicyOptions) {
    this.#suite = suite;
    this.#options = options;
    this.config = suite.vdm.config;
    this.binding = binding;
    this.lora = { rank: options.loraRank, alpha: options.loraAlpha, targets: ditLoraTargets };
    const { answerFrames, height, width } = suite.manifest.answer;
    const { config } = suite.vae;
    const { space } = vaeStride(config);
    const frames = latentFrameCount(config, answerFrames);
    this.shape = [options.rows, config.z_dim, frames, height / space, width / space];
  }

  /** @throws `VANS_TRAIN_ADAPTED` */
  static async open(suite: Suite, options: VideoPolicyOptions): Promise<VideoPolicy> {
    const part = await openPart(suite, "vdm");
    if (part.lora) throw alreadyAdapted(suite, "vdm");
    return new VideoPolicy(suite, withoutAdapters(part.binding), options);
  }

  /** The (guided) velocity of a micro-batch as a graph over the feeds of {@link feeds}; `[rows, C, F, h, w]`. */
  trace(params: Params): Tensor {
    const { rows, guidanceScale, ownTexts = false } = this.#options;
    const [, channels, , height, width] = this.shape;
    const { referenceLatentFrames } = this.#suite.manifest.answer;
    const references = input("references", [1, channels, referenceLatentFrames, height, width]);
    const noisy = input("noisy", this.shape);
    const timestep = input("timestep", [1]);
    const textShape = [1, this.#suite.textEncoder.maxLength, this.config.textWidth];
    const context = input("context", ownTexts ? [rows, ...textShape.slice(1)] : textShape);
    if (guidanceScale === 1)
      return ditWithReferences(params, this.config, { references, noisy, timestep, context });
    const wide = (x: Tensor): Tensor => broadcastTo(x, [rows, ...textShape.slice(1)]);
    const both = ditWithReferences(params, this.config, {
      references,
      noisy: concat([noisy, noisy], 0),
      timestep,
      context: concat([ownTexts ? context : wide(context), wide(input("negativeContext", textShape))], 0),
    });
    const [conditional, negative] = [slice(both, 0, 0, rows), slice(both, 0, rows, 2 * rows)];
    return add(negative, mul(sub(conditional, negative), guidanceScale));
  }

  /** What {@link trace} is fed. */
  feeds(condition: VideoCondition, noisy: NdArray, timestep: number): Feeds {
    return { ...condition, noisy, timestep: f32([timestep]) };
  }

  /** Velocities under given adapters. Always this graph: equal feeds give equal bits. */
  async velocity(adapters: Feeds, feeds: Feeds): Promise<NdArray> {
    this.#forward ??= compile(
      { velocity: this.trace(new Params({ lora: this.lora })) },
      { threads: this.#options.threads, weights: this.binding, forTraining: true },
    );
    return (await (await this.#forward).run({ ...feeds, ...adapters }))["velocity"]!;
  }

  async release(): Promise<void> {
    const forward = this.#forward;
    this.#forward = undefined;
    await (await forward)?.release();
  }
}
