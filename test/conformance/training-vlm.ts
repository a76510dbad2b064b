/**
 * Golden case of supervised training of the vision-language model: masked loss, gradients of all adapters, three
 * optimizer steps.
 * @module
 */
import { patchify, positionIds, qwenLogits, type VisionGrid } from "../../src/models/qwen25vl/index.ts";
import { ADAMW, compileTrainStep, Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import {
  crossEntropy,
  div,
  f32,
  grad,
  i32,
  input,
  mul,
  type NdArray,
  slice,
  sum,
  type Tensor,
  type WeightBinding,
} from "../../src/tensor/index.ts";
import {
  absoluteError,
  type CaseHandler,
  type Check,
  checkExact,
  checkRelative,
  type GoldenCase,
} from "./case.ts";
import { adapterName, adapterTensors, configBeside, framesOf, loraOf, positionRule } from "./qwen-inputs.ts";
import type { AdamWJson } from "./training-dit.ts";

export const trainingVlm: CaseHandler = {
  title: "vision-language model, training",
  recognises: (golden) =>
    golden.hasConfig("weights", "lora", "adamw") &&
    golden.files.has("gradients.safetensors") &&
    golden.io.has("labels"),
  async run(golden) {
    const traced = await trace(golden);
    return [
      checkExact("grids", traced.grids.flat(), golden.io.get("grids").data),
      ...(await gradientChecks(golden, traced)),
      ...(await stepChecks(golden, traced)),
    ];
  },
};

/** What a training case of adapters is made of. */
export interface TracedAdapters {
  readonly loss: Tensor;
  /** The adapters, which are trained. */
  readonly params: ReadonlyMap<string, Tensor>;
  readonly adapters: Readonly<Record<string, NdArray>>;
  readonly base: WeightBinding;
  readonly feeds: Readonly<Record<string, NdArray>>;
}

interface Traced extends TracedAdapters {
  readonly grids: readonly VisionGrid[];
}

/** Those of the parameters that belong to adapters. */
export function adapterParams(params: Params): ReadonlyMap<string, Tensor> {
  return new Map([...params.tensors].filter(([name]) => name.includes(".lora_")));
}

async function trace(golden: GoldenCase): Promise<Traced> {
  const { io } = golden;
  const path = golden.config<string>("weights");
  const config = await configBeside(golden, path);
  const videos = io
    .names()
    .filter((name) => /^frames\d+$/.test(name))
    .sort((a, b) => Number(a.slice(6)) - Number(b.slice(6)))
    .map((name) => patchify(framesOf(io.get(name)), config.vision));
  const grids = videos.map(({ grid }) => grid);
  const patches = f32(Float32Array.from(videos.flatMap((video) => [...video.patches.data])), [
    videos.reduce((total, video) => total + video.patches.shape[0]!, 0),
    videos[0]!.patches.shape[1]!,
  ]);
  const ids = io.get("input_ids");
  const mask = io.get("attention_mask");
  const labels = io.get("labels");
  const [batch, length] = ids.shape as [number, number];
  const positions = positionIds({ ids, mask }, config, { grids, rule: positionRule(golden) });
  const params = new Params({ lora: loraOf(golden) });
  const logits = qwenLogits(params, config, {
    ids: input("ids", ids.shape, "i32"),
    mask: input("mask", mask.shape, "i32"),
    positionIds: input("positionIds", positions.ids.shape, "i32"),
    patches: input("patches", patches.shape),
    grids,
  });
  const weights = input("weights", labels.shape);
  const targets = input("targets", labels.shape, "i32");
  const each = crossEntropy(slice(logits, 1, 0, length - 1), slice(targets, 1, 1));
  const counted = slice(weights, 1, 1);
  return {
    grids,
    loss: div(sum(mul(each, counted)), sum(counted)),
    params: adapterParams(params),
    adapters: adapterTensors(await golden.relative(golden.config("lora"))),
    base: (await golden.relative(path)).binding(),
    feeds: {
      ids,
      mask,
      positionIds: positions.ids,
      patches,
      targets: i32(
        Int32Array.from(labels.data, (label) => Math.max(label, 0)),
        [batch, length],
      ),
      weights: f32(
        Float32Array.from(labels.data, (label) => (label < 0 ? 0 : 1)),
        [batch, length],
      ),
    },
  };
}

/** Gradients of the adapters before clipping. */
export async function gradientChecks(
  golden: GoldenCase,
  { loss, params, adapters, base, feeds }: TracedAdapters,
): Promise<Check[]> {
  const file = golden.file("gradients.safetensors");
  const tolerance = golden.tolerance("gradient_relative_to_abs_max_per_tensor");
  const gradients = grad(loss, [...params.values()]);
  const outputs = Object.fromEntries([...params.keys()].map((name, i) => [name, gradients[i]!]));
  const graph = await compile(outputs, { weights: base });
  const results = await graph.run({ ...feeds, ...adapters });
  await graph.release();
  const names = file.names();
  return [
    checkExact(
      "names of gradients",
      [new Set([...names.map(adapterName), ...params.keys()]).size],
      [names.length],
    ),
    ...names.map((name) =>
      checkRelative(
        `gradient of ${adapterName(name)}`,
        results[adapterName(name)]!,
        file.get(name),
        tolerance,
      ),
    ),
  ];
}

/** Parameters after AdamW steps on one batch, with the losses and norms on the way. */
export async function adapterSteps(
  golden: GoldenCase,
  { loss, params, adapters, base, feeds }: TracedAdapters,
  count: number,
): Promise<{ readonly losses: number[]; readonly norms: number[]; readonly state: Record<string, NdArray> }> {
  const { lr, betas, eps, weight_decay } = golden.config<AdamWJson>("adamw");
  const [beta1, beta2] = betas;
  const rules = { ...ADAMW, beta1, beta2, epsilon: eps, weightDecay: weight_decay };
  const step = await compileTrainStep(
    { loss, params, clipNorm: golden.config("clip_grad_norm"), optimizer: () => rules },
    adapters,
    { weights: base },
  );
  const losses: number[] = [];
  const norms: number[] = [];
  for (let i = 0; i < count; i++) {
    const out = await step.step(feeds, { learningRate: lr });
    losses.push(out["loss"]!.data[0]!);
    norms.push(out["gradientNorm"]!.data[0]!);
  }
  const state = await step.state();
  await step.release();
  return { losses, norms, state };
}

/** Adapters after training against `params_after.safetensors`. */
export function afterChecks(
  golden: GoldenCase,
  state: Readonly<Record<string, NdArray>>,
  tolerance: number,
): Check[] {
  const file = golden.file("params_after.safetensors");
  return file.names().map((name) => ({
    name: `${adapterName(name)} after training`,
    maxError: absoluteError(state[adapterName(name)]?.data ?? [], file.get(name).data),
    tolerance,
  }));
}

async function stepChecks(golden: GoldenCase, traced: Traced): Promise<Check[]> {
  const { io } = golden;
  const { losses, norms, state } = await adapterSteps(golden, traced, io.get("losses").data.length);
  const gradientTolerance = golden.tolerance("gradient_relative_to_abs_max_per_tensor");
  return [
    checkRelative("losses", f32(losses), io.get("losses"), golden.tolerance("loss_relative")),
    checkRelative("grad_norms", f32(norms), io.get("grad_norms"), gradientTolerance),
    ...afterChecks(golden, state, golden.tolerance("params_after_absolute")),
  ];
}
