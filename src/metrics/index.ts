/** Metrics: ROUGE-L, BLEU, Fréchet distance. @module */
export * from "./bleu.ts";
export { runTextMetricsCase } from "./conformance.ts";
export * from "./event-accuracy.ts";
export * from "./frechet.ts";
export * from "./rouge-l.ts";
export * from "./symmetric-eigen.ts";
