/**
 * Latents of playroom samples, encoded once by the frozen autoencoder and kept in a file beside the runs.
 * @module
 */
import { createHash } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fold, integer, keyFromSeed } from "../base/keys.ts";
import { encodeMoments, type VaeConfig } from "../models/wan/index.ts";
import { Params } from "../nn/index.ts";
import { compile } from "../runtime/index.ts";
import { f32, input, type NdArray } from "../tensor/index.ts";
import { asFloat32, readSafetensors, writeSafetensors } from "../weights/index.ts";
import {
  ANSWER_FRAMES,
  candidates,
  drawingVersion,
  INPUT_FRAMES,
  sampleForSeed,
  WORLD_SIZE,
} from "../world/index.ts";
import { copyWindow } from "./world-batches.ts";

/** Events of a sample that are encoded: the right one and two of the four others. */
export const EVENTS_PER_SAMPLE = 3;

/** Which candidates of a sample are encoded, the right one first; the two others by chance. */
export function cachedEvents(seed: number): readonly [number, number, number] {
  const key = fold(keyFromSeed(seed), "cached-events");
  const first = integer(fold(key, 1), 4);
  const second = (first + 1 + integer(fold(key, 2), 3)) % 4;
  return [0, 1 + first, 1 + second];
}

/** Encoded samples. */
export interface LatentCache {
  readonly seeds: readonly number[];
  /** Elements of the latents of one input clip and of one answer clip. */
  readonly inputSize: number;
  readonly answerSize: number;
  /** Latent frames of input and answer, and their height and width. */
  readonly inputFrames: number;
  readonly answerFrames: number;
  readonly latentSize: number;
  readonly channels: number;
  /** Raw means of the posterior, `[16, 6, 8, 8]` a sample. */
  readonly inputs: Float32Array;
  /** `[16, 5, 8, 8]` an event, the right one first. */
  readonly answers: Float32Array;
  /** Mean and standard deviation of each channel over the cache. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Encodes clips with fixed weights. */
export async function clipEncoder(
  config: VaeConfig,
  weights: Readonly<Record<string, NdArray>>,
  frames: number,
  threads: number,
) {
  const params = new Params();
  const video = input("video", [1, 3, frames, WORLD_SIZE, WORLD_SIZE]);
  const { mean } = encodeMoments(params, config, video);
  const exe = await compile({ mean }, { threads, weights: { weight: (name) => weights[name] } });
  const pixels = new Float32Array(3 * frames * WORLD_SIZE * WORLD_SIZE);
  return {
    encode: async (clip: {
      readonly rgb: Uint8Array;
      readonly height: number;
      readonly width: number;
      readonly frameCount: number;
      readonly frameRateHz: number;
    }): Promise<Float32Array> => {
      copyWindow(clip, { frame: 0, frames, top: 0, left: 0, size: WORLD_SIZE, mirrored: false }, pixels, 0);
      const out = await exe.run({ video: f32(pixels, [1, 3, frames, WORLD_SIZE, WORLD_SIZE]) });
      return out["mean"]!.data as Float32Array;
    },
    release: () => exe.release(),
  };
}

function statistics(
  channels: number,
  arrays: readonly Float32Array[],
  frameElements: number,
): { mean: number[]; std: number[] } {
  const sum = new Float64Array(channels);
  const squares = new Float64Array(channels);
  const counts = new Float64Array(channels);
  for (const data of arrays) {
    for (let i = 0; i < data.length; i++) {
      const c = Math.floor(i / frameElements) % channels;
      sum[c]! += data[i]!;
      squares[c]! += data[i]! ** 2;
      counts[c]!++;
    }
  }
  const mean = [...sum].map((total, c) => total / counts[c]!);
  return { mean, std: mean.map((m, c) => Math.sqrt(Math.max(1e-8, squares[c]! / counts[c]! - m * m))) };
}

/** The cache for these weights and seeds, from its file or made now. */
export async function latentCache(
  config: VaeConfig,
  weights: Readonly<Record<string, NdArray>>,
  seeds: readonly number[],
  options: { readonly folder: string; readonly threads: number; readonly report?: (text: string) => void },
): Promise<LatentCache> {
  const hash = createHash("sha256").update(
    JSON.stringify([config, drawingVersion, EVENTS_PER_SAMPLE, seeds.length, seeds[0], seeds.at(-1)]),
  );
  for (const name of Object.keys(weights).sort()) hash.update(name).update(weights[name]!.data);
  const path = join(options.folder, `latents-${hash.digest("hex").slice(0, 16)}.safetensors`);
  const latentSize = WORLD_SIZE / 8;
  const inputFrames = (INPUT_FRAMES - 1) / 4 + 1;
  const answerFrames = (ANSWER_FRAMES - 1) / 4 + 1;
  const frameElements = latentSize * latentSize;
  const channels = config.z_dim;
  const inputSize = channels * inputFrames * frameElements;
  const answerSize = channels * answerFrames * frameElements;
  let inputs: Float32Array;
  let answers: Float32Array;
  if (await stat(path).catch(() => undefined)) {
    const tensors = await readSafetensors(path);
    inputs = asFloat32(tensors.get("inputs")!);
    answers = asFloat32(tensors.get("answers")!);
  } else {
    inputs = new Float32Array(seeds.length * inputSize);
    answers = new Float32Array(seeds.length * EVENTS_PER_SAMPLE * answerSize);
    const forInput = await clipEncoder(config, weights, INPUT_FRAMES, options.threads);
    const forAnswer = await clipEncoder(config, weights, ANSWER_FRAMES, options.threads);
    const startedAt = performance.now();
    for (const [n, seed] of seeds.entries()) {
      const sample = sampleForSeed(seed);
      inputs.set(await forInput.encode(sample.input), n * inputSize);
      const events = candidates(sample);
      for (const [e, candidate] of cachedEvents(seed).entries()) {
        answers.set(
          await forAnswer.encode(events[candidate]!.render()),
          (n * EVENTS_PER_SAMPLE + e) * answerSize,
        );
      }
      if ((n + 1) % 200 === 0) {
        const left = ((performance.now() - startedAt) / 1000 / (n + 1)) * (seeds.length - n - 1);
        options.report?.(`encoded ${n + 1}/${seeds.length} samples, ${Math.round(left)} s left`);
      }
    }
    await forInput.release();
    await forAnswer.release();
    await mkdir(options.folder, { recursive: true });
    await writeSafetensors(
      path,
      [
        ["inputs", { shape: [seeds.length, inputSize], data: inputs }],
        ["answers", { shape: [seeds.length * EVENTS_PER_SAMPLE, answerSize], data: answers }],
      ],
      { dtype: "F16" },
    );
  }
  const perFrame = statisticsOf(
    inputs,
    answers,
    channels,
    inputFrames * frameElements,
    answerFrames * frameElements,
  );
  return {
    seeds,
    inputSize,
    answerSize,
    inputFrames,
    answerFrames,
    latentSize,
    channels,
    inputs,
    answers,
    ...perFrame,
  };
}

function statisticsOf(
  inputs: Float32Array,
  answers: Float32Array,
  channels: number,
  inputElements: number,
  answerElements: number,
): { mean: number[]; std: number[] } {
  const a = statistics(channels, [inputs], inputElements);
  const b = statistics(channels, [answers], answerElements);
  const weight = inputs.length / (inputs.length + answers.length);
  const mean = a.mean.map((m, c) => weight * m + (1 - weight) * b.mean[c]!);
  const std = mean.map((m, c) => {
    const second =
      weight * (a.std[c]! ** 2 + a.mean[c]! ** 2) + (1 - weight) * (b.std[c]! ** 2 + b.mean[c]! ** 2);
    return Math.sqrt(Math.max(1e-8, second - m * m));
  });
  return { mean, std };
}
