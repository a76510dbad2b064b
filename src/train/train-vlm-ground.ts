/**
 * Grounding the vision tower: attention-pooled heads name what the clip shows. The heads are dropped afterwards.
 *
 * A small language model trained on text alone learns the answer format at once and what it sees never; naming
 * attributes first takes a few minutes (docs/log.md).
 * @module
 */
import { z } from "zod";
import { fold, integer, normal } from "../base/keys.ts";
import { initQwen, patchify, type VisionGrid, visionFeatures } from "../models/qwen25vl/index.ts";
import { compileTrainStep, linear, Params } from "../nn/index.ts";
import { compile, type Feeds } from "../runtime/index.ts";
import {
  add,
  attention,
  crossEntropy,
  f32,
  i32,
  input,
  mean,
  mul,
  type NdArray,
  reshape,
  select,
  type Tensor,
} from "../tensor/index.ts";
import { loadTokenizer } from "../text/index.ts";
import { attributeValues, visibleAttributes, type WorldSample } from "../world/index.ts";
import { firstValues } from "./initial-weights.ts";
import { optimizerOf } from "./optimizers.ts";
import type { PrepareTask } from "./task.ts";
import { throughVideo } from "./through-video.ts";
import { playroomVlmConfig, VLM_FRAMES, vlmFrames } from "./vlm-config.ts";
import { drawSample, heldOutSamples, stepKey } from "./world-batches.ts";

const settingsSchema = z.strictObject({
  tokenizer: z.string().default("suites/playroom-sft/vlm/tokenizer.json"),
  /** Share of samples shown as a still image. */
  stills: z.number().min(0).max(1).default(0.1),
});

const GRID: VisionGrid = [VLM_FRAMES / 2, 8, 8];
const HEAD_SCOPE = "ground";

/** Logits of each attribute, from features `[B, tokens, width]`. */
function heads(params: Params, features: Tensor): Tensor[] {
  const [batch, , width] = features.shape as [number, number, number];
  const scope = params.at(HEAD_SCOPE);
  const queries = scope.get("queries", [visibleAttributes.length, width]);
  const keys = linear(scope.at("key"), features, { out: width });
  const wide = add(reshape(queries, [1, visibleAttributes.length, width]), input("zeros", [batch, 1, 1]));
  const pooled = attention(wide, keys, features);
  return visibleAttributes.map((name, i) =>
    linear(scope.at(name), select(pooled, 1, i), { out: attributeValues[name].length }),
  );
}

/** Class indices of the visible attributes. */
export function attributeLabels(sample: WorldSample): number[] {
  return visibleAttributes.map((name) => attributeValues[name].indexOf(sample.attributes[name]));
}

/** Patches of several clips, one after the other. */
export function stackPatches(
  frames: readonly { frameCount: number; height: number; width: number; rgb: Uint8Array }[],
): NdArray {
  const layout = { patchSize: 8, temporalPatchSize: 2, mergeSize: 2 };
  const parts = frames.map((clip) => patchify(clip, layout).patches);
  const rows = parts[0]!.shape[0]!;
  const width = parts[0]!.shape[1]!;
  const data = new Float32Array(parts.length * rows * width);
  parts.forEach((part, i) => {
    data.set(part.data as Float32Array, i * rows * width);
  });
  return f32(data, [parts.length * rows, width]);
}

/** Prepares the task `vlm-ground`. */
export const prepareVlmGround: PrepareTask = async (recipe, context) => {
  const settings = settingsSchema.parse(recipe.settings);
  const tokenizer = await loadTokenizer(settings.tokenizer);
  const config = playroomVlmConfig(recipe.model as Record<string, number>, tokenizer);
  const params = new Params();
  const grids = Array.from({ length: recipe.batch }, () => GRID);
  const patches = input("patches", [recipe.batch * GRID[0] * GRID[1] * GRID[2], 3 * 2 * 8 * 8]);
  const features = visionFeatures(params, config, patches, grids);
  const tokens = features.size(0) / recipe.batch;
  const logits = heads(params, reshape(features, [recipe.batch, tokens, config.text.hiddenSize]));
  const labels = input("labels", [recipe.batch, visibleAttributes.length], "i32");
  const losses = logits.map((values, i) => mean(crossEntropy(values, select(labels, 1, i))));
  const loss = mul(
    losses.reduce((a, b) => add(a, b)),
    1 / losses.length,
  );
  const key = stepKey(recipe.seed, 0, "vlm-init");
  const fresh: Record<string, NdArray> = { ...initQwen(config, key) };
  for (const [name, tensor] of params.tensors) {
    if (!name.startsWith(`${HEAD_SCOPE}.`)) continue;
    const size = tensor.shape.reduce((a, b) => a * b, 1);
    const scale = tensor.rank === 1 ? 0 : 1 / Math.sqrt(tensor.size(-1));
    fresh[name] = f32(
      normal(fold(key, name), size).map((value) => value * scale),
      tensor.shape,
    );
  }
  const step = await compileTrainStep(
    {
      loss,
      params: params.tensors,
      metrics: Object.fromEntries(visibleAttributes.map((name, i) => [name, losses[i]!])),
      optimizer: optimizerOf(recipe),
      clipNorm: recipe.optimizer.clipNorm,
      ema: true,
    },
    firstValues(params.tensors, context, fresh),
    { threads: recipe.threads, stepCount: context.resumed?.step ?? 0 },
  );
  const zeros = f32(new Float32Array(recipe.batch), [recipe.batch, 1, 1]);
  const feedsOf = (samples: readonly WorldSample[], still: (n: number) => boolean): Feeds => ({
    patches: stackPatches(samples.map((sample, n) => throughVideo(vlmFrames(sample.input, still(n))))),
    labels: i32(samples.flatMap(attributeLabels), [samples.length, visibleAttributes.length]),
    zeros,
  });
  return {
    step,
    batch: async (at) => {
      const root = stepKey(recipe.seed, at, "vlm-batch");
      const samples = Array.from({ length: recipe.batch }, (_, n) => drawSample(fold(root, n)));
      return feedsOf(samples, (n) => integer(fold(root, n, "still"), 1000) < settings.stills * 1000);
    },
    evaluate: async (weights) => {
      const exe = await compile(
        Object.fromEntries(logits.map((values, i) => [visibleAttributes[i]!, values])),
        {
          threads: recipe.threads,
          weights: { weight: (name) => weights[name] },
        },
      );
      const right: Record<string, number> = {};
      const rounds = 6;
      const samples = heldOutSamples(rounds * recipe.batch);
      for (let r = 0; r < rounds; r++) {
        const chunk = samples.slice(r * recipe.batch, (r + 1) * recipe.batch);
        const { labels: _, ...feeds } = feedsOf(chunk, () => false);
        const out = await exe.run(feeds);
        visibleAttributes.forEach((name, i) => {
          const { data, shape } = out[name]!;
          chunk.forEach((sample, n) => {
            const row = Array.from(data.subarray(n * shape[1]!, (n + 1) * shape[1]!));
            if (row.indexOf(Math.max(...row)) === attributeLabels(sample)[i])
              right[name] = (right[name] ?? 0) + 1 / samples.length;
          });
        });
      }
      await exe.release();
      return right;
    },
    // The whole model with the grounded tower; the decoder is as fresh as it was.
    exported: (weights) => ({
      ...initQwen(config, key),
      ...Object.fromEntries(Object.entries(weights).filter(([name]) => !name.startsWith(`${HEAD_SCOPE}.`))),
    }),
  };
};
