/**
 * Rewards of responses and videos by name, over the models of a suite.
 * @module
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Suite } from "../answer/index.ts";
import { VansError } from "../base/errors.ts";
import type { Clip } from "../media/clip.ts";
import { clipPixels } from "../media/pixels.ts";
import { rougeL, videoEventVerdict } from "../metrics/index.ts";
import { ClipRunner, clipConfig } from "../models/clip/index.ts";
import { f32, i32, type NdArray } from "../tensor/index.ts";
import { loadTokenizer, type Tokenizer } from "../text/index.ts";
import { candidates, type WorldSample } from "../world/index.ts";
import { readWeights } from "./initial-weights.ts";
import { clipIds } from "./train-clip.ts";

/** What is rewarded. */
export interface Rewarded {
  readonly sample: WorldSample;
  /** Undefined where a response breaks the format. */
  readonly caption: string | undefined;
  /** What was drawn; undefined where nothing was. */
  readonly clip?: Clip | undefined;
}

/**
 * - `format`: 1 for a well-formed response, else 0
 * - `rougeL`: ROUGE-L F1 of the caption against the reference caption, 0 … 1
 * - `clipVideo`: mean cosine of frames and the frames of the true video, -1 … 1
 * - `clipText`: mean cosine of frames and the caption, -1 … 1 (CLIPScore without its factor 2.5)
 * - `event`: 1 where the video shows the right event rather than another, else 0
 */
export const GRPO_REWARDS = ["format", "rougeL", "clipVideo", "clipText", "event"] as const;
export type GrpoReward = (typeof GRPO_REWARDS)[number];

/** Rewards that look at a video. */
export const needsVideo = (name: GrpoReward): boolean => name !== "format" && name !== "rougeL";

/** What the video rewards need. */
export interface RewardModels {
  /** A clip of the answer's size, encoded and decoded again; for `event`. */
  readonly throughAutoencoder: (clip: Clip) => Promise<Clip>;
}

/** Every second frame is looked at. */
const FRAME_STRIDE = 2;
/** Embeddings of true videos and candidates that are kept. */
const KEPT = 64;

/** Rewards over one suite's CLIP. */
export class RewardJudge {
  readonly #clip: { readonly runner: ClipRunner; readonly tokenizer: Tokenizer } | undefined;
  readonly #models: RewardModels;
  readonly #truths = new Map<number, NdArray>();
  readonly #events = new Map<number, readonly Clip[]>();

  private constructor(
    clip: { readonly runner: ClipRunner; readonly tokenizer: Tokenizer } | undefined,
    models: RewardModels,
  ) {
    this.#clip = clip;
    this.#models = models;
  }

  /** @throws `VANS_TRAIN_REWARD` where a CLIP reward is asked of a suite without CLIP */
  static async open(
    suite: Suite,
    names: readonly GrpoReward[],
    models: RewardModels,
    threads: number,
  ): Promise<RewardJudge> {
    if (!names.some((name) => name.startsWith("clip"))) return new RewardJudge(undefined, models);
    const { clip } = suite.manifest;
    if (!clip)
      throw new VansError("VANS_TRAIN_REWARD", `${suite.name} has no CLIP to reward with`, {
        asked: names.join(", "),
        fix: "add clip to suite.json, or use rewards that need none",
      });
    const config = clipConfig(JSON.parse(await readFile(join(suite.folder, clip.config), "utf8")));
    const weights = await readWeights(join(suite.folder, clip.weights[0]!));
    const runner = new ClipRunner(config, { threads, weights: { weight: (name) => weights[name] } });
    return new RewardJudge(
      { runner, tokenizer: await loadTokenizer(join(suite.folder, clip.tokenizer)) },
      models,
    );
  }

  /** One reward. What a broken response cannot have is 0. */
  async score(name: GrpoReward, { sample, caption, clip }: Rewarded): Promise<number> {
    switch (name) {
      case "format":
        return caption === undefined ? 0 : 1;
      case "rougeL":
        return caption === undefined ? 0 : rougeL(sample.caption, caption);
      case "clipVideo":
        return clip ? meanCosine(await this.#frames(clip), await this.#truth(sample)) : 0;
      case "clipText":
        return clip && caption !== undefined
          ? meanCosine(await this.#frames(clip), await this.#text(caption))
          : 0;
      case "event":
        return clip && videoEventVerdict(clip, await this.#candidates(sample)).isRight ? 1 : 0;
    }
  }

  /** Unit embeddings of the frames that are looked at. */
  async #frames(clip: Clip): Promise<NdArray> {
    const { runner } = this.#clip!;
    const size = runner.config.vision.imageSize;
    const { frameCount, height, width } = clip;
    const frames = Math.ceil(frameCount / FRAME_STRIDE);
    const pixels = new Float32Array(frames * 3 * size * size);
    for (let n = 0; n < frames; n++) {
      const at = n * FRAME_STRIDE * height * width * 3;
      const image = { height, width, rgb: clip.rgb.subarray(at, at + height * width * 3) };
      pixels.set(
        clipPixels(image, { shortestSide: size, crop: { height: size, width: size } }),
        n * 3 * size * size,
      );
    }
    return runner.embedImages(f32(pixels, [frames, 3, size, size]));
  }

  async #truth(sample: WorldSample): Promise<NdArray> {
    const before = this.#truths.get(sample.seed);
    if (before) return before;
    return keep(this.#truths, sample.seed, await this.#frames(sample.output));
  }

  async #text(caption: string): Promise<NdArray> {
    const { runner, tokenizer } = this.#clip!;
    const ids = clipIds(tokenizer, [caption]);
    return runner.embedTexts(i32(ids, [1, ids.length]));
  }

  async #candidates(sample: WorldSample): Promise<readonly Clip[]> {
    const before = this.#events.get(sample.seed);
    if (before) return before;
    const shown: Clip[] = [];
    for (const event of candidates(sample)) shown.push(await this.#models.throughAutoencoder(event.render()));
    return keep(this.#events, sample.seed, shown);
  }

  async release(): Promise<void> {
    await this.#clip?.runner.release();
  }
}

function keep<T>(kept: Map<number, T>, key: number, value: T): T {
  if (kept.size >= KEPT) kept.delete(kept.keys().next().value!);
  kept.set(key, value);
  return value;
}

/** Mean cosine of unit rows with the rows of `b` (or its only one). */
function meanCosine(a: NdArray, b: NdArray): number {
  const [rows, width] = a.shape as [number, number];
  const isOne = b.shape[0] === 1;
  let total = 0;
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < width; i++)
      total += a.data[row * width + i]! * b.data[(isOne ? 0 : row * width) + i]!;
  return total / rows;
}

/** Mean and population deviation. */
export function moments(values: readonly number[]): { readonly mean: number; readonly std: number } {
  if (values.length === 0) return { mean: 0, std: 0 };
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, std: Math.sqrt(squares / values.length) };
}
