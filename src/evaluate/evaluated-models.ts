/**
 * What an evaluation asks of models: one interface, filled by a suite or by weights in training.
 * @module
 */
import type { WrittenAnswer } from "../answer/caption-of.ts";
import { fold, type Key, keyFromSeed, normal } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { clipFromValues, valuesFromClip } from "../media/index.ts";
import {
  latentFrameCount,
  pickReferenceFrames,
  type SchedulerName,
  sampleLatents,
  type Vae,
  type VelocityModel,
} from "../models/wan/index.ts";
import { f32, type NdArray } from "../tensor/index.ts";
import { ANSWER_FRAMES, WORLD_FRAME_RATE_HZ } from "../world/index.ts";

/** How work is stopped. */
export interface Stoppable {
  readonly signal?: AbortSignal | undefined;
}

/** How one of several answers is made. */
export interface AnswerOptions extends Stoppable {
  /** Which of them; 0, the default, is the suite's own answer, the others have noise and tokens of their own. */
  readonly answer?: number;
}

/** What a language model wrote. */
export type Written = Pick<WrittenAnswer, "text" | "caption" | "captionFrom" | "wellFormed">;

/** What a video is drawn from. */
export interface DrawOrder {
  /** Normalised latents `[1, C, R, h, w]`. */
  readonly references: NdArray;
  readonly caption: string;
  /** Of the noise. */
  readonly seed: number;
}

/** The models under evaluation. Everything goes sample by sample: batches are no faster on a CPU. */
export interface EvaluatedModels {
  /** What the language model writes about the frames that it is shown; only the part `caption` needs it. */
  write?(frames: Clip, question: string, seed: number, options: AnswerOptions): Promise<Written>;
  /** A clip of the answer's size, encoded and decoded again. */
  throughAutoencoder(clip: Clip, options: Stoppable): Promise<Clip>;
  /** The latents of an input that condition the video model. */
  references(frames: Clip, options: Stoppable): Promise<NdArray>;
  /** A video of 17 frames. */
  draw(order: DrawOrder, options: AnswerOptions): Promise<Clip>;
}

/** The key of an answer's noise: that of `vans answer --seed <seed>`, of the first or of a later future. */
export function noiseKey(seed: number, answer = 0): Key {
  return fold(keyFromSeed(seed), "noise", answer);
}

/** The key of an answer's tokens, likewise. */
export function tokenKey(seed: number, answer = 0): Key {
  return fold(keyFromSeed(seed), "tokens", answer);
}

/** Models as training holds them. */
export interface VideoModelParts {
  readonly vae: Vae;
  /** For example `DitRunner.velocity`. */
  readonly velocity: VelocityModel;
  /** A text to `[1, L, width]`. */
  readonly embed: (text: string) => Promise<NdArray>;
  readonly steps: number;
  readonly shift: number;
  readonly guidanceScale: number;
  /** Default `euler`. */
  readonly scheduler?: SchedulerName;
  /** Latent frames of the input that condition the video model; default 6. */
  readonly referenceLatentFrames?: number;
}

/** Video models for {@link EvaluatedModels} from parts; the caller releases the parts. */
export function videoModels(parts: VideoModelParts): EvaluatedModels {
  const { vae, velocity, embed, steps, shift, guidanceScale, scheduler = "euler" } = parts;
  const { referenceLatentFrames = 6 } = parts;
  const encode = (clip: Clip, options: Stoppable): Promise<NdArray> =>
    vae.encode(f32(valuesFromClip(clip), [1, 3, clip.frameCount, clip.height, clip.width]), options);
  const decode = async (latents: NdArray, options: Stoppable): Promise<Clip> => {
    const video = await vae.decode(latents, options);
    const [, , frameCount, height, width] = video.shape as [number, number, number, number, number];
    return clipFromValues(video.data as Float32Array, {
      frameCount,
      height,
      width,
      frameRateHz: WORLD_FRAME_RATE_HZ,
    });
  };
  let negative: Promise<NdArray> | undefined;
  return {
    throughAutoencoder: async (clip, options) => decode(await encode(clip, options), options),
    references: async (frames, options) =>
      pickReferenceFrames(await encode(frames, options), referenceLatentFrames).latents,
    draw: async ({ references, caption, seed }, options) => {
      const [, channels, , rows, columns] = references.shape as [number, number, number, number, number];
      const frames = latentFrameCount(vae.config, ANSWER_FRAMES);
      const shape = [1, channels, frames, rows, columns];
      if (guidanceScale !== 1) negative ??= embed("");
      const context = await embed(caption);
      const noise = f32(normal(noiseKey(seed, options.answer), channels * frames * rows * columns), shape);
      const sampling = sampleLatents({
        model: velocity,
        references,
        context,
        negativeContext: await negative,
        noise,
        steps,
        shift,
        guidanceScale,
        scheduler,
        signal: options.signal,
      });
      let latents = noise;
      for await (const step of sampling) latents = step.latents;
      return decode(latents, options);
    },
  };
}
