/**
 * What one training step of a large recipe needs in memory, block by block with recomputation: from configurations and the
 * gradient graphs themselves.
 * @module
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { graphMemory, heldBytes } from "../answer/graph-memory.ts";
import { BASE_BYTES, requireDrawable } from "../answer/plan.ts";
import { loadSuite, type Suite } from "../answer/suite.ts";
import { VansError } from "../base/errors.ts";
import {
  causalMask,
  decoderLayer,
  groupedAttention,
  groupedMask,
  logitsOf,
} from "../models/qwen25vl/decoder.ts";
import { qwenLora, qwenParameters } from "../models/qwen25vl/index.ts";
import {
  ditHeadWidth,
  ditLoraTargets,
  ditParameters,
  latentFrameCount,
  ropeTable,
  vaeStride,
} from "../models/wan/index.ts";
import { type LoraOptions, Params } from "../nn/index.ts";
import { crossEntropy, grad, input, mean } from "../tensor/index.ts";
import { elementCount } from "../weights/index.ts";
import { blockGradientGraph } from "./large-lora.ts";
import { vdmBlock } from "./large-vdm-gradients.ts";
import { readRecipe } from "./recipe.ts";

/** Settings of the large recipes, whichever model they train. */
export const largeSettings = z.object({
  suite: z.string(),
  loraRank: z.int().positive().default(8),
  loraAlpha: z.number().positive().default(32),
  height: z.int().positive().optional(),
  width: z.int().positive().optional(),
  frames: z.int().positive().optional(),
  promptTokens: z.int().positive().default(1024),
  answerTokens: z.int().positive().default(256),
  group: z.int().positive().default(1),
});

/** What a plan may ask for in the place of the recipe's own settings. */
export interface TrainingSize {
  /** Of the video model's clips. */
  readonly frames?: number | undefined;
  readonly height?: number | undefined;
  readonly width?: number | undefined;
  /** Of the language model's prompt and answer together. */
  readonly tokens?: number | undefined;
  /** Of the answer alone, over which the loss runs; default the recipe's. */
  readonly answerTokens?: number | undefined;
}

/** A plan of one step. */
export interface TrainingPlan {
  readonly recipe: string;
  readonly suite: string;
  readonly trains: "vlm" | "vdm";
  readonly tokens: number;
  /** The size of the clips; undefined where the language model is trained. */
  readonly clip: { readonly frames: number; readonly height: number; readonly width: number } | undefined;
  readonly adapterParameters: number;
  readonly parts: {
    /** What went into each block, kept for the way back. */
    readonly keptBytes: number;
    /** The largest block on its way back, recomputed forward included. */
    readonly blockBytes: number;
    /** Loss over the vocabulary. */
    readonly headBytes: number;
    /** Adapters, their gradients and two moments. */
    readonly adapterBytes: number;
  };
  readonly peakBytes: number;
  readonly memoryBytes: number | undefined;
  readonly fits: boolean | undefined;
}

const F32 = 4;

/** The adapters of a large recipe. */
export function largeLora(trains: "vlm" | "vdm", rank: number, alpha: number): LoraOptions {
  return trains === "vlm" ? qwenLora({ rank, alpha }) : { rank, alpha, targets: ditLoraTargets };
}

/** A recipe's file: a path, or the name of one that comes with the package. */
function recipePath(recipe: string): string {
  if (existsSync(recipe)) return recipe;
  const bundled = fileURLToPath(new URL(`../../recipes/${recipe}.yaml`, import.meta.url));
  return existsSync(bundled) ? bundled : `recipes/${recipe}.yaml`;
}

/** What a plan of training takes. */
export interface TrainingPlanOptions {
  readonly memoryBytes?: number | undefined;
  /** Default the recipe's. */
  readonly suite?: Suite | undefined;
  readonly override?: TrainingSize | undefined;
}

/**
 * Predicts the memory of one step of a recipe, by name or path.
 * @throws `VANS_RECIPE_INVALID` for recipes of small models, `VANS_PLAN_SIZE` and `VANS_VAE_FRAME_COUNT` for clips that the
 *   video model cannot take, `VANS_PLAN_TRAIN` for a clip's size where no clip is drawn
 */
export async function planTraining(recipe: string, options: TrainingPlanOptions = {}): Promise<TrainingPlan> {
  const { name, task, settings: raw } = await readRecipe(recipePath(recipe));
  const parsed = largeSettings.safeParse(raw);
  if (!parsed.success)
    throw new VansError("VANS_RECIPE_INVALID", `${name} names no suite to plan for`, {
      found: parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "),
      fix: "plan one of the recipes vans-3b-*",
    });
  const settings = parsed.data;
  const suite = options.suite ?? (await loadSuite(settings.suite, { needsFiles: false }));
  const trains = task === "vdm" || task === "joint-grpo-2" ? "vdm" : "vlm";
  const { frames, height, width, tokens: askedTokens, answerTokens } = options.override ?? {};
  if (trains === "vlm" && (frames ?? height ?? width) !== undefined)
    throw new VansError("VANS_PLAN_TRAIN", `${name} trains the language model, which draws no clip`, {
      fix: "leave frames, height and width out; promptTokens and answerTokens in the recipe are its size",
    });
  const lora = largeLora(trains, settings.loraRank, settings.loraAlpha);
  const { answer } = suite.manifest;
  const clip = {
    frames: frames ?? settings.frames ?? answer.answerFrames,
    height: height ?? settings.height ?? answer.height,
    width: width ?? settings.width ?? answer.width,
  };
  const planned =
    trains === "vdm"
      ? vdmParts(suite, clip, lora)
      : vlmParts(
          suite,
          {
            ...settings,
            ...(askedTokens !== undefined && { tokens: askedTokens }),
            ...(answerTokens !== undefined && { answerTokens }),
          },
          lora,
        );
  const { parts, tokens, adapterParameters } = planned;
  const peakBytes = Math.round(
    BASE_BYTES + parts.keptBytes + Math.max(parts.blockBytes, parts.headBytes) + parts.adapterBytes,
  );
  const { memoryBytes } = options;
  return {
    recipe: name,
    suite: suite.name,
    trains,
    tokens,
    clip: trains === "vdm" ? clip : undefined,
    adapterParameters,
    parts,
    peakBytes,
    memoryBytes,
    fits: memoryBytes === undefined ? undefined : peakBytes <= memoryBytes,
  };
}

/**
 * The largest step that fits: the same clip at smaller sizes, then with fewer frames; for the language model fewer tokens.
 * @returns undefined where nothing fits
 */
export async function fittingTraining(
  recipe: string,
  options: TrainingPlanOptions & { readonly memoryBytes: number },
): Promise<TrainingPlan | undefined> {
  const asked = await planTraining(recipe, options);
  if (asked.fits) return asked;
  const suite = options.suite ?? (await loadSuite(asked.suite, { needsFiles: false }));
  const tries: TrainingSize[] = [];
  if (asked.clip) {
    const { space, time } = vaeStride(suite.vae.config);
    const [, rows, columns] = suite.vdm.config.patchSize;
    const whole = (value: number, step: number): number => Math.max(step, Math.floor(value / step) * step);
    const { frames, height, width } = asked.clip;
    const halves = [frames, 1 + time * Math.floor((frames - 1) / time / 2), 1 + time];
    for (const count of new Set(halves.filter((one) => one >= 1 && one <= frames)))
      for (const scale of [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25])
        tries.push({
          frames: count,
          height: whole(height * scale, space * rows),
          width: whole(width * scale, space * columns),
        });
    const pixels = (size: TrainingSize): number => size.frames! * size.height! * size.width!;
    tries.sort((a, b) => pixels(b) - pixels(a));
  } else
    for (let tokens = asked.tokens; tokens >= 64; tokens = Math.floor(tokens / 2)) tries.push({ tokens });
  for (const override of tries) {
    const plan = await planTraining(recipe, { ...options, suite, override });
    if (plan.fits) return plan;
  }
  return undefined;
}

type Parts = Pick<TrainingPlan, "tokens" | "adapterParameters" | "parts">;

const factorsOf = (parameters: ReadonlyMap<string, readonly number[]>): number =>
  [...parameters].reduce(
    (total, [name, shape]) => total + (name.includes(".lora_") ? elementCount(shape) : 0),
    0,
  );

function vdmParts(
  suite: Suite,
  { frames, height, width }: NonNullable<TrainingPlan["clip"]>,
  lora: LoraOptions,
): Parts {
  const { config } = suite.vdm;
  const { space } = vaeStride(suite.vae.config);
  const [, rows, columns] = config.patchSize;
  requireDrawable(suite, { height, width });
  const grid = {
    frames: latentFrameCount(suite.vae.config, frames) + suite.manifest.answer.referenceLatentFrames,
    rows: height / space / rows,
    columns: width / space / columns,
  };
  const tokens = grid.frames * grid.rows * grid.columns;
  const shape = [1, tokens, config.width];
  const rope = ropeTable({ frames: 1, rows: 1, columns: 1 }, ditHeadWidth(config));
  const half = rope.cos.shape[2]!;
  const sized = (dims: readonly number[]) => ({
    dtype: "f32" as const,
    shape: dims,
    data: new Float32Array(0),
  });
  const given = {
    modulation: sized([1, 6, config.width]),
    cos: sized([1, tokens, half]),
    sin: sized([1, tokens, half]),
    text: sized([1, suite.textEncoder.maxLength, config.width]),
  };
  const params = new Params({ lora });
  const back = graphMemory(blockGradientGraph(params, shape, vdmBlock(config, 0, given, 0)), () => "half");
  const adapterParameters = factorsOf(ditParameters(config, { lora }));
  const bytes = elementCount(shape) * F32;
  return {
    tokens,
    adapterParameters,
    parts: {
      keptBytes: config.layerCount * bytes + 2 * tokens * half * F32,
      // Beside the block's own values: the gradient that arrived.
      blockBytes: heldBytes(back) + bytes,
      headBytes: 0,
      adapterBytes: 4 * adapterParameters * F32,
    },
  };
}

function vlmParts(
  suite: Suite,
  size: { readonly promptTokens: number; readonly answerTokens: number; readonly tokens?: number },
  lora: LoraOptions,
): Parts {
  const { config } = suite.vlm;
  const { text } = config;
  const tokens = size.tokens ?? size.promptTokens + size.answerTokens;
  const shape = [1, tokens, text.hiddenSize];
  const half = text.headWidth / 2;
  const params = new Params({ lora });
  const graph = blockGradientGraph(params, shape, (scope, x) => {
    const mask = groupedMask(text, causalMask(tokens, undefined));
    const angles = { cos: input("cos", [1, tokens, half]), sin: input("sin", [1, tokens, half]) };
    return decoderLayer(scope.at("model", "layers", 0), text, x, angles, (heads) =>
      groupedAttention(text, heads, mask),
    );
  });
  const back = graphMemory(graph, () => "half");
  const hidden = input("hidden", [size.answerTokens, text.hiddenSize]);
  const loss = mean(
    crossEntropy(logitsOf(new Params(), config, hidden), input("labels", [size.answerTokens], "i32")),
  );
  const head = graphMemory({ loss, dx: grad(loss, [hidden])[0]! }, () => "half");
  const adapterParameters = factorsOf(qwenParameters(config, { lora }));
  const bytes = elementCount(shape) * F32;
  // A causal mask is a constant of the graph; it is written into the model and held by the session.
  const mask = 2 * tokens * tokens * F32;
  return {
    tokens,
    adapterParameters,
    parts: {
      keptBytes: text.layerCount * bytes,
      blockBytes: heldBytes(back) + bytes + mask,
      headBytes: heldBytes(head),
      adapterBytes: 4 * adapterParameters * F32,
    },
  };
}

/** The plan as text, with what fits where it does not. */
export function trainingPlanLines(plan: TrainingPlan, fitting?: TrainingPlan): string[] {
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
  const { keptBytes, blockBytes, headBytes, adapterBytes } = plan.parts;
  const size = plan.clip ? `, ${plan.clip.frames} frames of ${plan.clip.width}x${plan.clip.height}` : "";
  const lines = [
    `${plan.recipe} on ${plan.suite}: one step over ${plan.tokens} tokens${size}, ${(plan.adapterParameters / 1e6).toFixed(1)} M adapter parameters`,
    `inputs of all blocks, kept   ${gigabytes(keptBytes)}`,
    `the block on its way back    ${gigabytes(blockBytes)}`,
    ...(headBytes > 0 ? [`loss over the vocabulary     ${gigabytes(headBytes)}`] : []),
    `adapters, gradients, moments ${gigabytes(adapterBytes)}`,
    `needed at once               ${gigabytes(plan.peakBytes)}`,
  ];
  if (plan.fits === undefined) return lines;
  const there = gigabytes(plan.memoryBytes!);
  if (plan.fits) return [...lines, `fits into ${there}`];
  if (!fitting)
    return [...lines, `VANS_MEMORY_TOO_SMALL: does not fit into ${there}, and no setting makes it fit`];
  const { clip, tokens } = fitting;
  return [
    ...lines,
    `VANS_MEMORY_TOO_SMALL: does not fit into ${there}; this does (${gigabytes(fitting.peakBytes)}):`,
    clip
      ? `  --frames ${clip.frames} --height ${clip.height} --width ${clip.width} (frames, height and width in the recipe's settings)`
      : `  ${tokens} tokens (promptTokens and answerTokens in the recipe's settings)`,
  ];
}
