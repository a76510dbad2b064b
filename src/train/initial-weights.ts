/**
 * Weights that a run starts from: a checkpoint, other runs' results, or fresh random ones.
 * @module
 */
import { join } from "node:path";
import { VansError } from "../base/errors.ts";
import { type NdArray, sameShape, type Tensor } from "../tensor/index.ts";
import { asFloat32, readSafetensors } from "../weights/index.ts";
import type { Recipe } from "./recipe.ts";
import type { TaskContext } from "./task.ts";

/** A safetensors file as plain f32 arrays. */
export async function readWeights(path: string): Promise<Record<string, NdArray>> {
  const tensors = await readSafetensors(path);
  return Object.fromEntries(
    [...tensors].map(([name, tensor]): [string, NdArray] => [
      name,
      { dtype: "f32", shape: tensor.shape, data: asFloat32(tensor) },
    ]),
  );
}

/** The weights that the recipe's `init.<role>` names, or undefined. */
export async function initFile(
  recipe: Recipe,
  context: TaskContext,
  role: string,
): Promise<Record<string, NdArray> | undefined> {
  const path = recipe.init[role];
  return path === undefined ? undefined : readWeights(join(context.baseFolder, path));
}

/** The same, but required. */
export async function requireInit(
  recipe: Recipe,
  context: TaskContext,
  role: string,
): Promise<Record<string, NdArray>> {
  const weights = await initFile(recipe, context, role);
  if (weights) return weights;
  throw new VansError("VANS_RECIPE_INVALID", `the recipe ${recipe.name} needs init.${role}`, {
    fix: `name the ${role} weights that an earlier recipe wrote`,
  });
}

/**
 * First values for traced parameters: the checkpoint's where resuming, else those given in order of preference.
 * @throws `VANS_TRAIN_PARAM_MISSING` where none has a parameter or shapes differ
 */
export function firstValues(
  params: ReadonlyMap<string, Tensor>,
  context: TaskContext,
  ...sources: readonly (Readonly<Record<string, NdArray>> | undefined)[]
): Record<string, NdArray> {
  if (context.resumed) return { ...context.resumed.state };
  const out: Record<string, NdArray> = {};
  for (const [name, tensor] of params) {
    const found = sources
      .map((source) => source?.[name])
      .find((array) => array !== undefined && sameShape(array.shape, tensor.shape));
    if (!found)
      throw new VansError("VANS_TRAIN_PARAM_MISSING", `no first value for "${name}"`, {
        asked: `shape [${tensor.shape.join(", ")}]`,
      });
    out[name] = found;
  }
  return out;
}
