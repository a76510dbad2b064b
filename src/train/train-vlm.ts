/**
 * Supervised training of the vision-language model: question and clip in, reasoning and caption out, loss on the answer
 * alone.
 * @module
 */
import { z } from "zod";
import { fold, integer, uniform } from "../base/keys.ts";
import { padRows, positionIds, qwenLogits, type VisionGrid } from "../models/qwen25vl/index.ts";
import { compileTrainStep, Params } from "../nn/index.ts";
import { compile, type Feeds } from "../runtime/index.ts";
import { crossEntropy, div, f32, i32, input, mul, type NdArray, slice, sum } from "../tensor/index.ts";
import { loadTokenizer } from "../text/index.ts";
import type { WorldSample } from "../world/index.ts";
import { firstValues, requireInit } from "./initial-weights.ts";
import { optimizerOf } from "./optimizers.ts";
import type { PrepareTask } from "./task.ts";
import { throughVideo } from "./through-video.ts";
import { stackPatches } from "./train-vlm-ground.ts";
import { playroomVlmConfig, VLM_FRAMES, vlmFrames, vlmSequence } from "./vlm-config.ts";
import { drawSample, heldOutSamples, stepKey } from "./world-batches.ts";

const settingsSchema = z.strictObject({
  tokenizer: z.string().default("suites/playroom-sft/vlm/tokenizer.json"),
  /** Tokens of a sequence, prompt and answer; longer ones are an error. */
  length: z.int().positive().default(160),
  /** The sample's own caption, in its annotator's style; any paraphrase of the event; or any literal one. */
  captions: z.enum(["annotated", "paraphrases", "literal"]).default("annotated"),
  /** How much a caption token counts beside a reasoning token. */
  captionWeight: z.number().positive().default(2),
  /** Share of samples shown as a still image. */
  stills: z.number().min(0).max(1).default(0.1),
  /** Share of procedural samples; the visual state matters there. */
  procedural: z.number().min(0).max(1).default(0.6),
});

const GRID: VisionGrid = [VLM_FRAMES / 2, 8, 8];

/** Prepares the task `vlm`. */
export const prepareVlm: PrepareTask = async (recipe, context) => {
  const settings = settingsSchema.parse(recipe.settings);
  const tokenizer = await loadTokenizer(settings.tokenizer);
  const config = playroomVlmConfig(recipe.model as Record<string, number>, tokenizer);
  const { batch: rows } = recipe;
  const { length } = settings;
  const params = new Params();
  const grids = Array.from({ length: rows }, () => GRID);
  const videoTokens = (GRID[0] * GRID[1] * GRID[2]) / 4;
  const ids = input("ids", [rows, length], "i32");
  const logits = qwenLogits(params, config, {
    ids,
    positionIds: input("positionIds", [3, rows, length], "i32"),
    patches: input("patches", [rows * videoTokens * 4, 3 * 2 * 8 * 8]),
    grids,
  });
  // The token at t + 1 is predicted at t.
  const targets = slice(ids, 1, 1);
  const weights = input("targetWeights", [rows, length - 1]);
  const each = crossEntropy(slice(logits, 1, 0, length - 1), targets);
  const loss = div(sum(mul(each, weights)), sum(weights));
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
      context.resumed ? undefined : await requireInit(recipe, context, "vlm"),
    ),
    { threads: recipe.threads, stepCount: context.resumed?.step ?? 0 },
  );

  const feedsOf = (
    samples: readonly WorldSample[],
    captions: readonly string[],
    still: (n: number) => boolean,
  ): Feeds => {
    const sequences = samples.map((sample, n) =>
      vlmSequence(tokenizer, config, sample, captions[n]!, videoTokens, settings.captionWeight),
    );
    const padded = padRows(
      sequences.map((sequence) => sequence.ids),
      { side: "right", padTokenId: config.padTokenId, length },
    );
    const targetWeights = new Float32Array(rows * (length - 1));
    sequences.forEach((sequence, n) => {
      for (let t = 1; t < sequence.ids.length; t++)
        targetWeights[n * (length - 1) + t - 1] = sequence.weights[t]!;
    });
    return {
      ids: i32(padded.ids.data, [rows, length]),
      positionIds: positionIds(padded, config, { grids }).ids,
      patches: stackPatches(samples.map((sample, n) => throughVideo(vlmFrames(sample.input, still(n))))),
      targetWeights: f32(targetWeights, [rows, length - 1]),
    };
  };

  return {
    step,
    batch: async (at) => {
      const root = stepKey(recipe.seed, at, "vlm-sft-batch");
      const samples = Array.from({ length: rows }, (_, n) => {
        const wanted =
          uniform(fold(root, n, "kind"), 1)[0]! < settings.procedural ? "procedural" : "predictive";
        for (let tries = 0; ; tries++) {
          const sample = drawSample(fold(root, n, tries));
          if (sample.kind === wanted) return sample;
        }
      });
      return feedsOf(
        samples,
        samples.map((sample, n) => {
          if (settings.captions === "annotated") return sample.caption;
          const said = settings.captions === "literal" ? sample.right.captions.literal : sample.paraphrases;
          return said[integer(fold(root, n, "caption"), said.length)]!;
        }),
        (n) => integer(fold(root, n, "still"), 1000) < settings.stills * 1000,
      );
    },
    // Teacher-forced: the share of reasoning tokens that are predicted.
    evaluate: async (trained) => {
      const exe = await compile(
        { logits },
        { threads: recipe.threads, weights: { weight: (name) => trained[name] } },
      );
      const rounds = 3;
      const samples = heldOutSamples(rounds * rows);
      const tokens = { right: 0, all: 0 };
      for (let r = 0; r < rounds; r++) {
        const chunk = samples.slice(r * rows, (r + 1) * rows);
        const { targetWeights, ...feeds } = feedsOf(
          chunk,
          chunk.map((sample) => sample.caption),
          () => false,
        ) as Record<string, NdArray>;
        const { data, shape } = (await exe.run(feeds))["logits"]!;
        const vocabulary = shape[2]!;
        chunk.forEach((_, n) => {
          for (let t = 0; t < length - 1; t++) {
            if (targetWeights!.data[n * (length - 1) + t] !== 1) continue;
            const row = data.subarray(
              (n * length + t) * vocabulary,
              (n * length + t + 1) * vocabulary,
            ) as Float32Array;
            const target = feeds["ids"]!.data[n * length + t + 1]!;
            tokens.all++;
            if (row.every((value) => value <= row[target]!)) tokens.right++;
          }
        });
      }
      await exe.release();
      return { reasoningTokenAccuracy: tokens.right / tokens.all };
    },
    exported: (trained) => trained,
  };
};
