/** Datasets: their format, importers, curation, review, and the made playroom folder. @module */

// Curation.
export {
  type Account,
  accountLines,
  assemble,
  type LedgerLine,
  type OutcomeCounts,
} from "./curate/assemble.ts";
export { type CostEstimate, type CurateEvent, type CurateOptions, curate } from "./curate/curate.ts";
export { type CutClip, type CutRequest, cutClip } from "./curate/cut-clip.ts";
export { DEFAULT_LIMITS, type SelectLimits } from "./curate/select-stage.ts";
export { type Segment, type SplitRequest, type SplitVideo, splitVideo } from "./curate/split-stage.ts";
export { STAGES, type StageEvent, type StageName } from "./curate/stage.ts";
export { type ListedVideo, readVideoList, videoIdOf } from "./curate/video-list.ts";
// The format.
export { type CardFacts, datasetCard } from "./format/dataset-card.ts";
export {
  applyOverrides,
  decidedSamples,
  EXPORT_FORMATS,
  type ExportEvent,
  type ExportFormat,
  type ExportOptions,
  exportDataset,
} from "./format/export.ts";
export { readSamples, writeSamples } from "./format/manifest-file.ts";
export { type Override, readOverrides, writeOverrides } from "./format/overrides.ts";
export { FORMAT_VERSION, type SampleRow, type SampleRowInput, sampleRowSchema } from "./format/sample-row.ts";
export { type DatasetStats, datasetStats, type Spread, statsSvg, statsText } from "./format/stats.ts";
export { type Finding, type ValidateEvent, type ValidateOptions, validate } from "./format/validate.ts";
// Importers.
export { type ImportReport, type ImportSettings, writeImport } from "./import/import-run.ts";
export { IMPORT_FORMATS, type ImportFormat, importItems } from "./import/importers.ts";
// Providers.
export type { Asked, AskLimits } from "./providers/asker.ts";
export { ENDPOINTS, type OpenaiProviderOptions, openaiProvider } from "./providers/openai-provider.ts";
export {
  type AskRequest,
  type Provider,
  type ProviderAnswer,
  type TokenPrice,
  TransientProviderError,
} from "./providers/provider.ts";
// Review.
export { findLeaks, type Leak, type LeakSubject } from "./review/leakage.ts";
// Shots.
export { detectTransitions, type Transition } from "./shots/detect-transitions.ts";
export { ShotDetector } from "./shots/shot-detector.ts";
// The playroom.
export * from "./world-dataset.ts";
export * from "./world-manifest.ts";
