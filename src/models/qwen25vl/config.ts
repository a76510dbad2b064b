/**
 * The configuration of Qwen2.5-VL, read from the fields of its `config.json`.
 * @module
 */
import { z } from "zod";
import { configError, count, parseConfig } from "../parse-config.ts";

/** The vision tower. */
export interface QwenVisionConfig {
  readonly depth: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly headCount: number;
  readonly channelCount: number;
  /** Width of the merged features; that of the decoder. */
  readonly outHiddenSize: number;
  /** Pixels along one side of a patch. */
  readonly patchSize: number;
  /** Frames in one patch. */
  readonly temporalPatchSize: number;
  /** Patches along one side of a merge cell; one cell becomes one token. */
  readonly mergeSize: number;
  /** Side of an attention window in pixels. */
  readonly windowSize: number;
  /** Blocks that attend to the whole time slice instead of their window. */
  readonly fullAttentionBlocks: readonly number[];
  /** Position ids that pass in one second of video. */
  readonly tokensPerSecond: number;
  readonly epsilon: number;
}

/** The decoder. */
export interface QwenTextConfig {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  /** Heads of keys and values; each serves `headCount / kvHeadCount` query heads. */
  readonly kvHeadCount: number;
  readonly headWidth: number;
  readonly epsilon: number;
  readonly ropeTheta: number;
  /** How many frequencies follow the time, row and column id. */
  readonly ropeSections: readonly [time: number, row: number, column: number];
  readonly maxPositions: number;
  /** Logits come from the embedding table itself. */
  readonly tiesEmbeddings: boolean;
}

/** The whole model. */
export interface QwenConfig {
  readonly text: QwenTextConfig;
  readonly vision: QwenVisionConfig;
  readonly imageTokenId: number;
  readonly videoTokenId: number;
  readonly visionStartTokenId: number;
  readonly visionEndTokenId: number;
  readonly padTokenId: number;
  /** Generation ends at any of them. */
  readonly eosTokenIds: readonly number[];
}

const tokenId = z.int().nonnegative();
const oneOrMore = z.union([tokenId.transform((id) => [id]), z.array(tokenId).min(1)]);
const sections = z.object({
  mrope_section: z.tuple([count, count, count]),
  rope_theta: z.number().optional(),
});

const visionSchema = z.object({
  depth: count,
  hidden_size: count,
  intermediate_size: count,
  num_heads: count,
  // The released file says in_chans (and transformers ignores it), newer ones in_channels.
  in_channels: count.optional(),
  in_chans: count.optional(),
  out_hidden_size: count,
  patch_size: count,
  temporal_patch_size: count.default(2),
  spatial_merge_size: count,
  window_size: count,
  fullatt_block_indexes: z.array(z.int().nonnegative()),
  tokens_per_second: z.number().positive(),
  hidden_act: z.literal("silu").default("silu"),
});

const textSchema = z.object({
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count,
  head_dim: count.nullish(),
  rms_norm_eps: z.number().positive(),
  rope_theta: z.number().positive().optional(),
  rope_scaling: sections.optional(),
  // transformers 5 writes both rope fields here.
  rope_parameters: sections.optional(),
  max_position_embeddings: count.default(32768),
  hidden_act: z.literal("silu").default("silu"),
  use_sliding_window: z.literal(false).default(false),
  tie_word_embeddings: z.boolean().optional(),
  pad_token_id: tokenId.nullish(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: oneOrMore.nullish(),
});

const modelSchema = z.object({
  vision_config: visionSchema,
  image_token_id: tokenId,
  video_token_id: tokenId,
  vision_start_token_id: tokenId,
  vision_end_token_id: tokenId,
  tie_word_embeddings: z.boolean().optional(),
  pad_token_id: tokenId.nullish(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: oneOrMore.nullish(),
});

const WHAT = "Qwen2.5-VL";

// Qwen2RMSNorm's default, which the vision tower always uses (transformers modeling_qwen2_5_vl.py).
const VISION_EPSILON = 1e-6;

/**
 * The configuration from a parsed `config.json`: the released flat form (text fields at the top) or the nested one
 * (`text_config`) that newer transformers write.
 * @throws `VANS_MODEL_CONFIG` naming every field that is missing or does not fit
 */
export function qwenConfig(raw: unknown): QwenConfig {
  const top = parseConfig(modelSchema, raw, WHAT);
  const nested = (raw as { text_config?: unknown }).text_config;
  const text = parseConfig(textSchema, nested ?? raw, WHAT);
  const vision = top.vision_config;
  const rope = text.rope_parameters ?? text.rope_scaling;
  const theta = text.rope_theta ?? rope?.rope_theta;
  if (!rope || theta === undefined)
    throw configError(WHAT, "rope_scaling.mrope_section or rope_theta is missing");
  const headWidth = text.head_dim ?? text.hidden_size / text.num_attention_heads;
  const eos = top.eos_token_id ?? text.eos_token_id ?? [];
  const pad = top.pad_token_id ?? text.pad_token_id ?? top.bos_token_id ?? text.bos_token_id ?? eos[0];
  const config: QwenConfig = {
    text: {
      vocabularySize: text.vocab_size,
      hiddenSize: text.hidden_size,
      intermediateSize: text.intermediate_size,
      layerCount: text.num_hidden_layers,
      headCount: text.num_attention_heads,
      kvHeadCount: text.num_key_value_heads,
      headWidth,
      epsilon: text.rms_norm_eps,
      ropeTheta: theta,
      ropeSections: rope.mrope_section,
      maxPositions: text.max_position_embeddings,
      tiesEmbeddings: top.tie_word_embeddings ?? text.tie_word_embeddings ?? false,
    },
    vision: {
      depth: vision.depth,
      hiddenSize: vision.hidden_size,
      intermediateSize: vision.intermediate_size,
      headCount: vision.num_heads,
      channelCount: vision.in_channels ?? vision.in_chans ?? 3,
      outHiddenSize: vision.out_hidden_size,
      patchSize: vision.patch_size,
      temporalPatchSize: vision.temporal_patch_size,
      mergeSize: vision.spatial_merge_size,
      windowSize: vision.window_size,
      fullAttentionBlocks: vision.fullatt_block_indexes,
      tokensPerSecond: vision.tokens_per_second,
      epsilon: VISION_EPSILON,
    },
    imageTokenId: top.image_token_id,
    videoTokenId: top.video_token_id,
    visionStartTokenId: top.vision_start_token_id,
    visionEndTokenId: top.vision_end_token_id,
    padTokenId: pad ?? 0,
    eosTokenIds: eos,
  };
  const problem = contradiction(config);
  if (problem !== undefined) throw configError(WHAT, problem);
  return config;
}

function contradiction({ text, vision }: QwenConfig): string | undefined {
  const rotated = 2 * text.ropeSections.reduce((total, section) => total + section, 0);
  if (!Number.isInteger(text.headWidth)) return "hidden_size is not a multiple of num_attention_heads";
  if (text.headCount % text.kvHeadCount !== 0)
    return `${text.headCount} attention heads cannot share ${text.kvHeadCount} key-value heads`;
  if (rotated !== text.headWidth)
    return `mrope_section rotates ${rotated} elements of heads of width ${text.headWidth}`;
  if (vision.outHiddenSize !== text.hiddenSize)
    return `vision features of width ${vision.outHiddenSize} for a decoder of width ${text.hiddenSize}`;
  if (vision.hiddenSize % (4 * vision.headCount) !== 0)
    return `vision heads of width ${vision.hiddenSize / vision.headCount}; a multiple of 4 is needed`;
  if (windowCells(vision) < 1) return `a window of ${vision.windowSize} pixels is smaller than a merge cell`;
  return undefined;
}

/** Side of an attention window in merge cells. */
export const windowCells = (vision: QwenVisionConfig): number =>
  Math.floor(Math.floor(vision.windowSize / vision.mergeSize) / vision.patchSize);

/** Qwen2.5-VL-3B-Instruct, the base of the released VANS weights (its `config.json` on the hub). */
export const QWEN_25_VL_3B: QwenConfig = qwenConfig({
  vocab_size: 151936,
  hidden_size: 2048,
  intermediate_size: 11008,
  num_hidden_layers: 36,
  num_attention_heads: 16,
  num_key_value_heads: 2,
  hidden_act: "silu",
  rms_norm_eps: 1e-6,
  rope_theta: 1000000,
  rope_scaling: { type: "mrope", mrope_section: [16, 24, 24] },
  max_position_embeddings: 128000,
  tie_word_embeddings: true,
  vision_config: {
    depth: 32,
    hidden_size: 1280,
    intermediate_size: 3420,
    num_heads: 16,
    in_chans: 3,
    out_hidden_size: 2048,
    patch_size: 14,
    temporal_patch_size: 2,
    spatial_merge_size: 2,
    window_size: 112,
    fullatt_block_indexes: [7, 15, 23, 31],
    tokens_per_second: 2,
    hidden_act: "silu",
  },
  image_token_id: 151655,
  video_token_id: 151656,
  vision_start_token_id: 151652,
  vision_end_token_id: 151653,
  bos_token_id: 151643,
  // generation_config.json: generation stops at both, and pads with the second.
  eos_token_id: [151645, 151643],
  pad_token_id: 151643,
});
