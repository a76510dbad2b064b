/** The Wan2.1 video models. @module */
export * from "./vae.ts";
export * from "./vae-config.ts";
export { decodeLatents } from "./vae-decode.ts";
export { encodeMoments, type Moments, type VaeTraceOptions } from "./vae-encode.ts";
