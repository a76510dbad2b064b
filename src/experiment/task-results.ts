/**
 * What a training gives to a suite, and what it starts from.
 * @module
 */
import { stat } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Suite } from "../answer/index.ts";
import { VansError } from "../base/errors.ts";
import type { Recipe, TaskName } from "../train/index.ts";
import {
  asFloat32,
  readSafetensors,
  readSafetensorsHeader,
  type WritableTensor,
  writeSafetensors,
} from "../weights/index.ts";
import { INVALID } from "./experiment-file.ts";

/** Parts of a suite that experiments train. */
export const TRAINED_PARTS = ["vlm", "vdm"] as const;
/** A part of a suite that experiments train. */
export type TrainedPart = (typeof TRAINED_PARTS)[number];

/** Weights that a training made. */
export interface PartResult {
  readonly part: TrainedPart;
  /** Low-rank factors beside the base suite's weights, or weights in their place. */
  readonly kind: "adapter" | "full";
  /** Safetensors file; factors and weights have the models' own names. */
  readonly weights: string;
  /** Alpha of an adapter; its rank is that of its factors. */
  readonly alpha?: number | undefined;
}

/** The results that a row has by some moment. */
export type PartResults = Readonly<Partial<Record<TrainedPart, PartResult>>>;

/** What the results of each task are; tasks that are missing give nothing to an answer. */
const RESULTS: Readonly<Partial<Record<TaskName, readonly Pick<PartResult, "part" | "kind">[]>>> = {
  vlm: [{ part: "vlm", kind: "full" }],
  vdm: [{ part: "vdm", kind: "full" }],
  "joint-grpo-1": [{ part: "vlm", kind: "adapter" }],
  "joint-grpo-2": [{ part: "vdm", kind: "adapter" }],
  // Both in one file: names tell them apart.
  "joint-grpo-all-in-one": [
    { part: "vlm", kind: "adapter" },
    { part: "vdm", kind: "adapter" },
  ],
};

/** True for layers of a part, by their names in a file that may hold factors of both. */
export function isLayerOf(part: TrainedPart, layer: string): boolean {
  return /^blocks\./.test(layer) === (part === "vdm");
}

/** The recipe's field with an adapter's alpha. */
function alphaField({ task }: Recipe, part: TrainedPart): "loraAlpha" | "vlmLoraAlpha" {
  return task === "joint-grpo-all-in-one" && part === "vlm" ? "vlmLoraAlpha" : "loraAlpha";
}

/** True for tasks whose policies are a suite's models: they name the suite in their settings. */
const startsFromSuite = (task: TaskName): boolean =>
  (RESULTS[task] ?? []).some(({ kind }) => kind === "adapter");

/** The parts that a recipe trains. @throws `VANS_EXPERIMENT_INVALID` for one that trains none of an answer */
export function trainedParts(recipe: Recipe): readonly TrainedPart[] {
  const results = RESULTS[recipe.task];
  if (!results)
    throw new VansError(INVALID, `the recipe ${recipe.name} trains nothing that answers`, {
      found: `task ${recipe.task}`,
      fix: `use recipes of the tasks ${Object.keys(RESULTS).join(", ")}`,
    });
  for (const { part, kind } of results) {
    const field = alphaField(recipe, part);
    if (kind === "full" || recipe.settings[field] !== undefined) continue;
    throw new VansError(INVALID, `the recipe ${recipe.name} does not say its ${field}`, {
      why: "the suite that is made of its adapter has to say it",
      fix: `add settings.${field}`,
    });
  }
  return results.map(({ part }) => part);
}

/** The results of a finished training. */
export function resultsOf(recipe: Recipe, weights: string): PartResults {
  const results = (RESULTS[recipe.task] ?? []).map(({ part, kind }): [TrainedPart, PartResult] => {
    const alpha = kind === "adapter" ? Number(recipe.settings[alphaField(recipe, part)]) : undefined;
    return [part, { part, kind, weights, ...(alpha !== undefined && { alpha }) }];
  });
  return Object.fromEntries(results);
}

/** Rank of an adapter, from the factors in its file. @throws `VANS_EXPERIMENT_RESULT` */
export async function adapterRank({ part, weights }: PartResult): Promise<number> {
  const { tensors } = await readSafetensorsHeader(weights);
  for (const [name, { shape }] of tensors)
    if (name.endsWith(".lora_A.weight") && isLayerOf(part, name)) return shape[0]!;
  throw new VansError("VANS_EXPERIMENT_RESULT", `${weights} holds no adapter of the ${part}`, {
    found: `${tensors.size} tensors, none of them named ….lora_A.weight for it`,
  });
}

/** Where files that a start needs are written. */
export interface StartOptions {
  /** The base suite. */
  readonly suite: Suite;
  /** Folder for a file that is put together for the start. */
  readonly folder: string;
}

/**
 * The recipe, starting from a row's results by then: weights to start from, and the suite whose models are trained.
 * What the row has no result of is the base suite's.
 *
 * @throws `VANS_EXPERIMENT_INVALID` where an adapter would be trained on a part whose weights the row has replaced
 */
export async function startingFrom(
  recipe: Recipe,
  have: PartResults,
  options: StartOptions,
): Promise<Recipe> {
  const { suite } = options;
  // Recipes name files relative to the current folder.
  const near = (path: string): string => relative(process.cwd(), path);
  if (startsFromSuite(recipe.task)) {
    for (const result of Object.values(have))
      if (result.kind === "full")
        throw new VansError(INVALID, `${recipe.name} cannot train on weights that its row has replaced`, {
          found: `${result.part} of ${result.weights}`,
          fix: "make a suite of these weights first (scripts/build-suite.ts) and start from that",
        });
    const { vlm, vdm } = have;
    const init: Record<string, string> = {
      ...recipe.init,
      ...(vlm && { vlm: near(vlm.weights) }),
      ...(vdm && recipe.task !== "joint-grpo-1" && { vdm: near(vdm.weights) }),
    };
    const frozen = recipe.task === "joint-grpo-2" && vlm;
    const settings = {
      ...recipe.settings,
      suite: near(suite.folder),
      ...(frozen && { vlmLoraRank: await adapterRank(vlm), vlmLoraAlpha: vlm.alpha }),
    };
    // Without a result of its own the row's captions are those of the base suite, whatever the recipe would start from.
    if (!vlm) delete init["vlm"];
    if (!vdm) delete init["vdm"];
    return { ...recipe, init, settings };
  }
  if (recipe.task === "vlm")
    return { ...recipe, init: { ...recipe.init, vlm: near(have.vlm?.weights ?? suite.vlm.weights[0]!) } };
  const vdm = have.vdm?.weights ?? (await joinedVideoModel(suite, options.folder));
  // The autoencoder that the recipe names is the suite's before rounding, and clips encoded by it are there already.
  const vae = recipe.init["vae"];
  const isThere = vae !== undefined && (await stat(vae).catch(() => undefined)) !== undefined;
  const init = { ...recipe.init, vae: isThere ? vae : near(suite.vae.weights[0]!), vdm: near(vdm) };
  return { ...recipe, init };
}

/** Video transformer and text encoder of a suite in one file, as their training takes them. */
async function joinedVideoModel({ vdm, textEncoder }: Suite, folder: string): Promise<string> {
  const path = join(folder, "start-vdm.safetensors");
  const tensors: [string, WritableTensor][] = [];
  for (const file of [...vdm.weights, ...textEncoder.weights])
    for (const [name, tensor] of await readSafetensors(file))
      tensors.push([name, { shape: tensor.shape, data: asFloat32(tensor) }]);
  await writeSafetensors(path, tensors, { metadata: { format: "pt" } });
  return path;
}
