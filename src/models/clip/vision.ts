/**
 * The image tower of CLIP. Formulas: transformers `modeling_clip.py` (CLIPVisionTransformer).
 * @module
 */
import { linear, type Params } from "../../nn/index.ts";
import {
  add,
  broadcastTo,
  concat,
  linear as linearOp,
  reshape,
  slice,
  type Tensor,
  transpose,
} from "../../tensor/index.ts";
import type { ClipConfig } from "./config.ts";
import { type ClipOptions, norm, towerLayers } from "./tower.ts";

/**
 * Projected image features, not yet of length 1.
 * @param images `[B, 3, imageSize, imageSize]`, normalised (`clipPixels` in vans/media)
 * @returns `[B, projectionSize]`
 */
export function clipImageFeatures(
  params: Params,
  { vision, projectionSize }: ClipConfig,
  images: Tensor,
  options: ClipOptions = {},
): Tensor {
  const model = params.at("vision_model");
  const { hiddenSize, patchSize, channelCount, imageSize } = vision;
  const batch = images.size(0);
  const side = imageSize / patchSize;
  const kernel = model
    .at("embeddings", "patch_embedding")
    .get("weight", [hiddenSize, channelCount, patchSize, patchSize]);
  // A convolution whose stride is its size: cut into patches, then one product.
  const cut = reshape(images, [batch, channelCount, side, patchSize, side, patchSize]);
  const patches = reshape(transpose(cut, [0, 2, 4, 1, 3, 5]), [
    batch,
    side * side,
    channelCount * patchSize * patchSize,
  ]);
  const embedded = linearOp(patches, reshape(kernel, [hiddenSize, -1]));
  const first = model.at("embeddings").get("class_embedding", [hiddenSize]);
  const tokens = concat(
    [broadcastTo(reshape(first, [1, 1, hiddenSize]), [batch, 1, hiddenSize]), embedded],
    1,
  );
  const places = model.at("embeddings", "position_embedding").get("weight", [side * side + 1, hiddenSize]);
  // "layrnorm" is how the checkpoints spell it.
  const x = norm(model.at("pre_layrnorm"), vision, add(tokens, places));
  options.probe?.("vision.pre_layrnorm", x);
  const hidden = towerLayers(model, vision, x, undefined, (layer, value) =>
    options.probe?.(`vision.layer${layer}`, value),
  );
  const pooled = norm(
    model.at("post_layernorm"),
    vision,
    reshape(slice(hidden, 1, 0, 1), [batch, hiddenSize]),
  );
  const projected = linear(params.at("visual_projection"), pooled, { out: projectionSize, bias: false });
  options.probe?.("vision.projected", projected);
  return projected;
}
