/**
 * From logits to a token: repetition penalty, banned tokens, temperature, top-k, top-p, in the order of transformers.
 * @module
 */
import { VansError } from "../../base/errors.ts";

/** How a token is drawn. */
export interface SamplingOptions {
  /** Logits are divided by it. 0 takes the likeliest token; default 1. */
  readonly temperature?: number | undefined;
  /** Only the k likeliest tokens; default all. */
  readonly topK?: number | undefined;
  /** The smallest set of likeliest tokens with at least this probability; default 1 (all). */
  readonly topP?: number | undefined;
}

/**
 * Logits of tokens that occurred are divided by the penalty where positive and multiplied where negative (Keskar et
 * al., arXiv 1909.05858), in place. Every token counts once.
 */
export function penalizeRepetition(logits: Float32Array, seen: Iterable<number>, penalty: number): void {
  if (penalty === 1) return;
  for (const id of new Set(seen)) {
    const logit = logits[id]!;
    logits[id] = logit < 0 ? logit * penalty : logit / penalty;
  }
}

/** Makes tokens impossible, in place. */
export function banTokens(logits: Float32Array, banned: Iterable<number>): void {
  for (const id of banned) logits[id] = Number.NEGATIVE_INFINITY;
}

/** Index of the largest logit, the first of equals. */
export function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/**
 * Probabilities after temperature, then top-k (every token below the k-th largest logit goes), then top-p (from the
 * unlikeliest on, tokens go while their sum stays within 1 - p; one always stays).
 *
 * @example
 * ```ts
 * import { samplingProbabilities } from "vans/models/qwen25vl";
 * const logits = Float32Array.from([0.9, 0.05, 0.05], Math.log);
 * [...samplingProbabilities(logits, { topP: 0.8 })]; // => [1, 0, 0]
 * ```
 * @throws `VANS_MODEL_SAMPLING` for a temperature that is not positive, or top-k and top-p out of range
 */
export function samplingProbabilities(logits: Float32Array, options: SamplingOptions): Float64Array {
  const { temperature = 1, topK = logits.length, topP = 1 } = options;
  checkSampling({ temperature, topK, topP });
  const scaled = logits.map((logit) => logit / temperature);
  let floor = Number.NEGATIVE_INFINITY;
  if (topK < scaled.length) floor = scaled.slice().sort()[scaled.length - topK]!;
  const probabilities = softmax(scaled, floor);
  return topP < 1 ? keepTop(probabilities, topP) : probabilities;
}

/** Drops the unlikeliest tokens while their sum stays within 1 - p, and normalises the rest. */
function keepTop(probabilities: Float64Array, topP: number): Float64Array {
  const ascending = probabilities.slice().sort();
  let dropped = 0;
  let total = 0;
  while (dropped < ascending.length - 1 && total + ascending[dropped]! <= 1 - topP)
    total += ascending[dropped++]!;
  const lowest = ascending[dropped]!;
  // Of equals at the border, as many go as the sum allows, the last ones first.
  let equalsToDrop = dropped - ascending.indexOf(lowest);
  const kept = new Float64Array(probabilities.length);
  for (let id = kept.length - 1; id >= 0; id--) {
    const p = probabilities[id]!;
    if (p < lowest || (p === lowest && equalsToDrop-- > 0)) continue;
    kept[id] = p / (1 - total);
  }
  return kept;
}

function checkSampling({ temperature, topK, topP }: Required<SamplingOptions>): void {
  const isSound =
    (temperature ?? 1) > 0 &&
    Number.isInteger(topK) &&
    (topK ?? 1) >= 1 &&
    (topP ?? 1) > 0 &&
    (topP ?? 1) <= 1;
  if (isSound) return;
  throw new VansError("VANS_MODEL_SAMPLING", "tokens cannot be drawn with these settings", {
    asked: "temperature > 0, top-k a whole number of at least 1, top-p above 0 and at most 1",
    found: `temperature ${temperature}, top-k ${topK}, top-p ${topP}`,
  });
}

function softmax(logits: Float32Array, floor: number): Float64Array {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) largest = Math.max(largest, logit);
  const out = new Float64Array(logits.length);
  let total = 0;
  for (let i = 0; i < out.length; i++) {
    if (logits[i]! < floor) continue;
    out[i] = Math.exp(logits[i]! - largest);
    total += out[i]!;
  }
  return out.map((weight) => weight / total);
}

/** The token at `u` (uniform in [0, 1)) of the cumulated probabilities. */
export function drawToken(probabilities: Float64Array, u: number): number {
  let total = 0;
  let last = 0;
  for (let id = 0; id < probabilities.length; id++) {
    if (probabilities[id] === 0) continue;
    last = id;
    total += probabilities[id]!;
    if (u < total) return id;
  }
  // Rounding may leave the sum a little below 1.
  return last;
}

/** Log-probability of a token under softmax(logits / temperature), before any other filter. */
export function logProbability(logits: Float32Array, id: number, temperature: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) largest = Math.max(largest, logit / temperature);
  let total = 0;
  for (const logit of logits) total += Math.exp(logit / temperature - largest);
  return logits[id]! / temperature - largest - Math.log(total);
}
