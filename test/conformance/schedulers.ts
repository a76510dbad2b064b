/**
 * Golden case of the noise schedules: grids, training weights, noising, trajectories for a linear velocity.
 * @module
 */
import {
  addNoise,
  createSolver,
  flowMatchGrid,
  type SchedulerName,
  trainingGrid,
  trainingWeight,
} from "../../src/models/wan/index.ts";
import { f32, type NdArray } from "../../src/tensor/index.ts";
import { type CaseHandler, type Check, checkRelative, type GoldenCase } from "./case.ts";

/** The case's names of the samplers. */
const SOLVERS: Readonly<Record<string, SchedulerName>> = {
  euler: "euler",
  wan_unipc: "unipc",
  diffusers_unipc: "diffusers-unipc",
  diffusers_euler: "diffusers-euler",
};

export const schedulers: CaseHandler = {
  title: "noise schedules",
  recognises: (golden) =>
    golden.files.has("io.safetensors") && golden.io.has("toy.A") && golden.io.has("training.weight"),
  run: async (golden) => [...grids(golden), ...training(golden), ...trajectories(golden)],
};

function grids(golden: GoldenCase): Check[] {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  return io.names().flatMap((name) => {
    const [, shift, steps, part] = /^euler\.shift([\d.]+)\.n(\d+)\.(sigmas|timesteps)$/.exec(name) ?? [];
    if (!part) return [];
    const grid = flowMatchGrid({ steps: Number(steps), shift: Number(shift) });
    return [checkRelative(name, f32(grid[part as "sigmas" | "timesteps"]), io.get(name), tolerance)];
  });
}

/** The case states the shift of its training grid and its trajectories only in the meaning of their tensors. */
function shiftOf(golden: GoldenCase, tensor: string): number {
  const files = (
    golden.json as { files?: Record<string, { tensors?: Record<string, { meaning?: string }> }> }
  ).files;
  const meaning = files?.["io.safetensors"]?.tensors?.[tensor]?.meaning ?? "";
  return Number(/shift ([\d.]+)/.exec(meaning)?.[1] ?? 5);
}

function training(golden: GoldenCase): Check[] {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  const grid = trainingGrid({ shift: shiftOf(golden, "training.index") });
  const indices = [...io.get("training.index").data];
  const at = (values: Float32Array): NdArray => f32(indices.map((index) => values[index]!));
  const clean = io.get("training.x0").data as Float32Array;
  const noise = io.get("training.noise").data as Float32Array;
  const noised = indices.flatMap((index) => [...addNoise(clean, noise, grid.sigmas[index]!)]);
  const weights = indices.map((index) => trainingWeight(grid, grid.timesteps[index]!));
  return [
    checkRelative("training.timestep", at(grid.timesteps), io.get("training.timestep"), tolerance),
    checkRelative("training.sigma", at(grid.sigmas), io.get("training.sigma"), tolerance),
    checkRelative("training.weight", f32(weights), io.get("training.weight"), tolerance),
    checkRelative("training.noised", f32(noised), io.get("training.noised"), tolerance),
  ];
}

/** v(x, t) = x·Aᵀ + b·t / 1000, rows of x. */
function toyVelocity(golden: GoldenCase, x: Float32Array, timestep: number): Float32Array {
  const a = golden.io.get("toy.A").data;
  const b = golden.io.get("toy.b").data;
  const width = b.length;
  return Float32Array.from(x, (_, i) => {
    const row = i - (i % width);
    let total = (b[i % width]! * timestep) / 1000;
    for (let k = 0; k < width; k++) total += x[row + k]! * a[(i % width) * width + k]!;
    return total;
  });
}

function trajectories(golden: GoldenCase): Check[] {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  return io.names().flatMap((name) => {
    const [, key, count] = /^(\w+)\.n(\d+)\.x$/.exec(name) ?? [];
    const scheduler = key === undefined ? undefined : SOLVERS[key];
    if (!scheduler) return [];
    const prefix = `${key}.n${count}.`;
    const shift = shiftOf(golden, `${prefix}sigmas`);
    const solver = createSolver(scheduler, { steps: Number(count), shift });
    let x = io.get("toy.start").data as Float32Array;
    const trajectory = [...x];
    for (const timestep of solver.grid.timesteps) {
      x = solver.step(x, toyVelocity(golden, x, timestep));
      trajectory.push(...x);
    }
    return [
      checkRelative(`${prefix}sigmas`, f32(solver.grid.sigmas), io.get(`${prefix}sigmas`), tolerance),
      checkRelative(
        `${prefix}timesteps`,
        f32(solver.grid.timesteps),
        io.get(`${prefix}timesteps`),
        tolerance,
      ),
      checkRelative(`${prefix}x`, f32(trajectory), io.get(name), tolerance),
    ];
  });
}
