/**
 * The configuration of CLIP, read from the fields of its `config.json`.
 * @module
 */
import { z } from "zod";
import { configError, count, parseConfig } from "../parse-config.ts";

/** Activations that CLIP checkpoints use. */
export type ClipActivation = "quick_gelu" | "gelu";

/** A transformer of CLIP. */
export interface ClipTowerConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  readonly activation: ClipActivation;
  readonly epsilon: number;
}

/** The text transformer. */
export interface ClipTextConfig extends ClipTowerConfig {
  readonly vocabularySize: number;
  /** Tokens that a text is padded or cut to. */
  readonly maxPositions: number;
  readonly eosTokenId: number;
}

/** The image transformer. */
export interface ClipVisionConfig extends ClipTowerConfig {
  /** Side of the square images in pixels. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly channelCount: number;
}

/** Both towers and the space they meet in. */
export interface ClipConfig {
  readonly text: ClipTextConfig;
  readonly vision: ClipVisionConfig;
  readonly projectionSize: number;
}

/**
 * The end token in the configurations of the OpenAI checkpoints, which is wrong; transformers then pools at the
 * largest id instead (`CLIPTextTransformer.forward`), and so do we.
 */
export const LEGACY_EOS_TOKEN_ID = 2;

const tower = {
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  hidden_act: z.enum(["quick_gelu", "gelu"]).default("quick_gelu"),
  layer_norm_eps: z.number().positive().default(1e-5),
};

const textSchema = z.object({
  ...tower,
  vocab_size: count,
  max_position_embeddings: count,
  eos_token_id: z.int().nonnegative().default(LEGACY_EOS_TOKEN_ID),
});

const visionSchema = z.object({
  ...tower,
  image_size: count,
  patch_size: count,
  num_channels: count.default(3),
});

const WHAT = "CLIP";

/**
 * The configuration from a parsed `config.json` (`text_config`, `vision_config`; `text`, `vision` are read as well).
 * @throws `VANS_MODEL_CONFIG` naming every field that is missing or does not fit
 */
export function clipConfig(raw: unknown): ClipConfig {
  const fields = (raw ?? {}) as Record<string, unknown>;
  const text = parseConfig(textSchema, fields["text_config"] ?? fields["text"], `${WHAT} (text_config)`);
  const vision = parseConfig(
    visionSchema,
    fields["vision_config"] ?? fields["vision"],
    `${WHAT} (vision_config)`,
  );
  const { projection_dim } = parseConfig(z.object({ projection_dim: count }), raw, WHAT);
  for (const { hidden_size, num_attention_heads } of [text, vision]) {
    if (hidden_size % num_attention_heads !== 0)
      throw configError(WHAT, `${num_attention_heads} heads do not divide the width ${hidden_size}`);
  }
  if (vision.image_size % vision.patch_size !== 0)
    throw configError(
      WHAT,
      `patches of ${vision.patch_size} pixels do not tile images of ${vision.image_size}`,
    );
  return {
    text: {
      ...towerOf(text),
      vocabularySize: text.vocab_size,
      maxPositions: text.max_position_embeddings,
      eosTokenId: text.eos_token_id,
    },
    vision: {
      ...towerOf(vision),
      imageSize: vision.image_size,
      patchSize: vision.patch_size,
      channelCount: vision.num_channels,
    },
    projectionSize: projection_dim,
  };
}

function towerOf(raw: z.infer<z.ZodObject<typeof tower>>): ClipTowerConfig {
  return {
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layerCount: raw.num_hidden_layers,
    headCount: raw.num_attention_heads,
    activation: raw.hidden_act,
    epsilon: raw.layer_norm_eps,
  };
}

/** openai/clip-vit-large-patch14. */
export const CLIP_VIT_L_14: ClipConfig = clipConfig({
  projection_dim: 768,
  text_config: {
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    vocab_size: 49408,
    max_position_embeddings: 77,
  },
  vision_config: {
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    image_size: 224,
    patch_size: 14,
  },
});
