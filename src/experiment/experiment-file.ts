/**
 * Experiments as data: a YAML file says which systems are trained and evaluated, and what is claimed about them.
 * @module
 */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { answerSchema } from "../answer/suite-manifest.ts";
import { VansError } from "../base/errors.ts";
import { EVALUATION_PARTS, METRIC_NAMES } from "../evaluate/metric-table.ts";
import { REPORT_KINDS } from "../evaluate/report-schema.ts";
import { SYSTEM_NAMES } from "../evaluate/systems.ts";
import { EVALUATION_SEED_START } from "../world/index.ts";
import { checkedYaml } from "./checked-yaml.ts";

const identifier = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, "must be lower-case letters, digits and '-' between them");
const metric = z.enum(METRIC_NAMES);
/** Values are checked by the suite that is made of them; a default must not look like something that was said. */
const ANSWER_SETTINGS = Object.keys(answerSchema.shape) as [
  keyof typeof answerSchema.shape,
  ...(keyof typeof answerSchema.shape)[],
];
const positive = z.int().positive();

/** Processor time that a training may take: so many core-hours, or as many as the trainings of another row took. */
const budgetSchema = z.union([
  z.number().positive(),
  z.strictObject({ sameAs: identifier, times: z.number().positive().default(1) }),
]);

const trainingSchema = z.strictObject({
  /** Name or path of a recipe. */
  recipe: z.string().min(1),
  /** Fields of the recipe that differ, objects key by key; null takes a field away. */
  overrides: z.record(z.string(), z.unknown()).default({}),
  /**
   * Where it starts: from what the row has by then (what it uses and has trained, else the base suite's weights), or from
   * what the recipe says.
   */
  from: z.enum(["row", "recipe"]).default("row"),
  /** Decides the number of steps, from the measured time of one. */
  cpuBudgetCoreHours: budgetSchema.optional(),
});

const partsSchema = z.array(z.enum(EVALUATION_PARTS)).min(1);

const evaluationSchema = z.strictObject({
  /** Samples of each kind, the first ones of the experiment's seeds. */
  procedural: z.int().nonnegative().optional(),
  predictive: z.int().nonnegative().optional(),
  parts: partsSchema.optional(),
  /** Best of so many answers (the row's system is then `best-of`). */
  answers: positive.optional(),
});

const rowSchema = z.strictObject({
  name: identifier,
  title: z.string().min(1),
  about: z.string().default(""),
  /** Rows whose results it starts from, by part. */
  uses: z.strictObject({ vlm: identifier.optional(), vdm: identifier.optional() }).default({}),
  /** One after the other; the last result of a part is what is evaluated. */
  trains: z.array(trainingSchema).default([]),
  /** Instead of `uses` and `trains`: another column of a row's evaluation. */
  of: identifier.optional(),
  /** Which of the ways to answer with the suite this row is. */
  system: z.enum(SYSTEM_NAMES).default("suite"),
  /** Settings of the answer that differ from the base suite's. */
  answer: z.partialRecord(z.enum(ANSWER_SETTINGS), z.unknown()).optional(),
  /** Seeds of its trainings; default the experiment's first one. */
  seeds: z.array(z.int().nonnegative()).min(1).optional(),
  evaluation: evaluationSchema.default({}),
});

const claimSchema = z.strictObject({
  /** In words, as a reader would put it. */
  text: z.string().min(1),
  /** Where it comes from: the paper, what this project set out to reach, or a question of its own. */
  from: z.enum(["paper", "bar", "beyond"]).default("paper"),
  metric,
  group: z.enum(REPORT_KINDS).default("all"),
  /** The row of which something is claimed, and the one that it is compared with. */
  row: identifier,
  than: identifier,
  /** `better` and `worse` in the sense of the metric, or plainly `higher`, `lower` or the `same`. */
  expect: z.enum(["better", "worse", "higher", "lower", "same"]).default("better"),
  /** How much: at least for a direction, at most for `same`. */
  margin: z.number().min(0).default(0),
  /** Of what the margin is a share: 1 (absolute), the other row's value, or what that lacks to 1. */
  marginOf: z.enum(["absolute", "relative", "missing"]).default("absolute"),
  /**
   * `interval`: the whole 95 % interval must lie beyond the margin. `value`: the value must, and the interval must exclude 0.
   */
  by: z.enum(["interval", "value"]).default("interval"),
});

/** The fields of an experiment file. */
const experimentSchema = z.strictObject({
  name: identifier,
  about: z.string().default(""),
  /** Suite that rows start from, by name or path. */
  baseSuite: z.string().min(1),
  /** Suite whose CLIPs and I3D judge; default the base suite. */
  judges: z.string().optional(),
  /** Training seeds; rows take the first one unless they say otherwise. */
  seeds: z.array(z.int().nonnegative()).min(1).default([11]),
  evaluation: z.strictObject({
    /** First seed. */
    seeds: z.int().min(EVALUATION_SEED_START).default(EVALUATION_SEED_START),
    procedural: z.int().nonnegative(),
    predictive: z.int().nonnegative(),
    parts: partsSchema.default(["caption", "video"]),
    /** Threads, each on a sample of its own; default one a core. */
    threads: positive.optional(),
  }),
  /** Row that all others are compared with. */
  baseRow: identifier,
  /** Columns of the report. */
  metrics: z.array(metric).min(1),
  /** Curves of the report: scalars of training logs, by task. */
  curves: z.record(z.string(), z.array(z.string())).default({}),
  /** Evaluation samples that are shown for every row. */
  shownSamples: z.int().nonnegative().default(8),
  /** In all; only told, not enforced. */
  cpuBudgetCoreHours: z.number().positive().optional(),
  /** Departures from the paper, for the report. */
  departures: z.array(z.string()).default([]),
  rows: z.array(rowSchema).min(1),
  claims: z.array(claimSchema).default([]),
});

/** A checked experiment. */
export type Experiment = z.infer<typeof experimentSchema>;
/** A row of an experiment. */
export type ExperimentRow = Experiment["rows"][number];
/** A training of a row. */
export type ExperimentTraining = ExperimentRow["trains"][number];
/** Something that is claimed about two rows. */
export type Claim = Experiment["claims"][number];

/** Code of all refusals of an experiment file. */
export const INVALID = "VANS_EXPERIMENT_INVALID";

/**
 * Reads and checks an experiment file.
 *
 * @throws `VANS_EXPERIMENT_NOT_FOUND`, `VANS_EXPERIMENT_INVALID` naming line and field
 */
export async function readExperiment(path: string): Promise<Experiment> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new VansError("VANS_EXPERIMENT_NOT_FOUND", `the experiment ${path} cannot be read`, {
      cause,
      fix: "experiments lie under recipes/experiments/; give a path or a name from there",
    });
  });
  return parseExperiment(text, path);
}

/** Checks the text of an experiment file; `source` is used in messages. @throws `VANS_EXPERIMENT_INVALID` */
export function parseExperiment(text: string, source: string): Experiment {
  const experiment = checkedYaml(text, experimentSchema, {
    source,
    code: INVALID,
    what: "experiment",
    fix: "docs/experiments.md lists all fields",
  });
  const problems = contradictions(experiment);
  if (problems.length === 0) return experiment;
  throw new VansError(INVALID, `${source} contradicts itself`, { found: problems.join("; ") });
}

/** What the schema cannot see: names of rows, and fields that exclude each other. */
function contradictions({ rows, claims, baseRow, evaluation }: Experiment): string[] {
  const problems: string[] = [];
  const byName = new Map(rows.map((row) => [row.name, row]));
  const need = (name: string, where: string): void => {
    if (!byName.has(name)) problems.push(`${where}: there is no row "${name}"`);
  };
  if (byName.size < rows.length) problems.push("rows: two rows have one name");
  need(baseRow, "baseRow");
  if (byName.get(baseRow)?.of !== undefined)
    problems.push(`baseRow: "${baseRow}" is a column of another row`);
  for (const row of rows) {
    const at = `row ${row.name}`;
    for (const used of Object.values(row.uses)) if (used !== undefined) need(used, `${at}: uses`);
    for (const { cpuBudgetCoreHours: budget } of row.trains)
      if (typeof budget === "object") need(budget.sameAs, `${at}: cpuBudgetCoreHours`);
    if (row.of !== undefined) {
      need(row.of, `${at}: of`);
      if (byName.get(row.of)?.of !== undefined)
        problems.push(`${at}: "${row.of}" is itself a column of a row`);
      if (row.trains.length > 0 || Object.keys(row.uses).length > 0 || row.answer || row.seeds)
        problems.push(`${at}: a column of another row trains, uses and sets nothing itself`);
      if (row.system === "suite") problems.push(`${at}: a column of another row needs a system`);
    }
    const isBest = row.system === "best-of";
    if (row.of === undefined && isBest !== (row.evaluation.answers ?? 1) > 1)
      problems.push(`${at}: the system best-of and evaluation.answers above 1 go together`);
    const { procedural = evaluation.procedural, predictive = evaluation.predictive } = row.evaluation;
    if (procedural > evaluation.procedural || predictive > evaluation.predictive)
      problems.push(`${at}: more samples than the experiment has`);
    if (procedural !== predictive)
      problems.push(`${at}: seeds alternate between kinds, so both kinds need the same number of samples`);
  }
  for (const { row, than, text } of claims) {
    need(row, `claim "${text}"`);
    need(than, `claim "${text}"`);
  }
  return problems;
}
