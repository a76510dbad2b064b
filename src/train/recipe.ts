/**
 * Training recipes as data: a YAML file says what is trained, on what, for how long.
 * @module
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LineCounter, parse, parseDocument, stringify } from "yaml";
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
  "joint-grpo-all-in-one",
] as const;
export type TaskName = (typeof TASKS)[number];

const recipeSchema = z.strictObject({ task: z.enum(TASKS), ...common });

/** A checked recipe. */
export type Recipe = z.infer<typeof recipeSchema>;

/** Recipes that build on one another, at most; more is a circle. */
const MOST_BASES = 8;

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `own` over `base`: mappings field by field, everything else whole; null takes a field away. */
function merged(base: Fields, own: Fields): Record<string, unknown> {
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(own)) {
    const before = result[name];
    if (value === null) delete result[name];
    // A choice of rewards is one thing: those that are not named are not asked for.
    else if (isFields(value) && isFields(before) && name !== "rewards") result[name] = merged(before, value);
    else result[name] = value;
  }
  return result;
}

async function recipeText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new VansError("VANS_RECIPE_NOT_FOUND", `the recipe ${path} cannot be read`, {
      cause,
      fix: "recipes lie under recipes/; give a path or a name from there",
    });
  }
}

/** The fields of a recipe that builds on another, with those of all its bases below them. */
async function withBases(path: string, own: Fields, depth: number): Promise<Fields> {
  const { extends: base, ...fields } = own;
  if (base === undefined) return fields;
  const refused = (found: string): VansError =>
    new VansError("VANS_RECIPE_INVALID", `${path} does not extend a recipe`, {
      found,
      fix: "extends names a recipe beside it, without .yaml",
    });
  if (typeof base !== "string") throw refused(`extends: ${JSON.stringify(base)}`);
  if (depth >= MOST_BASES) throw refused(`a chain of more than ${MOST_BASES} recipes, or a circle`);
  const basePath = join(dirname(path), base.endsWith(".yaml") ? base : `${base}.yaml`);
  const found: unknown = parse(await recipeText(basePath));
  if (!isFields(found)) throw refused(`${basePath} holds no fields`);
  return merged(await withBases(basePath, found, depth + 1), fields);
}

/**
 * Reads and checks a recipe file. A recipe with `extends: other-recipe` (a file beside it) has the fields of the other one
 * where it does not set its own: mappings are merged, lists, values and `rewards` replaced, null takes a field away.
 * @throws `VANS_RECIPE_INVALID` naming line and field, `VANS_RECIPE_NOT_FOUND`.
 */
export async function readRecipe(path: string): Promise<Recipe> {
  const text = await recipeText(path);
  const lines = parseDocument(text);
  const own: unknown = lines.errors.length > 0 ? undefined : lines.toJS();
  if (!isFields(own) || own["extends"] === undefined) return parseRecipe(text, path);
  return parseRecipe(stringify(await withBases(path, own, 0)), `${path} with what it extends`);
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
