/**
 * The decoder of the Wan2.1 autoencoder: latents to pixels.
 * @module
 */
import type { Params } from "../../nn/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import {
  attentionBlock,
  causalConv,
  head,
  middleBlocks,
  NO_TAP,
  residualBlock,
  upsample,
  WHOLE_CLIP,
} from "./vae-blocks.ts";
import { decoderLevels, type VaeConfig } from "./vae-config.ts";
import type { VaeTraceOptions } from "./vae-encode.ts";

/**
 * Decodes latents.
 * @param latents `[B, z_dim, t, h, w]`, not normalised ({@link denormalizeLatents} first where they come from a video transformer)
 * @returns `[B, 3, 4(t-1)+1, 8h, 8w]`, about [-1, 1] but not clamped
 */
export function decodeLatents(
  params: Params,
  config: VaeConfig,
  latents: Tensor,
  options: VaeTraceOptions = {},
): Tensor {
  const { memory = WHOLE_CLIP, tap = NO_TAP } = options;
  const decoder = params.at("decoder");
  const blocks = decoder.at("upsamples");
  const levels = decoderLevels(config);
  const z = causalConv(params.at("conv2"), latents, config.z_dim, [1, 1, 1], memory);
  let x = tap("conv_in", causalConv(decoder.at("conv1"), z, levels[0]!.channels, [3, 3, 3], memory));
  x = middleBlocks(decoder.at("middle"), x, memory, tap);
  let index = 0;
  for (const level of levels) {
    for (let i = 0; i <= config.num_res_blocks; i++) {
      x = tap(`${index}.ResidualBlock`, residualBlock(blocks.at(index), x, level.channels, memory));
      index++;
      if (level.hasAttention) x = tap(`${index}.AttentionBlock`, attentionBlock(blocks.at(index++), x));
    }
    if (level.resample) {
      x = tap(`${index}.Resample`, upsample(blocks.at(index), x, level.resample === "spacetime", memory));
      index++;
    }
  }
  return head(decoder.at("head"), x, 3, memory);
}
