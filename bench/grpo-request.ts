/**
 * A recorded update as the peer takes it: arrays in a file, settings beside them.
 * @module
 */
import type { Suite } from "../src/answer/index.ts";
import { normal } from "../src/base/index.ts";
import { noiseKey } from "../src/evaluate/evaluated-models.ts";
import { valuesFromClip } from "../src/media/index.ts";
import { readModelJson } from "../src/metrics/suite-part.ts";
import { clipConfig } from "../src/models/clip/index.ts";
import { flowMatchGrid } from "../src/models/wan/index.ts";
import { f32, i32, type NdArray } from "../src/tensor/index.ts";
import { loadTokenizer, type Tokenizer } from "../src/text/index.ts";
import { cleanPrompt } from "../src/text/prompt-cleaning.ts";
import { joinedRows, replayFeeds } from "../src/train/caption-policy.ts";
import { stepCoefficients } from "../src/train/flow-sde.ts";
import type { Recipe } from "../src/train/index.ts";
import { throughVideo } from "../src/train/through-video.ts";
import type { WorldSample } from "../src/world/index.ts";
import type { RecordedResponses, Recording } from "./grpo-recorder.ts";

/** Arrays by name, and settings. */
export interface PeerUpdate {
  readonly tensors: Record<string, NdArray>;
  readonly plan: Record<string, unknown>;
}

/** What requests are made with. */
export interface RequestContext {
  readonly suite: Suite;
  readonly recipe: Recipe;
  readonly texts: Tokenizer;
  readonly clipTexts: Tokenizer;
  readonly clipPlaces: number;
  readonly clipEnd: number;
  readonly banned: readonly number[];
}

/** Opens tokenizers. */
export async function requestContext(suite: Suite, recipe: Recipe): Promise<RequestContext> {
  const folder = `${suite.folder}/clip`;
  const { text } = clipConfig(await readModelJson(folder));
  const vlm = await loadTokenizer(suite.vlm.tokenizer);
  const { eosTokenIds } = suite.vlm.config;
  return {
    suite,
    recipe,
    texts: await loadTokenizer(suite.textEncoder.tokenizer),
    clipTexts: await loadTokenizer(`${folder}/tokenizer.json`),
    clipPlaces: text.maxPositions,
    clipEnd: text.eosTokenId,
    banned: [...vlm.specialIds].filter((id) => !eosTokenIds.includes(id)),
  };
}

const settingsOf = ({ recipe }: RequestContext): Record<string, number> =>
  recipe.settings as Record<string, number>;

/** Prompts and responses of one call, padded as training pads them. */
function responseArrays(
  { prompts, samples, responses }: RecordedResponses,
  { suite, recipe }: RequestContext,
): Record<string, NdArray> {
  const settings = recipe.settings as { promptLength?: number; maxNewTokens?: number };
  const places = settings.maxNewTokens ?? 64;
  const { feeds } = replayFeeds(suite.vlm.config, prompts, responses, {
    prompts: prompts.length,
    samples,
    promptLength: settings.promptLength ?? 112,
    completionLength: places,
  });
  const rows = responses.flat();
  const tokens = new Int32Array(rows.length * places).fill(suite.vlm.config.padTokenId);
  const logProbs = new Float32Array(rows.length * places);
  rows.forEach((row, r) => {
    tokens.set(row.tokens, r * places);
    logProbs.set(row.logProbs, r * places);
  });
  const patches = joinedRows(prompts.map((prompt) => prompt.patches));
  const [, width] = patches.shape as [number, number];
  return {
    ids: feeds["ids"] as NdArray,
    mask: feeds["mask"] as NdArray,
    positions: feeds["positionIds"] as NdArray,
    lengths: i32(
      rows.map((row) => row.tokens.length),
      [rows.length],
    ),
    tokens: i32(tokens, [rows.length, places]),
    logProbs: f32(logProbs, [rows.length, places]),
    patches: f32(patches.data as Float32Array, [prompts.length, patches.shape[0]! / prompts.length, width]),
  };
}

/** Captions as the text encoder reads them. */
function textArrays(
  texts: readonly string[],
  { suite, texts: tokenizer }: RequestContext,
): [NdArray, NdArray] {
  const { maxLength, config } = suite.textEncoder;
  const encoded = texts.map((text) => tokenizer.encodeFixed(cleanPrompt(text), maxLength, config.padTokenId));
  const shape = [texts.length, maxLength];
  return [
    i32(
      encoded.flatMap(({ ids }) => [...ids]),
      shape,
    ),
    i32(
      encoded.flatMap(({ mask }) => [...mask]),
      shape,
    ),
  ];
}

/** Input clips and true answers. */
function clipArrays(samples: readonly WorldSample[]): Record<string, NdArray> {
  const [first] = samples;
  const { frameCount, height, width } = first!.input;
  const inputs = samples.map(({ input }) => valuesFromClip(throughVideo(input)));
  const truths = samples.map(({ output }) => Float32Array.from(output.rgb));
  const joined = (parts: readonly Float32Array[]): Float32Array => {
    const data = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      data.set(part, at);
      at += part.length;
    }
    return data;
  };
  return {
    inputs: f32(joined(inputs), [samples.length, 3, frameCount, height, width]),
    truths: f32(joined(truths), [samples.length, first!.output.frameCount, height, width, 3]),
  };
}

function commonPlan(context: RequestContext, which: "vlm" | "vdm"): Record<string, unknown> {
  const { suite, recipe, banned } = context;
  const settings = settingsOf(context);
  const { optimizer } = recipe;
  return {
    rank: settings["loraRank"] ?? (which === "vlm" ? 8 : 32),
    alpha: settings["loraAlpha"] ?? (which === "vlm" ? 32 : 64),
    banned,
    group: settings["group"] ?? 8,
    beta: settings["beta"] ?? 0.004,
    everyFrames: settings["clipEveryFrames"] ?? 2,
    shift: settings["shift"] ?? suite.manifest.answer.shift,
    guidanceScale: settings["guidanceScale"] ?? suite.manifest.answer.guidanceScale,
    learningRate: optimizer.rate.peak,
    beta2: optimizer.beta2,
    weightDecay: optimizer.weightDecay,
    clipNorm: optimizer.clipNorm,
  };
}

function loraArrays(adapters: Readonly<Record<string, NdArray>>): [string, NdArray][] {
  return Object.entries(adapters).map(([name, array]) => [`lora:${name}`, array]);
}

function rewardArray(rewards: readonly (readonly number[])[]): NdArray {
  return f32(rewards.flat(), [rewards.length, rewards[0]!.length]);
}

/** Stage 1 for the peer. */
export function stage1Request(
  recording: Recording,
  adapters: Readonly<Record<string, NdArray>>,
  context: RequestContext,
): PeerUpdate {
  const { suite } = context;
  const [call] = recording.responses;
  const samples = call!.prompts.map(({ sample }) => sample);
  const [negativeIds, negativeMask] = textArrays([suite.manifest.answer.negativePrompt], context);
  const drawn = call!.responses.map((group) => [
    ...new Set(group.flatMap(({ caption }) => (caption === null ? [] : [caption]))),
  ]);
  const shape = latentShape(suite);
  const size = shape.reduce((product, axis) => product * axis, 1);
  const noise = new Float32Array(samples.length * size);
  samples.forEach(({ seed }, p) => {
    noise.set(normal(noiseKey(seed), size), p * size);
  });
  const captions = drawn.flatMap((texts, p): [string, NdArray][] => {
    if (texts.length === 0) return [];
    const [ids, mask] = textArrays(texts, context);
    return [
      [`captionIds.${p}`, ids],
      [`captionMask.${p}`, mask],
    ];
  });
  const rows = call!.responses.flat();
  const settings = settingsOf(context);
  return {
    tensors: Object.fromEntries([
      ...Object.entries({
        ...responseArrays(call!, context),
        ...clipArrays(samples),
        negativeIds,
        negativeMask,
        noise: f32(noise, [samples.length, ...shape]),
        rewards: rewardArray(recording.rewards),
      }),
      ...captions,
      ...loraArrays(adapters),
    ]),
    plan: {
      ...commonPlan(context, "vlm"),
      grid: call!.prompts[0]!.grid,
      drawSteps: settings["drawSteps"] ?? suite.manifest.answer.steps,
      epsilon: 0.2,
      texts: rows.map(({ text }) => text),
      captions: rows.map(({ caption }) => caption),
      drawn: drawn.map((texts, p) => ({ texts, reference: samples[p]!.caption })),
    },
  };
}

/** Shape of one video's latents: `[C, F, h, w]`. */
function latentShape(suite: Suite): number[] {
  const { answerFrames, height, width } = suite.manifest.answer;
  return [suite.vae.config.z_dim, 1 + (answerFrames - 1) / 4, height / 8, width / 8];
}

/** Stage 2 for the peer. */
export function stage2Request(
  recording: Recording,
  adapters: Readonly<Record<string, NdArray>>,
  context: RequestContext,
  first: number,
): PeerUpdate {
  const { suite, recipe, clipTexts, clipPlaces, clipEnd } = context;
  const settings = recipe.settings as { window?: { size: number }; rows?: number; rolloutSteps?: number };
  const common = commonPlan(context, "vdm") as { group: number; shift: number };
  const { group } = common;
  const [rows, rolloutSteps] = [settings.rows ?? 4, settings.rolloutSteps ?? 10];
  const anchored = recording.rollouts.filter((_, i) => i % group === 0);
  const samples = anchored.map(({ sample }) => sample as WorldSample);
  const anchors = anchored.map(({ caption }) => caption!);
  const [negativeIds, negativeMask] = textArrays([suite.manifest.answer.negativePrompt], context);
  const [captionIds, captionMask] = textArrays(anchors, context);
  const chunks = (samples.length * group) / rows;
  const { sigmas } = flowMatchGrid({ steps: rolloutSteps, shift: common.shift });
  const at = (chunk: number, step: number) => recording.velocities[chunk * rolloutSteps + step]!;
  const stacked = (of: (chunk: number) => Float32Array, shape: readonly number[]): NdArray => {
    const parts = Array.from({ length: chunks }, (_, chunk) => of(chunk));
    const data = new Float32Array(chunks * parts[0]!.length);
    parts.forEach((part, i) => {
      data.set(part, i * part.length);
    });
    return f32(data, [chunks, ...shape]);
  };
  const { shape } = at(0, 0).noisy;
  const latents = (step: number): NdArray =>
    stacked((chunk) => at(chunk, step).noisy.data as Float32Array, shape);
  const size = settings.window?.size ?? rolloutSteps - 1;
  const tensors: Record<string, NdArray> = {
    ...clipArrays(samples),
    negativeIds,
    negativeMask,
    captionIds,
    captionMask,
    clipIds: i32(
      anchors.flatMap((text) => [...clipTexts.encodeFixed(text, clipPlaces, clipEnd).ids]),
      [anchors.length, clipPlaces],
    ),
    starts: latents(0),
    rewards: rewardArray(recording.rewards),
  };
  for (let step = 1; step < rolloutSteps; step++) tensors[`latents.${step}`] = latents(step);
  // The noise that was drawn, from what it led to.
  for (let step = first; step < first + size && step < rolloutSteps - 1; step++) {
    const { ofSample, ofVelocity, std } = stepCoefficients("wan", { sigmas, index: step });
    tensors[`noise.${step}`] = stacked((chunk) => {
      const [{ noisy: x, velocity: v }, { noisy: next }] = [at(chunk, step), at(chunk, step + 1)];
      return Float32Array.from(
        next.data,
        (value, i) => (Number(value) - ofSample * Number(x.data[i]!) - ofVelocity * Number(v.data[i]!)) / std,
      );
    }, shape);
  }
  recording.responses.forEach((call, n) => {
    for (const [name, array] of Object.entries(responseArrays(call, context)))
      tensors[`${name}.${n}`] = array;
  });
  for (const [name, array] of loraArrays(adapters)) tensors[name] = array;
  return {
    tensors,
    plan: {
      ...common,
      grid: recording.responses[0]!.prompts[0]!.grid,
      responds: recording.responses.map((call) => ({ samples: call.samples })),
      rolloutSteps,
      rows,
      groups: samples.length,
      first,
      size: Math.min(size, rolloutSteps - 1 - first),
      clip: (recipe.settings as { clip?: number }).clip ?? 1e-3,
    },
  };
}
