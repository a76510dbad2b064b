/**
 * Supervised steps of the large models: loss and adapter gradients of one sample.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { fold, integer, type Key, normal } from "../base/keys.ts";
import { padRows, positionIds } from "../models/qwen25vl/index.ts";
import { addNoise, trainingGrid } from "../models/wan/index.ts";
import {
  crossEntropy,
  f32,
  i32,
  mean,
  mul,
  type NdArray,
  sizeOf,
  sub,
  type Tensor,
} from "../tensor/index.ts";
import { formatAnswer } from "../text/index.ts";
import type { LargeContext, LargePrompt } from "./large-context.ts";
import type { Arrays, LargeGradients } from "./large-lora.ts";
import type { LargeSample } from "./large-samples.ts";
import { vdmGradients } from "./large-vdm-gradients.ts";
import { type VlmStepInputs, vlmGradients } from "./large-vlm-gradients.ts";

/** Prompt and continuation as one row; the logits that predict the continuation are those that count. */
export function vlmRow(
  context: LargeContext,
  { ids: prompt, patches, grid }: LargePrompt,
  continuation: ArrayLike<number>,
): Omit<VlmStepInputs, "loss" | "feeds"> & { readonly labels: NdArray } {
  const { promptTokens, answerTokens } = context.settings;
  if (prompt.length > promptTokens || continuation.length > answerTokens)
    throw new VansError("VANS_TRAIN_PROMPT_LENGTH", "a sample is longer than the recipe has places for", {
      asked: `${prompt.length} tokens of prompt, ${continuation.length} of answer`,
      found: `settings.promptTokens ${promptTokens}, settings.answerTokens ${answerTokens}`,
      fix: "raise them, or lower settings.vlmMaxPixels",
    });
  const { config } = context.suite.vlm;
  const all = [...prompt, ...Array.from(continuation)];
  const rows = padRows([all], { side: "left", padTokenId: config.padTokenId, length: all.length });
  const positions = Array.from(continuation, (_, i) => prompt.length + i - 1);
  return {
    ids: rows.ids,
    positionIds: positionIds(rows, config, { grids: [grid] }).ids,
    patches,
    grids: [grid],
    positions,
    labels: i32(Int32Array.from(continuation)),
  };
}

/** A step of the language model: the loss covers the assistant's part, the end token included. */
export async function vlmSample(
  context: LargeContext,
  sample: LargeSample,
  adapters: Arrays,
  signal: AbortSignal | undefined,
): Promise<LargeGradients> {
  const prompt = await context.prompt(sample, signal);
  const answer = context.tokenizer.encode(`${formatAnswer(sample)}<|im_end|>`, { addSpecialTokens: false });
  const { labels, ...row } = vlmRow(context, prompt, answer);
  const loss = (logits: Tensor, feed: (name: string) => Tensor): Tensor =>
    mean(crossEntropy(logits, feed("labels")));
  const { part, lora, threads, suite } = context;
  return vlmGradients(
    suite.vlm.config,
    { weights: part.binding, lora, threads },
    part.stored("model.embed_tokens.weight"),
    { ...row, feeds: { labels }, loss },
    adapters,
  );
}

/** A step of the video model at a random level of noise, weighted as VANS trains (`trainingGrid`). */
export async function vdmSample(
  context: LargeContext,
  sample: LargeSample,
  adapters: Arrays,
  { key, signal }: { readonly key: Key; readonly signal: AbortSignal | undefined },
): Promise<LargeGradients> {
  const { references, clean, context: text } = await context.latents(sample, signal);
  const { part, lora, threads, suite, settings } = context;
  const grid = trainingGrid({ shift: settings.shift ?? suite.manifest.answer.shift });
  const level = integer(fold(key, "level"), grid.sigmas.length);
  const noise = normal(fold(key, "noise"), sizeOf(clean.shape));
  const from = clean.data as Float32Array;
  const noisy = f32(addNoise(from, noise, grid.sigmas[level]!), clean.shape);
  const target = f32(
    noise.map((value, i) => value - from[i]!),
    clean.shape,
  );
  const loss = (velocity: Tensor, feed: (name: string) => Tensor): Tensor => {
    const error = sub(velocity, feed("target"));
    return mul(mean(mul(error, error)), grid.weights[level]!);
  };
  const timestep = f32([grid.timesteps[level]!]);
  return vdmGradients(
    suite.vdm.config,
    { weights: part.binding, lora, threads },
    { references, noisy, timestep, context: text, feeds: { target }, loss },
    adapters,
  );
}
