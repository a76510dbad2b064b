/**
 * What the video transformer draws for held-out samples while it trains: samples, sheets, event accuracy.
 * @module
 */
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { clipFromValues } from "../media/pixels.ts";
import { videoEventVerdict } from "../metrics/event-accuracy.ts";
import { type Umt5Config, umt5Encode } from "../models/umt5/index.ts";
import {
  type DitConfig,
  DitRunner,
  decodeLatents,
  denormalizeLatents,
  normalizeLatents,
  sampleLatents,
  type VaeConfig,
} from "../models/wan/index.ts";
import { Params } from "../nn/index.ts";
import { compile, interpret } from "../runtime/index.ts";
import { f32, input, type NdArray } from "../tensor/index.ts";
import {
  ANSWER_FRAMES,
  candidates,
  INPUT_FRAMES,
  WORLD_FRAME_RATE_HZ,
  WORLD_SIZE,
  type WorldSample,
} from "../world/index.ts";
import type { SheetRow } from "./frame-sheet.ts";
import { clipEncoder } from "./latent-cache.ts";
import { throughVideo } from "./through-video.ts";

/** How previews are sampled. */
export interface PreviewOptions {
  readonly steps: number;
  readonly shift: number;
  readonly guidanceScale: number;
  readonly threads: number;
}

/** Everything about a held-out sample that does not change while the transformer trains. */
interface Prepared {
  readonly sample: WorldSample;
  /** Normalised `[1, C, R, h, w]`. */
  readonly references: NdArray;
  /** Normalised latents of the right event. */
  readonly truth: NdArray;
  /** The right event and the wrong ones through the autoencoder. */
  readonly candidates: readonly Clip[];
}

/** Noise levels at which the held-out loss is taken. */
const LOSS_SIGMAS = [0.2, 0.5, 0.8, 0.95] as const;

/** Texts to padded ids and masks. */
export type EncodeTexts = (texts: readonly string[]) => { readonly ids: NdArray; readonly mask: NdArray };

/** Previews with a fixed autoencoder. */
export class VdmPreview {
  private readonly prepared: Promise<readonly Prepared[]>;

  private readonly dit: DitConfig;
  private readonly text: Umt5Config;
  private readonly vae: VaeConfig;
  private readonly vaeWeights: Readonly<Record<string, NdArray>>;
  private readonly encodeTexts: EncodeTexts;
  private readonly options: PreviewOptions;

  constructor(
    parts: {
      readonly dit: DitConfig;
      readonly text: Umt5Config;
      readonly vae: VaeConfig;
      readonly vaeWeights: Readonly<Record<string, NdArray>>;
      readonly encodeTexts: EncodeTexts;
    },
    samples: readonly WorldSample[],
    options: PreviewOptions,
  ) {
    this.dit = parts.dit;
    this.text = parts.text;
    this.vae = parts.vae;
    this.vaeWeights = parts.vaeWeights;
    this.encodeTexts = parts.encodeTexts;
    this.options = options;
    this.prepared = this.prepare(samples);
  }

  private get latentShape(): readonly number[] {
    return [1, this.vae.z_dim, (ANSWER_FRAMES - 1) / 4 + 1, WORLD_SIZE / 8, WORLD_SIZE / 8];
  }

  private async decoder(): Promise<{
    decode: (latents: NdArray) => Promise<Clip>;
    release: () => Promise<void>;
  }> {
    const params = new Params();
    const z = input("z", this.latentShape);
    const video = decodeLatents(params, this.vae, denormalizeLatents(this.vae, z));
    const exe = await compile(
      { video },
      { threads: this.options.threads, weights: { weight: (name) => this.vaeWeights[name] } },
    );
    return {
      decode: async (latents) =>
        clipFromValues((await exe.run({ z: latents }))["video"]!.data as Float32Array, {
          frameCount: ANSWER_FRAMES,
          height: WORLD_SIZE,
          width: WORLD_SIZE,
          frameRateHz: WORLD_FRAME_RATE_HZ,
          rounding: "round",
        }),
      release: () => exe.release(),
    };
  }

  private normalise(latents: Float32Array, shape: readonly number[]): NdArray {
    return interpret({ z: normalizeLatents(this.vae, input("mean", shape)) }, { mean: f32(latents, shape) })[
      "z"
    ]!;
  }

  private async prepare(samples: readonly WorldSample[]): Promise<readonly Prepared[]> {
    const forInput = await clipEncoder(this.vae, this.vaeWeights, INPUT_FRAMES, this.options.threads);
    const forAnswer = await clipEncoder(this.vae, this.vaeWeights, ANSWER_FRAMES, this.options.threads);
    const decoder = await this.decoder();
    const out: Prepared[] = [];
    for (const sample of samples) {
      const frames = (INPUT_FRAMES - 1) / 4 + 1;
      const references = this.normalise((await forInput.encode(throughVideo(sample.input))).slice(), [
        1,
        this.vae.z_dim,
        frames,
        WORLD_SIZE / 8,
        WORLD_SIZE / 8,
      ]);
      const answers: NdArray[] = [];
      for (const event of candidates(sample))
        answers.push(this.normalise((await forAnswer.encode(event.render())).slice(), this.latentShape));
      const clips: Clip[] = [];
      for (const latents of answers) clips.push(await decoder.decode(latents));
      out.push({ sample, references, truth: answers[0]!, candidates: clips });
    }
    await forInput.release();
    await forAnswer.release();
    await decoder.release();
    return out;
  }

  /**
   * Samples every held-out sample from its true caption and from an abstract one, and takes the mean squared error of the
   * velocity on the truth at fixed noise levels (the held-out loss).
   */
  async look(
    weights: Readonly<Record<string, NdArray>>,
  ): Promise<{ rows: SheetRow[]; metrics: Record<string, number> }> {
    const prepared = await this.prepared;
    const binding = { weight: (name: string) => weights[name] };
    const { threads, ...sampling } = this.options;
    const params = new Params();
    const probe = this.encodeTexts([""]);
    const context = umt5Encode(
      params,
      this.text,
      input("ids", probe.ids.shape, "i32"),
      input("mask", probe.mask.shape, "i32"),
    );
    const encoder = await compile({ context }, { threads, weights: binding });
    const embed = async (text: string): Promise<NdArray> =>
      (await encoder.run({ ...this.encodeTexts([text]) }))["context"]!;
    const runner = new DitRunner(this.dit, { threads, weights: binding });
    const decoder = await this.decoder();
    const negativeContext = await embed("");
    const rows: SheetRow[] = [];
    const right: Record<string, { right: number; all: number }> = {};
    let squares = 0;
    let count = 0;
    for (const { sample, references, truth, candidates: clips } of prepared) {
      const noise = f32(
        normal(
          fold(keyFromSeed(sample.seed), "preview"),
          this.latentShape.reduce((a, b) => a * b, 1),
        ),
        this.latentShape,
      );
      const drawn = async (caption: string, names: readonly string[]): Promise<Clip> => {
        const steps = sampleLatents({
          model: runner.velocity,
          references,
          context: await embed(caption),
          negativeContext,
          noise,
          ...sampling,
        });
        let latents = noise;
        for await (const step of steps) latents = step.latents;
        const clip = await decoder.decode(latents);
        const verdict = videoEventVerdict(clip, clips);
        for (const name of names) {
          right[name] ??= { right: 0, all: 0 };
          right[name].all++;
          if (verdict.isRight) right[name].right++;
        }
        return clip;
      };
      const clip = await drawn(sample.caption, [sample.kind, sample.family]);
      await drawn(sample.right.captions.abstract[0]!, [`abstract.${sample.kind}`]);
      const context = await embed(sample.caption);
      for (const sigma of LOSS_SIGMAS) {
        const noisy = noise.data.map((e, i) => sigma * e + (1 - sigma) * truth.data[i]!) as Float32Array;
        const velocity = await runner.velocity({
          references,
          noisy: f32(noisy, this.latentShape),
          timestep: f32([1000 * sigma]),
          context,
        });
        velocity.data.forEach((v, i) => {
          squares += (v - (noise.data[i]! - truth.data[i]!)) ** 2;
        });
        count += noisy.length;
      }
      const shown = [0, 4, 8, 12, 16];
      rows.push([
        { clip: sample.input, frame: 0 },
        { clip: sample.input, frame: INPUT_FRAMES - 1 },
        ...shown.map((frame) => ({ clip: sample.output, frame })),
        ...shown.map((frame) => ({ clip, frame })),
      ]);
    }
    await encoder.release();
    await runner.release();
    await decoder.release();
    return {
      rows,
      metrics: {
        mse: squares / count,
        ...Object.fromEntries(
          Object.entries(right).map(([name, n]) => [`eventAccuracy.${name}`, n.right / n.all]),
        ),
      },
    };
  }
}
