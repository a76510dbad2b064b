/** Evaluation: a suite, or models in training, on samples of the playroom. @module */

// The whole: a suite on a folder of samples, with journal and report.
export { type EvaluateOptions, type EvaluationEvent, evaluate } from "./evaluate.ts";
// The inner part: samples through any models, without files.
export {
  type Drawings,
  type EvaluatePartsOptions,
  type EvaluationItem,
  evaluateParts,
  type PartResult,
} from "./evaluate-parts.ts";
export {
  type DrawOrder,
  type EvaluatedModels,
  type VideoModelParts,
  videoModels,
} from "./evaluated-models.ts";
// What is measured.
export {
  EVALUATION_PARTS,
  type EvaluationPart,
  METRIC_NAMES,
  METRICS,
  type MetricDefinition,
  type MetricName,
} from "./metric-table.ts";
export type { PartOutcome, PartRow } from "./part-row.ts";
export type { ReportFiles } from "./report-files.ts";
export {
  type Confusion,
  type EvaluationReport,
  type MetricEstimates,
  type ReportKind,
  reportSchema,
  type TargetResult,
} from "./report-schema.ts";
export { openSuiteModels, type SuiteModels } from "./suite-models.ts";
export { confusions, type SummarisedRow, type Summary, summarise, targetResults } from "./summary.ts";
