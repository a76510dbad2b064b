/**
 * The encoder of the Wan2.1 autoencoder: pixels to the mean and log-variance of latents.
 * @module
 */
import type { Params } from "../../nn/index.ts";
import { chunk, type Tensor } from "../../tensor/index.ts";
import {
  causalConv,
  downsample,
  head,
  levelBlocks,
  middleBlocks,
  type StageProbe,
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
  readonly probe?: StageProbe;
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
  const { memory = WHOLE_CLIP, probe } = options;
  checkFrameSize(config, video.size(3), video.size(4));
  if (memory.isStart) latentFrameCount(config, video.size(2));
  const encoder = params.at("encoder");
  const start = causalConv(encoder.at("conv1"), video, config.base_dim, [3, 3, 3], memory);
  probe?.("conv_in", start);
  const levels = encoderLevels(config);
  const blocks = encoder.at("downsamples");
  const deep = levelBlocks(blocks, start, levels, config.num_res_blocks, downsample, memory, probe);
  const middle = middleBlocks(encoder.at("middle"), deep, memory, probe);
  const features = head(encoder.at("head"), middle, 2 * config.z_dim, memory);
  const moments = causalConv(params.at("conv1"), features, 2 * config.z_dim, [1, 1, 1], memory);
  const [mean, logVariance] = chunk(moments, 1, 2) as [Tensor, Tensor];
  return { mean, logVariance };
}
