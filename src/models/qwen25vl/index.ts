/** Qwen2.5-VL: the vision-language model that reasons about the clip and writes the caption. @module */
// Configuration
export {
  QWEN_25_VL_3B,
  type QwenConfig,
  type QwenTextConfig,
  type QwenVisionConfig,
  qwenConfig,
} from "./config.ts";
export type { DecoderOptions } from "./decoder.ts";
export { type ForwardOptions, type QwenInputs, qwenHidden, qwenLogits } from "./forward.ts";
// First values
export { initQwen, qwenParameters } from "./init.ts";
// Inputs
export {
  type PatchLayout,
  patchify,
  type RgbFrames,
  type VisionGrid,
  visionTokenCount,
} from "./patches.ts";
export {
  type PadOptions,
  type PositionOptions,
  type PositionRule,
  type Positions,
  padRows,
  positionIds,
  type TokenRows,
} from "./positions.ts";
// The model
export { type VisionOptions, visionFeatures } from "./vision.ts";
