/**
 * The frozen parts around a video policy: texts, frames to latents and back, the sampler on policy weights.
 * @module
 */
import { openPart, type Suite, TextEncoder } from "../answer/index.ts";
import { type EvaluatedModels, videoModels } from "../evaluate/index.ts";
import type { Clip } from "../media/clip.ts";
import { clipFromValues, valuesFromClip } from "../media/index.ts";
import { DitRunner, pickReferenceFrames, Vae } from "../models/wan/index.ts";
import type { Feeds } from "../runtime/index.ts";
import { f32, type NdArray } from "../tensor/index.ts";
import type { WorldSample } from "../world/index.ts";
import { throughVideo } from "./through-video.ts";
import type { VideoPolicy } from "./video-policy.ts";

/** Encodings that are kept, of samples and of texts. */
const KEPT = 256;

/** A map that forgets what came first. */
function remember<Key, Value>(
  kept: Map<Key, Promise<Value>>,
  key: Key,
  make: () => Promise<Value>,
): Promise<Value> {
  const before = kept.get(key);
  if (before) return before;
  if (kept.size >= KEPT) kept.delete(kept.keys().next().value!);
  const made = make();
  kept.set(key, made);
  made.catch(() => kept.delete(key));
  return made;
}

/** Text encoder and autoencoder of a suite, and the plain sampler for looking. */
export class FrozenVideo {
  /** Of the suite's negative text. */
  readonly negativeContext: NdArray;
  readonly #suite: Suite;
  readonly #texts: TextEncoder;
  readonly #vae: Vae;
  readonly #runner: DitRunner;
  readonly #references = new Map<number, Promise<NdArray>>();
  readonly #contexts = new Map<string, Promise<NdArray>>();

  private constructor(
    suite: Suite,
    parts: {
      readonly texts: TextEncoder;
      readonly vae: Vae;
      readonly runner: DitRunner;
      readonly negativeContext: NdArray;
    },
  ) {
    this.#suite = suite;
    this.#texts = parts.texts;
    this.#vae = parts.vae;
    this.#runner = parts.runner;
    this.negativeContext = parts.negativeContext;
  }

  static async open(suite: Suite, policy: VideoPolicy, threads: number): Promise<FrozenVideo> {
    const texts = await TextEncoder.open(suite, { threads });
    const vae = new Vae(suite.vae.config, (await openPart(suite, "vae")).binding, { threads });
    const runner = new DitRunner(policy.config, { threads, weights: policy.binding, lora: policy.lora });
    const negativeContext = (await texts.encode(suite.manifest.answer.negativePrompt)).context;
    return new FrozenVideo(suite, { texts, vae, runner, negativeContext });
  }

  /** Embedding of a text, `[1, L, width]`; kept. */
  context(text: string): Promise<NdArray> {
    return remember(this.#contexts, text, async () => (await this.#texts.encode(text)).context);
  }

  /** Reference latents of a sample's input, `[1, C, R, h, w]`; kept by seed. */
  references(sample: WorldSample): Promise<NdArray> {
    return remember(this.#references, sample.seed, async () => {
      const latents = await this.encode(throughVideo(sample.input));
      return pickReferenceFrames(latents, this.#suite.manifest.answer.referenceLatentFrames).latents;
    });
  }

  /** Normalised latents of a clip. */
  encode(clip: Clip): Promise<NdArray> {
    const { frameCount, height, width } = clip;
    return this.#vae.encode(f32(valuesFromClip(clip), [1, 3, frameCount, height, width]));
  }

  /** The clip of latents `[1, C, F, h, w]`. */
  async decode(latents: NdArray): Promise<Clip> {
    const video = await this.#vae.decode(latents);
    const [, , frameCount, height, width] = video.shape as [number, number, number, number, number];
    const { frameRateHz } = this.#suite.manifest.answer;
    return clipFromValues(video.data as Float32Array, { frameCount, height, width, frameRateHz });
  }

  /** The suite's sampler over a policy with these adapters. */
  models(adapters: Feeds): EvaluatedModels {
    this.#runner.setParameters(adapters);
    const { steps, shift, guidanceScale, referenceLatentFrames } = this.#suite.manifest.answer;
    return videoModels({
      vae: this.#vae,
      velocity: this.#runner.velocity,
      embed: (text) => this.context(text),
      steps,
      shift,
      guidanceScale,
      referenceLatentFrames,
    });
  }

  async release(): Promise<void> {
    await Promise.all([this.#texts.release(), this.#vae.release(), this.#runner.release()]);
  }
}
