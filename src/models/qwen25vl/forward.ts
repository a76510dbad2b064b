/**
 * The whole model over whole sequences, as training and log-probabilities need it.
 * @module
 */
import type { Params } from "../../nn/index.ts";
import {
  add,
  broadcastTo,
  cast,
  constant,
  equal,
  f32,
  gather,
  greater,
  i32,
  matmul,
  maximum,
  pad,
  reshape,
  slice,
  sub,
  sum,
  type Tensor,
  where,
} from "../../tensor/index.ts";
import type { QwenConfig } from "./config.ts";
import {
  causalMask,
  type DecoderOptions,
  decoderLayers,
  embedTokens,
  groupedAttention,
  groupedMask,
  logitsOf,
  rotaryTables,
} from "./decoder.ts";
import type { VisionGrid } from "./patches.ts";
import { visionFeatures } from "./vision.ts";

/** Token rows and what their vision tokens show. */
export interface QwenInputs {
  /** `[B, S]` i32 */
  readonly ids: Tensor;
  /** `[3, B, S]` i32, from `positionIds` */
  readonly positionIds: Tensor;
  /**
   * `[B, S]` i32, 0 on padding. Undefined where rows are padded on the right only: later tokens are hidden anyway.
   */
  readonly mask?: Tensor | undefined;
  /** Patches of all videos `[N, …]`, or their features `[tokens, C]`; undefined for text alone. */
  readonly patches?: Tensor | undefined;
  readonly features?: Tensor | undefined;
  /** Grids of the patches. */
  readonly grids?: readonly VisionGrid[] | undefined;
  /** So many rows in sequence share their videos (completions of one prompt); default 1. */
  readonly rowsPerVideo?: number | undefined;
  /** Vision tokens are shown within the first so many places only; sampled ones after them mean nothing. Default: everywhere. */
  readonly promptLength?: number | undefined;
}

/** How the model is traced; see `VisionOptions` and `DecoderOptions` for the stages. */
export interface ForwardOptions extends DecoderOptions {
  /** Only the last so many positions get logits. */
  readonly lastPositions?: number | undefined;
}

/**
 * Logits of every position (or the last ones).
 *
 * @example
 * ```ts
 * import { Params } from "vans/nn";
 * import { input } from "vans/tensor";
 * import { QWEN_25_VL_3B, qwenLogits } from "vans/models/qwen25vl";
 * const params = new Params();
 * const logits = qwenLogits(params, QWEN_25_VL_3B, {
 *   ids: input("ids", [2, 9], "i32"),
 *   positionIds: input("positions", [3, 2, 9], "i32"),
 *   patches: input("patches", [2 * 16, 1176]),
 *   grids: [[1, 4, 4], [1, 4, 4]],
 * });
 * logits.shape; // => [2, 9, 151936]
 * params.tensors.size; // => 824
 * ```
 * @returns `[B, S or lastPositions, vocabulary]`
 */
export function qwenLogits(
  params: Params,
  config: QwenConfig,
  inputs: QwenInputs,
  options: ForwardOptions = {},
): Tensor {
  const hidden = qwenHidden(params, config, inputs, options);
  const last = options.lastPositions ?? hidden.size(1);
  return logitsOf(params, config, slice(hidden, 1, hidden.size(1) - last));
}

/** Normed decoder states `[B, S, C]`. */
export function qwenHidden(
  params: Params,
  config: QwenConfig,
  inputs: QwenInputs,
  options: DecoderOptions = {},
): Tensor {
  const { text } = config;
  const x = embedInputs(params, config, inputs, options);
  const mask = groupedMask(text, causalMask(inputs.ids.size(1), inputs.mask));
  const tables = rotaryTables(config, inputs.positionIds);
  return decoderLayers(params, config, x, tables, (heads) => groupedAttention(text, heads, mask), options);
}

/** Embeddings with vision features at the vision tokens. `[B, S, C]` */
export function embedInputs(
  params: Params,
  config: QwenConfig,
  inputs: QwenInputs,
  options: DecoderOptions = {},
): Tensor {
  const text = embedTokens(params, config, inputs.ids);
  const features =
    inputs.features ??
    (inputs.patches && visionFeatures(params, config, inputs.patches, inputs.grids ?? [], options));
  return features ? insertFeatures(config, inputs, text, features) : text;
}

/** An upper triangle of ones: a row times it counts up to and including (or before) each place. */
function triangle(size: number, first: 0 | 1): Tensor {
  const data = new Float32Array(size * size);
  for (let row = 0; row < size; row++)
    data.fill(1, row * size + Math.min(size, row + first), (row + 1) * size);
  return constant(f32(data, [size, size]));
}

/** The k-th vision token of all rows gets the k-th feature. Counting goes through small products, exact in f32. */
function insertFeatures(config: QwenConfig, inputs: QwenInputs, text: Tensor, features: Tensor): Tensor {
  const { ids, rowsPerVideo = 1, promptLength } = inputs;
  const [batch, length] = ids.shape as [number, number];
  const isToken = (id: number): Tensor => cast(equal(ids, constant(i32([id], []))), "f32");
  let isVision = add(isToken(config.videoTokenId), isToken(config.imageTokenId));
  if (promptLength !== undefined && promptLength < length)
    isVision = pad(slice(isVision, 1, 0, promptLength), 1, 0, length - promptLength);
  const inRow = sub(matmul(isVision, triangle(length, 0)), 1);
  // Rows that share a video count once.
  const groups = batch / rowsPerVideo;
  const totals = sum(slice(reshape(isVision, [groups, rowsPerVideo, length]), 1, 0, 1), { axes: [1, 2] });
  const before = matmul(reshape(totals, [1, groups]), triangle(groups, 1));
  const offsets = reshape(broadcastTo(reshape(before, [groups, 1]), [groups, rowsPerVideo]), [batch, 1]);
  const index = cast(maximum(add(inRow, offsets), 0), "i32");
  const isVisionWide = reshape(greater(isVision, 0), [batch, length, 1]);
  return where(isVisionWide, gather(features, index), text);
}
