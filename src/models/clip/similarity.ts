/**
 * Images and texts compared: unit vectors, cosines, logits; the contrastive loss that trains them.
 * @module
 */
import type { Params } from "../../nn/index.ts";
import {
  add,
  crossEntropy,
  div,
  exp,
  iota,
  matmul,
  mean,
  mul,
  sqrt,
  sum,
  swapAxes,
  type Tensor,
} from "../../tensor/index.ts";
import type { ClipConfig } from "./config.ts";
import { type ClipTextOptions, clipTextFeatures } from "./text.ts";
import { clipImageFeatures } from "./vision.ts";

/** Rows divided by their Euclidean length. `[B, C]` */
export function unitRows(x: Tensor): Tensor {
  return div(x, sqrt(sum(mul(x, x), { axes: [-1], keepDims: true })));
}

/** What {@link clipSimilarity} gives. */
export interface ClipSimilarity {
  /** Unit vectors `[images, projectionSize]`. */
  readonly imageEmbeddings: Tensor;
  /** Unit vectors `[texts, projectionSize]`. */
  readonly textEmbeddings: Tensor;
  /** `[images, texts]`, -1 to 1. */
  readonly cosine: Tensor;
  /** `exp(logit_scale) · cosine` */
  readonly logitsPerImage: Tensor;
}

/**
 * Unit embeddings of images and texts and their cosines.
 * @param images `[I, 3, imageSize, imageSize]`, normalised
 * @param ids `[T, S]` i32
 *
 * @example
 * ```ts
 * import { Params } from "vans/nn";
 * import { input } from "vans/tensor";
 * import { CLIP_VIT_L_14, clipSimilarity } from "vans/models/clip";
 * const images = input("images", [8, 3, 224, 224]);
 * const ids = input("ids", [2, 77], "i32");
 * clipSimilarity(new Params(), CLIP_VIT_L_14, images, ids).cosine.shape; // => [8, 2]
 * ```
 */
export function clipSimilarity(
  params: Params,
  config: ClipConfig,
  images: Tensor,
  ids: Tensor,
  options: ClipTextOptions = {},
): ClipSimilarity {
  const imageEmbeddings = unitRows(clipImageFeatures(params, config, images, options));
  const textEmbeddings = unitRows(clipTextFeatures(params, config, ids, options));
  const cosine = matmul(imageEmbeddings, textEmbeddings, { transposeB: true });
  const logitsPerImage = mul(exp(params.get("logit_scale", [])), cosine);
  return { imageEmbeddings, textEmbeddings, cosine, logitsPerImage };
}

/**
 * The symmetric contrastive loss (Radford et al., arXiv 2103.00020) of a batch whose i-th image belongs to its i-th
 * text: the mean of the cross-entropies over rows and over columns.
 * @param logitsPerImage `[B, B]`
 */
export function contrastiveLoss(logitsPerImage: Tensor): Tensor {
  const own = iota(logitsPerImage.size(0));
  const rows = mean(crossEntropy(logitsPerImage, own));
  const columns = mean(crossEntropy(swapAxes(logitsPerImage, 0, 1), own));
  return mul(add(rows, columns), 0.5);
}
