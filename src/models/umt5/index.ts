/** The UMT5 text encoder. @module */

export { BlockwiseUmt5 } from "./blockwise.ts";
export * from "./config.ts";
export * from "./encoder.ts";
export * from "./init.ts";
export * from "./position-bucket.ts";
