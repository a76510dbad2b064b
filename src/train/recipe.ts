/**
 * Training recipes as data: a YAML file says what is trained, on what, for how long.
 * @module
 */
import { readFile } from "node:fs/promises";
import { LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { VansError } from "../base/errors.ts";

const rate = z.strictObject({
  /** Learning rate after the warm-up. */
  peak: z.number().positive(),
  /** Steps of linear warm-up from 0. */
  warmupSteps: z.int().nonnegative().default(50),
  /** Share of the run after which the rate falls. */
  decayFrom: z.number().min(0).max(1).default(0.4),
  /** Share of the peak that is left at the end. */
  final: z.number().min(0).max(1).default(0.03),
  /** How it falls. */
  shape: z.enum(["cosine", "linear"]).default("cosine"),
});

const optimizer = z.strictObject({
  /** `muon`: Muon for matrices and convolution kernels, AdamW for the rest. */
  kind: z.enum(["adamw", "muon"]).default("adamw"),
  rate,
  /** Learning rate of AdamW as a share of the main rate; only with `muon`. */
  adamwRateScale: z.number().positive().default(0.1),
  beta1: z.number().min(0).max(1).default(0.9),
  beta2: z.number().min(0).max(1).default(0.99),
  weightDecay: z.number().min(0).default(0),
  momentum: z.number().min(0).max(1).default(0.95),
  clipNorm: z.number().positive().default(1),
  /** Final decay of the moving average; it starts lower and grows with the step. */
  emaDecay: z.number().min(0).max(1).default(0.998),
});

/** Fields of every recipe. */
const common = {
  name: z.string().regex(/^[a-z0-9-]+$/),
  about: z.string().default(""),
  seed: z.int().nonnegative().default(0),
  steps: z.int().positive(),
  batch: z.int().positive(),
  optimizer,
  /** Model settings, checked by the task. */
  model: z.record(z.string(), z.unknown()).default({}),
  /** Settings of the task itself, checked by the task. */
  settings: z.record(z.string(), z.unknown()).default({}),
  /** Weights to start from: safetensors files by role, relative to the run folder. */
  init: z.record(z.string(), z.string()).default({}),
  logEvery: z.int().positive().default(20),
  checkpointEvery: z.int().positive().default(200),
  sheetEvery: z.int().positive().default(500),
  /** Threads inside one op; 0: one a core. */
  threads: z.int().nonnegative().default(0),
};

/** The tasks that exist; each has a file `train-<task>.ts`. */
export const TASKS = [
  "vae",
  "clip",
  "i3d",
  "vlm-ground",
  "vlm",
  "vdm",
  "joint-grpo-1",
  "joint-grpo-2",
] as const;
export type TaskName = (typeof TASKS)[number];

const recipeSchema = z.strictObject({ task: z.enum(TASKS), ...common });

/** A checked recipe. */
export type Recipe = z.infer<typeof recipeSchema>;

/**
 * Reads and checks a recipe file.
 * @throws `VANS_RECIPE_INVALID` naming line and field, `VANS_RECIPE_NOT_FOUND`.
 */
export async function readRecipe(path: string): Promise<Recipe> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new VansError("VANS_RECIPE_NOT_FOUND", `the recipe ${path} cannot be read`, {
      cause,
      fix: "recipes lie under recipes/; give a path or a name from there",
    });
  }
  return parseRecipe(text, path);
}

/** Checks recipe text; `source` is used in messages. */
export function parseRecipe(text: string, source: string): Recipe {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  if (document.errors.length > 0)
    throw new VansError("VANS_RECIPE_INVALID", `${source} is not valid YAML`, {
      found: document.errors[0]!.message,
    });
  const checked = recipeSchema.safeParse(document.toJS());
  if (checked.success) return checked.data;
  const found = checked.error.issues.map((issue) => {
    const node = document.getIn(issue.path as (string | number)[], true) as
      | { range?: [number, number, number] }
      | undefined;
    const at = node?.range ? `line ${lines.linePos(node.range[0]).line}: ` : "";
    return `${at}${issue.path.join(".") || "recipe"}: ${issue.message}`;
  });
  throw new VansError("VANS_RECIPE_INVALID", `${source} is not a valid recipe`, {
    found: found.join("; "),
    fix: "docs/training.md lists all fields",
  });
}

/** The learning rate at a step (0-based) of a run of `steps`. */
export function rateAt(recipe: Pick<Recipe, "steps" | "optimizer">, step: number): number {
  const { peak, warmupSteps, decayFrom, final, shape } = recipe.optimizer.rate;
  if (step < warmupSteps) return (peak * (step + 1)) / warmupSteps;
  const progress = step / recipe.steps;
  if (progress <= decayFrom) return peak;
  const fallen = Math.min(1, (progress - decayFrom) / (1 - decayFrom));
  const share = shape === "linear" ? 1 - fallen : 0.5 * (1 + Math.cos(Math.PI * fallen));
  return peak * (final + (1 - final) * share);
}

/** Decay of the moving average at a step: min(limit, (1 + step) / (10 + step)), so that early weights are forgotten. */
export function emaDecayAt(recipe: Pick<Recipe, "optimizer">, step: number): number {
  return Math.min(recipe.optimizer.emaDecay, (1 + step) / (10 + step));
}
