/**
 * CLIP similarities of videos: CLIP-V, to a reference video, and CLIP-T, to a caption.
 *
 * - **CLIP-V**: mean over aligned frames of the cosine of generated and reference frame. Range -1 … 1; 1 for equal clips.
 * - **CLIP-T**: mean over frames of the cosine of frame and caption. Range -1 … 1, in practice 0.1 … 0.5.
 *
 * Source: the evaluation of the VANS paper (arXiv 2511.16669), which reports both as plain cosines of CLIP (Radford et
 * al., arXiv 2103.00020); its code is not public, so "aligned" is taken as "of the same index".
 *
 * What games them: CLIP hardly sees order, speed or fine physics, so a clip in which nothing moves scores nearly as well
 * as the right event where the scene stays the same (read `motionEnergy` beside it), and pictures that are tuned
 * against one CLIP please that CLIP alone. So the CLIP that evaluates is another than the one that rewards, and both are
 * reported.
 * @module
 */
import { join } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { type Clip, clipPixels, frameOf } from "../media/index.ts";
import { ClipRunner, clipConfig } from "../models/clip/index.ts";
import type { CompileOptions } from "../runtime/index.ts";
import { f32, i32 } from "../tensor/index.ts";
import { loadTokenizer, type Tokenizer } from "../text/index.ts";
import { bindWeights, readModelJson } from "./suite-part.ts";

/** Which frames are looked at. */
export interface ClipScorerOptions {
  /** First frame that counts; default 0. A later one looks at the outcome alone, which is no longer CLIP-V or CLIP-T. */
  readonly fromFrame?: number;
  /** Every how many frames; default 1. */
  readonly everyFrames?: number;
}

/** Unit embeddings of frames: `[frames, size]`. */
export interface FrameEmbeddings {
  readonly rows: Float32Array;
  readonly size: number;
  readonly frames: number;
}

/** A similarity and its frames. */
export interface ClipSimilarityScore {
  /** Mean over the frames, -1 … 1. */
  readonly value: number;
  /** Cosine of each frame that counts. */
  readonly perFrame: readonly number[];
}

/** End token of the released configurations that transformers ignores; it pads and pools with the highest id instead. */
const LEGACY_EOS_TOKEN_ID = 2;

/** How work is stopped. */
interface Stoppable {
  readonly signal?: AbortSignal | undefined;
}

/**
 * A CLIP that compares videos with videos and captions. Embeddings of a clip are kept as long as the clip itself lives,
 * those of captions as long as the scorer, so references that come again cost nothing.
 */
export class ClipScorer {
  /** What the scorer is called in reports. */
  readonly name: string;
  readonly #runner: ClipRunner;
  readonly #tokenizer: Tokenizer;
  readonly #fromFrame: number;
  readonly #everyFrames: number;
  readonly #clips = new WeakMap<Clip, Promise<FrameEmbeddings>>();
  readonly #texts = new Map<string, Promise<Float32Array>>();

  /** @param runner released with the scorer */
  constructor(
    parts: { readonly name: string; readonly runner: ClipRunner; readonly tokenizer: Tokenizer },
    { fromFrame = 0, everyFrames = 1 }: ClipScorerOptions = {},
  ) {
    this.name = parts.name;
    this.#runner = parts.runner;
    this.#tokenizer = parts.tokenizer;
    this.#fromFrame = fromFrame;
    this.#everyFrames = everyFrames;
  }

  /**
   * Opens a CLIP from a folder with `config.json`, `tokenizer.json` and weights (a suite's `clip`, or a published one).
   * @throws `VANS_METRICS_MODEL`, `VANS_MODEL_CONFIG`, and as `openWeights` and `loadTokenizer`
   */
  static async open(
    folder: string,
    options: ClipScorerOptions & { readonly name?: string; readonly run?: CompileOptions } = {},
  ): Promise<ClipScorer> {
    const config = clipConfig(await readModelJson(folder));
    const tokenizer = await loadTokenizer(join(folder, "tokenizer.json"));
    const runner = new ClipRunner(config, { ...options.run, weights: await bindWeights(folder) });
    return new ClipScorer({ name: options.name ?? folder, runner, tokenizer }, options);
  }

  /**
   * Unit embeddings of the frames that count: resized and cut as CLIP does, at any input size.
   * @throws `VANS_METRICS_SHAPE` where no frame counts, `VANS_RUN_ABORTED`
   */
  frameEmbeddings(clip: Clip, { signal }: Stoppable = {}): Promise<FrameEmbeddings> {
    throwIfAborted(signal);
    const before = this.#clips.get(clip);
    if (before) return before;
    const made = this.#embedFrames(clip);
    this.#clips.set(clip, made);
    made.catch(() => this.#clips.delete(clip));
    return made;
  }

  async #embedFrames(clip: Clip): Promise<FrameEmbeddings> {
    const indices: number[] = [];
    for (let frame = this.#fromFrame; frame < clip.frameCount; frame += this.#everyFrames)
      indices.push(frame);
    if (indices.length === 0) {
      throw new VansError("VANS_METRICS_SHAPE", "the clip has no frame that counts", {
        asked: `frames from ${this.#fromFrame} on`,
        found: `${clip.frameCount} frames`,
      });
    }
    const { imageSize } = this.#runner.config.vision;
    const plane = 3 * imageSize * imageSize;
    const images = new Float32Array(indices.length * plane);
    indices.forEach((frame, i) => {
      images.set(clipPixels(frameOf(clip, frame), { shortestSide: imageSize }), i * plane);
    });
    const shape = [indices.length, 3, imageSize, imageSize];
    const embedded = await this.#runner.embedImages(f32(images, shape));
    return {
      rows: embedded.data as Float32Array,
      size: this.#runner.config.projectionSize,
      frames: indices.length,
    };
  }

  /** The unit embedding of a text, cut to the model's length. `[size]` */
  textEmbedding(text: string, { signal }: Stoppable = {}): Promise<Float32Array> {
    throwIfAborted(signal);
    const before = this.#texts.get(text);
    if (before) return before;
    const { maxPositions, eosTokenId, vocabularySize } = this.#runner.config.text;
    const end = eosTokenId === LEGACY_EOS_TOKEN_ID ? vocabularySize - 1 : eosTokenId;
    const { ids } = this.#tokenizer.encodeFixed(text, maxPositions, end);
    const made = this.#runner
      .embedTexts(i32(ids, [1, maxPositions]))
      .then(({ data }) => data as Float32Array);
    this.#texts.set(text, made);
    made.catch(() => this.#texts.delete(text));
    return made;
  }

  /**
   * CLIP-V of a generated clip against a reference; sizes in pixels may differ.
   * @throws `VANS_METRICS_SHAPE` where the clips have different numbers of frames
   */
  async clipV(generated: Clip, reference: Clip, options: Stoppable = {}): Promise<ClipSimilarityScore> {
    if (generated.frameCount !== reference.frameCount) {
      throw new VansError("VANS_METRICS_SHAPE", "the frames of two clips cannot be aligned", {
        asked: `${reference.frameCount} frames, as the reference has`,
        found: `${generated.frameCount} frames`,
      });
    }
    const ours = await this.frameEmbeddings(generated, options);
    return alignedCosines(ours, await this.frameEmbeddings(reference, options));
  }

  /** CLIP-T of a clip against a caption. */
  async clipT(clip: Clip, caption: string, options: Stoppable = {}): Promise<ClipSimilarityScore> {
    const text = await this.textEmbedding(caption, options);
    return textCosines(await this.frameEmbeddings(clip, options), text);
  }

  /** Gives the compiled graphs back. */
  async release(): Promise<void> {
    this.#texts.clear();
    await this.#runner.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/**
 * Cosines of frames with the frames of the same index. Embeddings are of length 1, so this is their product.
 *
 * @example
 * ```ts
 * import { alignedCosines } from "vans/metrics";
 * const a = { rows: Float32Array.of(1, 0, 0, 1), size: 2, frames: 2 };
 * const b = { rows: Float32Array.of(1, 0, 1, 0), size: 2, frames: 2 };
 * alignedCosines(a, b); // => { value: 0.5, perFrame: [1, 0] }
 * ```
 */
export function alignedCosines(a: FrameEmbeddings, b: FrameEmbeddings): ClipSimilarityScore {
  if (a.frames !== b.frames || a.size !== b.size) {
    throw new VansError("VANS_METRICS_SHAPE", "the embeddings of two clips cannot be aligned", {
      found: `[${a.frames}, ${a.size}] and [${b.frames}, ${b.size}]`,
    });
  }
  return scoreOf(
    Array.from({ length: a.frames }, (_, frame) =>
      dot(a.rows, frame * a.size, b.rows, frame * a.size, a.size),
    ),
  );
}

/** Cosines of frames with one text. @throws `VANS_METRICS_SHAPE` where widths differ */
export function textCosines(frames: FrameEmbeddings, text: Float32Array): ClipSimilarityScore {
  if (text.length !== frames.size) {
    throw new VansError("VANS_METRICS_SHAPE", "frames and text are of different models", {
      found: `widths ${frames.size} and ${text.length}`,
    });
  }
  return scoreOf(
    Array.from({ length: frames.frames }, (_, frame) =>
      dot(frames.rows, frame * frames.size, text, 0, frames.size),
    ),
  );
}

function dot(a: Float32Array, atA: number, b: Float32Array, atB: number, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += a[atA + i]! * b[atB + i]!;
  return sum;
}

function scoreOf(perFrame: readonly number[]): ClipSimilarityScore {
  return { value: perFrame.reduce((sum, one) => sum + one, 0) / perFrame.length, perFrame };
}
