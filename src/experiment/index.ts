/** Experiments: many systems trained and evaluated from one file, with one report on what became of its claims. @module */

export { expectedSign, type JudgedClaim, judgeClaim, type Verdict } from "./claims.ts";
export {
  type Claim,
  type Experiment,
  type ExperimentRow,
  type ExperimentTraining,
  parseExperiment,
  readExperiment,
} from "./experiment-file.ts";
export { type ChartOptions, type ChartSeries, lineChart } from "./line-chart.ts";
export { changedRecipe, deepMerge, type FieldChange, fieldChanges, recipeFile } from "./merge-recipe.ts";
export { chosenRuns, type Plan, type PlannedRun, type PlannedTraining, planExperiment } from "./plan.ts";
export { type EstimatedRun, estimateRuns } from "./plan-costs.ts";
export type { ExperimentReport, ReportedRow, ReportedRun } from "./report-data.ts";
export { type ExperimentReportFiles, writeExperimentReport } from "./report-files.ts";
export { type RowDifference, type RowEstimate, RowResults } from "./row-results.ts";
export {
  EXPERIMENT_STAGES,
  type ExperimentEvent,
  type ExperimentStage,
  experimentFolder,
  type RunExperimentOptions,
  runExperiment,
} from "./run-experiment.ts";
export { type TrainedSuiteOptions, writeTrainedSuite } from "./suite-folder.ts";
export { type PartResult, type PartResults, resultsOf } from "./task-results.ts";
