/** Evaluation: a suite, or models in training, on samples of the playroom. @module */

export { collapseAlarms, hackingAlarms } from "./alarms.ts";
// Finished reports against each other.
export {
  type ComparedReport,
  compareReports,
  isReport,
  openReport,
  type ReportComparison,
} from "./compare-reports.ts";
export { compareSystems } from "./compare-systems.ts";
export { comparisonMarkdown, writeComparison } from "./comparison-files.ts";
// The inner part: samples through any models, without files.
export { DrawingFiles, DrawingsInMemory, type DrawingsName, type DrawingsPlace } from "./drawings.ts";
// The whole: a suite on a folder of samples, with journal and report.
export { type EvaluateOptions, type EvaluationEvent, evaluate } from "./evaluate.ts";
export {
  type EvaluatePartsOptions,
  evaluateParts,
  type PartResult,
} from "./evaluate-parts.ts";
export {
  type DrawOrder,
  type EvaluatedModels,
  type VideoModelParts,
  videoModels,
} from "./evaluated-models.ts";
export type { EvaluationItem } from "./evaluation-item.ts";
export { type JudgeFacts, type Judges, judgeFacts, openJudges } from "./judges.ts";
// What is measured.
export {
  DEFAULT_PARTS,
  EVALUATION_PARTS,
  type EvaluationPart,
  METRIC_NAMES,
  METRICS,
  type MetricDefinition,
  type MetricName,
} from "./metric-table.ts";
export { otherFuture } from "./other-future.ts";
export type { PartOutcome, PartRow } from "./part-row.ts";
export type { ReportFiles } from "./report-files.ts";
export {
  ALARM_NAMES,
  type Alarm,
  type Confusion,
  type EvaluationReport,
  type MetricDifference,
  type MetricDifferences,
  type MetricEstimates,
  type ReportKind,
  type ReportSystem,
  reportSchema,
  type SystemComparison,
  type TargetResult,
} from "./report-schema.ts";
export { type MetricStatistic, SystemRows } from "./statistics.ts";
export { openSuiteModels, type SuiteModels } from "./suite-models.ts";
export { confusions, type SummarisedRow, type Summary, summarise, targetResults } from "./summary.ts";
export { SYSTEM_NAMES, SYSTEMS, type SystemDefinition, type SystemName } from "./systems.ts";
