/** Answers: a clip and a question in, a clip out, as a stream of events. @module */

// One call.
export { type AnswerOptions, answer, finalReport } from "./answer.ts";
export * from "./answer-event.ts";
// On disk: what is written, and making it again.
export { type AnswerFiles, answerJson, checkWritable, writeAnswer } from "./answer-files.ts";
export { type AnswerMetadata, answerMetadata, readAnswerMetadata } from "./answer-metadata.ts";
// Several questions, or a thread of its own.
export type { AnswerRequest } from "./answer-request.ts";
export { Answerer, type AnswererOptions, openAnswerer } from "./answerer.ts";
// The stages, for evaluation and rewards.
export { captionOf, type WrittenAnswer } from "./caption-of.ts";
// Devices.
export {
  chooseDevice,
  DEVICE_CHOICES,
  type DeviceChoice,
  type DeviceReport,
  probeDevice,
  probeDevices,
} from "./devices.ts";
// Footage that a suite does not know.
export {
  type ClipMeasures,
  type DomainReason,
  domainReasons,
  type MeasureDomainOptions,
  measureClip,
  measureDomain,
  reconstructionReason,
} from "./domain.ts";
export { DOMAIN_MEASURES, type DomainMeasure, type DomainStatistics } from "./domain-statistics.ts";
export {
  type ClipFacts,
  type FrameTimes,
  type InputFrames,
  inputTimes,
  readInputFrames,
} from "./input-frames.ts";
export { LanguageModel, type Sight, type WritingSettings } from "./language-model.ts";
export { fitLatentPreview, type LatentPreview } from "./latent-preview.ts";
export { packageVersion } from "./package-version.ts";
export { type PickedAnswer, pickAnswer } from "./pick-answer.ts";
export { type PreparedRepeat, prepareAgain, type RepeatOptions, sameAnswer } from "./repeat-answer.ts";
// Suites.
export {
  BUNDLED_SUITES,
  bundledSuites,
  DEFAULT_SUITE,
  loadSuite,
  type Suite,
  type SuiteAdapter,
} from "./suite.ts";
export { hashFile, type SuiteHashes, suiteHashes } from "./suite-hashes.ts";
export { type AnswerSettings, parseSuiteManifest, type SuiteManifest } from "./suite-manifest.ts";
export { openPart, type PartWeights, type SuitePart } from "./suite-weights.ts";
export { type EncodedText, TextEncoder } from "./text-encoder.ts";
export { answerVersions } from "./versions.ts";
export { type ClipLatents, type DrawRequest, VideoModel } from "./video-model.ts";
export { AnswerWorker, answerInWorker, openWorker, type WorkerOptions } from "./worker.ts";
