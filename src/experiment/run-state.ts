/**
 * What is known of a run on disk: what was trained and evaluated, from which settings, at what cost.
 * @module
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { VansError } from "../base/errors.ts";
import { writeFileAtomically } from "../weights/index.ts";

/** Processor and wall time, in seconds. */
const costSchema = z.strictObject({ cpuSecs: z.number().min(0), wallSecs: z.number().min(0) });
/** Processor and wall time, in seconds. */
export type Cost = z.infer<typeof costSchema>;

const trainingSchema = z.strictObject({
  key: z.string(),
  /** The recipe as it is run, start and steps included. */
  recipe: z.record(z.string(), z.unknown()),
  /** SHA-256 of the files that it starts from, by role; `suite` is that of the suite's description and weights. */
  start: z.record(z.string(), z.string()),
  cost: costSchema,
  step: z.int().nonnegative(),
  isDone: z.boolean(),
  /** SHA-256 of the finished weights. */
  weights: z.string().optional(),
});

const stateSchema = z.strictObject({
  version: z.literal(1),
  run: z.string(),
  trainings: z.array(trainingSchema),
  evaluation: z
    .strictObject({
      request: z.record(z.string(), z.unknown()),
      cost: costSchema,
      isDone: z.boolean(),
    })
    .optional(),
});

/** The state of a run. */
export type RunState = z.infer<typeof stateSchema>;
/** The state of one training. */
export type TrainingState = RunState["trainings"][number];

const STATE_FILE = "state.json";

/** The state in a run's folder; a new one where there is none. @throws `VANS_EXPERIMENT_STATE` */
export async function readRunState(folder: string, run: string): Promise<RunState> {
  const path = join(folder, STATE_FILE);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return { version: 1, run, trainings: [] };
  let found: string;
  try {
    const checked = stateSchema.safeParse(JSON.parse(text));
    if (checked.success) return checked.data;
    found = z.prettifyError(checked.error);
  } catch (error) {
    found = String(error);
  }
  throw new VansError("VANS_EXPERIMENT_STATE", `${path} is not the state of a run`, {
    found,
    fix: `remove ${folder} to run the row anew`,
  });
}

/** Writes the state, whole or not at all. */
export async function writeRunState(folder: string, state: RunState): Promise<void> {
  await writeJson(join(folder, STATE_FILE), state);
}

/** A value as a JSON file, whole or not at all. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomically(path, async (file) => {
    await file.writeFile(`${JSON.stringify(value, undefined, 2)}\n`);
  });
}

/** SHA-256 of a value as JSON, keys in order, so that equal settings have one hash. */
export function settingsHash(value: unknown): string {
  const ordered = (_: string, item: unknown): unknown =>
    typeof item === "object" && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item;
  return createHash("sha256").update(JSON.stringify(value, ordered)).digest("hex");
}

/** Measures what this process spends, all its threads together. */
export class CostMeter {
  readonly #before: Cost;
  #cpu = process.cpuUsage();
  #wall = performance.now();
  #spent: Cost = { cpuSecs: 0, wallSecs: 0 };

  /** @param before what was spent earlier on the same work */
  constructor(before: Cost = { cpuSecs: 0, wallSecs: 0 }) {
    this.#before = before;
  }

  /** Everything up to now. */
  read(): Cost {
    const cpu = process.cpuUsage(this.#cpu);
    this.#spent = {
      cpuSecs: this.#spent.cpuSecs + (cpu.user + cpu.system) / 1e6,
      wallSecs: this.#spent.wallSecs + (performance.now() - this.#wall) / 1000,
    };
    this.#cpu = process.cpuUsage();
    this.#wall = performance.now();
    return {
      cpuSecs: this.#before.cpuSecs + this.#spent.cpuSecs,
      wallSecs: this.#before.wallSecs + this.#spent.wallSecs,
    };
  }
}
