/**
 * Recipes with `settings.blockwise`: adapters of models larger than memory, trained block by block with recomputation.
 * Deviations from the paper: adapters where it trains all of the video model; no dropout in the adapters.
 * @module
 */
import { join } from "node:path";
import { fold, keyFromSeed, uniform } from "../base/keys.ts";
import { qwenParameters } from "../models/qwen25vl/index.ts";
import { ditParameters } from "../models/wan/index.ts";
import { type StepSettings, stateName } from "../nn/index.ts";
import { f32, type NdArray } from "../tensor/index.ts";
import { exportAdapter } from "../weights/index.ts";
import { initFile } from "./initial-weights.ts";
import { type AdamWState, adamwStep } from "./large-adamw.ts";
import { CaptionGroups } from "./large-caption-groups.ts";
import { LargeContext } from "./large-context.ts";
import { largeLora } from "./large-plan.ts";
import { addGradients } from "./large-sum.ts";
import { vdmSample, vlmSample } from "./large-supervised.ts";
import { VideoGroups } from "./large-video-groups.ts";
import type { Recipe } from "./recipe.ts";
import type { PrepareTask, TaskContext } from "./task.ts";
import { stepKey } from "./world-batches.ts";

/** Adapters with their moments. */
class LargeState {
  readonly adapters: Record<string, NdArray>;
  readonly #moments: AdamWState;

  constructor(adapters: Record<string, NdArray>, moments: AdamWState) {
    this.adapters = adapters;
    this.#moments = moments;
  }

  get stepCount(): number {
    return this.#moments.step;
  }

  step(recipe: Recipe, gradients: Readonly<Record<string, NdArray>>, { learningRate }: StepSettings): number {
    const { beta1, beta2, weightDecay, clipNorm } = recipe.optimizer;
    const options = { rate: learningRate, beta1, beta2, weightDecay, clipNorm };
    return adamwStep(this.adapters, gradients, this.#moments, options);
  }

  state(): Record<string, NdArray> {
    const state: Record<string, NdArray> = { ...this.adapters };
    for (const [name, { shape }] of Object.entries(this.adapters)) {
      const [first, second] = [this.#moments.first[name], this.#moments.second[name]];
      if (first) state[stateName.momentum(name)] = f32(first, shape);
      if (second) state[stateName.variance(name)] = f32(second, shape);
    }
    return state;
  }
}

/** First values of the adapters: the checkpoint's, those of `init`, or A as PEFT draws it and B at 0. */
async function firstState(large: LargeContext, recipe: Recipe, context: TaskContext): Promise<LargeState> {
  const { trains, suite, lora } = large;
  const shapes =
    trains === "vdm" ? ditParameters(suite.vdm.config, { lora }) : qwenParameters(suite.vlm.config, { lora });
  const given = context.resumed?.state ?? (await initFile(recipe, context, trains));
  const adapters: Record<string, NdArray> = {};
  const moments: AdamWState = { step: context.resumed?.optimizerSteps ?? 0, first: {}, second: {} };
  const root = fold(keyFromSeed(recipe.seed), "large-lora");
  for (const [name, shape] of shapes) {
    if (!name.includes(".lora_")) continue;
    const size = shape.reduce((product, one) => product * one, 1);
    // Kaiming with a = √5, as PEFT: uniform in ±1/√inputs.
    const fresh = (): Float32Array<ArrayBuffer> =>
      name.includes("lora_A")
        ? uniform(fold(root, name), size).map((u) => (2 * u - 1) / Math.sqrt(shape[1]!))
        : new Float32Array(size);
    adapters[name] = f32(given?.[name] ? Float32Array.from(given[name].data) : fresh(), shape);
    const [first, second] = [given?.[stateName.momentum(name)], given?.[stateName.variance(name)]];
    if (first && second && context.resumed) {
      moments.first[name] = Float32Array.from(first.data);
      moments.second[name] = Float32Array.from(second.data);
    }
  }
  return new LargeState(adapters, moments);
}

/** The language model of stage 1, where `init.vlm` names its adapters (rank 8, alpha 32, as the paper trains them). */
async function writerOf(recipe: Recipe, context: TaskContext) {
  const adapters = await initFile(recipe, context, "vlm");
  return adapters && { lora: largeLora("vlm", 8, 32), adapters };
}

/** Prepares a large recipe of any of its four tasks. */
export const prepareLarge: PrepareTask = async (recipe, context) => {
  const large = await LargeContext.open(recipe, context.runFolder);
  const state = await firstState(large, recipe, context);
  const { settings, samples, trains } = large;
  const policy =
    recipe.task === "joint-grpo-1"
      ? await CaptionGroups.open(large)
      : recipe.task === "joint-grpo-2"
        ? await VideoGroups.open(large, await writerOf(recipe, context))
        : undefined;
  return {
    step: {
      get stepCount() {
        return state.stepCount;
      },
      state: async () => state.state(),
      release: async () => undefined,
    },

    async update(at, stepSettings, { signal }) {
      const gradients: Record<string, NdArray> = {};
      const sums: Record<string, number> = { loss: 0 };
      for (let n = 0; n < recipe.batch; n++) {
        const sample = samples.at(at * recipe.batch + n);
        const key = fold(stepKey(recipe.seed, at, "large"), n);
        const own = policy
          ? await policy.gradients(sample, state.adapters, { key, signal })
          : trains === "vlm"
            ? await vlmSample(large, sample, state.adapters, signal)
            : await vdmSample(large, sample, state.adapters, { key, signal });
        addGradients(gradients, own.gradients, 1 / recipe.batch);
        const metrics = {
          loss: own.loss,
          ...("metrics" in own ? (own.metrics as Record<string, number>) : {}),
        };
        for (const [name, value] of Object.entries(metrics))
          sums[name] = (sums[name] ?? 0) + value / recipe.batch;
      }
      // A group without spread teaches nothing, and the optimizer does not move.
      const isSkipped = Object.keys(gradients).length === 0;
      const norm = isSkipped ? 0 : state.step(recipe, gradients, stepSettings);
      return { ...sums, grad_norm: norm, ...(policy && { skipped: isSkipped ? 1 : 0 }) };
    },

    exported: () => state.adapters,

    /** The adapter in the names of other programs: PEFT for the language model, DiffSynth for the video model. */
    async finish() {
      const factors = Object.fromEntries(
        Object.entries(state.adapters).map(([name, { shape, data }]) => [
          name,
          { shape, data: data as Float32Array },
        ]),
      );
      const folder = join(context.runFolder, "adapter");
      const adapter = { rank: settings.loraRank, alpha: settings.loraAlpha, factors };
      if (trains === "vlm") await exportAdapter(folder, adapter, { naming: "peft" });
      else await exportAdapter(join(folder, "adapter.safetensors"), adapter, { naming: "diffsynth" });
    },

    async release() {
      await policy?.release();
    },
  };
};
