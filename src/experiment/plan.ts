/**
 * From an experiment to runs in order: each a row with a seed, its recipes with all changes made, and what it waits for.
 * @module
 */

import { VansError } from "../base/errors.ts";
import type { EvaluationPart } from "../evaluate/index.ts";
import { type Recipe, readRecipe } from "../train/index.ts";
import { type Experiment, type ExperimentRow, type ExperimentTraining, INVALID } from "./experiment-file.ts";
import { changedRecipe, type FieldChange, fieldChanges, recipeFile } from "./merge-recipe.ts";
import { type TrainedPart, trainedParts } from "./task-results.ts";

/** A training of a run. */
export interface PlannedTraining {
  /** Folder inside the run's. */
  readonly key: string;
  /** With the experiment's changes and the run's seed; where it starts is added when it does. */
  readonly recipe: Recipe;
  /** What differs from the recipe's file. */
  readonly changes: readonly FieldChange[];
  readonly from: ExperimentTraining["from"];
  readonly parts: readonly TrainedPart[];
  readonly budget?:
    | { readonly coreHours: number }
    | { readonly run: string; readonly times: number }
    | undefined;
}

/** What is evaluated of a run. */
export interface PlannedEvaluation {
  /** So many of the experiment's samples, from the first one on. */
  readonly samples: number;
  readonly parts: readonly EvaluationPart[];
  readonly answers: number;
}

/** A row with one of its seeds. */
export interface PlannedRun {
  /** `<row>-s<seed>`; its folder as well. */
  readonly id: string;
  readonly row: ExperimentRow;
  readonly seed: number;
  /** Runs whose results it starts from. */
  readonly uses: Readonly<Partial<Record<TrainedPart, string>>>;
  readonly trainings: readonly PlannedTraining[];
  readonly evaluation: PlannedEvaluation;
  /** Runs that must have been trained before. */
  readonly needs: readonly string[];
}

/** Runs in an order in which each finds what it needs. */
export type Plan = readonly PlannedRun[];

/** Plans all rows. @throws `VANS_EXPERIMENT_INVALID`, what reading recipes throws */
export async function planExperiment(experiment: Experiment): Promise<Plan> {
  const rows = new Map(experiment.rows.map((row) => [row.name, row]));
  const runs: PlannedRun[] = [];
  for (const row of experiment.rows) {
    if (row.of !== undefined) continue;
    for (const seed of seedsOf(row, experiment)) runs.push(await planRun(row, seed, { experiment, rows }));
  }
  return inOrder(runs);
}

/** Seeds of a row. */
export function seedsOf(row: ExperimentRow, experiment: Experiment): readonly number[] {
  return row.seeds ?? experiment.seeds.slice(0, 1);
}

interface Surroundings {
  readonly experiment: Experiment;
  readonly rows: ReadonlyMap<string, ExperimentRow>;
}

const runId = (row: string, seed: number): string => `${row}-s${seed}`;

async function planRun(row: ExperimentRow, seed: number, around: Surroundings): Promise<PlannedRun> {
  const { experiment, rows } = around;
  // A row with the same seed where there is one, else with its first seed.
  const other = (name: string): string => {
    const seeds = seedsOf(rows.get(name)!, experiment);
    return runId(name, seeds.includes(seed) ? seed : seeds[0]!);
  };
  const trainings: PlannedTraining[] = [];
  for (const training of row.trains) {
    const before = await readRecipe(recipeFile(training.recipe));
    const name = `row ${row.name}: ${training.recipe}`;
    const recipe = changedRecipe(before, { ...training.overrides, seed }, name);
    const count = trainings.filter(({ recipe: { name: known } }) => known === recipe.name).length;
    const { cpuBudgetCoreHours: budget } = training;
    trainings.push({
      key: count === 0 ? recipe.name : `${recipe.name}-${count + 1}`,
      recipe,
      changes: fieldChanges(before, recipe),
      from: training.from,
      parts: trainedParts(recipe),
      ...(budget !== undefined && {
        budget:
          typeof budget === "number"
            ? { coreHours: budget }
            : { run: other(budget.sameAs), times: budget.times },
      }),
    });
  }
  const uses = Object.fromEntries(
    Object.entries(row.uses).flatMap(([part, name]) => (name === undefined ? [] : [[part, other(name)]])),
  );
  const { procedural = experiment.evaluation.procedural, predictive = experiment.evaluation.predictive } =
    row.evaluation;
  const budgets = trainings.flatMap(({ budget }) => (budget && "run" in budget ? [budget.run] : []));
  return {
    id: runId(row.name, seed),
    row,
    seed,
    uses,
    trainings,
    evaluation: {
      samples: procedural + predictive,
      parts: row.evaluation.parts ?? experiment.evaluation.parts,
      answers: row.evaluation.answers ?? 1,
    },
    needs: [...new Set([...Object.values(uses), ...budgets])],
  };
}

/** What a run needs comes before it; otherwise the order of the file. */
function inOrder(runs: readonly PlannedRun[]): PlannedRun[] {
  const byId = new Map(runs.map((run) => [run.id, run]));
  const placed = new Set<PlannedRun>();
  const place = (run: PlannedRun, waiting: readonly string[]): void => {
    if (placed.has(run)) return;
    if (waiting.includes(run.id))
      throw new VansError(INVALID, "rows need each other in a circle", {
        found: [...waiting, run.id].join(" needs "),
      });
    for (const id of run.needs) {
      const needed = byId.get(id);
      if (!needed)
        throw new VansError(INVALID, `the run ${run.id} needs one that there is not`, {
          found: id,
          why: "a row that is a column of another one has no results",
        });
      place(needed, [...waiting, run.id]);
    }
    placed.add(run);
  };
  for (const run of runs) place(run, []);
  return [...placed];
}

/**
 * The runs of some rows, and those whose trainings they need.
 *
 * @throws `VANS_EXPERIMENT_ROW` for a name that is not there
 */
export function chosenRuns(
  plan: Plan,
  experiment: Experiment,
  only?: readonly string[],
): readonly { readonly run: PlannedRun; readonly isAsked: boolean }[] {
  const rows = new Map(experiment.rows.map((row) => [row.name, row]));
  const unknown = only?.filter((name) => !rows.has(name)) ?? [];
  if (unknown.length > 0)
    throw new VansError("VANS_EXPERIMENT_ROW", `there is no row "${unknown[0]}" in ${experiment.name}`, {
      asked: unknown.join(", "),
      found: `rows ${[...rows.keys()].join(", ")}`,
      fix: "vans experiment NAME --list shows all rows",
      data: { unknown },
    });
  const asked = new Set(only?.map((name) => rows.get(name)!.of ?? name) ?? rows.keys());
  const needed = new Set<string>();
  for (const run of [...plan].reverse())
    if (asked.has(run.row.name) || needed.has(run.id)) for (const id of run.needs) needed.add(id);
  return plan
    .filter((run) => asked.has(run.row.name) || needed.has(run.id))
    .map((run) => ({ run, isAsked: asked.has(run.row.name) }));
}
