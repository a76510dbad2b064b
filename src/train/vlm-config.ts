/**
 * The vision-language model of the playroom suite: configuration, prompt, frames.
 * @module
 */
import type { Clip } from "../media/clip.ts";
import { type QwenConfig, qwenConfig } from "../models/qwen25vl/index.ts";
import { expandPads, formatAnswer, renderChat, type Tokenizer } from "../text/index.ts";
import type { WorldSample } from "../world/index.ts";

/** What the playroom's model is told; the release's own prompt is long for a small model. */
export const PLAYROOM_SYSTEM_PROMPT = "predict the next event.";

/** Frames of the input that the model sees, at round(linspace(0, T - 1, 6)) as in VANS. */
export const VLM_FRAMES = 6;

/** `config.json` of the playroom's Qwen2.5-VL, with the ids of its tokenizer. */
export function playroomVlmJson(
  sizes: Readonly<Record<string, number>>,
  tokenizer: Tokenizer,
): Record<string, unknown> {
  const id = (token: string): number => tokenizer.encode(token, { addSpecialTokens: false })[0]!;
  const hidden = sizes["hidden"] ?? 128;
  const visionHidden = sizes["visionHidden"] ?? 96;
  const heads = sizes["heads"] ?? 4;
  const headWidth = hidden / heads;
  // Halves of the rotated pairs: a quarter for time, the rest for row and column, as in the published 16:24:24.
  const time = headWidth / 8;
  const rest = (headWidth / 2 - time) / 2;
  return {
    architectures: ["Qwen2_5_VLForConditionalGeneration"],
    model_type: "qwen2_5_vl",
    vocab_size: tokenizer.vocabSize,
    hidden_size: hidden,
    intermediate_size: sizes["intermediate"] ?? 384,
    num_hidden_layers: sizes["layers"] ?? 4,
    num_attention_heads: heads,
    num_key_value_heads: sizes["kvHeads"] ?? 2,
    hidden_act: "silu",
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    rope_scaling: { type: "mrope", mrope_section: [time, rest, rest] },
    max_position_embeddings: 512,
    tie_word_embeddings: true,
    vision_config: {
      depth: sizes["visionDepth"] ?? 4,
      hidden_size: visionHidden,
      intermediate_size: sizes["visionIntermediate"] ?? 256,
      num_heads: sizes["visionHeads"] ?? 3,
      in_channels: 3,
      out_hidden_size: hidden,
      patch_size: 8,
      temporal_patch_size: 2,
      spatial_merge_size: 2,
      window_size: 32,
      fullatt_block_indexes: [1, 3],
      tokens_per_second: 2,
      hidden_act: "silu",
    },
    image_token_id: id("<|image_pad|>"),
    video_token_id: id("<|video_pad|>"),
    vision_start_token_id: id("<|vision_start|>"),
    vision_end_token_id: id("<|vision_end|>"),
    bos_token_id: id("<|endoftext|>"),
    eos_token_id: [id("<|im_end|>"), id("<|endoftext|>")],
    pad_token_id: id("<|endoftext|>"),
  };
}

/** The configuration itself. */
export function playroomVlmConfig(sizes: Readonly<Record<string, number>>, tokenizer: Tokenizer): QwenConfig {
  return qwenConfig(playroomVlmJson(sizes, tokenizer));
}

/** Frames of a clip as the model sees them, optionally all the last one (a still image). */
export function vlmFrames(
  clip: Clip,
  isStill = false,
): { frameCount: number; height: number; width: number; rgb: Uint8Array } {
  const size = clip.height * clip.width * 3;
  const rgb = new Uint8Array(VLM_FRAMES * size);
  for (let i = 0; i < VLM_FRAMES; i++) {
    const frame = isStill ? clip.frameCount - 1 : Math.round((i * (clip.frameCount - 1)) / (VLM_FRAMES - 1));
    rgb.set(clip.rgb.subarray(frame * size, (frame + 1) * size), i * size);
  }
  return { frameCount: VLM_FRAMES, height: clip.height, width: clip.width, rgb };
}

/** Token ids of a prompt, the video's places expanded. */
export function promptIds(
  tokenizer: Tokenizer,
  config: QwenConfig,
  question: string,
  videoTokens: number,
): number[] {
  const text = renderChat(
    [
      { role: "system", content: PLAYROOM_SYSTEM_PROMPT },
      { role: "user", content: [{ type: "video" }, { type: "text", text: question }] },
    ],
    { addGenerationPrompt: true },
  );
  return expandPads([...tokenizer.encode(text, { addSpecialTokens: false })], config.videoTokenId, [
    videoTokens,
  ]);
}

/** One training sequence: prompt and answer, and how much each target token counts. */
export interface VlmSequence {
  readonly ids: readonly number[];
  /** For each token: weight of predicting it; 0 for the prompt. */
  readonly weights: readonly number[];
}

/** The sequence of a sample. The end token counts; caption tokens count `captionWeight`. */
export function vlmSequence(
  tokenizer: Tokenizer,
  config: QwenConfig,
  sample: WorldSample,
  caption: string,
  videoTokens: number,
  captionWeight: number,
): VlmSequence {
  const prompt = promptIds(tokenizer, config, sample.question, videoTokens);
  const full = `${formatAnswer({ reasoning: sample.reasoning, caption })}<|im_end|>`;
  const answer = [...tokenizer.encode(full, { addSpecialTokens: false })];
  const thinking =
    tokenizer.encode(formatAnswer({ reasoning: sample.reasoning, caption: "" }), { addSpecialTokens: false })
      .length - 3;
  return {
    ids: [...prompt, ...answer],
    weights: [...prompt.map(() => 0), ...answer.map((_, i) => (i >= thinking ? captionWeight : 1))],
  };
}
