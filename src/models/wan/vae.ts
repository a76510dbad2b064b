/**
 * The Wan2.1 autoencoder as a whole: its parameters, latent normalisation, the draw from the posterior.
 * @module
 */
import { Params } from "../../nn/index.ts";
import {
  add,
  constant,
  exp,
  f32,
  input,
  maximum,
  minimum,
  mul,
  type Shape,
  sub,
  type Tensor,
} from "../../tensor/index.ts";
import { type VaeConfig, vaeStride } from "./vae-config.ts";
import { decodeLatents } from "./vae-decode.ts";
import { encodeMoments, type Moments } from "./vae-encode.ts";

const channelColumn = (values: readonly number[]): Tensor =>
  constant(f32([...values], [1, values.length, 1, 1, 1]));

/** Latents as the video transformer sees them: (mean - latents_mean) / latents_std a channel. `[B, z_dim, t, h, w]` */
export function normalizeLatents(config: VaeConfig, latents: Tensor): Tensor {
  const centred = sub(latents, channelColumn(config.latents_mean));
  return mul(centred, channelColumn(config.latents_std.map((std) => 1 / std)));
}

/** The inverse of {@link normalizeLatents}. */
export function denormalizeLatents(config: VaeConfig, latents: Tensor): Tensor {
  return add(mul(latents, channelColumn(config.latents_std)), channelColumn(config.latents_mean));
}

/** Log-variances are kept within these bounds before they are used (diffusers, DiagonalGaussianDistribution). */
export const LOG_VARIANCE_BOUNDS = [-30, 20] as const;

/** The log-variance within {@link LOG_VARIANCE_BOUNDS}. */
export function clampLogVariance(logVariance: Tensor): Tensor {
  return minimum(maximum(logVariance, LOG_VARIANCE_BOUNDS[0]), LOG_VARIANCE_BOUNDS[1]);
}

/** A draw from the posterior: mean + exp(logVariance / 2) · noise. */
export function samplePosterior(moments: Moments, noise: Tensor): Tensor {
  return add(moments.mean, mul(exp(mul(clampLogVariance(moments.logVariance), 0.5)), noise));
}

/** Names and shapes of all parameters, in the order of the computation. */
export function vaeParameterShapes(config: VaeConfig): Map<string, Shape> {
  const params = new Params();
  const { space } = vaeStride(config);
  const { mean } = encodeMoments(params, config, input("video", [1, 3, 1, space, space]));
  decodeLatents(params, config, mean);
  return new Map([...params.tensors].map(([name, tensor]) => [name, tensor.shape]));
}
