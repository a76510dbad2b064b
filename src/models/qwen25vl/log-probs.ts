/**
 * Log-probabilities of completions: what policy-gradient training differentiates.
 * @module
 */
import type { Params } from "../../nn/index.ts";
import { crossEntropy, i32, mul, type NdArray, neg, slice, type Tensor } from "../../tensor/index.ts";
import type { QwenConfig } from "./config.ts";
import { type DecoderOptions, logitsOf } from "./decoder.ts";
import { type QwenInputs, qwenHidden } from "./forward.ts";
import { type PositionOptions, padRows, positionIds } from "./positions.ts";

/** Options of {@link completionLogProbs}. */
export interface LogProbOptions extends DecoderOptions {
  /** The last so many places are the completion. */
  readonly completionLength: number;
  /** Logits are divided by it; default 1. Use that of the sampling, without top-k and top-p. */
  readonly temperature?: number | undefined;
}

/**
 * Log-probability of every completion token given what stands before it.
 * @param inputs prompts padded on the left, completions padded on the right (see {@link completionRows})
 * @returns `[B, completionLength]`; values at padding mean nothing
 */
export function completionLogProbs(
  params: Params,
  config: QwenConfig,
  inputs: QwenInputs,
  options: LogProbOptions,
): Tensor {
  const length = inputs.ids.size(1);
  const prompt = length - options.completionLength;
  const hidden = qwenHidden(params, config, { ...inputs, promptLength: prompt }, options);
  const logits = logitsOf(params, config, slice(hidden, 1, prompt - 1, length - 1));
  return neg(crossEntropy(mul(logits, 1 / (options.temperature ?? 1)), slice(inputs.ids, 1, prompt)));
}

/** Prompts and completions as rows of one length. */
export interface CompletionRows {
  /** `[B, P + N]` i32 */
  readonly ids: NdArray;
  /** `[B, P + N]` i32, 0 on padding */
  readonly mask: NdArray;
  /** `[3, B, P + N]` i32 */
  readonly positionIds: NdArray;
  /** `[B, N]` i32, 1 on completion tokens */
  readonly completionMask: NdArray;
}

/** Options of {@link completionRows}. */
export interface CompletionRowOptions extends PositionOptions {
  /** Places of the prompts; default the longest. */
  readonly promptLength?: number | undefined;
  /** Places of the completions; default the longest. */
  readonly completionLength?: number | undefined;
}

/**
 * Rows for {@link completionLogProbs}: one prompt a row padded on the left, its completion padded on the right.
 * Positions continue after the prompt, whatever tokens the completion holds. `options.grids` names the videos of every
 * row, also where rows share them.
 */
export function completionRows(
  config: QwenConfig,
  prompts: readonly ArrayLike<number>[],
  completions: readonly ArrayLike<number>[],
  options: CompletionRowOptions,
): CompletionRows {
  const { padTokenId } = config;
  const left = padRows(prompts, { side: "left", padTokenId, length: options.promptLength });
  const right = padRows(completions, { side: "right", padTokenId, length: options.completionLength });
  const positions = positionIds(left, config, options);
  const [batch, before] = left.ids.shape as [number, number];
  const after = right.ids.shape[1]!;
  const length = before + after;
  const ids = new Int32Array(batch * length);
  const mask = new Int32Array(batch * length);
  const places = new Int32Array(3 * batch * length).fill(1);
  for (let row = 0; row < batch; row++) {
    const cut = [row * before, (row + 1) * before] as const;
    ids.set(left.ids.data.subarray(...cut), row * length);
    mask.set(left.mask.data.subarray(...cut), row * length);
    ids.set(right.ids.data.subarray(row * after, (row + 1) * after), row * length + before);
    mask.set(right.mask.data.subarray(row * after, (row + 1) * after), row * length + before);
    const next = prompts[row]!.length + positions.deltas[row]!;
    for (let axis = 0; axis < 3; axis++) {
      const from = (axis * batch + row) * before;
      const to = (axis * batch + row) * length;
      places.set(positions.ids.data.subarray(from, from + before), to);
      for (let i = 0; i < completions[row]!.length; i++) places[to + before + i] = next + i;
    }
  }
  return {
    ids: i32(ids, [batch, length]),
    mask: i32(mask, [batch, length]),
    positionIds: i32(places, [3, batch, length]),
    completionMask: right.mask,
  };
}
