/**
 * Fréchet video distance: how far the videos of a set, as an I3D sees them, lie from those of a reference set.
 *
 * Definition: Unterthiner et al., "Towards accurate generative models of video" (arXiv 1812.01717): the Fréchet distance
 * of the features of an Inception-3D, seen as normal distributions. Range 0 … ∞, lower is better, 0 for equal sets.
 *
 * Repositories differ in how frames are resized, in the batch norms' epsilon, in the covariance's divisor, in the layer
 * that is taken and in the weights, and their numbers cannot be compared. So a distance always carries its
 * {@link FvdSettings}. It also falls with the number of videos: compare sets of one size only.
 *
 * What games it: it compares sets, not answers with their questions. Right videos under the wrong questions score 0, and
 * memorised training videos score well. Read event accuracy and CLIP-V beside it.
 * @module
 */
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { bits, fold, type Key, keyFromSeed } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { type I3dFit, I3dRunner, type I3dTap, i3dPixels } from "../models/i3d/index.ts";
import type { CompileOptions } from "../runtime/index.ts";
import { type FeatureSet, type FrechetResult, frechetDistance } from "./frechet.ts";
import { type I3dModel, i3dModel } from "./i3d-model.ts";
import { bindWeights, readModelJson, weightsSha256 } from "./suite-part.ts";

/** Everything that decides what a distance means. */
export interface FvdSettings {
  /** Name of the network's weights. */
  readonly weights: string;
  /** SHA-256 of the file of weights; `unknown` where a meter was made from weights in memory. */
  readonly weightsSha256: string;
  /** How frames become squares. */
  readonly fit: I3dFit;
  /** Side of the squares in pixels. */
  readonly sizePx: number;
  /** Of the network's batch norms. */
  readonly batchNormEpsilon: number;
  /** Of the covariances. */
  readonly divisor: "N" | "N-1";
  /** Which output stands for a video. */
  readonly tap: I3dTap;
}

/** A distance with all that it depends on. */
export interface FvdResult extends FrechetResult {
  readonly settings: FvdSettings;
  /** Videos of the two sets. */
  readonly generatedCount: number;
  readonly referenceCount: number;
}

/** Settings that can be chosen; the rest belongs to the network. */
export type FvdChoices = Partial<Pick<FvdSettings, "fit" | "divisor" | "tap">>;

/** Settings in one line, for tables. */
export function describeFvd(settings: FvdSettings): string {
  const { weights, weightsSha256, fit, sizePx, batchNormEpsilon, divisor, tap } = settings;
  return `I3D ${weights} (SHA-256 ${weightsSha256.slice(0, 12)}), ${tap}, ${fit} to ${sizePx} px, batch-norm epsilon ${batchNormEpsilon}, covariance / ${divisor}`;
}

function settingsOf(
  model: Pick<I3dModel, "config" | "name" | "sizePx"> & { readonly weightsSha256?: string },
  { fit = "stretch", divisor = "N-1", tap = "logits" }: FvdChoices,
): FvdSettings {
  const { name: weights, weightsSha256: hash = "unknown", sizePx, config } = model;
  return {
    weights,
    weightsSha256: hash,
    fit,
    sizePx,
    batchNormEpsilon: config.epsilon,
    divisor,
    tap,
  };
}

/** The settings of a meter that {@link FvdMeter.open} would open, for those who hold its features. */
export async function fvdSettings(folder: string, choices: FvdChoices = {}): Promise<FvdSettings> {
  const model = i3dModel(await readModelJson(folder));
  return settingsOf({ ...model, weightsSha256: await weightsSha256(folder) }, choices);
}

/** Features of videos and the distances between sets of them. Release it when done. */
export class FvdMeter {
  readonly settings: FvdSettings;
  readonly #runner: I3dRunner;

  /**
   * Common repositories take logits, stretch frames and divide by N - 1 or N; the defaults are `logits`, `stretch`, `N-1`.
   * @param run with the network's weights; the epsilon and the size are those of the model
   */
  constructor(
    model: Pick<I3dModel, "config" | "name" | "sizePx"> & { readonly weightsSha256?: string },
    run: CompileOptions,
    choices: FvdChoices = {},
  ) {
    this.settings = settingsOf(model, choices);
    this.#runner = new I3dRunner(model.config, run);
  }

  /** Opens an I3D from a folder with `config.json` and weights. @throws `VANS_METRICS_MODEL`, and as `openWeights` */
  static async open(
    folder: string,
    options: FvdChoices & { readonly run?: CompileOptions } = {},
  ): Promise<FvdMeter> {
    const model = { ...i3dModel(await readModelJson(folder)), weightsSha256: await weightsSha256(folder) };
    return new FvdMeter(model, { ...options.run, weights: await bindWeights(folder) }, options);
  }

  /** The features of one video: `[size]`. @throws `VANS_MODEL_FRAME_SIZE` for a clip that is too short */
  async features(clip: Clip): Promise<Float32Array> {
    const { fit, sizePx, tap } = this.settings;
    const taps = await this.#runner.run(i3dPixels(clip, { fit, size: sizePx }));
    return taps[tap].data as Float32Array;
  }

  /** The features of many videos, one after the other. @throws `VANS_RUN_ABORTED` between two of them */
  async featureSet(
    clips: Iterable<Clip> | AsyncIterable<Clip>,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<FeatureSet> {
    const rows: Float32Array[] = [];
    for await (const clip of clips) {
      throwIfAborted(signal);
      rows.push(await this.features(clip));
    }
    return stackFeatures(rows);
  }

  /** The distance of two sets of features that this meter made. */
  distance(generated: FeatureSet, reference: FeatureSet): FvdResult {
    return fvdOfFeatures(generated, reference, this.settings);
  }

  async release(): Promise<void> {
    await this.#runner.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** Rows of one width as a set. @throws `VANS_METRICS_FEATURES_INVALID` for none, or for several widths */
export function stackFeatures(rows: readonly ArrayLike<number>[]): FeatureSet {
  const size = rows[0]?.length ?? 0;
  if (rows.length === 0 || rows.some((row) => row.length !== size)) {
    throw new VansError("VANS_METRICS_FEATURES_INVALID", "these features are no set", {
      asked: "at least one row, all of one width",
      found: `${rows.length} rows of ${[...new Set(rows.map((row) => row.length))].join(", ")} numbers`,
    });
  }
  const data = new Float64Array(rows.length * size);
  rows.forEach((row, i) => {
    data.set(Array.from(row), i * size);
  });
  return { data, count: rows.length, size };
}

/** The distance of two sets of features, with the settings that they were made by. */
export function fvdOfFeatures(
  generated: FeatureSet,
  reference: FeatureSet,
  settings: FvdSettings,
): FvdResult {
  const { divisor } = settings;
  return {
    ...frechetDistance(generated, reference, { divisor }),
    settings,
    generatedCount: generated.count,
    referenceCount: reference.count,
  };
}

/** A difference of two distances with its interval. */
export interface FvdDifference {
  /** Distance of `first`, of `second`, and second minus first. */
  readonly first: number;
  readonly second: number;
  readonly difference: number;
  /** The paired bootstrap's 95 % percentile interval of the difference. */
  readonly low: number;
  readonly high: number;
}

/**
 * Two systems on the same samples: the difference of their distances to the reference, with a paired bootstrap interval.
 * Each resample draws samples, and takes both systems' videos and the references of those. As every bootstrap of a
 * Fréchet distance, resamples repeat videos and so lie above the full set's distance; the shift is nearly the same for
 * both systems and leaves their difference.
 *
 * @param sets rows of the three sets belong together
 * @throws `VANS_METRICS_FEATURES_INVALID` where counts differ
 */
export function pairedFvdDifference(
  sets: { readonly first: FeatureSet; readonly second: FeatureSet; readonly reference: FeatureSet },
  settings: Pick<FvdSettings, "divisor">,
  { resamples = 200, key = fold(keyFromSeed(0), "fvd bootstrap") }: { resamples?: number; key?: Key } = {},
): FvdDifference {
  const { first, second, reference } = sets;
  const n = reference.count;
  if (first.count !== n || second.count !== n) {
    throw new VansError("VANS_METRICS_FEATURES_INVALID", "the three sets are not of the same samples", {
      found: `${first.count}, ${second.count} and ${n} videos`,
    });
  }
  const distances = (rows?: ArrayLike<number>): readonly [number, number] => {
    const pick = (set: FeatureSet): FeatureSet => (rows ? featureRows(set, rows) : set);
    const truth = pick(reference);
    const of = (set: FeatureSet): number => frechetDistance(pick(set), truth, settings).distance;
    return [of(first), of(second)];
  };
  const [a, b] = distances();
  const differences = new Float64Array(resamples);
  for (let round = 0; round < resamples; round++) {
    const draws = bits(fold(key, round), n);
    const [x, y] = distances(Array.from(draws, (draw) => Math.floor((draw / 4294967296) * n)));
    differences[round] = y - x;
  }
  differences.sort();
  const at = (share: number): number => differences[Math.round(share * (resamples - 1))] ?? b - a;
  return { first: a, second: b, difference: b - a, low: at(0.025), high: at(0.975) };
}

/** Some rows of a set, in the order and as often as they are named. */
export function featureRows({ data, size }: FeatureSet, rows: ArrayLike<number>): FeatureSet {
  const out = new Float64Array(rows.length * size);
  for (let i = 0; i < rows.length; i++)
    for (let k = 0; k < size; k++) out[i * size + k] = data[rows[i]! * size + k]!;
  return { data: out, count: rows.length, size };
}
