/**
 * The recipe of a run, and what two recipes differ in.
 * @module
 */
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { readRecipe } from "../../train/index.ts";

const RECIPES = fileURLToPath(new URL("../../../recipes/", import.meta.url));
const NAME = /^[a-z0-9][a-z0-9-]*$/;

/** A recipe as it was or is. */
export interface RunRecipe {
  readonly text: string;
  /** All fields with their defaults. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly steps: number | null;
  /** `run`: as the run was started; `recipes`: as the package has it today, which may have changed since. */
  readonly from: "run" | "recipes";
}

/** Names of the bundled recipes. */
export async function recipeNames(): Promise<string[]> {
  const files = await readdir(RECIPES).catch(() => [] as string[]);
  return files
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => file.slice(0, -".yaml".length))
    .filter((name) => NAME.test(name))
    .sort();
}

/** A bundled recipe's file; undefined where there is none. */
export async function recipeFile(name: string): Promise<string | undefined> {
  return (await recipeNames()).includes(name) ? join(RECIPES, `${name}.yaml`) : undefined;
}

/** The recipe of a run's folder; undefined where nothing tells it. */
export async function recipeOfRun(path: string): Promise<RunRecipe | undefined> {
  const kept = await readFile(join(path, "recipe.json"), "utf8")
    .then((text) => JSON.parse(text) as Record<string, unknown>)
    .catch(() => undefined);
  if (kept) return asRecipe(kept, "run");
  const state = await readFile(join(dirname(path), "state.json"), "utf8")
    .then((text) => JSON.parse(text) as { trainings?: { recipe?: Record<string, unknown> }[] })
    .catch(() => undefined);
  const planned = state?.trainings?.find?.(({ recipe }) => recipe?.["name"] === basename(path))?.recipe;
  if (planned) return asRecipe(planned, "run");
  const file = await recipeFile(basename(path));
  if (file === undefined) return undefined;
  return readRecipe(file).then(
    (recipe) => asRecipe(recipe, "recipes"),
    () => undefined,
  );
}

function asRecipe(fields: Readonly<Record<string, unknown>>, from: RunRecipe["from"]): RunRecipe {
  const steps = fields["steps"];
  return { text: stringify(fields), fields, steps: typeof steps === "number" ? steps : null, from };
}

/** A field in which two recipes differ; undefined where one lacks it. */
export interface FieldDifference {
  readonly field: string;
  readonly first?: string;
  readonly second?: string;
}

/** Fields by dotted path; lists count as one value. */
function flattened(value: unknown, path: string, into: Map<string, string>): void {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    for (const [name, inner] of Object.entries(value))
      flattened(inner, path === "" ? name : `${path}.${name}`, into);
  } else if (value !== undefined) into.set(path, typeof value === "string" ? value : JSON.stringify(value));
}

/** What two recipes differ in, in the order of the first. */
export function recipeDifferences(
  first: Readonly<Record<string, unknown>>,
  second: Readonly<Record<string, unknown>>,
): FieldDifference[] {
  const [a, b] = [new Map<string, string>(), new Map<string, string>()];
  flattened(first, "", a);
  flattened(second, "", b);
  return [...new Set([...a.keys(), ...b.keys()])]
    .filter((field) => a.get(field) !== b.get(field))
    .map((field) => ({
      field,
      ...(a.has(field) && { first: a.get(field)! }),
      ...(b.has(field) && { second: b.get(field)! }),
    }));
}
