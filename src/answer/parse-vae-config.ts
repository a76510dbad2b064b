/**
 * The configuration of a Wan autoencoder from its `config.json`.
 * @module
 */
import { z } from "zod";
import { configError, count, parseConfig } from "../models/parse-config.ts";
import type { VaeConfig } from "../models/wan/vae-config.ts";

const schema = z.object({
  base_dim: count,
  z_dim: count,
  dim_mult: z.array(count).min(1),
  num_res_blocks: count,
  attn_scales: z.array(z.number()).default([]),
  temperal_downsample: z.array(z.boolean()),
  latents_mean: z.array(z.number()),
  latents_std: z.array(z.number().positive()),
});

const WHAT = "the Wan2.1 autoencoder";

/**
 * Reads the fields that diffusers publishes for `AutoencoderKLWan`.
 *
 * @throws `VANS_MODEL_CONFIG` naming every field that is missing or does not fit
 */
export function parseVaeConfig(raw: unknown): VaeConfig {
  const config = parseConfig(schema, raw, WHAT);
  const channels = [config.latents_mean.length, config.latents_std.length];
  if (channels.some((length) => length !== config.z_dim))
    throw configError(
      WHAT,
      `latent statistics of ${channels.join(" and ")} channels; z_dim is ${config.z_dim}`,
    );
  if (config.temperal_downsample.length !== config.dim_mult.length - 1)
    throw configError(
      WHAT,
      `${config.temperal_downsample.length} entries of temperal_downsample for ${config.dim_mult.length} levels`,
    );
  return config;
}
