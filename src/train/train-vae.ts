/**
 * Training the video autoencoder: reconstruction with a small KL, on windows of playroom clips.
 *
 * The recipe found in trials on small machines: single frames first (a third of the work: only the last time tap counts),
 * then clips from the inflated weights. Auxiliary, and gone when training ends: a PCA teacher that keeps the latents
 * conditioned during the first steps, and a weight on pixels that move.
 * @module
 */
import { z } from "zod";
import { fold, normal } from "../base/keys.ts";
import { clipFromValues } from "../media/pixels.ts";
import { psnrDb } from "../metrics/psnr.ts";
import {
  decodeLatents,
  encodeMoments,
  inflateVae,
  initVae,
  samplePosterior,
  type VaeConfig,
  WAN21_VAE,
} from "../models/wan/index.ts";
import { compileTrainStep, Params } from "../nn/index.ts";
import { compile, type Feeds } from "../runtime/index.ts";
import {
  abs,
  add,
  constant,
  conv,
  exp,
  f32,
  input,
  mean,
  minimum,
  mul,
  type NdArray,
  reshape,
  slice,
  sub,
  type Tensor,
} from "../tensor/index.ts";
import { frameSheet, type SheetRow } from "./frame-sheet.ts";
import { firstValues, initFile } from "./initial-weights.ts";
import { optimizerOf } from "./optimizers.ts";
import { principalComponents } from "./pca.ts";
import type { PrepareTask } from "./task.ts";
import { copyWindow, drawSample, drawWindow, heldOutSamples, stepKey } from "./world-batches.ts";

const settingsSchema = z.strictObject({
  /** Frames of a training window, 4k+1. */
  frames: z.int().positive(),
  /** Height and width of a training window in pixels. */
  size: z.int().positive().default(64),
  /** Random windows of which the liveliest is taken. */
  tries: z.int().positive().default(3),
  /** Weight of the squared error beside the absolute one. */
  squared: z.number().default(4),
  /** Weight of the difference of neighbouring pixels. */
  edges: z.number().default(0.5),
  /** Weight of the mean KL to the standard normal. */
  kl: z.number().default(3e-5),
  /** Further weight on pixels that differ from the window's first frame. */
  motion: z.number().default(0),
  /** Weight of the PCA teacher at the start. */
  teacher: z.number().default(0),
  /** Share of the run at which the teacher has faded. */
  teacherUntil: z.number().default(0.7),
  /** Start from an image-trained model: set its time taps as inflation does. */
  inflate: z.boolean().default(false),
});

const modelSchema = z.strictObject({
  base_dim: z.int().positive(),
  z_dim: z.int().positive().default(16),
  dim_mult: z.array(z.int().positive()).default([1, 2, 4, 4]),
  num_res_blocks: z.int().positive().default(2),
  temperal_downsample: z.array(z.boolean()).default([false, true, true]),
});

/** The autoencoder's configuration in a recipe; latent statistics are measured after training. */
export function vaeConfigOf(model: Readonly<Record<string, unknown>>): VaeConfig {
  const parsed = modelSchema.parse(model);
  return {
    ...WAN21_VAE,
    ...parsed,
    attn_scales: [],
    latents_mean: new Array<number>(parsed.z_dim).fill(0),
    latents_std: new Array<number>(parsed.z_dim).fill(1),
  };
}

/** Differences of neighbours along an axis. */
function difference(x: Tensor, axis: number): Tensor {
  return sub(slice(x, axis, 1), slice(x, axis, 0, -1));
}

const PATCH = 8;

/** A linear map from 8x8 patches to their leading components, scaled by variance^-0.3: a target for latents. */
function pcaTeacher(channels: number): { readonly weight: NdArray; readonly bias: NdArray } {
  const width = 3 * PATCH * PATCH;
  const samples = heldOutSamples(160);
  const patchesPerFrame = 64;
  const rows = new Float32Array(samples.length * patchesPerFrame * width);
  const frame = new Float32Array(3 * 64 * 64);
  samples.forEach((sample, n) => {
    copyWindow(
      n % 2 ? sample.output : sample.input,
      { frame: 12, frames: 1, top: 0, left: 0, size: 64, mirrored: false },
      frame,
      0,
    );
    for (let p = 0; p < patchesPerFrame; p++) {
      for (let i = 0; i < width; i++) {
        const [c, y, x] = [Math.floor(i / 64), Math.floor(i / PATCH) % PATCH, i % PATCH];
        rows[(n * patchesPerFrame + p) * width + i] =
          frame[c * 4096 + (Math.floor(p / 8) * PATCH + y) * 64 + (p % 8) * PATCH + x]!;
      }
    }
  });
  const found = principalComponents(rows, width, channels);
  const weight = new Float32Array(channels * width);
  const bias = new Float32Array(channels);
  found.rows.forEach((component, k) => {
    const scale = Math.max(found.variances[k]!, 1e-6) ** -0.3;
    component.forEach((value, i) => {
      weight[k * width + i] = value * scale;
      bias[k]! -= value * scale * found.mean[i]!;
    });
  });
  return { weight: f32(weight, [channels, 3, PATCH, PATCH]), bias: f32(bias) };
}

/** Prepares the task `vae`. */
export const prepareVae: PrepareTask = async (recipe, context) => {
  const config = vaeConfigOf(recipe.model);
  const settings = settingsSchema.parse(recipe.settings);
  const { frames, size } = settings;
  const params = new Params();
  const shape = [recipe.batch, 3, frames, size, size];
  const video = input("video", shape);
  const moments = encodeMoments(params, config, video);
  const noise = input("noise", moments.mean.shape);
  const rebuilt = decodeLatents(params, config, samplePosterior(moments, noise));

  const error = sub(rebuilt, video);
  const absolute = abs(error);
  let weights: Tensor | undefined;
  if (settings.motion > 0 && frames > 1) {
    const moved = mean(abs(sub(video, slice(video, 2, 0, 1))), { axes: [1], keepDims: true });
    weights = add(mul(minimum(mul(moved, 4), 1), settings.motion), 1);
  }
  const weighed = (x: Tensor): Tensor => (weights ? mul(x, weights) : x);
  const l1 = mean(weighed(absolute));
  const l2 = mean(weighed(mul(error, error)));
  const axes = frames > 1 ? [2, 3, 4] : [3, 4];
  const edge = axes.map((axis) => mean(abs(difference(error, axis)))).reduce((a, b) => add(a, b));
  const { mean: mu, logVariance } = moments;
  const kl = mul(mean(sub(add(mul(mu, mu), exp(logVariance)), add(logVariance, 1))), 0.5);
  let loss = add(add(l1, mul(l2, settings.squared)), add(mul(edge, settings.edges), mul(kl, settings.kl)));
  const metrics: Record<string, Tensor> = { l1, mse: mean(mul(error, error)), kl };
  if (settings.teacher > 0) {
    if (frames > 1) throw new Error("the PCA teacher is for single frames");
    const teacher = pcaTeacher(config.z_dim);
    const image = withoutTime(video);
    const target = conv(image, constant(teacher.weight), {
      strides: [PATCH, PATCH],
      padsBefore: [0, 0],
      padsAfter: [0, 0],
      bias: constant(teacher.bias),
    });
    const distance = sub(withoutTime(mu), target);
    const taught = mean(mul(distance, distance));
    metrics["teacher"] = taught;
    loss = add(loss, mul(taught, input("teacherWeight", [])));
  }

  const fresh = initVae(config, stepKey(recipe.seed, 0, "vae-init"));
  const given = await initFile(recipe, context, "vae");
  const start =
    given && settings.inflate
      ? inflateVae({ ...fresh, ...given }, stepKey(recipe.seed, 0, "vae-inflate"))
      : { ...fresh, ...given };
  const initial = firstValues(params.tensors, context, start);
  const step = await compileTrainStep(
    {
      loss,
      params: params.tensors,
      metrics,
      optimizer: optimizerOf(
        recipe,
        (name, tensor) =>
          tensor.rank >= 4 && tensor.size(0) > 3 && !name.endsWith("gamma") && tensor.size(1) > 1,
      ),
      clipNorm: recipe.optimizer.clipNorm,
      ema: true,
    },
    initial,
    { threads: recipe.threads, stepCount: context.resumed?.step ?? 0 },
  );

  const batch = async (at: number): Promise<Feeds> => {
    const pixels = new Float32Array(recipe.batch * 3 * frames * size * size);
    for (let n = 0; n < recipe.batch; n++) {
      const key = fold(stepKey(recipe.seed, at, "vae-batch"), n);
      const sample = drawSample(key);
      // Answers move; inputs are mostly at rest.
      const clip = n % 3 === 0 ? sample.input : sample.output;
      copyWindow(
        clip,
        drawWindow(key, clip, frames, size, settings.tries),
        pixels,
        n * 3 * frames * size * size,
      );
    }
    const latents = mu.shape;
    const feeds: Record<string, NdArray> = {
      video: f32(pixels, shape),
      noise: f32(
        normal(
          stepKey(recipe.seed, at, "vae-noise"),
          latents.reduce((a, b) => a * b, 1),
        ),
        latents,
      ),
    };
    if (settings.teacher > 0) {
      const faded = Math.max(0, 1 - at / (recipe.steps * settings.teacherUntil));
      feeds["teacherWeight"] = f32([settings.teacher * faded], []);
    }
    return feeds;
  };

  const rebuild = async (
    weights: Readonly<Record<string, NdArray>>,
  ): Promise<{ rows: SheetRow[]; metrics: Record<string, number> }> => {
    const length = frames === 1 ? 1 : 17;
    const count = 16;
    const look = new Params();
    const clips = input("video", [1, 3, length, 64, 64]);
    const y = decodeLatents(look, config, encodeMoments(look, config, clips).mean);
    const full = { ...start, ...weights };
    const exe = await compile({ y }, { threads: recipe.threads, weights: { weight: (name) => full[name] } });
    const rows: SheetRow[] = [];
    let [total, moving, still, movingCount, stillCount] = [0, 0, 0, 0, 0];
    const samples = heldOutSamples(count);
    for (const [n, sample] of samples.entries()) {
      const source = sample.output;
      const at = frames === 1 ? 8 : 0;
      const pixels = new Float32Array(3 * length * 4096);
      copyWindow(
        source,
        { frame: at, frames: length, top: 0, left: 0, size: 64, mirrored: false },
        pixels,
        0,
      );
      const out = (await exe.run({ video: f32(pixels, [1, 3, length, 64, 64]) }))["y"]!.data as Float32Array;
      const made = clipFromValues(out, {
        frameCount: length,
        height: 64,
        width: 64,
        frameRateHz: 8,
        rounding: "round",
      });
      const truth = source.rgb.subarray(at * 4096 * 3, (at + length) * 4096 * 3);
      total += psnrDb({ ...made, rgb: truth }, made) / count;
      for (let i = 0; i < truth.length; i++) {
        const isMoving = length > 1 && Math.abs(truth[i]! - truth[i % (4096 * 3)]!) > 20;
        const square = (made.rgb[i]! - truth[i]!) ** 2;
        if (isMoving) [moving, movingCount] = [moving + square, movingCount + 1];
        else [still, stillCount] = [still + square, stillCount + 1];
      }
      const shown = length === 1 ? [0] : [0, 3, 6, 9, 12, 16];
      if (n < 10)
        rows.push([
          ...shown.map((frame) => ({ clip: source, frame: frame + at })),
          ...shown.map((frame) => ({ clip: made, frame })),
        ]);
    }
    await exe.release();
    const dB = (squares: number, n: number): number =>
      n === 0 ? 0 : 10 * Math.log10((255 * 255 * n) / squares);
    return {
      rows,
      metrics: { psnrDb: total, movingPsnrDb: dB(moving, movingCount), stillPsnrDb: dB(still, stillCount) },
    };
  };

  return {
    step,
    batch,
    evaluate: async (weights) => (await rebuild(weights)).metrics,
    sheet: async (weights) => frameSheet((await rebuild(weights)).rows),
    exported: (weights) => ({ ...start, ...weights }),
  };
};

/** `[B, C, 1, H, W]` as `[B, C, H, W]`. */
function withoutTime(x: Tensor): Tensor {
  return reshape(x, [x.size(0), x.size(1), x.size(3), x.size(4)]);
}
