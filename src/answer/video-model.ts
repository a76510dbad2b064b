/**
 * The video side: a clip to reference latents, noise to latents under a caption, latents to frames.
 * @module
 */
import { type Key, normal } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { clipFromValues, valuesFromClip } from "../media/index.ts";
import {
  BlockwiseDit,
  DitRunner,
  latentFrameCount,
  pickReferenceFrames,
  type SampleStep,
  sampleLatents,
  VANS_TILING,
  Vae,
  vaeStride,
} from "../models/wan/index.ts";
import { f32, type NdArray, sizeOf } from "../tensor/index.ts";
import type { RunOptions } from "./language-model.ts";
import type { PartOptions } from "./quantized-parts.ts";
import type { Suite } from "./suite.ts";
import type { AnswerSettings } from "./suite-manifest.ts";
import { openPart } from "./suite-weights.ts";

/** The latents of a clip. */
export interface ClipLatents {
  /** Of the whole clip, normalised: `[1, C, t, h, w]`. */
  readonly all: NdArray;
  /** Those that condition the video model: `[1, C, R, h, w]`. */
  readonly references: NdArray;
}

/** What a future is drawn from. */
export interface DrawRequest {
  readonly references: NdArray;
  /** `[1, L, width]` */
  readonly context: NdArray;
  /** Of the negative text; needed unless the guidance scale is 1. */
  readonly negativeContext: NdArray | undefined;
  readonly key: Key;
}

/** The video transformer and the autoencoder of a suite. */
export class VideoModel {
  readonly #suite: Suite;
  readonly #settings: AnswerSettings;
  readonly #vae: Vae;
  readonly #dit: DitRunner | BlockwiseDit;

  private constructor(suite: Suite, vae: Vae, dit: DitRunner | BlockwiseDit) {
    this.#suite = suite;
    this.#settings = suite.manifest.answer;
    this.#vae = vae;
    this.#dit = dit;
  }

  static async open(
    suite: Suite,
    { isBlockwise = false, quantized, ...options }: PartOptions,
  ): Promise<VideoModel> {
    const [vae, vdm] = await Promise.all([
      openPart(suite, "vae"),
      openPart(suite, "vdm", { quantized: quantized?.vdm }),
    ]);
    const bound = { ...options, weights: vdm.binding, lora: vdm.lora };
    const { config } = suite.vdm;
    return new VideoModel(
      suite,
      new Vae(suite.vae.config, vae.binding, { ...options, mapped: isBlockwise }),
      isBlockwise ? new BlockwiseDit(config, bound) : new DitRunner(config, bound),
    );
  }

  /**
   * Encodes the clip as a whole, then picks reference frames from its latents. A clip of one frame has one latent frame,
   * which then stands for all references.
   */
  async references(frames: Clip, options: RunOptions = {}): Promise<ClipLatents> {
    const { frameCount, height, width } = frames;
    const video = f32(valuesFromClip(frames), [1, 3, frameCount, height, width]);
    const all = await this.#vae.encode(video, { ...options, ...this.#tiling });
    const { latents } = pickReferenceFrames(all, this.#settings.referenceLatentFrames);
    return { all, references: latents };
  }

  /** Latents of an answer's shape. */
  get #latentShape(): readonly [number, number, number, number, number] {
    const { answerFrames, height, width } = this.#settings;
    const { config } = this.#suite.vae;
    const { space } = vaeStride(config);
    return [1, config.z_dim, latentFrameCount(config, answerFrames), height / space, width / space];
  }

  get #tiling(): { readonly tiling?: typeof VANS_TILING } {
    return this.#settings.tiled ? { tiling: VANS_TILING } : {};
  }

  /** Draws latents from noise, yielding every step; the last step's `latents` are the result. */
  draw(
    request: DrawRequest,
    settings: Pick<AnswerSettings, "steps" | "shift" | "guidanceScale" | "scheduler">,
    options: RunOptions & { readonly batchBranches: boolean },
  ): AsyncGenerator<SampleStep, NdArray> {
    const { key, ...rest } = request;
    const shape = this.#latentShape;
    const { steps, shift, guidanceScale, scheduler } = settings;
    return sampleLatents({
      ...rest,
      model: (step) => this.#dit.velocity(step, { signal: options.signal }),
      noise: f32(normal(key, sizeOf(shape)), shape),
      steps,
      shift,
      guidanceScale,
      scheduler,
      ...options,
    });
  }

  /** Frames of an answer's latents. */
  async decode(latents: NdArray, options: RunOptions = {}): Promise<Clip> {
    const video = await this.#vae.decode(latents, { ...options, ...this.#tiling });
    const [, , frameCount, height, width] = video.shape as [number, number, number, number, number];
    const { frameRateHz } = this.#settings;
    return clipFromValues(video.data as Float32Array, { frameCount, height, width, frameRateHz });
  }

  /**
   * How well the autoencoder knows this footage: the root mean square error of its first frames, in levels of 255.
   * Decodes as many latents as an answer has, so that both share a compiled graph.
   */
  async reconstructionError(frames: Clip, latents: ClipLatents, options: RunOptions = {}): Promise<number> {
    const [, channels, wanted, rows, columns] = this.#latentShape;
    const available = latents.all.shape[2]!;
    const area = rows * columns;
    const data = new Float32Array(channels * wanted * area);
    for (let channel = 0; channel < channels; channel++) {
      for (let frame = 0; frame < wanted; frame++) {
        const from = (channel * available + Math.min(frame, available - 1)) * area;
        data.set(
          (latents.all.data as Float32Array).subarray(from, from + area),
          (channel * wanted + frame) * area,
        );
      }
    }
    const decoded = await this.decode(f32(data, this.#latentShape), options);
    const { config } = this.#suite.vae;
    const compared = 1 + (Math.min(wanted, available) - 1) * vaeStride(config).time;
    const length = compared * frames.height * frames.width * 3;
    let total = 0;
    for (let i = 0; i < length; i++) total += (decoded.rgb[i]! - frames.rgb[i]!) ** 2;
    return Math.sqrt(total / length);
  }

  /** Gives the compiled graphs of one or both models back. */
  async release(which: "vae" | "dit" | "both" = "both"): Promise<void> {
    if (which !== "dit") await this.#vae.release();
    if (which !== "vae") await this.#dit.release();
  }
}
