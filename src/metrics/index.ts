/** Metrics: one file a metric; all are plain functions on texts, clips or features. @module */

// Texts.
export * from "./bleu.ts";
export * from "./bootstrap.ts";
// Videos as a CLIP sees them.
export {
  alignedCosines,
  ClipScorer,
  type ClipScorerOptions,
  type ClipSimilarityScore,
  type FrameEmbeddings,
  textCosines,
} from "./clip-similarity.ts";
export { runTextMetricsCase } from "./conformance.ts";
// Values with intervals.
export * from "./estimate.ts";
// Events and objects.
export * from "./event-accuracy.ts";
// Sets of features.
export * from "./frechet.ts";
export * from "./fvd.ts";
export { type I3dJson, type I3dModel, i3dModel } from "./i3d-model.ts";
export * from "./identity-accuracy.ts";
// Pixels.
export * from "./motion-energy.ts";
export * from "./psnr.ts";
export * from "./reference-consistency.ts";
export * from "./rouge-l.ts";
export * from "./ssim.ts";
export { weightsSha256 } from "./suite-part.ts";
export * from "./symmetric-eigen.ts";
