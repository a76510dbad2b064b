/**
 * The samplers by name: which noise grid, and how a velocity moves the sample.
 * @module
 */
import {
  diffusersEulerGrid,
  diffusersUnipcGrid,
  eulerStep,
  flowMatchGrid,
  type GridOptions,
  type NoiseGrid,
  wanUnipcGrid,
} from "./schedule.ts";
import { UnipcSolver } from "./unipc.ts";

/** A sampling run over a grid. */
export interface Solver {
  readonly grid: NoiseGrid;
  /** Moves the sample by one step; call it once a step, in order. */
  step(x: Float32Array, velocity: Float32Array): Float32Array;
}

function euler(grid: NoiseGrid): Solver {
  let index = 0;
  return {
    grid,
    step(x, velocity) {
      const next = eulerStep(x, velocity, grid.sigmas[index]!, grid.sigmas[index + 1]!);
      index++;
      return next;
    },
  };
}

function unipc(grid: NoiseGrid): Solver {
  const solver = new UnipcSolver(grid);
  return { grid, step: (x, velocity) => solver.step(x, velocity) };
}

/**
 * `euler` is that of the released VANS, `unipc` that of Wan, the other two those of diffusers.
 */
const SCHEDULERS = {
  euler: (options: GridOptions) => euler(flowMatchGrid(options)),
  unipc: (options: GridOptions) => unipc(wanUnipcGrid(options)),
  "diffusers-unipc": (options: GridOptions) => unipc(diffusersUnipcGrid(options)),
  "diffusers-euler": (options: GridOptions) => euler(diffusersEulerGrid(options)),
} as const;

/** Name of a sampler. */
export type SchedulerName = keyof typeof SCHEDULERS;

/** All samplers. */
export const SCHEDULER_NAMES = Object.keys(SCHEDULERS) as readonly SchedulerName[];

/** Starts a sampling run. @throws `VANS_SAMPLE_GRID` */
export function createSolver(scheduler: SchedulerName, options: GridOptions): Solver {
  return SCHEDULERS[scheduler](options);
}
