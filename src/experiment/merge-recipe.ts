/**
 * Recipes with some fields changed: the deep merge, and what it changed.
 * @module
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { parseRecipe, type Recipe } from "../train/index.ts";

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * `changes` over `base`: objects key by key, everything else whole; null takes a key away.
 */
export function deepMerge(base: Fields, changes: Fields): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...base };
  for (const [name, change] of Object.entries(changes)) {
    const before = merged[name];
    if (change === null) delete merged[name];
    else merged[name] = isFields(change) ? deepMerge(isFields(before) ? before : {}, change) : change;
  }
  return merged;
}

/** A recipe with changes, checked again. @throws `VANS_RECIPE_INVALID` */
export function changedRecipe(recipe: Recipe, changes: Fields, source: string): Recipe {
  return parseRecipe(stringify(deepMerge(recipe, changes)), source);
}

/** A field that two recipes do not share. */
export interface FieldChange {
  /** With dots between the keys. */
  readonly field: string;
  /** As JSON; null where it was not there. */
  readonly was: string | null;
  readonly is: string | null;
}

/** Fields in which `now` differs from `before`, in the order of their names. */
export function fieldChanges(before: Fields, now: Fields, prefix = ""): FieldChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort();
  return names.flatMap((name): FieldChange[] => {
    const [a, b] = [before[name], now[name]];
    if (isFields(a) && isFields(b)) return fieldChanges(a, b, `${prefix}${name}.`);
    const [was, is] = [a, b].map((value) => (value === undefined ? null : JSON.stringify(value)));
    return was === is ? [] : [{ field: `${prefix}${name}`, was: was!, is: is! }];
  });
}

/** The file of a recipe or experiment that is given by path, or by name from `recipes/`. */
export function recipeFile(name: string, folder = "recipes"): string {
  if (existsSync(name)) return name;
  const bundled = fileURLToPath(new URL(`../../${folder}/${name}.yaml`, import.meta.url));
  return existsSync(bundled) ? bundled : name;
}
