/** Metrics: one file a metric; all are plain functions on texts, clips or features. @module */

// Texts.
export * from "./bleu.ts";
export { runTextMetricsCase } from "./conformance.ts";
// Values with intervals.
export * from "./estimate.ts";
// Events and objects.
export * from "./event-accuracy.ts";
// Sets of features.
export * from "./frechet.ts";
export * from "./identity-accuracy.ts";
// Pixels.
export * from "./motion-energy.ts";
export * from "./psnr.ts";
export * from "./rouge-l.ts";
export * from "./symmetric-eigen.ts";
