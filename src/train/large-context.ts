/**
 * What the tasks of the large recipes share: settings, the suite at the recipe's size, samples as the models take them.
 * @module
 */

import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import {
  loadSuite,
  openPart,
  type PartWeights,
  readInputFrames,
  type Suite,
  TextEncoder,
  VideoModel,
} from "../answer/index.ts";
import type { Clip } from "../media/clip.ts";
import { patchify, type VisionGrid, visionTokenCount } from "../models/qwen25vl/index.ts";
import type { LoraOptions } from "../nn/index.ts";
import type { NdArray } from "../tensor/index.ts";
import { expandPads, loadTokenizer, renderChat, type Tokenizer } from "../text/index.ts";
import { asFloat32, readSafetensors, writeSafetensors } from "../weights/index.ts";
import { rewardWeightsSchema } from "./grpo-rewards.ts";
import { largeLora } from "./large-plan.ts";
import { type LargeSample, type LargeSamples, openLargeSamples } from "./large-samples.ts";
import type { Recipe } from "./recipe.ts";
import { DEFAULT_POOL } from "./sample-pool.ts";

/** Settings of recipes with `blockwise: true`. */
export const largeTaskSettings = z.strictObject({
  blockwise: z.literal(true),
  suite: z.string().default("vans-3b"),
  /** Folder of a dataset and its split; without one the playroom is drawn. */
  data: z.string().optional(),
  split: z.string().default("train"),
  samples: z.int().positive().default(DEFAULT_POOL.samples),
  firstSeed: z.int().nonnegative().default(DEFAULT_POOL.firstSeed),
  loraRank: z.int().positive().default(8),
  loraAlpha: z.number().positive().default(32),
  /** Size of the video model's clips; default the suite's. */
  height: z.int().positive().optional(),
  width: z.int().positive().optional(),
  frames: z.int().positive().optional(),
  /** Most pixels of a frame of the language model; default the suite's. */
  vlmMaxPixels: z.int().positive().optional(),
  promptTokens: z.int().positive().default(1024),
  answerTokens: z.int().positive().default(256),
  shift: z.number().positive().optional(),
  // Policy training.
  group: z.int().min(2).default(8),
  rewards: rewardWeightsSchema.optional(),
  loss: z.enum(["grpo"]).default("grpo"),
  clip: z.number().positive().default(1e-3),
  beta: z.number().min(0).default(0.004),
  clipEveryFrames: z.int().positive().default(2),
  /** Denoising steps of videos that are rewarded in stage 1; default the suite's. */
  drawSteps: z.int().positive().optional(),
  rolloutSteps: z.int().min(2).default(10),
  /** Steps of a rollout that are stochastic and trained, from the first on; default all but the last. */
  trainedSteps: z.int().positive().optional(),
  anchorRougeL: z.number().min(0).max(1).default(0.6),
  anchorDraws: z.int().positive().default(4),
});

/** Checked settings. */
export type LargeTaskSettings = z.infer<typeof largeTaskSettings>;

/** What the language model is asked about a sample. */
export interface LargePrompt {
  readonly ids: readonly number[];
  readonly patches: NdArray;
  readonly grid: VisionGrid;
}

/** Latents and text of a sample, as the video model takes them. */
export interface LargeLatents {
  readonly references: NdArray;
  readonly clean: NdArray;
  readonly context: NdArray;
}

/** A large recipe at work. */
export class LargeContext {
  readonly recipe: Recipe;
  readonly settings: LargeTaskSettings;
  readonly trains: "vlm" | "vdm";
  readonly suite: Suite;
  readonly lora: LoraOptions;
  /** The part that is trained, without the suite's adapters on it. */
  readonly part: PartWeights;
  readonly tokenizer: Tokenizer;
  readonly samples: LargeSamples;
  readonly #cache: string;

  private constructor(
    fields: Pick<
      LargeContext,
      "recipe" | "settings" | "trains" | "suite" | "lora" | "part" | "tokenizer" | "samples"
    >,
    cache: string,
  ) {
    ({
      recipe: this.recipe,
      settings: this.settings,
      trains: this.trains,
      suite: this.suite,
      lora: this.lora,
      part: this.part,
      tokenizer: this.tokenizer,
      samples: this.samples,
    } = fields);
    this.#cache = cache;
  }

  /** @throws `VANS_SUITE_NOT_PULLED` where the suite's files are not on this machine, `VANS_TRAIN_DATA` */
  static async open(recipe: Recipe, runFolder: string): Promise<LargeContext> {
    const settings = largeTaskSettings.parse(recipe.settings);
    const trains = recipe.task === "vdm" || recipe.task === "joint-grpo-2" ? "vdm" : "vlm";
    const loaded = await loadSuite(settings.suite);
    const { answer } = loaded.manifest;
    const { height = answer.height, width = answer.width, frames = answer.answerFrames } = settings;
    const vlmMaxPixels = settings.vlmMaxPixels ?? answer.vlmMaxPixels;
    const suite: Suite = {
      ...loaded,
      // Adapters are trained on the base; those that the suite brings for this part would be under them.
      adapters: loaded.adapters.filter((one) => one.part !== trains),
      manifest: {
        ...loaded.manifest,
        answer: {
          ...answer,
          height,
          width,
          answerFrames: frames,
          inputFrames: Math.min(answer.inputFrames, Math.max(frames, 5)),
          ...(vlmMaxPixels !== undefined && {
            vlmMaxPixels,
            vlmMinPixels: Math.min(answer.vlmMinPixels ?? vlmMaxPixels, vlmMaxPixels),
          }),
        },
      },
    };
    const lora = largeLora(trains, settings.loraRank, settings.loraAlpha);
    const [part, tokenizer, samples] = await Promise.all([
      openPart(suite, trains),
      loadTokenizer(suite.vlm.tokenizer),
      openLargeSamples(settings, recipe.seed),
    ]);
    const fields = { recipe, settings, trains, suite, lora, part, tokenizer, samples } as const;
    return new LargeContext(fields, join(runFolder, "cache"));
  }

  get threads(): number {
    return this.recipe.threads;
  }

  /** The sample's clip as the models take it. */
  frames(clip: string | Clip, signal?: AbortSignal) {
    const { vision } = this.suite.vlm.config;
    const vlmCell = vision.patchSize * vision.mergeSize;
    return readInputFrames(clip, { settings: this.suite.manifest.answer, vlmCell, signal });
  }

  /** The answer's clip at the video model's size. */
  async answerFrames(clip: string | Clip, signal?: AbortSignal): Promise<Clip> {
    const { answer } = this.suite.manifest;
    const { vision } = this.suite.vlm.config;
    const settings = { ...answer, inputFrames: answer.answerFrames };
    const vlmCell = vision.patchSize * vision.mergeSize;
    return (await readInputFrames(clip, { settings, vlmCell, signal })).frames;
  }

  /** The prompt that answering would use. */
  async prompt(sample: LargeSample, signal?: AbortSignal): Promise<LargePrompt> {
    const { config } = this.suite.vlm;
    const { systemPrompt, questionCase } = this.suite.manifest.answer;
    const { vlmFrames } = await this.frames(sample.input, signal);
    const { patches, grid } = patchify(vlmFrames, config.vision);
    const asked = questionCase === "lower" ? sample.question.toLowerCase() : sample.question;
    const text = this.tokenizer.withoutSpecialTokens(asked);
    const chat = renderChat(
      [
        { role: "system", content: systemPrompt },
        { role: "user", content: [{ type: "video" }, { type: "text", text }] },
      ],
      { addGenerationPrompt: true },
    );
    const ids = expandPads(this.tokenizer.encode(chat, { addSpecialTokens: false }), config.videoTokenId, [
      visionTokenCount(grid, config.vision),
    ]);
    return { ids, patches, grid };
  }

  /**
   * References, answer and caption of a sample, encoded once and kept in the run's folder. Autoencoder and text encoder
   * are given back before this returns.
   */
  async latents(sample: LargeSample, signal?: AbortSignal): Promise<LargeLatents> {
    const { height, width, answerFrames } = this.suite.manifest.answer;
    const name = sample.id.replaceAll(/[^\w.-]/g, "_");
    const path = join(this.#cache, `${name}-${answerFrames}x${height}x${width}.safetensors`);
    if (!existsSync(path)) {
      const video = await VideoModel.open(this.suite, { threads: this.threads, isBlockwise: true });
      const { frames } = await this.frames(sample.input, signal);
      const { references } = await video.references(frames, { signal });
      const { all: clean } = await video.references(await this.answerFrames(sample.output, signal), {
        signal,
      });
      await video.release();
      const context = await this.context(sample.caption, signal);
      await mkdir(this.#cache, { recursive: true });
      const tensors = Object.entries({ references, clean, context }).map(
        ([key, { shape, data }]) => [key, { shape, data: data as Float32Array<ArrayBuffer> }] as const,
      );
      await writeSafetensors(path, tensors, { dtype: "F32" });
    }
    const found = await readSafetensors(path);
    const read = (key: string): NdArray => {
      const tensor = found.get(key)!;
      return { dtype: "f32", shape: tensor.shape, data: asFloat32(tensor) };
    };
    return { references: read("references"), clean: read("clean"), context: read("context") };
  }

  /** A text as the video model takes it. */
  async context(text: string, signal?: AbortSignal): Promise<NdArray> {
    const encoder = await TextEncoder.open(this.suite, { threads: this.threads, isBlockwise: true });
    const { context } = await encoder.encode(text, { signal });
    await encoder.release();
    return context;
  }
}
