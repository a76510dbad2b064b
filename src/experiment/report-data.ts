/**
 * The report of an experiment as data: what every row reached, cost and was set to, and what became of the claims.
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { openReport } from "../evaluate/compare-reports.ts";
import { METRICS, type MetricDefinition, type MetricName } from "../evaluate/metric-table.ts";
import { REPORT_KINDS, type ReportKind } from "../evaluate/report-schema.ts";
import { type JudgedClaim, judgeClaim } from "./claims.ts";
import type { Experiment, ExperimentRow } from "./experiment-file.ts";
import type { FieldChange } from "./merge-recipe.ts";
import { type Plan, type PlannedRun, seedsOf } from "./plan.ts";
import { type RecordedPlan, recordedPlans } from "./recorded-plans.ts";
import {
  type EvaluatedRow,
  type EvaluatedRun,
  type RowDifference,
  type RowEstimate,
  RowResults,
} from "./row-results.ts";
import { EVALUATION_FOLDER } from "./run-row.ts";
import { type Cost, readRunState, settingsHash } from "./run-state.ts";

/** Metrics of a row by group. */
type ByGroup<T> = Readonly<Record<ReportKind, Readonly<Partial<Record<MetricName, T>>>>>;

/** A training as it was done. */
export interface ReportedTraining {
  readonly key: string;
  readonly recipe: string;
  readonly task: string;
  readonly steps: number;
  /** Steps that were made. */
  readonly done: number;
  readonly seed: number;
  /** What the experiment changed of the recipe's file. */
  readonly changes: readonly FieldChange[];
  readonly cost: Cost;
  /** SHA-256 of the finished weights. */
  readonly weights: string | null;
}

/** A run as it was done. */
export interface ReportedRun {
  readonly id: string;
  readonly seed: number;
  readonly uses: readonly string[];
  readonly trainings: readonly ReportedTraining[];
  readonly evaluation: Cost | null;
  readonly isEvaluated: boolean;
}

/** A row of the report. */
export interface ReportedRow {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly system: string;
  /** The row whose evaluation it is a column of. */
  readonly of: string | null;
  readonly seeds: readonly number[];
  /** Evaluation samples. */
  readonly samples: number;
  readonly runs: readonly ReportedRun[];
  /** Empty where the row was not evaluated. */
  readonly metrics: ByGroup<RowEstimate>;
  /** To the base row. */
  readonly differences: ByGroup<RowDifference>;
  /** Processor seconds of its trainings; and with those of the rows that it starts from. */
  readonly trainingCpuSecs: number;
  readonly chainCpuSecs: number;
  readonly evaluationCpuSecs: number;
  readonly answer: Readonly<Record<string, unknown>>;
}

/** The whole of `report.json`. */
export interface ExperimentReport {
  readonly schemaVersion: 1;
  readonly name: string;
  readonly about: string;
  readonly baseSuite: string;
  readonly baseRow: string;
  readonly metrics: readonly {
    readonly name: MetricName;
    readonly about: string;
    readonly better: string | null;
  }[];
  readonly evaluation: Experiment["evaluation"];
  readonly departures: readonly string[];
  readonly cpuBudgetCoreHours: number | null;
  readonly cpuCoreHours: { readonly training: number; readonly evaluation: number };
  readonly rows: readonly ReportedRow[];
  /** Rows that have no results yet. */
  readonly missing: readonly string[];
  readonly claims: readonly JudgedClaim[];
  readonly plans: readonly RecordedPlan[];
  /** True where the claims are those of the first run. */
  readonly areClaimsFixed: boolean;
  readonly experiment: Experiment;
}

/** What a report is made of, beside its data. */
export interface GatheredReport {
  readonly report: ExperimentReport;
  readonly evaluated: ReadonlyMap<string, EvaluatedRow>;
}

/** Gathers everything that there is in an experiment's folder; rows that are missing are named. */
export async function gatherReport(
  experiment: Experiment,
  plan: Plan,
  folder: string,
): Promise<GatheredReport> {
  const runsOf = (row: ExperimentRow): readonly PlannedRun[] =>
    plan.filter((run) => run.row.name === (row.of ?? row.name));
  const results = new RowResults();
  const opened = new Map<string, EvaluatedRun>();
  for (const run of plan) {
    const evaluation = await openEvaluation(run, folder);
    if (evaluation) opened.set(run.id, evaluation);
  }
  const evaluated = new Map<string, EvaluatedRow>();
  for (const row of experiment.rows) {
    const runs = runsOf(row).flatMap(({ id }) => opened.get(id) ?? []);
    // A mean over some of a row's seeds would be another thing than what was planned.
    if (runs.length === runsOf(row).length && runs.length > 0)
      evaluated.set(row.name, { name: row.name, system: row.system, runs });
  }
  const base = evaluated.get(experiment.baseRow);
  const rows: ReportedRow[] = [];
  for (const row of experiment.rows) {
    const own = evaluated.get(row.name);
    const metrics = byGroup(
      (group, metric) => own && results.estimate(own, metric, group),
      experiment.metrics,
    );
    const differences = byGroup(
      (group, metric) =>
        own && base && row.name !== experiment.baseRow
          ? results.difference(own, base, metric, group)
          : undefined,
      experiment.metrics,
    );
    rows.push(await reportedRow(row, { experiment, plan, folder, runs: runsOf(row), metrics, differences }));
  }
  const claims = experiment.claims.map((claim) => {
    const [row, than] = [evaluated.get(claim.row), evaluated.get(claim.than)];
    return judgeClaim(claim, row && than && results.difference(row, than, claim.metric, claim.group));
  });
  const plans = await recordedPlans(folder);
  const owners = rows.filter(({ of }) => of === null);
  const total = (cost: (row: ReportedRow) => number): number =>
    owners.reduce((sum, row) => sum + cost(row), 0) / 3600;
  const report: ExperimentReport = {
    schemaVersion: 1,
    name: experiment.name,
    about: experiment.about,
    baseSuite: experiment.baseSuite,
    baseRow: experiment.baseRow,
    metrics: experiment.metrics.map((name) => {
      const definition: MetricDefinition = METRICS[name];
      return { name, about: definition.about, better: definition.better ?? null };
    }),
    evaluation: experiment.evaluation,
    departures: experiment.departures,
    cpuBudgetCoreHours: experiment.cpuBudgetCoreHours ?? null,
    cpuCoreHours: {
      training: total((row) => row.trainingCpuSecs),
      evaluation: total((row) => row.evaluationCpuSecs),
    },
    rows,
    missing: experiment.rows.filter(({ name }) => !evaluated.has(name)).map(({ name }) => name),
    claims,
    plans,
    areClaimsFixed: plans.length === 0 || plans.at(0)!.claimsHash === settingsHash(experiment.claims),
    experiment,
  };
  return { report, evaluated };
}

function byGroup<T>(
  of: (group: ReportKind, metric: MetricName) => T | undefined,
  metrics: readonly MetricName[],
): ByGroup<T> {
  const entries = REPORT_KINDS.map((group) => {
    const own = metrics.flatMap((metric): [MetricName, T][] => {
      const found = of(group, metric);
      return found === undefined ? [] : [[metric, found]];
    });
    return [group, Object.fromEntries(own)];
  });
  return Object.fromEntries(entries) as ByGroup<T>;
}

/** The journal of a run's finished evaluation. */
async function openEvaluation(run: PlannedRun, folder: string): Promise<EvaluatedRun | undefined> {
  const at = join(folder, run.id, EVALUATION_FOLDER);
  const { evaluation } = await readRunState(join(folder, run.id), run.id);
  if (!evaluation?.isDone || !(await stat(join(at, "report.json")).catch(() => undefined))) return undefined;
  const { rows } = await openReport(at);
  return { id: run.id, seed: run.seed, rows: rows.rows, fvd: rows.fvd };
}

interface RowSurroundings {
  readonly experiment: Experiment;
  readonly plan: Plan;
  readonly folder: string;
  readonly runs: readonly PlannedRun[];
  readonly metrics: ByGroup<RowEstimate>;
  readonly differences: ByGroup<RowDifference>;
}

async function reportedRow(row: ExperimentRow, around: RowSurroundings): Promise<ReportedRow> {
  const { experiment, plan, folder, metrics, differences } = around;
  const runs: ReportedRun[] = [];
  const chain = new Set<string>();
  const follow = (id: string): void => {
    chain.add(id);
    for (const used of Object.values(plan.find((one) => one.id === id)?.uses ?? {})) follow(used);
  };
  for (const run of around.runs) {
    follow(run.id);
    runs.push(await reportedRun(run, folder));
  }
  let chainCpuSecs = 0;
  for (const id of chain)
    chainCpuSecs += trainingSecs(await reportedRun(plan.find((one) => one.id === id)!, folder));
  const owner = row.of === undefined;
  return {
    name: row.name,
    title: row.title,
    about: row.about,
    system: row.system,
    of: row.of ?? null,
    seeds: owner ? seedsOf(row, experiment) : [],
    samples: around.runs[0]?.evaluation.samples ?? 0,
    runs: owner ? runs : [],
    metrics,
    differences,
    trainingCpuSecs: owner ? runs.reduce((sum, run) => sum + trainingSecs(run), 0) : 0,
    chainCpuSecs: owner ? chainCpuSecs : 0,
    evaluationCpuSecs: owner ? runs.reduce((sum, run) => sum + (run.evaluation?.cpuSecs ?? 0), 0) : 0,
    answer: row.answer ?? {},
  };
}

const trainingSecs = (run: ReportedRun): number =>
  run.trainings.reduce((sum, { cost }) => sum + cost.cpuSecs, 0);

async function reportedRun(run: PlannedRun, folder: string): Promise<ReportedRun> {
  const state = await readRunState(join(folder, run.id), run.id);
  return {
    id: run.id,
    seed: run.seed,
    uses: Object.values(run.uses),
    trainings: run.trainings.map(({ key, recipe, changes }): ReportedTraining => {
      const own = state.trainings.find((one) => one.key === key);
      return {
        key,
        recipe: recipe.name,
        task: recipe.task,
        steps: Number(own?.recipe["steps"] ?? recipe.steps),
        done: own?.step ?? 0,
        seed: recipe.seed,
        changes,
        cost: own?.cost ?? { cpuSecs: 0, wallSecs: 0 },
        weights: own?.weights ?? null,
      };
    }),
    evaluation: state.evaluation?.cost ?? null,
    isEvaluated: state.evaluation?.isDone ?? false,
  };
}

/** One training's log, by scalar: step and value. */
export type TrainingCurves = ReadonlyMap<string, readonly (readonly [number, number])[]>;

/** Reads the log of a training; empty where there is none. */
export async function readCurves(runFolder: string): Promise<TrainingCurves> {
  const text = await readFile(join(runFolder, "log.jsonl"), "utf8").catch(() => "");
  const curves = new Map<string, [number, number][]>();
  for (const line of text.split("\n")) {
    if (line.length === 0) continue;
    const { step = 0, ...scalars } = JSON.parse(line) as Record<string, number>;
    for (const [name, value] of Object.entries(scalars)) {
      if (typeof value !== "number" || !Number.isFinite(value)) continue;
      const own = curves.get(name) ?? [];
      own.push([step, value]);
      curves.set(name, own);
    }
  }
  return curves;
}
