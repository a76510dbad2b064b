/** Qwen2.5-VL: the vision-language model that reasons about the clip and writes the caption. @module */
// Configuration
export { BlockwiseQwen } from "./blockwise.ts";
export {
  QWEN_25_VL_3B,
  type QwenConfig,
  type QwenTextConfig,
  type QwenVisionConfig,
  qwenConfig,
} from "./config.ts";
export type { DecoderOptions } from "./decoder.ts";
export { type ForwardOptions, type QwenInputs, qwenHidden, qwenLogits } from "./forward.ts";
// Generation
export {
  type GeneratedRow,
  type GeneratedStep,
  type GenerateOptions,
  generate,
  type Prompt,
} from "./generate.ts";
// First values
export { initQwen, qwenParameters } from "./init.ts";
// Training
export {
  type CompletionRowOptions,
  type CompletionRows,
  completionLogProbs,
  completionRows,
  type LogProbOptions,
} from "./log-probs.ts";
export { qwenLora, VANS_LORA_TARGETS } from "./lora.ts";
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
export { QwenRunner, type RunnerOptions } from "./runner.ts";
export {
  banTokens,
  drawToken,
  likeliest,
  logProbability,
  penalizeRepetition,
  type SamplingOptions,
  samplingProbabilities,
} from "./sampling.ts";
// The model
export { type VisionOptions, visionFeatures } from "./vision.ts";
