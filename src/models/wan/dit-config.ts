/**
 * The configuration of a Wan video transformer, read from either published form of its `config.json`.
 * @module
 */
import { z } from "zod";
import { configError, count, parseConfig } from "../parse-config.ts";

/** Sizes of a Wan text-to-video transformer. */
export interface DitConfig {
  /** Edge lengths of a patch in latent elements. */
  readonly patchSize: readonly [frames: number, rows: number, columns: number];
  /** Channels of the latents that go in. */
  readonly inChannels: number;
  /** Channels of the velocity that comes out. */
  readonly outChannels: number;
  /** Width of the token stream. */
  readonly width: number;
  readonly ffnWidth: number;
  /** Number of sinusoidal time features; even. */
  readonly timeWidth: number;
  /** Width of the text embeddings. */
  readonly textWidth: number;
  /** Length to which text embeddings are padded with zero rows. */
  readonly textLength: number;
  readonly headCount: number;
  readonly layerCount: number;
  /** Epsilon of all norms. */
  readonly epsilon: number;
}

/** Elements per attention head. */
export const ditHeadWidth = (config: DitConfig): number => config.width / config.headCount;

const patch = z.tuple([count, count, count]).default([1, 2, 2]);
const epsilon = z.number().positive().default(1e-6);

// Both schemas refuse the variants that this transformer is not: image-to-video, VACE, other norms.
const originalSchema = z.object({
  model_type: z.literal("t2v").default("t2v"),
  patch_size: patch,
  text_len: count.default(512),
  in_dim: count.default(16),
  dim: count,
  ffn_dim: count,
  freq_dim: count.default(256),
  text_dim: count.default(4096),
  out_dim: count.default(16),
  num_heads: count,
  num_layers: count,
  qk_norm: z.literal(true).default(true),
  cross_attn_norm: z.literal(true).default(true),
  eps: epsilon,
});

const diffusersSchema = z.object({
  patch_size: patch,
  num_attention_heads: count,
  attention_head_dim: count,
  in_channels: count.default(16),
  out_channels: count.nullish(),
  text_dim: count.default(4096),
  freq_dim: count.default(256),
  ffn_dim: count,
  num_layers: count,
  cross_attn_norm: z.literal(true).default(true),
  qk_norm: z.literal("rms_norm_across_heads").default("rms_norm_across_heads"),
  eps: epsilon,
  image_dim: z.null().default(null),
  added_kv_proj_dim: z.null().default(null),
  vace_layers: z.null().default(null),
});

const WHAT = "the Wan2.1 text-to-video transformer";
/** Length to which Wan pads its prompts (`text_len`); diffusers keeps it in the pipeline. */
const TEXT_LENGTH = 512;

/**
 * The configuration from a parsed `config.json` of the original repository (`dim`, `num_heads`, …) or of diffusers
 * (`num_attention_heads`, `attention_head_dim`, …).
 *
 * @example
 * ```ts
 * import { ditConfig } from "vans/models/wan";
 * ditConfig({ num_attention_heads: 2, attention_head_dim: 20, ffn_dim: 72, num_layers: 3 }).width; // => 40
 * ```
 * @throws `VANS_MODEL_CONFIG` naming every field that is missing or does not fit
 */
export function ditConfig(raw: unknown): DitConfig {
  const isDiffusers = typeof raw === "object" && raw !== null && "num_attention_heads" in raw;
  const config = isDiffusers ? fromDiffusers(raw) : fromOriginal(raw);
  const headWidth = ditHeadWidth(config);
  if (!Number.isInteger(headWidth) || headWidth % 2 !== 0)
    throw configError(
      WHAT,
      `${config.headCount} heads for a width of ${config.width}; heads need an even width`,
    );
  if (config.timeWidth % 2 !== 0) throw configError(WHAT, `freq_dim ${config.timeWidth} is not even`);
  return config;
}

function fromOriginal(raw: unknown): DitConfig {
  const json = parseConfig(originalSchema, raw, WHAT);
  return {
    patchSize: json.patch_size,
    inChannels: json.in_dim,
    outChannels: json.out_dim,
    width: json.dim,
    ffnWidth: json.ffn_dim,
    timeWidth: json.freq_dim,
    textWidth: json.text_dim,
    textLength: json.text_len,
    headCount: json.num_heads,
    layerCount: json.num_layers,
    epsilon: json.eps,
  };
}

function fromDiffusers(raw: unknown): DitConfig {
  const json = parseConfig(diffusersSchema, raw, WHAT);
  return {
    patchSize: json.patch_size,
    inChannels: json.in_channels,
    outChannels: json.out_channels ?? json.in_channels,
    width: json.num_attention_heads * json.attention_head_dim,
    ffnWidth: json.ffn_dim,
    timeWidth: json.freq_dim,
    textWidth: json.text_dim,
    textLength: TEXT_LENGTH,
    headCount: json.num_attention_heads,
    layerCount: json.num_layers,
    epsilon: json.eps,
  };
}

/** Wan2.1-T2V-1.3B, as in its published `config.json`; the base of the released VANS weights. */
export const WAN_T2V_1_3B: DitConfig = ditConfig({
  dim: 1536,
  ffn_dim: 8960,
  num_heads: 12,
  num_layers: 30,
});
