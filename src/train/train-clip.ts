/**
 * Contrastive training of the suite's CLIP on frames and captions of the playroom (Radford et al., arXiv 2103.00020).
 *
 * A batch holds distinct events, because two samples of one event have interchangeable captions.
 * @module
 */
import { z } from "zod";
import { fold, integer, type Key } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { clipPixels } from "../media/pixels.ts";
import { clipConfig, clipSimilarity, contrastiveLoss, initClip } from "../models/clip/index.ts";
import { compileTrainStep, Params } from "../nn/index.ts";
import { compile, type Feeds } from "../runtime/index.ts";
import { f32, i32, input } from "../tensor/index.ts";
import { loadTokenizer, type Tokenizer } from "../text/index.ts";
import { ANSWER_FRAMES, candidates, sampleForSeed, WORLD_SIZE, type WorldEvent } from "../world/index.ts";
import { firstValues, initFile } from "./initial-weights.ts";
import { optimizerOf } from "./optimizers.ts";
import type { PrepareTask } from "./task.ts";
import { throughVideo } from "./through-video.ts";
import { drawSample, HELD_OUT_SEED_START, stepKey } from "./world-batches.ts";

const settingsSchema = z.strictObject({
  tokenizer: z.string().default("suites/playroom-sft/clip/tokenizer.json"),
  /** First frame of an answer from which images are drawn: earlier the event has hardly begun. */
  fromFrame: z.int().min(0).max(16).default(9),
  /**
   * `even`: every frame from there on is as likely. `later`: the later of two even draws, so that all frames come up but
   * those that show more of the event more often; for a CLIP that is asked about every frame of an answer.
   */
  frames: z.enum(["even", "later"]).default("even"),
});

/** `config.json` of the playroom's CLIP. */
export function playroomClipJson(
  sizes: Readonly<Record<string, number>>,
  tokenizer: Tokenizer,
): Record<string, unknown> {
  return {
    architectures: ["CLIPModel"],
    model_type: "clip",
    projection_dim: sizes["projection"] ?? 64,
    text_config: {
      vocab_size: tokenizer.vocabSize,
      hidden_size: sizes["textHidden"] ?? 96,
      intermediate_size: 4 * (sizes["textHidden"] ?? 96),
      num_hidden_layers: sizes["textLayers"] ?? 2,
      num_attention_heads: 3,
      max_position_embeddings: 24,
      hidden_act: "quick_gelu",
      layer_norm_eps: 1e-5,
      eos_token_id: tokenizer.vocabSize - 1,
    },
    vision_config: {
      image_size: WORLD_SIZE,
      patch_size: 8,
      hidden_size: sizes["visionHidden"] ?? 96,
      intermediate_size: 4 * (sizes["visionHidden"] ?? 96),
      num_hidden_layers: sizes["visionLayers"] ?? 4,
      num_attention_heads: 3,
      num_channels: 3,
      hidden_act: "quick_gelu",
      layer_norm_eps: 1e-5,
    },
  };
}

/** Token ids of texts, cut or padded with the end token as CLIP pads. `[B, 24]` */
export function clipIds(tokenizer: Tokenizer, texts: readonly string[]): Int32Array {
  const length = 24;
  const end = tokenizer.vocabSize - 1;
  const ids = new Int32Array(texts.length * length).fill(end);
  texts.forEach((text, row) => {
    const encoded = tokenizer.encode(text).slice(0, length);
    encoded[encoded.length - 1] = end;
    ids.set(encoded, row * length);
  });
  return ids;
}

function frameOf(clip: Clip, frame: number): { height: number; width: number; rgb: Uint8Array } {
  const size = clip.height * clip.width * 3;
  return { height: clip.height, width: clip.width, rgb: clip.rgb.subarray(frame * size, (frame + 1) * size) };
}

/** A random event of a random sample, under a name that tells events of different families apart. */
function drawEvent(key: Key, seed?: number): { readonly name: string; readonly event: WorldEvent } {
  const sample = seed === undefined ? drawSample(key) : sampleForSeed(seed);
  const events = candidates(sample);
  const event = events[integer(fold(key, "event"), events.length)]!;
  return { name: `${sample.family}:${event.event}`, event };
}

/** A frame below `count`. */
function drawFrame(key: Key, count: number, frames: "even" | "later"): number {
  const one = integer(fold(key, "frame"), count);
  return frames === "even" ? one : Math.max(one, integer(fold(key, "other-frame"), count));
}

/** Prepares the task `clip`. */
export const prepareClip: PrepareTask = async (recipe, context) => {
  const settings = settingsSchema.parse(recipe.settings);
  const tokenizer = await loadTokenizer(settings.tokenizer);
  const config = clipConfig(playroomClipJson(recipe.model as Record<string, number>, tokenizer));
  const { batch: rows } = recipe;
  const params = new Params();
  const images = input("images", [rows, 3, WORLD_SIZE, WORLD_SIZE]);
  const ids = input("ids", [rows, 24], "i32");
  const { logitsPerImage, cosine } = clipSimilarity(params, config, images, ids);
  const loss = contrastiveLoss(logitsPerImage);
  const step = await compileTrainStep(
    {
      loss,
      params: params.tensors,
      optimizer: optimizerOf(recipe),
      clipNorm: recipe.optimizer.clipNorm,
      ema: true,
    },
    firstValues(
      params.tensors,
      context,
      await initFile(recipe, context, "clip"),
      initClip(config, stepKey(recipe.seed, 0, "clip-init")),
    ),
    { threads: recipe.threads, stepCount: context.resumed?.step ?? 0 },
  );
  const feedsOf = (key: Key, seedOf?: (tries: number) => number): Feeds => {
    const names = new Set<string>();
    const pixels = new Float32Array(rows * 3 * WORLD_SIZE * WORLD_SIZE);
    const texts: string[] = [];
    for (let tries = 0; texts.length < rows; tries++) {
      const drawKey = fold(key, tries);
      const { name, event } = drawEvent(drawKey, seedOf?.(tries));
      if (names.has(name)) continue;
      names.add(name);
      const clip = throughVideo(event.render());
      const frame =
        settings.fromFrame + drawFrame(drawKey, ANSWER_FRAMES - settings.fromFrame, settings.frames);
      const side = { height: WORLD_SIZE, width: WORLD_SIZE };
      pixels.set(
        clipPixels(frameOf(clip, frame), { shortestSide: WORLD_SIZE, crop: side }),
        texts.length * 3 * WORLD_SIZE * WORLD_SIZE,
      );
      texts.push(event.paraphrases[integer(fold(drawKey, "caption"), event.paraphrases.length)]!);
    }
    return { images: f32(pixels, images.shape), ids: i32(clipIds(tokenizer, texts), [rows, 24]) };
  };
  return {
    step,
    batch: async (at) => feedsOf(stepKey(recipe.seed, at, "clip-batch")),
    // How often an image is nearest to its own caption among those of a batch of distinct events.
    evaluate: async (weights) => {
      const exe = await compile(
        { cosine },
        { threads: recipe.threads, weights: { weight: (name) => weights[name] } },
      );
      const rounds = 8;
      let right = 0;
      for (let r = 0; r < rounds; r++) {
        const { data } = (
          await exe.run(
            feedsOf(
              stepKey(0, r, "clip-held-out"),
              (tries) => HELD_OUT_SEED_START + ((r * 997 + tries * 31) % 15_000),
            ),
          )
        )["cosine"]!;
        for (let i = 0; i < rows; i++) {
          const row = Array.from(data.subarray(i * rows, (i + 1) * rows));
          if (row.indexOf(Math.max(...row)) === i) right++;
        }
      }
      await exe.release();
      return { captionRetrieval: right / (rounds * rows) };
    },
    exported: (weights) => weights,
  };
};
