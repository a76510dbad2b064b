/**
 * Supervised training of the video transformer with its text encoder: flow matching on answers behind clean reference
 * latents of the input, as the released VANS trains (the loss covers the generated frames only).
 *
 * Deviations, for a small model trained from nothing: errors count more where the answer differs from the last reference
 * (else copying the scene is all it learns), timesteps are drawn evenly before the shift and not weighted, and every
 * sample also teaches two events that do not follow, under their own captions, so that captions decide.
 * @module
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { fold, integer, normal, permutation, uniform } from "../base/keys.ts";
import { initUmt5, type Umt5Config, umt5Config, umt5Encode } from "../models/umt5/index.ts";
import { type DitConfig, ditConfig, ditWithReferences, initDit, shiftSigma } from "../models/wan/index.ts";
import { compileTrainStep, Params } from "../nn/index.ts";
import type { Feeds } from "../runtime/index.ts";
import { add, div, f32, i32, input, mean, minimum, mul, slice, sub, sum } from "../tensor/index.ts";
import { loadTokenizer } from "../text/index.ts";
import { candidates, sampleForSeed, type WorldEvent } from "../world/index.ts";
import { frameSheet } from "./frame-sheet.ts";
import { firstValues, initFile, requireInit } from "./initial-weights.ts";
import { cachedEvents, EVENTS_PER_SAMPLE, latentCache } from "./latent-cache.ts";
import { optimizerOf } from "./optimizers.ts";
import type { PrepareTask } from "./task.ts";
import { vaeConfigOf } from "./train-vae.ts";
import { VdmPreview } from "./vdm-preview.ts";
import { heldOutSamples, stepKey } from "./world-batches.ts";

const settingsSchema = z.strictObject({
  tokenizer: z.string().default("suites/playroom-sft/text-encoder/tokenizer.json"),
  /** Tokens of a caption, the end token included. */
  textLength: z.int().positive().default(16),
  /** Training samples whose latents are cached; each has five events. */
  samples: z.int().positive(),
  /** First seed of the cache. */
  firstSeed: z.int().nonnegative().default(0),
  shift: z.number().positive().default(3),
  /** Styles of the captions; what is left out the text encoder never reads. */
  captionStyles: z
    .array(z.enum(["literal", "vivid", "abstract"]))
    .min(1)
    .default(["literal", "vivid", "abstract"]),
  /** Share of captions replaced by the empty text. */
  captionDropout: z.number().min(0).max(1).default(0.1),
  /** Share of the batch that shows the right event rather than one of the others. */
  rightShare: z.number().min(0).max(1).default(0.5),
  /** Further weight where the answer differs from the last reference latent. */
  motion: z.number().min(0).default(6),
  /** Share of samples whose references are the last frame only, as for a still image. */
  stills: z.number().min(0).max(1).default(0),
  previewSamples: z.int().positive().default(32),
  previewSteps: z.int().positive().default(10),
  guidanceScale: z.number().default(2.5),
});

const modelSchema = z.strictObject({
  dim: z.int().positive().default(160),
  ffn_dim: z.int().positive().default(640),
  num_heads: z.int().positive().default(5),
  num_layers: z.int().positive().default(6),
  freq_dim: z.int().positive().default(128),
  text_dim: z.int().positive().default(96),
  text_layers: z.int().positive().default(2),
  text_heads: z.int().positive().default(4),
  text_ff: z.int().positive().default(192),
  vae: z.record(z.string(), z.unknown()),
});

/** `config.json` of the transformer (original field names) and of its text encoder. */
export function playroomVdmJson(
  model: Readonly<Record<string, unknown>>,
  textLength: number,
  vocabSize: number,
): { dit: Record<string, unknown>; text: Record<string, unknown> } {
  const m = modelSchema.parse(model);
  return {
    dit: {
      model_type: "t2v",
      patch_size: [1, 2, 2],
      text_len: textLength,
      in_dim: 16,
      dim: m.dim,
      ffn_dim: m.ffn_dim,
      freq_dim: m.freq_dim,
      text_dim: m.text_dim,
      out_dim: 16,
      num_heads: m.num_heads,
      num_layers: m.num_layers,
      qk_norm: true,
      cross_attn_norm: true,
      eps: 1e-6,
    },
    text: {
      model_type: "umt5",
      vocab_size: Math.ceil(vocabSize / 16) * 16,
      d_model: m.text_dim,
      d_kv: m.text_dim / m.text_heads,
      d_ff: m.text_ff,
      num_layers: m.text_layers,
      num_heads: m.text_heads,
      relative_attention_num_buckets: 32,
      relative_attention_max_distance: 128,
      feed_forward_proj: "gated-gelu",
      layer_norm_epsilon: 1e-6,
      pad_token_id: 0,
      eos_token_id: 1,
    },
  };
}

/** True for names of the text encoder; all others are the transformer's. */
export const isTextEncoderName = (name: string): boolean =>
  name.startsWith("shared.") || name.startsWith("encoder.");

/** Prepares the task `vdm`. */
export const prepareVdm: PrepareTask = async (recipe, context) => {
  const settings = settingsSchema.parse(recipe.settings);
  const model = modelSchema.parse(recipe.model);
  const tokenizer = await loadTokenizer(settings.tokenizer);
  const json = playroomVdmJson(recipe.model, settings.textLength, tokenizer.vocabSize);
  const dit: DitConfig = ditConfig(json.dit);
  const text: Umt5Config = umt5Config(json.text);
  const vaeWeights = await requireInit(recipe, context, "vae");
  const seeds = Array.from({ length: settings.samples }, (_, i) => settings.firstSeed + i);
  const cache = await latentCache(vaeConfigOf(model.vae), vaeWeights, seeds, {
    folder: join(context.runFolder, "..", ".cache"),
    threads: recipe.threads,
    report: (line) => console.error(line),
  });
  const vae = { ...vaeConfigOf(model.vae), latents_mean: cache.mean, latents_std: cache.std };
  await writeFile(
    join(context.runFolder, "latents.json"),
    JSON.stringify({ mean: cache.mean, std: cache.std }),
  );

  const { batch: rows } = recipe;
  const { channels, latentSize, inputFrames, answerFrames } = cache;
  const referenceShape = [rows, channels, inputFrames, latentSize, latentSize];
  const answerShape = [rows, channels, answerFrames, latentSize, latentSize];
  const params = new Params();
  const references = input("references", referenceShape);
  const clean = input("clean", answerShape);
  const noise = input("noise", answerShape);
  const sigma = input("sigma", [rows, 1, 1, 1, 1]);
  const ids = input("ids", [rows, settings.textLength], "i32");
  const mask = input("mask", [rows, settings.textLength], "i32");
  const noisy = add(mul(clean, sub(1, sigma)), mul(noise, sigma));
  const velocity = ditWithReferences(params, dit, {
    references,
    noisy,
    timestep: input("timestep", [rows]),
    context: umt5Encode(params, text, ids, mask),
  });
  const error = sub(velocity, sub(noise, clean));
  const square = mean(mul(error, error), { axes: [1], keepDims: true });
  const moved = sub(clean, slice(references, 2, inputFrames - 1));
  const distance = mean(mul(moved, moved), { axes: [1], keepDims: true });
  const weight = add(mul(minimum(distance, 2), settings.motion), 1);
  const loss = div(sum(mul(square, weight)), sum(weight));
  const fresh = {
    ...initUmt5(text, stepKey(recipe.seed, 0, "umt5-init")),
    ...initDit(dit, stepKey(recipe.seed, 0, "dit-init")),
  };
  const step = await compileTrainStep(
    {
      loss,
      params: params.tensors,
      metrics: { mse: mean(square) },
      optimizer: optimizerOf(recipe),
      clipNorm: recipe.optimizer.clipNorm,
      ema: true,
    },
    firstValues(params.tensors, context, await initFile(recipe, context, "vdm"), fresh),
    { threads: recipe.threads, stepCount: context.resumed?.step ?? 0 },
  );

  const encodeTexts = (texts: readonly string[]) => {
    const encoded = texts.map((value) => tokenizer.encodeFixed(value, settings.textLength, text.padTokenId));
    const shape = [texts.length, settings.textLength];
    return {
      ids: i32(
        encoded.flatMap((row) => [...row.ids]),
        shape,
      ),
      mask: i32(
        encoded.flatMap((row) => [...row.mask]),
        shape,
      ),
    };
  };

  const normalised = (
    from: Float32Array,
    start: number,
    size: number,
    out: Float32Array,
    at: number,
  ): void => {
    const perChannel = size / channels;
    for (let i = 0; i < size; i++) {
      const c = Math.floor(i / perChannel);
      out[at + i] = (from[start + i]! - cache.mean[c]!) / cache.std[c]!;
    }
  };

  const batch = async (at: number): Promise<Feeds> => {
    const root = stepKey(recipe.seed, at, "vdm-batch");
    const referenceData = new Float32Array(rows * cache.inputSize);
    const cleanData = new Float32Array(rows * cache.answerSize);
    const sigmas = new Float32Array(rows);
    const texts: string[] = [];
    const order = permutation(fold(root, "strata"), rows);
    for (let n = 0; n < rows; n++) {
      const key = fold(root, n);
      const index = integer(fold(key, "sample"), seeds.length);
      const isRight = uniform(fold(key, "right"), 1)[0]! < settings.rightShare;
      const eventIndex = isRight ? 0 : 1 + integer(fold(key, "event"), EVENTS_PER_SAMPLE - 1);
      const event: WorldEvent = candidates(sampleForSeed(seeds[index]!))[
        cachedEvents(seeds[index]!)[eventIndex]!
      ]!;
      const dropped = uniform(fold(key, "dropout"), 1)[0]! < settings.captionDropout;
      const said = settings.captionStyles.flatMap((style) => event.captions[style]);
      texts.push(dropped ? "" : said[integer(fold(key, "caption"), said.length)]!);
      normalised(cache.inputs, index * cache.inputSize, cache.inputSize, referenceData, n * cache.inputSize);
      if (uniform(fold(key, "still"), 1)[0]! < settings.stills)
        repeatLastFrame(referenceData, n * cache.inputSize, channels, inputFrames, latentSize * latentSize);
      normalised(
        cache.answers,
        (index * EVENTS_PER_SAMPLE + eventIndex) * cache.answerSize,
        cache.answerSize,
        cleanData,
        n * cache.answerSize,
      );
      // Evenly spread over the batch: every step sees high and low noise.
      sigmas[n] = shiftSigma((order[n]! + uniform(fold(key, "sigma"), 1)[0]!) / rows, settings.shift);
    }
    return {
      references: f32(referenceData, referenceShape),
      clean: f32(cleanData, answerShape),
      noise: f32(normal(fold(root, "noise"), rows * cache.answerSize), answerShape),
      sigma: f32(sigmas, [rows, 1, 1, 1, 1]),
      timestep: f32(sigmas.map((value) => value * 1000)),
      ...encodeTexts(texts),
    };
  };

  let preview: VdmPreview | undefined;
  let last:
    | { readonly weights: unknown; readonly result: Awaited<ReturnType<VdmPreview["look"]>> }
    | undefined;
  const look = async (weights: Parameters<VdmPreview["look"]>[0]) => {
    preview ??= new VdmPreview(
      { dit, text, vae, vaeWeights, encodeTexts },
      heldOutSamples(settings.previewSamples),
      {
        steps: settings.previewSteps,
        shift: settings.shift,
        guidanceScale: settings.guidanceScale,
        threads: recipe.threads,
      },
    );
    if (last?.weights !== weights) last = { weights, result: await preview.look(weights) };
    return last.result;
  };
  return {
    step,
    batch,
    evaluate: async (weights) => (await look(weights)).metrics,
    sheet: async (weights) => frameSheet((await look(weights)).rows.slice(0, 16)),
    exported: (weights) => weights,
  };
};

/** References of a still image: every latent frame is the first one of a clip at rest, which the last one resembles. */
function repeatLastFrame(
  data: Float32Array,
  start: number,
  channels: number,
  frames: number,
  frameElements: number,
): void {
  for (let c = 0; c < channels; c++) {
    const row = start + c * frames * frameElements;
    const last = data.slice(row + (frames - 1) * frameElements, row + frames * frameElements);
    for (let t = 0; t < frames; t++) data.set(last, row + t * frameElements);
  }
}
