/**
 * The training loop that all tasks share: steps, logs, checkpoints, sheets, resume.
 * @module
 */
import { appendFile, mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { isVansError, VansError } from "../base/errors.ts";
import { type StepSettings, stateName } from "../nn/index.ts";
import type { NdArray } from "../tensor/index.ts";
import { asFloat32, readSafetensors, readSafetensorsHeader, writeSafetensors } from "../weights/index.ts";
import { emaDecayAt, type Recipe, rateAt } from "./recipe.ts";
import type { PrepareTask, TrainTask } from "./task.ts";
import { TensorBoardWriter } from "./tensorboard.ts";

/** What happens during a run. */
export type TrainEvent =
  | {
      readonly type: "prepared";
      readonly steps: number;
      readonly fromStep: number;
      readonly parameterCount: number;
    }
  | {
      readonly type: "step";
      readonly step: number;
      readonly metrics: Readonly<Record<string, number>>;
      readonly secsLeft: number;
    }
  | { readonly type: "evaluated"; readonly step: number; readonly metrics: Readonly<Record<string, number>> }
  | { readonly type: "sheet"; readonly step: number; readonly path: string }
  | { readonly type: "checkpoint"; readonly step: number; readonly path: string }
  | { readonly type: "done"; readonly step: number; readonly weightsPath: string };

/** Options of {@link runTraining}. */
export interface RunOptions {
  /** Folder of the run. */
  readonly runFolder: string;
  /** Folder that `init` paths are relative to; default the current one. */
  readonly baseFolder?: string;
  /** Continue from the folder's checkpoint; without one, start anew. */
  readonly resume?: boolean;
  /** Stop (with a checkpoint) after this step instead of at the recipe's end. */
  readonly untilStep?: number;
  readonly signal?: AbortSignal | undefined;
}

const CHECKPOINT = "checkpoint.safetensors";

/** The averaged weights of a state, under the parameters' own names. */
export function averagedWeights(state: Readonly<Record<string, NdArray>>): Record<string, NdArray> {
  const prefix = stateName.average("");
  const averaged = Object.entries(state).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(averaged.map(([name, array]) => [name.slice(prefix.length), array]));
}

/** Reads a checkpoint: state and step. */
export async function readCheckpoint(
  path: string,
): Promise<{ state: Record<string, NdArray>; step: number; optimizerSteps: number; recipe: string }> {
  const { metadata } = await readSafetensorsHeader(path);
  const tensors = await readSafetensors(path);
  const state = Object.fromEntries(
    [...tensors].map(([name, tensor]): [string, NdArray] => [
      name,
      { dtype: "f32", shape: tensor.shape, data: asFloat32(tensor) },
    ]),
  );
  const step = Number(metadata["step"]);
  if (!Number.isInteger(step))
    throw new VansError("VANS_TRAIN_CHECKPOINT", `${path} is not a checkpoint of a run`, {
      found: JSON.stringify(metadata),
    });
  return {
    state,
    step,
    optimizerSteps: Number(metadata["optimizerSteps"] ?? step),
    recipe: metadata["recipe"] ?? "",
  };
}

/** Arrays as the weight writer takes them. */
function writable(
  arrays: Readonly<Record<string, NdArray>>,
): [string, { shape: readonly number[]; data: Float32Array }][] {
  return Object.entries(arrays).map(([name, array]) => [
    name,
    { shape: array.shape, data: array.data as Float32Array },
  ]);
}

async function writeCheckpoint(path: string, task: TrainTask, step: number, recipe: Recipe): Promise<void> {
  const state = await task.step.state();
  await writeSafetensors(path, writable(state), {
    dtype: "F32",
    metadata: {
      step: String(step),
      optimizerSteps: String(task.step.stepCount),
      recipe: recipe.name,
    },
  });
}

/** Lines of the log up to a step; a resumed run forgets what it is going to repeat. */
async function trimLog(path: string, step: number): Promise<void> {
  const text = await readFile(path, "utf8").catch(() => "");
  const kept = text
    .split("\n")
    .filter((line) => line.length > 0 && (JSON.parse(line) as { step: number }).step <= step);
  await writeFile(path, kept.map((line) => `${line}\n`).join(""));
  if (text.length === 0) await truncate(path, 0);
}

function numbersOf(out: Readonly<Record<string, NdArray>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(out).flatMap(([name, array]) =>
      array.data.length === 1 ? [[name, Number(array.data[0])]] : [],
    ),
  );
}

/**
 * Runs a recipe. Logs go to `log.jsonl` and TensorBoard files, sheets to `sheets/`, the state to a checkpoint that is
 * replaced atomically, the averaged weights at the end to `weights.safetensors`. A stopped run continues with `resume`
 * to the same numbers as one that was never stopped.
 * @throws `VANS_RUN_ABORTED` after a checkpoint, `VANS_TRAIN_DIVERGED` where the loss is not finite.
 */
export async function* runTraining(
  recipe: Recipe,
  prepare: PrepareTask,
  options: RunOptions,
): AsyncGenerator<TrainEvent> {
  const { runFolder, signal } = options;
  await mkdir(join(runFolder, "sheets"), { recursive: true });
  const checkpointPath = join(runFolder, CHECKPOINT);
  const resumed = options.resume
    ? await readCheckpoint(checkpointPath).catch((error: unknown) => notFound(error))
    : undefined;
  if (resumed && resumed.recipe !== recipe.name) {
    throw new VansError("VANS_TRAIN_CHECKPOINT", "the checkpoint belongs to another recipe", {
      asked: recipe.name,
      found: resumed.recipe,
      fix: "use another run folder",
    });
  }
  const task = await prepare(recipe, { runFolder, baseFolder: options.baseFolder ?? ".", resumed });
  const logPath = join(runFolder, "log.jsonl");
  await trimLog(logPath, resumed?.step ?? 0);
  const board = await TensorBoardWriter.open(runFolder);
  const first = resumed?.step ?? 0;
  const state = await task.step.state();
  const parameterCount = Object.entries(state).reduce(
    (sum, [name, array]) => (name.includes(":") ? sum : sum + array.data.length),
    0,
  );
  yield { type: "prepared", steps: recipe.steps, fromStep: first, parameterCount };
  const startedAt = performance.now();
  const last = Math.min(recipe.steps, options.untilStep ?? recipe.steps);
  const record = async (step: number, metrics: Record<string, number>): Promise<void> => {
    await appendFile(logPath, `${JSON.stringify({ step, ...metrics })}\n`);
    await board.scalars(step, metrics);
  };
  try {
    for (let step = first; step < last; step++) {
      if (signal?.aborted) {
        await writeCheckpoint(checkpointPath, task, step, recipe);
        throwIfAborted(signal);
      }
      const learningRate = rateAt(recipe, step);
      const settings = { learningRate, emaDecay: emaDecayAt(recipe, step) };
      const out = await advance(task, step, settings, signal).catch(async (error: unknown) => {
        // Stopped before anything was learned: what there is, is the state after the last step.
        if (isVansError(error, "VANS_RUN_ABORTED")) await writeCheckpoint(checkpointPath, task, step, recipe);
        throw error;
      });
      if (!Number.isFinite(out["loss"])) {
        throw new VansError("VANS_TRAIN_DIVERGED", `the loss is ${out["loss"]} at step ${step}`, {
          why: "the learning rate is too high or a batch holds bad numbers",
          fix: "lower optimizer.rate.peak or clipNorm; the last checkpoint is kept",
        });
      }
      const done = step + 1;
      if (done % recipe.logEvery === 0 || done === last) {
        const secs = (performance.now() - startedAt) / 1000;
        await record(done, { ...out, learningRate });
        yield { type: "step", step: done, metrics: out, secsLeft: (secs / (done - first)) * (last - done) };
      }
      if (done % recipe.sheetEvery === 0 || done === recipe.steps)
        yield* look(recipe, task, runFolder, done, record);
      if (done % recipe.checkpointEvery === 0 || done === last) {
        await writeCheckpoint(checkpointPath, task, done, recipe);
        yield { type: "checkpoint", step: done, path: checkpointPath };
      }
    }
    const weightsPath = join(runFolder, "weights.safetensors");
    const weights = task.exported(averagedWeights(await task.step.state()));
    await writeSafetensors(weightsPath, writable(weights), {
      dtype: "F32",
      metadata: { recipe: recipe.name, step: String(last) },
    });
    await task.finish?.();
    yield { type: "done", step: last, weightsPath };
  } finally {
    await board.close();
    await task.step.release();
    await task.release?.();
  }
}

async function advance(
  task: TrainTask,
  step: number,
  settings: StepSettings,
  signal: AbortSignal | undefined,
): Promise<Record<string, number>> {
  if ("update" in task) return task.update(step, settings, { signal });
  return numbersOf(await task.step.step(await task.batch(step), settings));
}

async function* look(
  recipe: Recipe,
  task: TrainTask,
  runFolder: string,
  step: number,
  record: (step: number, metrics: Record<string, number>) => Promise<void>,
): AsyncGenerator<TrainEvent> {
  const weights = averagedWeights(await task.step.state());
  const metrics = await task.evaluate?.(weights, step);
  if (metrics) {
    const named = Object.fromEntries(
      Object.entries(metrics).map(([name, value]) => [
        // Alarms are named alike, whatever made them ring.
        name.startsWith("alarm/") ? name : `held.${name}`,
        value,
      ]),
    );
    await record(step, named);
    yield { type: "evaluated", step, metrics };
  }
  const png = await task.sheet?.(weights, step);
  if (!png) return;
  const path = join(runFolder, "sheets", `${String(step).padStart(String(recipe.steps).length, "0")}.png`);
  await writeFile(path, png);
  yield { type: "sheet", step, path };
}

function notFound(error: unknown): undefined {
  if (error instanceof VansError && error.code === "VANS_WEIGHTS_NOT_FOUND") return undefined;
  throw error;
}
