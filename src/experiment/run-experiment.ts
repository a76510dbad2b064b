/**
 * The grid of an experiment, run by one process or several: each takes the next row that nobody works on.
 * @module
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loadSuite } from "../answer/index.ts";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { takeLock } from "../base/process-lock.ts";
import { makeWorldDataset, readManifest } from "../data/index.ts";
import { worldVersion } from "../world/index.ts";
import type { Experiment } from "./experiment-file.ts";
import { chosenRuns, type PlannedRun, planExperiment } from "./plan.ts";
import { yardsticksOf } from "./plan-costs.ts";
import { recordPlan } from "./recorded-plans.ts";
import { type ExperimentReportFiles, writeExperimentReport } from "./report-files.ts";
import { DATA_FOLDER, evaluateRun, isTrained, type RunContext, type RunEvent, trainRun } from "./run-row.ts";
import { type RunState, readRunState } from "./run-state.ts";
import { StepCosts } from "./step-cost.ts";

/** How far an experiment goes. */
export const EXPERIMENT_STAGES = ["train", "evaluate", "report"] as const;
/** How far an experiment goes. */
export type ExperimentStage = (typeof EXPERIMENT_STAGES)[number];

/** Options of {@link runExperiment}. */
export interface RunExperimentOptions {
  /** Default `runs/experiments/<name>`. */
  readonly folder?: string | undefined;
  /** Only these rows, and the trainings that they need. */
  readonly only?: readonly string[] | undefined;
  /** Default `report`. */
  readonly until?: ExperimentStage | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What happens in an experiment. */
export type ExperimentEvent =
  | RunEvent
  | { readonly type: "data"; readonly done: number; readonly count: number }
  | {
      readonly type: "run";
      readonly run: string;
      readonly title: string;
      /** `before`: there was nothing left to do; `locked`: another process works on it. */
      readonly state: "started" | "done" | "before" | "locked";
      /** Runs of this call, and the place of this one, from 1. */
      readonly place: number;
      readonly of: number;
    }
  | { readonly type: "report"; readonly files: ExperimentReportFiles; readonly missing: readonly string[] };

/** The folder of an experiment where none is given. */
export function experimentFolder(name: string): string {
  return join("runs", "experiments", name);
}

/** A row that another process works on is looked at again after this time. */
const WAIT_SECS = 5;

/**
 * Runs an experiment. The same call goes on with one that was stopped; rows that are done are not done again; several
 * processes may call it at once. The report is written at the end, and says which rows are missing.
 *
 * @throws `VANS_EXPERIMENT_INVALID`, `VANS_EXPERIMENT_ROW`, `VANS_EXPERIMENT_CHANGED`, what training and evaluating throw,
 * `VANS_RUN_ABORTED` after checkpoints
 */
export async function* runExperiment(
  experiment: Experiment,
  options: RunExperimentOptions = {},
): AsyncGenerator<ExperimentEvent> {
  const { signal, until = "report" } = options;
  const folder = options.folder ?? experimentFolder(experiment.name);
  const plan = await planExperiment(experiment);
  const chosen = chosenRuns(plan, experiment, options.only);
  const base = await loadSuite(experiment.baseSuite);
  const costs = await StepCosts.open(folder, yardsticksOf(plan, base, folder));
  const context: RunContext = { experiment, folder, base, costs, signal };
  await recordPlan(experiment, plan, folder);
  const evaluates = until !== "train";
  if (evaluates) yield* evaluationData(experiment, folder, signal);

  const left = new Map(chosen.map((one) => [one.run.id, one]));
  const told = new Set<string>();
  let lockedLast: string | undefined;
  while (left.size > 0) {
    throwIfAborted(signal);
    const isLeftToDo = (id: string): boolean => left.has(id);
    const next = [...left.values()].find(
      ({ run }) => !told.has(run.id) && !run.needs.some((id) => isLeftToDo(id)),
    );
    if (!next) {
      // Everything else is in other hands, or waits for what is.
      told.clear();
      if (lockedLast !== undefined)
        await sleep(WAIT_SECS * 1000, undefined, signal ? { signal } : {}).catch(() => undefined);
      lockedLast = undefined;
      continue;
    }
    const { run, isAsked } = next;
    const status = { run: run.id, title: run.row.title, place: chosen.indexOf(next) + 1, of: chosen.length };
    const isDone = async (): Promise<boolean> => {
      const state = await readRunState(join(folder, run.id), run.id);
      return isTrained(run, state) && (!(evaluates && isAsked) || isEvaluated(run, state));
    };
    if (await isDone()) {
      left.delete(run.id);
      yield { type: "run", ...status, state: "before" };
      continue;
    }
    const lock = await takeLock(join(folder, "locks"), run.id);
    if (!lock) {
      told.add(run.id);
      lockedLast = run.id;
      yield { type: "run", ...status, state: "locked" };
      continue;
    }
    try {
      yield { type: "run", ...status, state: "started" };
      yield* trainRun(run, context);
      if (evaluates && isAsked) yield* evaluateRun(run, context);
    } finally {
      await lock.release();
    }
    left.delete(run.id);
    yield { type: "run", ...status, state: "done" };
  }
  if (until !== "report") return;
  const { files, missing } = await writeExperimentReport(experiment, plan, folder);
  yield { type: "report", files, missing };
}

function isEvaluated(run: PlannedRun, state: RunState): boolean {
  const { evaluation } = state;
  // Another number of samples or other parts: evaluating refuses or goes on.
  return evaluation?.isDone === true && evaluation.request["samples"] === run.evaluation.samples;
}

/** The samples that all rows are evaluated on, made once. */
async function* evaluationData(
  { evaluation }: Experiment,
  folder: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ExperimentEvent> {
  const out = join(folder, DATA_FOLDER);
  const count = evaluation.procedural + evaluation.predictive;
  for (;;) {
    throwIfAborted(signal);
    const found = await readManifest(out).catch(() => undefined);
    if (found) {
      const [first] = found;
      const fits =
        found.length >= count && first?.seed === evaluation.seeds && first.world_version === worldVersion;
      if (fits) return;
      throw new VansError(
        "VANS_EXPERIMENT_CHANGED",
        `${out} holds other samples than the experiment asks for`,
        {
          asked: `${count} samples from seed ${evaluation.seeds} on, world version ${worldVersion}`,
          found: `${found.length} from seed ${first?.seed} on, world version ${first?.world_version}`,
          fix: `remove ${folder} to begin the experiment anew`,
        },
      );
    }
    const lock = await takeLock(join(folder, "locks"), "data");
    if (!lock) {
      await sleep(1000);
      continue;
    }
    try {
      for await (const event of makeWorldDataset({
        seed: evaluation.seeds,
        count,
        out,
        ...(signal && { signal }),
      }))
        if (event.type === "sample") yield { type: "data", done: event.done, count };
    } finally {
      await lock.release();
    }
  }
}
