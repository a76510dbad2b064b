/** Data sets: the made playroom folder and its manifest. @module */
export * from "./world-dataset.ts";
export * from "./world-manifest.ts";
