/**
 * One run: its trainings one after the other, the suite that is made of their results, and its evaluation. Each is done
 * once; what was stopped goes on where it was.
 * @module
 */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { hashFile, loadSuite, type Suite, suiteHashes } from "../answer/index.ts";
import { VansError } from "../base/errors.ts";
import { type EvaluationEvent, evaluate } from "../evaluate/index.ts";
import { type Recipe, runTraining, type TrainEvent, taskNamed } from "../train/index.ts";
import type { Experiment } from "./experiment-file.ts";
import { type FieldChange, fieldChanges } from "./merge-recipe.ts";
import type { PlannedRun, PlannedTraining } from "./plan.ts";
import { CostMeter, type RunState, readRunState, type TrainingState, writeRunState } from "./run-state.ts";
import { shareCache } from "./shared-cache.ts";
import type { StepCosts } from "./step-cost.ts";
import { writeTrainedSuite } from "./suite-folder.ts";
import { type PartResults, resultsOf, startingFrom, type TrainedPart } from "./task-results.ts";

/** What happens in a run. */
export type RunEvent =
  | {
      readonly type: "training";
      readonly run: string;
      readonly key: string;
      readonly steps: number;
      readonly event: TrainEvent;
    }
  | { readonly type: "measuring"; readonly run: string; readonly key: string }
  | { readonly type: "suite"; readonly run: string; readonly folder: string }
  | { readonly type: "evaluation"; readonly run: string; readonly event: EvaluationEvent };

/** What a run works with. */
export interface RunContext {
  readonly experiment: Experiment;
  /** Folder of the experiment. */
  readonly folder: string;
  readonly base: Suite;
  readonly costs: StepCosts;
  readonly signal?: AbortSignal | undefined;
}

/** Name of the folder of a run's suite. */
export const SUITE_FOLDER = "suite";
/** Name of the folder of a run's evaluation. */
export const EVALUATION_FOLDER = "evaluation";
/** Name of the folder of the evaluation samples inside the experiment's. */
export const DATA_FOLDER = "data";

/** Name of the folder of what answers are compared with. */
const DRAWINGS_FOLDER = "drawings";

/** True where all trainings of a run are finished. */
export function isTrained(run: PlannedRun, state: RunState): boolean {
  return run.trainings.every(({ key }) => state.trainings.find((one) => one.key === key)?.isDone === true);
}

/** Processor seconds of the trainings of a run. */
export function trainingCpuSecs(state: RunState): number {
  return state.trainings.reduce((sum, { cost }) => sum + cost.cpuSecs, 0);
}

/**
 * Trains what is left to train of a run.
 *
 * @throws `VANS_EXPERIMENT_CHANGED` where the run was begun with other settings, `VANS_EXPERIMENT_NEEDS` where another run
 * has to come first; what training throws
 */
export async function* trainRun(run: PlannedRun, context: RunContext): AsyncGenerator<RunEvent> {
  const folder = join(context.folder, run.id);
  const state = await readRunState(folder, run.id);
  let have = await usedResults(run, context);
  for (const training of run.trainings) {
    const runFolder = join(folder, training.key);
    const weights = join(runFolder, "weights.safetensors");
    const before = state.trainings.find(({ key }) => key === training.key);
    if (!before?.isDone) yield* trainOne(run, training, { have, before, state, runFolder, context });
    have = { ...have, ...resultsOf(training.recipe, weights) };
  }
}

interface TrainingContext {
  readonly have: PartResults;
  readonly before: TrainingState | undefined;
  readonly state: RunState;
  readonly runFolder: string;
  readonly context: RunContext;
}

async function* trainOne(
  run: PlannedRun,
  training: PlannedTraining,
  { have, before, state, runFolder, context }: TrainingContext,
): AsyncGenerator<RunEvent> {
  const { signal, folder: experimentFolder } = context;
  const { key } = training;
  const folder = join(experimentFolder, run.id);
  await mkdir(runFolder, { recursive: true });
  await shareCache(folder);
  const started =
    training.from === "recipe"
      ? training.recipe
      : await startingFrom(training.recipe, have, { suite: context.base, folder });
  const start = await startHashes(started, training.from === "recipe" ? undefined : context.base);
  let recipe = started;
  if (training.budget) {
    // Decided once: a run that goes on keeps its number of steps.
    if (before) recipe = { ...started, steps: Number(before.recipe["steps"]) };
    else {
      yield { type: "measuring", run: run.id, key };
      recipe = { ...started, steps: await stepsWithin(training.budget, started, context) };
    }
  }
  if (before) refuseOther(folder, before, recipe, start);
  const own: TrainingState = before ?? {
    key,
    recipe: JSON.parse(JSON.stringify(recipe)) as Record<string, unknown>,
    start,
    cost: { cpuSecs: 0, wallSecs: 0 },
    step: 0,
    isDone: false,
  };
  const save = async (change: Partial<TrainingState>): Promise<void> => {
    Object.assign(own, change);
    if (!state.trainings.includes(own)) state.trainings.push(own);
    await writeRunState(folder, state);
  };
  await save({});
  const meter = new CostMeter(own.cost);
  try {
    const events = runTraining(recipe, taskNamed(recipe.task), { runFolder, resume: true, signal });
    for await (const event of events) {
      if (event.type === "checkpoint") await save({ cost: meter.read(), step: event.step });
      if (event.type === "done")
        await save({
          cost: meter.read(),
          step: event.step,
          isDone: true,
          weights: await hashFile(event.weightsPath),
        });
      yield { type: "training", run: run.id, key, steps: recipe.steps, event };
    }
  } finally {
    // Stopped or failed: what it took until then counts as well.
    if (!own.isDone) await save({ cost: meter.read() });
  }
}

/** Steps that fit into a budget. */
async function stepsWithin(
  budget: NonNullable<PlannedTraining["budget"]>,
  recipe: Recipe,
  { folder, costs, signal }: RunContext,
): Promise<number> {
  const cost = await costs.measure(recipe, signal);
  const secs =
    "coreHours" in budget
      ? budget.coreHours * 3600
      : budget.times * trainingCpuSecs(await readRunState(join(folder, budget.run), budget.run));
  return Math.max(1, Math.floor((secs - cost.startCpuSecs) / cost.cpuSecs));
}

/** What the runs that a run uses have made of the parts that it uses. @throws `VANS_EXPERIMENT_NEEDS` */
async function usedResults(run: PlannedRun, context: RunContext): Promise<PartResults> {
  const have: { -readonly [Part in keyof PartResults]: PartResults[Part] } = {};
  for (const [part, id] of Object.entries(run.uses) as [TrainedPart, string][]) {
    const results = await resultsOfRun(join(context.folder, id), id);
    const result = results[part];
    if (!result)
      throw new VansError("VANS_EXPERIMENT_NEEDS", `${run.id} needs the ${part} of ${id}`, {
        found: `${id} has trained ${Object.keys(results).join(" and ") || "nothing"} so far`,
        fix: `train it first: vans experiment ${context.experiment.name} --only ${id.replace(/-s\d+$/, "")}`,
      });
    have[part] = result;
  }
  return have;
}

/** What a run has made so far, what it used of others not included. */
async function resultsOfRun(folder: string, id: string): Promise<PartResults> {
  const { trainings } = await readRunState(folder, id);
  return Object.assign(
    {},
    ...trainings
      .filter(({ isDone }) => isDone)
      .map(({ key, recipe }) =>
        resultsOf(recipe as unknown as Recipe, join(folder, key, "weights.safetensors")),
      ),
  ) as PartResults;
}

async function startHashes(recipe: Recipe, suite: Suite | undefined): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const [role, path] of Object.entries(recipe.init)) hashes[role] = await hashFile(path);
  if (suite && recipe.settings["suite"] !== undefined)
    for (const [path, hash] of Object.entries(await suiteHashes(suite))) hashes[`suite:${path}`] = hash;
  return hashes;
}

function refuseOther(
  folder: string,
  before: TrainingState,
  recipe: Recipe,
  start: Record<string, string>,
): void {
  const now = JSON.parse(JSON.stringify({ recipe, start })) as Record<string, unknown>;
  const changes = fieldChanges({ recipe: before.recipe, start: before.start }, now);
  if (changes.length === 0) return;
  throw changedError(folder, changes);
}

function changedError(folder: string, changes: readonly FieldChange[]): VansError {
  return new VansError("VANS_EXPERIMENT_CHANGED", `${folder} was begun with other settings`, {
    found: changes.map(({ field, was, is }) => `${field}: was ${was}, is ${is}`).join("; "),
    why: "the experiment, a recipe or a file that the row starts from has changed since",
    fix: `take the change back, or remove ${folder} to run the row anew`,
    data: { changes },
  });
}

/**
 * Makes the suite of a trained run and evaluates it, as far as that is left to do.
 *
 * @throws `VANS_EXPERIMENT_NEEDS` before its trainings are done; what evaluating throws
 */
export async function* evaluateRun(run: PlannedRun, context: RunContext): AsyncGenerator<RunEvent> {
  const { experiment, base, signal } = context;
  const folder = join(context.folder, run.id);
  const state = await readRunState(folder, run.id);
  if (!isTrained(run, state))
    throw new VansError("VANS_EXPERIMENT_NEEDS", `${run.id} is not trained yet`, {
      fix: `train it first: vans experiment ${experiment.name} --only ${run.row.name}`,
    });
  const { samples, parts, answers } = run.evaluation;
  const trained = state.trainings.map(({ key, weights }) => ({ key, weights }));
  const judges = experiment.judges ?? experiment.baseSuite;
  const request = JSON.parse(
    JSON.stringify({
      samples,
      parts,
      answers,
      judges,
      answer: run.row.answer ?? {},
      trained,
      uses: run.uses,
    }),
  ) as Record<string, unknown>;
  const before = state.evaluation;
  if (before) {
    const changes = fieldChanges(before.request, request);
    if (changes.length > 0) throw changedError(folder, changes);
    if (before.isDone) return;
  }
  const own: NonNullable<RunState["evaluation"]> = before ?? {
    request,
    cost: { cpuSecs: 0, wallSecs: 0 },
    isDone: false,
  };
  const save = (change: Partial<typeof own>): Promise<void> => {
    Object.assign(own, change);
    return writeRunState(folder, { ...state, evaluation: own });
  };
  const suiteFolder = join(folder, SUITE_FOLDER);
  await mkdir(folder, { recursive: true });
  const have = { ...(await usedResults(run, context)), ...(await resultsOfRun(folder, run.id)) };
  if (!before || !(await stat(join(suiteFolder, "suite.json")).catch(() => undefined)))
    await writeTrainedSuite(suiteFolder, base, have, {
      name: `${experiment.name}-${run.row.name}`,
      about: `${run.row.title}. Seed ${run.seed} of the experiment ${experiment.name}.`,
      version: base.manifest.version,
      answer: run.row.answer,
    });
  await loadSuite(suiteFolder);
  yield { type: "suite", run: run.id, folder: suiteFolder };
  await save({});
  const meter = new CostMeter(own.cost);
  try {
    const events = evaluate({
      suite: suiteFolder,
      data: join(context.folder, DATA_FOLDER),
      out: join(folder, EVALUATION_FOLDER),
      parts,
      limit: samples,
      judges,
      threads: experiment.evaluation.threads,
      drawings: join(context.folder, DRAWINGS_FOLDER),
      ...(answers > 1 && { answers }),
      signal,
    });
    for await (const event of events) {
      if (event.type === "part" && event.done % 20 === 0) await save({ cost: meter.read() });
      yield { type: "evaluation", run: run.id, event };
    }
    await save({ cost: meter.read(), isDone: true });
  } finally {
    if (!own.isDone) await save({ cost: meter.read() });
  }
}
