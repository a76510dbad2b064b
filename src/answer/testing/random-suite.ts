/**
 * A tiny suite with random weights, for tests of everything around the models: the same layout as a trained one, made in
 * a second. Its language model can be given a text to say.
 * @module
 */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fold, keyFromSeed } from "../../base/keys.ts";
import { initQwen, qwenConfig } from "../../models/qwen25vl/index.ts";
import { initUmt5, umt5Config } from "../../models/umt5/index.ts";
import { ditConfig, initDit, initVae } from "../../models/wan/index.ts";
import { f32, type NdArray } from "../../tensor/index.ts";
import {
  ANSWER_TAGS,
  QWEN_SPECIAL_TOKENS,
  type Tokenizer,
  tokenizerFromJson,
  trainQwenTokenizer,
  trainT5Tokenizer,
} from "../../text/index.ts";
import { type WritableTensor, writeSafetensors } from "../../weights/index.ts";
import type { DomainStatistics } from "../domain-statistics.ts";

/** What a random suite is like. */
export interface RandomSuiteOptions {
  readonly seed?: number;
  /**
   * What the language model says, whatever it is asked. Every token but the last must occur once only, since the model
   * knows no more than the last token. Default: a short well-formed answer. `null`: random tokens.
   */
  readonly says?: string | null;
  readonly domain?: DomainStatistics;
  /** Fields of `answer` in `suite.json` to change. */
  readonly answer?: Readonly<Record<string, unknown>>;
  /** Type of the weights on disk. Default BF16. */
  readonly dtype?: "F32" | "BF16";
}

/** What the language model says unless told otherwise. */
export const SCRIPT = "[Think]the tower leans over[/Think][Ans]a red block falls down[/Ans]";

const HIDDEN = 64;
const VISION_HIDDEN = 32;

const WORDS =
  "the tower leans over a red block falls down what happens next if ball rolls left right green blue house gets roof";

/** Writes the suite into a folder, which is made. @returns the folder */
export async function writeRandomSuite(folder: string, options: RandomSuiteOptions = {}): Promise<string> {
  const { seed = 1, says = SCRIPT, dtype = "BF16" } = options;
  const key = keyFromSeed(seed);
  const json = async (path: string, content: unknown): Promise<void> => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), `${JSON.stringify(content, undefined, 1)}\n`);
  };
  const weights = async (path: string, tensors: Readonly<Record<string, NdArray>>): Promise<void> => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    const stored = Object.entries(tensors).map(([name, { shape, data }]): [string, WritableTensor] => [
      name,
      { dtype, shape, data: data as Float32Array<ArrayBuffer> },
    ]);
    await writeSafetensors(join(folder, path), new Map(stored));
  };

  const corpus = [WORDS, SCRIPT.replaceAll(/[[\]/]/g, " "), says ?? ""];
  const learned = trainQwenTokenizer(corpus, {
    vocabSize: 700,
    minFrequency: 1,
    emphasised: corpus.flatMap(spaced),
    specialTokens: [...QWEN_SPECIAL_TOKENS, ...ANSWER_TAGS],
  });
  // One token a tag, so that no token of a script occurs twice; ordinary ones, so that they are shown.
  const isTag = (token: string): boolean => (ANSWER_TAGS as readonly string[]).includes(token);
  const vlmTokenizer = {
    ...learned,
    added_tokens: learned.added_tokens.map((token) => ({ ...token, special: !isTag(token.content) })),
  };
  const tokenizer = tokenizerFromJson(vlmTokenizer);
  const vlm = vlmJson(tokenizer);
  await json("vlm/tokenizer.json", vlmTokenizer);
  await json("vlm/config.json", vlm);
  const random = initQwen(qwenConfig(vlm), fold(key, "vlm"));
  await weights("vlm/model.safetensors", says === null ? random : scripted(random, tokenizer, says));

  const text = {
    vocab_size: 300,
    d_model: 24,
    d_kv: 8,
    d_ff: 32,
    num_layers: 1,
    num_heads: 2,
    relative_attention_num_buckets: 8,
    relative_attention_max_distance: 16,
  };
  await json(
    "text-encoder/tokenizer.json",
    trainT5Tokenizer(corpus, { vocabSize: 300, minFrequency: 1, lowercase: true }),
  );
  await json("text-encoder/config.json", text);
  await weights("text-encoder/model.safetensors", initUmt5(umt5Config(text), fold(key, "text")));

  const vdm = {
    dim: 32,
    ffn_dim: 64,
    freq_dim: 16,
    num_heads: 2,
    num_layers: 2,
    in_dim: 4,
    out_dim: 4,
    text_dim: 24,
    text_len: 16,
    patch_size: [1, 2, 2],
  };
  await json("vdm/config.json", vdm);
  const dit = ditConfig(vdm);
  const fresh = initDit(dit, fold(key, "vdm"));
  // A fresh head is zero, and then nothing moves.
  const head = initDit({ ...dit, layerCount: 1 }, fold(key, "head"))["blocks.0.self_attn.q.weight"]!;
  const rows = fresh["head.head.weight"]!.shape[0]!;
  fresh["head.head.weight"] = f32(head.data.slice(0, rows * 32) as Float32Array<ArrayBuffer>, [rows, 32]);
  await weights("vdm/model.safetensors", fresh);

  const vae = {
    base_dim: 4,
    z_dim: 4,
    dim_mult: [1, 2, 2, 2],
    num_res_blocks: 1,
    attn_scales: [],
    temperal_downsample: [false, true, true],
    latents_mean: [0.1, 0, 0, 0],
    latents_std: [1, 0.9, 1, 1],
  };
  await json("vae/config.json", vae);
  await weights("vae/model.safetensors", initVae(vae, fold(key, "vae")));

  await writeFile(join(folder, "README.md"), "# Random\n\nRandom weights: answers are noise.\n");
  await json("suite.json", {
    name: "random",
    version: "0.0.1",
    about: "Random weights for tests; its answers are noise.",
    licence: "Apache-2.0",
    vlm: { config: "vlm/config.json", weights: "vlm/model.safetensors", tokenizer: "vlm/tokenizer.json" },
    vdm: { config: "vdm/config.json", weights: ["vdm/model.safetensors"] },
    vae: { config: "vae/config.json", weights: "vae/model.safetensors" },
    textEncoder: {
      config: "text-encoder/config.json",
      weights: "text-encoder/model.safetensors",
      tokenizer: "text-encoder/tokenizer.json",
      maxLength: 16,
    },
    answer: {
      systemPrompt: "predict the next event.",
      negativePrompt: "",
      steps: 3,
      shift: 3,
      guidanceScale: 2.5,
      scheduler: "euler",
      seed: 0,
      height: 32,
      width: 32,
      inputFrames: 21,
      answerFrames: 17,
      frameRateHz: 8,
      vlmFrames: 6,
      vlmMinPixels: 1024,
      vlmMaxPixels: 1024,
      referenceLatentFrames: 6,
      referencePick: "clip-then-pick",
      temperature: 0.7,
      topP: 0.9,
      topK: 0,
      repetitionPenalty: 1,
      maxNewTokens: 24,
      resize: "centre-crop",
      ...options.answer,
    },
    ...(options.domain && { domain: options.domain }),
  });
  return folder;
}

/** Words with and without the space in front, so that each is one token. */
function spaced(text: string): string[] {
  const words = text
    .replaceAll(/\[\/?(Think|Ans)\]/g, " ")
    .split(/\s+/)
    .filter((word) => word !== "");
  return words.flatMap((word) => [word, ` ${word}`]);
}

function vlmJson(tokenizer: Tokenizer): Record<string, unknown> {
  const id = (token: (typeof QWEN_SPECIAL_TOKENS)[number]): number => tokenizer.requireId(token);
  return {
    vocab_size: tokenizer.vocabSize,
    hidden_size: HIDDEN,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    rope_scaling: { type: "mrope", mrope_section: [4, 6, 6] },
    max_position_embeddings: 512,
    tie_word_embeddings: false,
    vision_config: {
      depth: 2,
      hidden_size: VISION_HIDDEN,
      intermediate_size: 48,
      num_heads: 2,
      in_channels: 3,
      out_hidden_size: HIDDEN,
      patch_size: 8,
      temporal_patch_size: 2,
      spatial_merge_size: 2,
      window_size: 32,
      fullatt_block_indexes: [1],
      tokens_per_second: 2,
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

/**
 * Weights of a model that says one text: layers add nothing, each token of the text has an axis of its own, and the head
 * leads from every token's axis to the token that follows.
 */
function scripted(
  random: Readonly<Record<string, NdArray>>,
  tokenizer: Tokenizer,
  text: string,
): Record<string, NdArray> {
  const encode = (part: string): number[] => tokenizer.encode(part, { addSpecialTokens: false });
  const start = encode("<|im_start|>assistant\n").at(-1)!;
  const chain = [start, ...encode(text), tokenizer.requireId("<|im_end|>")];
  if (new Set(chain).size !== chain.length || chain.length > HIDDEN)
    throw new RangeError(`a script of at most ${HIDDEN} different tokens is needed, got ${chain.length}`);
  const weights: Record<string, NdArray> = { ...random };
  for (const [name, { shape, data }] of Object.entries(random))
    if (/^model\.layers\.\d+\.(self_attn\.o_proj|mlp\.down_proj)\.weight$/.test(name))
      weights[name] = f32(new Float32Array(data.length), shape);
  const vocabulary = random["model.embed_tokens.weight"]!.shape[0]!;
  const embedding = new Float32Array(vocabulary * HIDDEN);
  const head = new Float32Array(vocabulary * HIDDEN);
  chain.forEach((id, axis) => {
    embedding[id * HIDDEN + axis] = 1;
    const next = chain[axis + 1];
    if (next !== undefined) head[next * HIDDEN + axis] = 8;
  });
  weights["model.embed_tokens.weight"] = f32(embedding, [vocabulary, HIDDEN]);
  weights["lm_head.weight"] = f32(head, [vocabulary, HIDDEN]);
  return weights;
}
