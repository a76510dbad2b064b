/**
 * `vans experiment NAME`: a grid of trainings and evaluations, gone on with until it is done, and one report.
 * @module
 */
import { Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { isVansError, VansError } from "../base/errors.ts";
import type {
  EstimatedRun,
  Experiment,
  ExperimentEvent,
  ExperimentStage,
  Plan,
} from "../experiment/index.ts";
import { interruptible } from "./interrupt.ts";

const STAGES = ["train", "evaluate", "report"] as const satisfies readonly ExperimentStage[];

const HELP = `
Rows are done once; the same command goes on after a stop, and several processes may share the work. Everything lies in
runs/experiments/<name>: a folder a row and seed with its trainings, its suite and its evaluation, and the report.

Examples:
  vans experiment ablations --list
  vans experiment ablations --dry-run --measure
  vans experiment ablations --only sft,grpo-vlm
  vans experiment ablations --until train
  vans experiment ablations`;

function rowList(text: string): string[] {
  const names = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (names.length === 0) throw new InvalidArgumentError("Give names of rows, separated by commas.");
  return names;
}

/** The command `experiment`. */
export function experimentCommand() {
  return new Command("experiment")
    .description("run a grid of trainings and evaluations, and write one report")
    .argument("<experiment>", "path of an experiment file, or a name from recipes/experiments/")
    .option("--only <rows>", "these rows, and the trainings that they need", rowList)
    .addOption(
      new Option("--until <stage>", "stop after this stage").choices(STAGES).default("report" as const),
    )
    .option("--out <dir>", "folder of the experiment (default runs/experiments/<name>)")
    .option("--list", "only list the rows", false)
    .option("--dry-run", "only show what would be done and what it would take", false)
    .option("--measure", "with --dry-run: take some steps of each recipe whose cost is not known", false)
    .option("--json", "one JSON event a line on the standard output", false)
    .addHelpText("after", HELP)
    .action(async (name, options) => {
      const { readExperiment, recipeFile, experimentFolder, planExperiment, chosenRuns } = await import(
        "../experiment/index.ts"
      );
      const experiment = await readExperiment(recipeFile(name, "recipes/experiments"));
      const folder = options.out ?? experimentFolder(experiment.name);
      if (options.list || options.dryRun) {
        const plan = await planExperiment(experiment);
        const chosen = chosenRuns(plan, experiment, options.only).map(({ run }) => run);
        if (options.list) return list(experiment, chosen, options.json);
        return interruptible((signal) => dryRun(experiment, { plan, chosen, folder, signal, ...options }));
      }
      await run(experiment, { folder, ...options });
    });
}

function list(experiment: Experiment, chosen: Plan, isJson: boolean): void {
  for (const row of experiment.rows) {
    const runs = chosen.filter((one) => one.row === row);
    if (row.of === undefined && runs.length === 0) continue;
    if (isJson) {
      console.log(JSON.stringify({ name: row.name, title: row.title, runs: runs.map(({ id }) => id) }));
      continue;
    }
    const what =
      row.of === undefined
        ? runs
            .map(({ id, needs }) => `${id}${needs.length > 0 ? ` after ${needs.join(", ")}` : ""}`)
            .join("; ")
        : `column ${row.system} of ${row.of}`;
    console.log(`${row.name.padEnd(26)} ${row.title}\n${"".padEnd(27)}${what}`);
  }
}

interface DryRunOptions {
  readonly plan: Plan;
  readonly chosen: Plan;
  readonly folder: string;
  readonly measure: boolean;
  readonly json: boolean;
  readonly signal: AbortSignal;
}

async function dryRun(experiment: Experiment, options: DryRunOptions): Promise<void> {
  const { plan, chosen, folder, measure, json, signal } = options;
  const { estimateRuns } = await import("../experiment/index.ts");
  const onMeasure = (recipe: string): void => console.error(`measuring steps of ${recipe}`);
  const estimated = await estimateRuns(experiment, plan, folder, { measure, onMeasure, signal });
  const own = estimated.filter(({ run }) => chosen.includes(run));
  if (json) {
    for (const { run, ...rest } of own) console.log(JSON.stringify({ run: run.id, ...rest }));
    return;
  }
  for (const one of own) console.log(planLines(one).join("\n"));
  const known = (values: readonly (number | null)[]): string => {
    const sum = values.reduce<number>((total, value) => total + (value ?? 0), 0);
    const open = values.filter((value) => value === null).length;
    return `${sum.toFixed(2)}${open > 0 ? ` and ${open} that are not known` : ""}`;
  };
  const trainings = own.flatMap((one) => one.trainings);
  console.log(
    [
      "",
      `Core-hours of training: ${known(trainings.map(({ coreHours }) => coreHours))}, left ${known(trainings.map(({ leftCoreHours }) => leftCoreHours))}`,
      `Core-hours of evaluation: ${known(own.map(({ evaluationCoreHours }) => evaluationCoreHours))}`,
      ...(experiment.cpuBudgetCoreHours ? [`Budget: ${experiment.cpuBudgetCoreHours} core-hours`] : []),
      ...(trainings.some(({ coreHours }) => coreHours === null) && !measure
        ? ["--measure takes some steps of each recipe whose cost is not known."]
        : []),
    ].join("\n"),
  );
}

function planLines({ run, trainings, samples, isEvaluated, evaluationCoreHours }: EstimatedRun): string[] {
  const shown = (value: number | null): string => (value === null ? "   ?" : value.toFixed(2)).padStart(7);
  const after = run.needs.length > 0 ? `  after ${run.needs.join(", ")}` : "";
  return [
    `${run.id}${after}`,
    ...trainings.map(
      ({ key, steps, done, coreHours }) =>
        `  train ${key.padEnd(34)} ${done} of ${steps ?? "?"} steps`.padEnd(66) +
        `${shown(coreHours)} core-hours`,
    ),
    `  evaluate ${samples} samples${isEvaluated ? ", done" : ""}`.padEnd(66) +
      `${shown(evaluationCoreHours)} core-hours`,
  ];
}

interface RunOptions {
  readonly folder: string;
  readonly only?: readonly string[] | undefined;
  readonly until: ExperimentStage;
  readonly json: boolean;
}

async function run(experiment: Experiment, { folder, only, until, json }: RunOptions): Promise<void> {
  const { runExperiment } = await import("../experiment/index.ts");
  const show = json ? (event: ExperimentEvent) => console.log(JSON.stringify(event)) : plainProgress();
  try {
    await interruptible(async (signal) => {
      for await (const event of runExperiment(experiment, { folder, only, until, signal })) show(event);
    });
  } catch (error) {
    if (!isVansError(error, "VANS_RUN_ABORTED")) throw error;
    throw new VansError("VANS_RUN_ABORTED", "stopped; the same command goes on from here", { cause: error });
  }
}

/** A line of progress at most this often while nothing but numbers change. */
const TOLD_EVERY_MS = 15_000;

function plainProgress(): (event: ExperimentEvent) => void {
  let toldAt = 0;
  const rarely = (line: string): void => {
    const now = performance.now();
    if (now - toldAt < TOLD_EVERY_MS) return;
    toldAt = now;
    console.error(line);
  };
  return (event) => {
    if (event.type === "data") {
      if (event.done === event.count) console.error(`made ${event.count} evaluation samples`);
    } else if (event.type === "run") {
      const states = {
        started: "",
        done: ": done",
        before: ": was done before",
        locked: ": another process works on it",
      };
      console.error(`[${event.place}/${event.of}] ${event.run}${states[event.state]}`);
    } else if (event.type === "measuring") console.error(`  ${event.key}: measuring steps for its budget`);
    else if (event.type === "suite") console.error(`  suite ${event.folder}`);
    else if (event.type === "training") trainingLine(event, rarely);
    else if (event.type === "evaluation") {
      const { event: inner } = event;
      if (inner.type === "part")
        rarely(`  evaluation ${inner.done}/${inner.total}, ${clock(inner.secsLeft)} left`);
      if (inner.type === "report") console.error(`  report ${inner.files.html}`);
    } else {
      const { files, missing } = event;
      if (missing.length > 0) console.error(`rows without results: ${missing.join(", ")}`);
      console.log([files.html, files.markdown, files.json].join("\n"));
    }
  };
}

function trainingLine(
  { key, steps, event }: Extract<ExperimentEvent, { type: "training" }>,
  rarely: (line: string) => void,
): void {
  if (event.type === "prepared") console.error(`  ${key}: steps ${event.fromStep} to ${steps}`);
  if (event.type === "done") console.error(`  ${key}: ${event.weightsPath}`);
  if (event.type !== "step") return;
  const { reward, loss } = event.metrics;
  const value = reward === undefined ? `loss ${loss?.toFixed(4)}` : `reward ${reward.toFixed(3)}`;
  rarely(`  ${key}: ${event.step}/${steps}  ${value}  ${clock(event.secsLeft)} left`);
}

function clock(secs: number): string {
  const whole = Math.max(0, Math.round(secs));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}h${String(m).padStart(2, "0")}m` : `${m}m${String(s).padStart(2, "0")}s`;
}
