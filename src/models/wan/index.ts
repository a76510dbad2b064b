/** The Wan2.1 video models. @module */
export {
  type DitInputs,
  type DitOptions,
  type DitText,
  ditForward,
  ditText,
  ditTextInputs,
  ditTextOutputs,
  ditWithReferences,
  type ReferenceInputs,
} from "./dit.ts";
export { BlockwiseDit } from "./dit-blockwise.ts";
export { type DitConfig, ditConfig, ditHeadWidth, WAN_T2V_1_3B } from "./dit-config.ts";
export { ditLoraTargets, ditParameters, initDit } from "./dit-init.ts";
export { DitRunner, type DitRunnerOptions } from "./dit-runner.ts";
export * from "./reference-frames.ts";
export * from "./rope-table.ts";
export * from "./sample.ts";
export * from "./schedule.ts";
export * from "./solver.ts";
export { UnipcSolver } from "./unipc.ts";
export * from "./vae.ts";
export * from "./vae-config.ts";
export { decodeLatents } from "./vae-decode.ts";
export { encodeMoments, type Moments, type VaeTraceOptions } from "./vae-encode.ts";
export { inflateVae, initVae } from "./vae-init.ts";
export { joinFrames, sliceFrames, Vae, type VaeRunOptions } from "./vae-run.ts";
export { type ChunkPosition, type ChunkTrace, decodeChunk, encodeChunk } from "./vae-stream.ts";
export { type Tile, type Tiling, tilesOf, VANS_TILING } from "./vae-tiled.ts";
