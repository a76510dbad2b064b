/**
 * The autoencoder row: a Wan VAE of the embedded suite's sizes on 4 clips of 9 frames of 32 x 32 pixels, AdamW.
 * @module
 */
import {
  clampLogVariance,
  decodeLatents,
  encodeMoments,
  samplePosterior,
  type VaeConfig,
  WAN21_VAE,
} from "../../src/models/wan/index.ts";
import { Params } from "../../src/nn/index.ts";
import { abs, add, exp, input, mean, mul, sub } from "../../src/tensor/index.ts";
import { type BenchRow, normalFeed, uniformFeed } from "./row.ts";

const CONFIG: VaeConfig = { ...WAN21_VAE, base_dim: 8 };
const VIDEO = [4, 3, 9, 32, 32] as const;
const LATENTS = [4, 16, 3, 4, 4] as const;
const KL_WEIGHT = 3e-5;

/** L1 + 4 · squared error + a small KL, with a draw from the posterior (the playroom's recipe). */
export const WAN_VAE_ROW: BenchRow = {
  name: "vae",
  title: "Wan VAE step, base 8, 4 clips 32 x 32 x 9, AdamW",
  bar: 0.8,
  clipNorm: 1,
  settings: {
    base: CONFIG.base_dim,
    latent: CONFIG.z_dim,
    multiples: CONFIG.dim_mult,
    residualBlocks: CONFIG.num_res_blocks,
    temporal: CONFIG.temperal_downsample,
    klWeight: KL_WEIGHT,
  },
  trace: () => {
    const params = new Params();
    const video = input("video", VIDEO);
    const moments = encodeMoments(params, CONFIG, video);
    const decoded = decodeLatents(params, CONFIG, samplePosterior(moments, input("noise", LATENTS)));
    const error = sub(decoded, video);
    const logVariance = clampLogVariance(moments.logVariance);
    const spread = sub(add(mul(moments.mean, moments.mean), exp(logVariance)), add(logVariance, 1));
    const distortion = add(mean(abs(error)), mul(mean(mul(error, error)), 4));
    return {
      loss: add(distortion, mul(mean(spread), KL_WEIGHT / 2)),
      params: params.tensors,
      feeds: { video: uniformFeed("video", VIDEO, -1, 1), noise: normalFeed("noise", LATENTS) },
    };
  },
};
