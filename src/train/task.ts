/**
 * What a trainable task gives the runner: a compiled step, batches, pictures, results.
 * @module
 */
import type { StepSettings, TrainState, TrainStep } from "../nn/index.ts";
import type { Feeds } from "../runtime/index.ts";
import type { NdArray } from "../tensor/index.ts";
import type { Recipe } from "./recipe.ts";

/** Where a task reads and writes. */
export interface TaskContext {
  /** Folder of the run: checkpoints, logs, sheets. */
  readonly runFolder: string;
  /** Folder that the recipe's `init` paths are relative to. */
  readonly baseFolder: string;
  /** State to continue from (a checkpoint), or undefined at the start. */
  readonly resumed:
    | {
        readonly state: Readonly<Record<string, NdArray>>;
        readonly step: number;
        readonly optimizerSteps: number;
      }
    | undefined;
}

/** What the runner keeps of a task: parameters, moments, averages, and whatever else a checkpoint has to hold. */
export interface TrainedState {
  /** Optimizer steps taken. */
  readonly stepCount: number;
  state(): Promise<TrainState>;
  release(): Promise<void>;
}

/** What all tasks give. */
interface AnyTask {
  readonly step: TrainedState;
  /** Numbers on held-out training-side data, from the averaged weights; called at sheet time. */
  evaluate?(weights: Readonly<Record<string, NdArray>>, step: number): Promise<Record<string, number>>;
  /** A picture of what the model does now, as PNG bytes. */
  sheet?(weights: Readonly<Record<string, NdArray>>, step: number): Promise<Uint8Array | undefined>;
  /** Weights to keep when the run is done, chosen from the averaged ones. */
  exported(weights: Readonly<Record<string, NdArray>>): Readonly<Record<string, NdArray>>;
  /** Writes what belongs beside the exported weights when the run is done. */
  finish?(): Promise<void>;
  /** Gives back what the task holds beside its step. */
  release?(): Promise<void>;
}

/** A task that learns from data. */
export interface SupervisedTask extends AnyTask {
  readonly step: TrainStep;
  /** Everything that the step is fed; a pure function of the step number, so that resuming repeats nothing. */
  batch(step: number): Promise<Feeds>;
}

/** A task that learns from what it does itself. */
export interface PolicyTask extends AnyTask {
  /**
   * Rolls out, rewards and learns; returns what is logged, `loss` among it. A pure function of the step number and the
   * state. The signal may stop it only before the state has changed.
   */
  update(
    step: number,
    settings: StepSettings,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<Record<string, number>>;
}

/** A task made ready to run. */
export type TrainTask = SupervisedTask | PolicyTask;

/** Makes a task ready. */
export type PrepareTask = (recipe: Recipe, context: TaskContext) => Promise<TrainTask>;
