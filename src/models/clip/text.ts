/**
 * The text tower of CLIP. Formulas: transformers `modeling_clip.py` (CLIPTextTransformer).
 * @module
 */
import { linear, type Params } from "../../nn/index.ts";
import {
  add,
  cast,
  constant,
  embedding,
  equal,
  f32,
  i32,
  iota,
  matmul,
  max,
  mul,
  reshape,
  type Tensor,
  where,
} from "../../tensor/index.ts";
import { type ClipConfig, type ClipTextConfig, LEGACY_EOS_TOKEN_ID } from "./config.ts";
import { type ClipOptions, norm, towerLayers } from "./tower.ts";

/** How the text tower is traced. */
export interface ClipTextOptions extends ClipOptions {
  /** `[B, S]` i32, 0 on padding. Changes nothing but the rows of padding, which no result depends on. */
  readonly mask?: Tensor | undefined;
}

/**
 * Projected text features, not yet of length 1. The text's row is that of its first end token; what follows cannot be
 * seen from there, so padding needs no mask.
 * @param ids `[B, S]` i32: begin token, text, end token, padding
 * @returns `[B, projectionSize]`
 */
export function clipTextFeatures(
  params: Params,
  { text, projectionSize }: ClipConfig,
  ids: Tensor,
  options: ClipTextOptions = {},
): Tensor {
  const model = params.at("text_model");
  const length = ids.size(1);
  const embeddings = model.at("embeddings");
  const { vocabularySize, hiddenSize, maxPositions } = text;
  const table = embeddings.at("token_embedding").get("weight", [vocabularySize, hiddenSize]);
  const places = embeddings.at("position_embedding").get("weight", [maxPositions, hiddenSize]);
  const x = add(embedding(table, ids), embedding(places, iota(length)));
  const hidden = towerLayers(model, text, x, scoreMask(length, options.mask), (layer, value) =>
    options.probe?.(`text.layer${layer}`, value),
  );
  const normal = norm(model.at("final_layer_norm"), text, hidden);
  const pooled = reshape(matmul(endRow(text, ids), normal), [ids.size(0), hiddenSize]);
  const projected = linear(params.at("text_projection"), pooled, { out: projectionSize, bias: false });
  options.probe?.("text.projected", projected);
  return projected;
}

/** Far below any score, far above the lowest f32. */
const HIDDEN_SCORE = -1e9;

function scoreMask(length: number, tokens: Tensor | undefined): Tensor {
  const later = new Float32Array(length * length);
  for (let query = 0; query < length; query++)
    later.fill(HIDDEN_SCORE, query * length + query + 1, (query + 1) * length);
  const causal = constant(f32(later, [1, 1, length, length]));
  if (!tokens) return causal;
  const padding = equal(reshape(tokens, [tokens.size(0), 1, 1, length]), constant(i32([0], [])));
  return where(padding, HIDDEN_SCORE, causal);
}

/** 1 at the end token's place, `[B, 1, S]`: the first of the largest ids, or of the end token where it is known. */
function endRow(text: ClipTextConfig, ids: Tensor): Tensor {
  const [batch, length] = ids.shape as [number, number];
  const values = cast(ids, "f32");
  const isEnd =
    text.eosTokenId === LEGACY_EOS_TOKEN_ID
      ? equal(values, max(values, { axes: [1], keepDims: true }))
      : equal(ids, constant(i32([text.eosTokenId], [])));
  // End tokens rank above all others, earlier places above later ones: the first end token, or place 0 without any.
  const earlier = constant(f32(Float32Array.from({ length }, (_, i) => length - i)));
  const rank = add(mul(cast(isEnd, "f32"), length), earlier);
  const first = equal(rank, max(rank, { axes: [1], keepDims: true }));
  return reshape(cast(first, "f32"), [batch, 1, length]);
}
