/**
 * Text from prompts, token by token.
 * @module
 */
import { throwIfAborted } from "../../base/abort.ts";
import { VansError } from "../../base/errors.ts";
import { fold, type Key, uniform } from "../../base/keys.ts";
import { f32, formatShape, type NdArray } from "../../tensor/index.ts";
import type { QwenConfig } from "./config.ts";
import type { VisionGrid } from "./patches.ts";
import { type PositionRule, padRows, positionIds } from "./positions.ts";
import { bucketOf, checkLength, type QwenRunner } from "./runner.ts";
import {
  banTokens,
  drawToken,
  likeliest,
  logProbability,
  penalizeRepetition,
  type SamplingOptions,
  samplingProbabilities,
} from "./sampling.ts";

/** What generation needs of a compiled model: all of it at once, or block by block. */
export type Generator = Pick<QwenRunner, "config" | "prefill" | "decode" | "fed">;

/** A prompt: tokens, and features of what its vision tokens show. */
export interface Prompt {
  readonly ids: ArrayLike<number>;
  /** From `QwenRunner.features`. */
  readonly features?: NdArray | undefined;
  readonly grids?: readonly VisionGrid[] | undefined;
  /** Seconds of video in one time slice; default 1, as in VANS. */
  readonly secondsPerSlice?: number | undefined;
}

/** How {@link generate} continues prompts. */
export interface GenerateOptions extends SamplingOptions {
  readonly maxNewTokens: number;
  /** Continuations of every prompt; default 1. */
  readonly samples?: number | undefined;
  /** Where the random numbers come from; needed unless `temperature` is 0. */
  readonly key?: Key | undefined;
  /** Factor against tokens of the prompt and the answer so far; default 1. */
  readonly repetitionPenalty?: number | undefined;
  /** Tokens that never come. */
  readonly bannedTokenIds?: readonly number[] | undefined;
  /** A row ends after one of them; default the model's. */
  readonly stopTokenIds?: readonly number[] | undefined;
  readonly positionRule?: PositionRule | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One token of every row. Rows are the samples of the first prompt, then those of the second, and so on. */
export interface GeneratedStep {
  readonly index: number;
  /** A row that ended before gets the pad token. */
  readonly tokens: Int32Array;
  /** Of each token under softmax(logits / temperature) before penalty and filters, 0 after the end. */
  readonly logProbs: Float32Array;
  /** Rows that have ended, with this token or before. */
  readonly ended: readonly boolean[];
  /** What the tokens were chosen from, `[rows, vocabulary]`. */
  readonly logits: NdArray;
}

/** One finished row. */
export interface GeneratedRow {
  /** The stop token, where there is one, is kept. */
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
  readonly stop: "token" | "length";
}

interface Row {
  readonly seen: Set<number>;
  readonly tokens: number[];
  readonly logProbs: number[];
  ended: boolean;
}

/**
 * Continues prompts, yielding one token of every row at a time; returns the rows. Prompts are padded on the left to a
 * common length for which graphs are kept, which does not change the result.
 *
 * The same key gives the same tokens: row r draws its i-th token from `fold(key, r, i)`.
 * @throws `VANS_RUN_ABORTED`, `VANS_MODEL_TOO_LONG`, `VANS_MODEL_SAMPLING`, `VANS_MODEL_VISION_TOKENS`
 */
export async function* generate(
  runner: Generator,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): AsyncGenerator<GeneratedStep, GeneratedRow[]> {
  const { config } = runner;
  const samples = options.samples ?? 1;
  const choose = chooser(config, options);
  const longest = prompts.reduce((most, { ids }) => Math.max(most, ids.length), 1);
  checkLength(config, longest + options.maxNewTokens);
  const length = bucketOf(longest);
  const capacity = bucketOf(length + options.maxNewTokens);
  const batch = promptBatch(config, prompts, length, options.positionRule);
  const rows = Array.from(
    { length: prompts.length * samples },
    (_, row): Row => ({
      seen: new Set(Array.from(prompts[Math.floor(row / samples)]!.ids)),
      tokens: [],
      logProbs: [],
      ended: false,
    }),
  );
  const { signal } = options;
  const sizes = { prompts: prompts.length, length, featureCount: batch.featureCount };
  const first = await runner.prefill(sizes, batch.feeds, { signal });
  const { starts, next } = batch;
  const decoding = await runner.decode({ prompts: first.cache, starts, next, samples, length, capacity });
  try {
    let logits = repeatRows(first.logits, samples);
    for (let index = 0; ; index++) {
      throwIfAborted(signal);
      const step = choose(rows, logits, index);
      yield step;
      if (step.ended.every(Boolean) || index + 1 >= options.maxNewTokens) break;
      logits = await decoding.step(step.tokens, runner.fed, signal);
    }
  } finally {
    decoding.end();
  }
  return rows.map(({ tokens, logProbs, ended }) => ({
    tokens: Int32Array.from(tokens),
    logProbs: Float32Array.from(logProbs),
    stop: ended ? "token" : "length",
  }));
}

/** Chooses the next token of every row and notes it. */
function chooser(
  config: QwenConfig,
  options: GenerateOptions,
): (rows: readonly Row[], logits: NdArray, index: number) => GeneratedStep {
  const { temperature = 1, topK, topP, key, repetitionPenalty = 1, bannedTokenIds = [] } = options;
  const stops = new Set(options.stopTokenIds ?? config.eosTokenIds);
  const isGreedy = temperature === 0;
  if (!isGreedy && !key) {
    throw new VansError("VANS_MODEL_SAMPLING", "random tokens need a key", {
      fix: "pass key: keyFromSeed(seed), or temperature: 0 for the likeliest tokens",
    });
  }
  const pick = (row: Row, original: Float32Array, u: () => number): number => {
    const logits = original.slice();
    penalizeRepetition(logits, row.seen, repetitionPenalty);
    banTokens(logits, bannedTokenIds);
    if (isGreedy) return likeliest(logits);
    return drawToken(samplingProbabilities(logits, { temperature, topK, topP }), u());
  };
  return (rows, logits, index) => {
    const width = logits.shape[1]!;
    const tokens = new Int32Array(rows.length).fill(config.padTokenId);
    const logProbs = new Float32Array(rows.length);
    rows.forEach((row, r) => {
      if (row.ended) return;
      const own = logits.data.subarray(r * width, (r + 1) * width) as Float32Array;
      const id = pick(row, own, () => uniform(fold(key!, r, index), 1)[0]!);
      tokens[r] = id;
      logProbs[r] = logProbability(own, id, isGreedy ? 1 : temperature);
      row.tokens.push(id);
      row.logProbs.push(logProbs[r]!);
      row.seen.add(id);
      row.ended = stops.has(id);
    });
    return { index, tokens, logProbs, ended: rows.map((row) => row.ended), logits };
  };
}

interface PromptBatch {
  readonly feeds: Record<string, NdArray>;
  readonly featureCount: number;
  /** First place of every prompt that is not padding. */
  readonly starts: readonly number[];
  /** Position of every prompt's next token. */
  readonly next: readonly number[];
}

function promptBatch(
  config: QwenConfig,
  prompts: readonly Prompt[],
  length: number,
  rule: PositionRule | undefined,
): PromptBatch {
  const rows = padRows(
    prompts.map((prompt) => prompt.ids),
    { side: "left", padTokenId: config.padTokenId, length },
  );
  const grids = prompts.flatMap((prompt) => prompt.grids ?? []);
  const secondsPerSlice = prompts.flatMap((prompt) =>
    (prompt.grids ?? []).map(() => prompt.secondsPerSlice ?? 1),
  );
  const positions = positionIds(rows, config, { grids, secondsPerSlice, rule });
  const features = joinFeatures(prompts, config);
  const feeds: Record<string, NdArray> = { ids: rows.ids, mask: rows.mask, positionIds: positions.ids };
  if (features) feeds["features"] = features;
  return {
    feeds,
    featureCount: features?.shape[0] ?? 0,
    starts: prompts.map((prompt) => length - prompt.ids.length),
    next: prompts.map((prompt, i) => prompt.ids.length + positions.deltas[i]!),
  };
}

/** Features of all prompts, one after another. */
function joinFeatures(prompts: readonly Prompt[], config: QwenConfig): NdArray | undefined {
  const parts = prompts.flatMap((prompt) => prompt.features ?? []);
  const width = config.text.hiddenSize;
  const found = parts.reduce((total, part) => total + part.shape[0]!, 0);
  const cell = config.vision.mergeSize ** 2;
  const asked = prompts
    .flatMap((prompt) => prompt.grids ?? [])
    .reduce((total, grid) => total + (grid[0] * grid[1] * grid[2]) / cell, 0);
  if (found !== asked || parts.some((part) => part.shape[1] !== width)) {
    throw new VansError("VANS_MODEL_VISION_TOKENS", "the vision features do not fit the grids", {
      asked: `${asked} rows of ${width}`,
      found: parts.map((part) => formatShape(part.shape)).join(", ") || "none",
      fix: "pass features and grids of the same videos (QwenRunner.features)",
    });
  }
  if (parts.length <= 1) return parts[0];
  const data = new Float32Array(found * width);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return f32(data, [found, width]);
}

function repeatRows(logits: NdArray, samples: number): NdArray {
  if (samples === 1) return logits;
  const [rows, width] = logits.shape as [number, number];
  const data = new Float32Array(rows * samples * width);
  for (let row = 0; row < rows * samples; row++) {
    const from = Math.floor(row / samples) * width;
    data.set(logits.data.subarray(from, from + width), row * width);
  }
  return f32(data, [rows * samples, width]);
}
