/**
 * The encoder of the Wan2.1 autoencoder: pixels to the mean and log-variance of latents.
 * @module
 */
import type { Params } from "../../nn/index.ts";
import { chunk, type Tensor } from "../../tensor/index.ts";
import {
  attentionBlock,
  causalConv,
  downsample,
  head,
  middleBlocks,
  NO_TAP,
  residualBlock,
  type StageTap,
  type TimeMemory,
  WHOLE_CLIP,
} from "./vae-blocks.ts";
import { checkFrameSize, encoderLevels, latentFrameCount, type VaeConfig } from "./vae-config.ts";

/** Mean and log-variance of the latents' distribution, each `[B, z_dim, t, h, w]`. */
export interface Moments {
  readonly mean: Tensor;
  readonly logVariance: Tensor;
}

/** Options of a traced encoder or decoder. */
export interface VaeTraceOptions {
  /** Frames before the given ones; default {@link WHOLE_CLIP}. */
  readonly memory?: TimeMemory;
  /** Sees each stage's output. */
  readonly tap?: StageTap;
}

/**
 * Encodes a clip.
 * @param video `[B, 3, T, H, W]` in [-1, 1]; T is 4k+1, H and W are multiples of 8
 * @returns moments before normalisation, `[B, z_dim, (T-1)/4 + 1, H/8, W/8]`
 * @throws `VANS_VAE_FRAME_COUNT`, `VANS_VAE_SIZE`
 */
export function encodeMoments(
  params: Params,
  config: VaeConfig,
  video: Tensor,
  options: VaeTraceOptions = {},
): Moments {
  const { memory = WHOLE_CLIP, tap = NO_TAP } = options;
  checkFrameSize(config, video.size(3), video.size(4));
  if (memory.isStart) latentFrameCount(config, video.size(2));
  const encoder = params.at("encoder");
  const blocks = encoder.at("downsamples");
  let x = tap("conv_in", causalConv(encoder.at("conv1"), video, config.base_dim, [3, 3, 3], memory));
  let index = 0;
  for (const level of encoderLevels(config)) {
    for (let i = 0; i < config.num_res_blocks; i++) {
      x = tap(`${index}.ResidualBlock`, residualBlock(blocks.at(index), x, level.channels, memory));
      index++;
      if (level.hasAttention) x = tap(`${index}.AttentionBlock`, attentionBlock(blocks.at(index++), x));
    }
    if (level.resample) {
      x = tap(`${index}.Resample`, downsample(blocks.at(index), x, level.resample === "spacetime", memory));
      index++;
    }
  }
  x = middleBlocks(encoder.at("middle"), x, memory, tap);
  x = tap("head", head(encoder.at("head"), x, 2 * config.z_dim, memory));
  const moments = causalConv(params.at("conv1"), x, 2 * config.z_dim, [1, 1, 1], memory);
  const [mean, logVariance] = chunk(moments, 1, 2) as [Tensor, Tensor];
  return { mean, logVariance };
}
