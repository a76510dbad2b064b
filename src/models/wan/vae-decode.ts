/**
 * The decoder of the Wan2.1 autoencoder: latents to pixels.
 * @module
 */
import type { Params } from "../../nn/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import { causalConv, head, levelBlocks, middleBlocks, upsample, WHOLE_CLIP } from "./vae-blocks.ts";
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
  const { memory = WHOLE_CLIP, probe } = options;
  const decoder = params.at("decoder");
  const levels = decoderLevels(config);
  const z = causalConv(params.at("conv2"), latents, config.z_dim, [1, 1, 1], memory);
  const start = causalConv(decoder.at("conv1"), z, levels[0]!.channels, [3, 3, 3], memory);
  probe?.("conv_in", start);
  const middle = middleBlocks(decoder.at("middle"), start, memory, probe);
  const blocks = decoder.at("upsamples");
  const large = levelBlocks(blocks, middle, levels, config.num_res_blocks + 1, upsample, memory, probe);
  return head(decoder.at("head"), large, 3, memory);
}
