/** CLIP: images and texts in one space, for rewards and metrics. @module */
// Configuration
export {
  CLIP_VIT_L_14,
  type ClipActivation,
  type ClipConfig,
  type ClipTextConfig,
  type ClipTowerConfig,
  type ClipVisionConfig,
  clipConfig,
} from "./config.ts";
// First values
export { clipParameters, initClip } from "./init.ts";
export { ClipRunner } from "./runner.ts";
export { type ClipSimilarity, clipSimilarity, contrastiveLoss, unitRows } from "./similarity.ts";
export { type ClipTextOptions, clipTextFeatures } from "./text.ts";
// The model
export type { ClipOptions } from "./tower.ts";
export { clipImageFeatures } from "./vision.ts";
