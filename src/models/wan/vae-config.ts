/**
 * Configuration of the Wan2.1 video autoencoder, and the frame counts and sizes that it takes.
 * @module
 */
import { VansError } from "../../base/index.ts";
import type { Shape } from "../../tensor/index.ts";

/** Fields of the published configuration, under its names (the spelling `temperal` is the original's). */
export interface VaeConfig {
  /** Channels of the first level. */
  readonly base_dim: number;
  /** Channels of a latent. */
  readonly z_dim: number;
  /** Channels of each level, as multiples of `base_dim`; each level but the last halves height and width. */
  readonly dim_mult: readonly number[];
  readonly num_res_blocks: number;
  /** Scales (1, 0.5, 0.25 …) at which residual blocks are followed by attention; empty in all published models. */
  readonly attn_scales: readonly number[];
  /** For each level but the last: whether it halves the frame rate too. */
  readonly temperal_downsample: readonly boolean[];
  /** Mean of each latent channel over the training data. */
  readonly latents_mean: readonly number[];
  /** Standard deviation of each latent channel over the training data. */
  readonly latents_std: readonly number[];
}

/** The published Wan2.1 autoencoder: 126,892,531 parameters (Wan2.1, wan/modules/vae.py). */
export const WAN21_VAE: VaeConfig = {
  base_dim: 96,
  z_dim: 16,
  dim_mult: [1, 2, 4, 4],
  num_res_blocks: 2,
  attn_scales: [],
  temperal_downsample: [false, true, true],
  latents_mean: [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632,
    -0.1922, -0.9497, 0.2503, -0.2921,
  ],
  latents_std: [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382,
    1.1253, 2.8251, 1.916,
  ],
};

/** How many pixels (height and width) and frames (after the first) go into one latent. */
export interface VaeStride {
  readonly space: number;
  readonly time: number;
}

/** The strides of a configuration; 8 pixels and 4 frames for the published one. */
export function vaeStride(config: VaeConfig): VaeStride {
  return {
    space: 2 ** (config.dim_mult.length - 1),
    time: 2 ** config.temperal_downsample.filter(Boolean).length,
  };
}

/**
 * Latent frames of a clip: the first frame alone, then one for every 4 frames.
 *
 * @example
 * ```ts
 * import { latentFrameCount, WAN21_VAE } from "vans/models/wan";
 * latentFrameCount(WAN21_VAE, 17); // => 5
 * ```
 * @throws `VANS_VAE_FRAME_COUNT` where the count is not 4k+1, with the two nearest counts that are.
 */
export function latentFrameCount(config: VaeConfig, frames: number): number {
  const { time } = vaeStride(config);
  if (!Number.isInteger(frames) || frames < 1 || (frames - 1) % time !== 0) {
    const below = 1 + Math.floor(Math.max(0, frames - 1) / time) * time;
    throw new VansError("VANS_VAE_FRAME_COUNT", "the autoencoder cannot take a clip of this length", {
      asked: `${frames} frames`,
      why: `the first frame is one latent frame, every ${time} further frames are another; the reference drops what is left over`,
      fix: `use ${below} or ${below + time} frames`,
      data: { frames, nearest: [below, below + time] },
    });
  }
  return 1 + (frames - 1) / time;
}

/** Frames that a number of latent frames decodes to. */
export function frameCount(config: VaeConfig, latentFrames: number): number {
  return 1 + (latentFrames - 1) * vaeStride(config).time;
}

/** @throws `VANS_VAE_SIZE` where height or width is not a multiple of the spatial stride. */
export function checkFrameSize(config: VaeConfig, height: number, width: number): void {
  const { space } = vaeStride(config);
  if (height % space === 0 && width % space === 0 && height > 0 && width > 0) return;
  const near = (size: number): number => Math.max(space, Math.round(size / space) * space);
  throw new VansError("VANS_VAE_SIZE", "the autoencoder cannot take frames of this size", {
    asked: `${width}x${height} pixels`,
    why: `one latent covers ${space}x${space} pixels`,
    fix: `resize or crop to ${near(width)}x${near(height)}`,
  });
}

/** One level of the encoder or decoder. */
export interface VaeLevel {
  readonly channelsIn: number;
  readonly channels: number;
  /** Whether attention follows the residual blocks. */
  readonly hasAttention: boolean;
  /** What follows the level; undefined after the last. */
  readonly resample: "space" | "spacetime" | undefined;
}

/** Levels of the encoder, from pixels to latents. */
export function encoderLevels(config: VaeConfig): VaeLevel[] {
  const { base_dim: base, dim_mult: multiples, temperal_downsample: halves, attn_scales } = config;
  return multiples.map((multiple, i) => ({
    channelsIn: base * (i === 0 ? 1 : multiples[i - 1]!),
    channels: base * multiple,
    hasAttention: attn_scales.includes(0.5 ** i),
    resample: i === multiples.length - 1 ? undefined : halves[i] ? "spacetime" : "space",
  }));
}

/** Levels of the decoder, from latents to pixels. Its resampling halves the channels, so levels after it begin with half. */
export function decoderLevels(config: VaeConfig): VaeLevel[] {
  const { base_dim: base, attn_scales } = config;
  const multiples = [...config.dim_mult].reverse();
  const doubles = [...config.temperal_downsample].reverse();
  return multiples.map((multiple, i) => ({
    channelsIn: i === 0 ? base * multiple : Math.floor((base * multiples[i - 1]!) / 2),
    channels: base * multiple,
    hasAttention: attn_scales.includes(2 ** i / 2 ** (multiples.length - 2)),
    resample: i === multiples.length - 1 ? undefined : doubles[i] ? "spacetime" : "space",
  }));
}

/** What the name of a weight says about the block of its index. */
const BLOCK_OF_WEIGHT = [
  { suffix: ".residual.6.weight", kind: "residual" },
  { suffix: ".to_qkv.weight", kind: "attention" },
  { suffix: ".resample.1.weight", kind: "resample" },
] as const;

/**
 * The configuration that a file of weights was made for; `Wan2.1_VAE.pth` carries none.
 * @param shapes shapes by original names
 * @param statistics latent statistics; default those of Wan2.1
 * @throws `VANS_VAE_WEIGHTS` where the names are not those of a Wan autoencoder
 */
export function vaeConfigFromWeights(
  shapes: ReadonlyMap<string, Shape>,
  statistics: Pick<VaeConfig, "latents_mean" | "latents_std"> = WAN21_VAE,
): VaeConfig {
  const first = shapes.get("encoder.conv1.weight");
  const last = shapes.get("conv2.weight");
  if (!first || !last)
    throw new VansError("VANS_VAE_WEIGHTS", "these are not the weights of a Wan autoencoder", {
      asked: "encoder.conv1.weight and conv2.weight, the names of Wan2.1_VAE.pth",
      found: [...shapes.keys()].slice(0, 5).join(", "),
      fix: "rename weights of other layouts first (wanVaeKeyMap in vans/weights)",
    });
  const base = first[0]!;
  const multiples: number[] = [];
  const halves: boolean[] = [];
  const attentionScales = new Set<number>();
  let blocks = 0;
  for (let index = 0, level = 0; ; index++) {
    const prefix = `encoder.downsamples.${index}`;
    const block = BLOCK_OF_WEIGHT.find(({ suffix }) => shapes.has(prefix + suffix));
    if (!block) break;
    if (block.kind === "resample") {
      halves.push(shapes.has(`${prefix}.time_conv.weight`));
      level++;
    } else if (block.kind === "attention") attentionScales.add(0.5 ** level);
    else {
      multiples[level] = shapes.get(prefix + block.suffix)![0]! / base;
      if (level === 0) blocks++;
    }
  }
  return {
    base_dim: base,
    z_dim: last[0]!,
    dim_mult: multiples,
    num_res_blocks: blocks,
    attn_scales: [...attentionScales],
    temperal_downsample: halves,
    latents_mean: statistics.latents_mean,
    latents_std: statistics.latents_std,
  };
}
