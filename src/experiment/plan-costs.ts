/**
 * What an experiment will take: from what was recorded, and from steps that were measured.
 * @module
 */
import { join } from "node:path";
import { loadSuite, type Suite } from "../answer/index.ts";
import type { Recipe } from "../train/index.ts";
import type { Experiment } from "./experiment-file.ts";
import type { Plan, PlannedRun, PlannedTraining } from "./plan.ts";
import { type RunState, readRunState } from "./run-state.ts";
import { StepCosts, type Yardstick } from "./step-cost.ts";
import { startingFrom } from "./task-results.ts";

/** What a training takes. */
export interface EstimatedTraining {
  readonly key: string;
  /** null where it depends on the cost of a step that is not known. */
  readonly steps: number | null;
  readonly done: number;
  /** Core-hours in all, and those that are left; null where a step was never measured. */
  readonly coreHours: number | null;
  readonly leftCoreHours: number | null;
}

/** What a run takes. */
export interface EstimatedRun {
  readonly run: PlannedRun;
  readonly trainings: readonly EstimatedTraining[];
  readonly samples: number;
  readonly isEvaluated: boolean;
  readonly evaluationCoreHours: number | null;
}

/** Options of {@link estimateRuns}. */
export interface EstimateOptions {
  /** Take some steps of each recipe whose cost is not known. */
  readonly measure?: boolean | undefined;
  readonly onMeasure?: ((recipe: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Estimates all runs of a plan. Evaluations are estimated by those that are done. */
export async function estimateRuns(
  experiment: Experiment,
  plan: Plan,
  folder: string,
  { measure = false, onMeasure, signal }: EstimateOptions = {},
): Promise<EstimatedRun[]> {
  const base = await loadSuite(experiment.baseSuite);
  const costs = await StepCosts.open(folder, yardsticksOf(plan, base, folder));
  const states = new Map<string, RunState>();
  for (const { id } of plan) states.set(id, await readRunState(join(folder, id), id));
  const evaluated = plan.flatMap(({ id, evaluation }) => {
    const own = states.get(id)!.evaluation;
    return own?.isDone ? [own.cost.cpuSecs / evaluation.samples] : [];
  });
  const sampleSecs =
    evaluated.length === 0 ? null : evaluated.reduce((sum, secs) => sum + secs, 0) / evaluated.length;
  const trainingHours = new Map<string, number | null>();
  const out: EstimatedRun[] = [];
  for (const run of plan) {
    const state = states.get(run.id)!;
    const trainings: EstimatedTraining[] = [];
    for (const training of run.trainings) {
      if (measure && !costs.of(training.recipe)) {
        onMeasure?.(training.recipe.name);
        await costs.measure(await started(training, base, folder), signal);
      }
      trainings.push(estimate(training, { state, costs, trainingHours }));
    }
    const hours = trainings.map(({ coreHours }) => coreHours);
    trainingHours.set(
      run.id,
      hours.includes(null) ? null : hours.reduce<number>((sum, own) => sum + own!, 0),
    );
    const { samples } = run.evaluation;
    const own = state.evaluation;
    out.push({
      run,
      trainings,
      samples,
      isEvaluated: own?.isDone === true,
      evaluationCoreHours: own?.isDone
        ? own.cost.cpuSecs / 3600
        : sampleSecs === null
          ? null
          : (sampleSecs * samples) / 3600,
    });
  }
  return out;
}

/** A training as it would be run on the base suite. */
const started = async ({ from, recipe }: PlannedTraining, suite: Suite, folder: string): Promise<Recipe> =>
  from === "recipe" ? recipe : startingFrom(recipe, {}, { suite, folder });

/** All trainings of a plan, to compare machines by. */
export const yardsticksOf = (plan: Plan, base: Suite, folder: string): Yardstick[] =>
  plan.flatMap(({ trainings }) =>
    trainings.map((one) => ({ recipe: one.recipe, start: () => started(one, base, folder) })),
  );

interface EstimateContext {
  readonly state: RunState;
  readonly costs: StepCosts;
  readonly trainingHours: ReadonlyMap<string, number | null>;
}

function estimate({ key, recipe, budget }: PlannedTraining, context: EstimateContext): EstimatedTraining {
  const own = context.state.trainings.find((one) => one.key === key);
  if (own?.isDone)
    return { key, steps: own.step, done: own.step, coreHours: own.cost.cpuSecs / 3600, leftCoreHours: 0 };
  const cost = context.costs.of(recipe);
  const perStep = own && own.step > 0 ? own.cost.cpuSecs / own.step : cost?.cpuSecs;
  const done = own?.step ?? 0;
  const allowed = budget
    ? "coreHours" in budget
      ? budget.coreHours
      : scaled(context.trainingHours.get(budget.run) ?? null, budget.times)
    : undefined;
  const steps = own
    ? Number(own.recipe["steps"])
    : allowed === undefined
      ? recipe.steps
      : allowed === null || perStep === undefined
        ? null
        : Math.max(1, Math.floor((allowed * 3600 - (cost?.startCpuSecs ?? 0)) / perStep));
  if (perStep === undefined || steps === null)
    return { key, steps, done, coreHours: allowed ?? null, leftCoreHours: allowed ?? null };
  const start = cost?.startCpuSecs ?? 0;
  return {
    key,
    steps,
    done,
    coreHours: (start + perStep * steps) / 3600,
    leftCoreHours: (start + perStep * (steps - done)) / 3600,
  };
}

const scaled = (hours: number | null, times: number): number | null =>
  hours === null ? null : hours * times;
