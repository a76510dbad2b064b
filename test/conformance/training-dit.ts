/**
 * Golden case of training the video transformer: weighted flow-matching loss, all gradients, three optimizer steps.
 * @module
 */
import { trainingGrid, trainingWeight } from "../../src/models/wan/index.ts";
import { ADAMW, compileTrainStep, Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import { f32, grad, input, type NdArray, type Tensor } from "../../src/tensor/index.ts";
import { flowMatchingLoss } from "../../src/train/flow-matching-loss.ts";
import { absoluteError, type CaseHandler, type Check, checkRelative, type GoldenCase } from "./case.ts";
import { ditConfigBeside, inputLike } from "./wan-dit.ts";

/** Optimizer settings under torch's names. */
export interface AdamWJson {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
}

export const trainingDit: CaseHandler = {
  title: "video transformer, training",
  recognises: (golden) =>
    golden.hasConfig("weights", "adamw", "train_grid") &&
    golden.files.has("gradients.safetensors") &&
    golden.io.has("x0"),
  async run(golden) {
    const { io } = golden;
    const traced = await trace(golden);
    const batches = batchesOf(golden);
    return [
      ...scheduleChecks(golden),
      ...(await gradientChecks(golden, traced, batches[0]!)),
      ...(await stepChecks(golden, traced, batches)),
      { name: "batches", maxError: Math.abs(batches.length - io.get("losses").data.length), tolerance: 0 },
    ];
  },
};

interface Traced {
  readonly params: ReadonlyMap<string, Tensor>;
  readonly loss: Tensor;
  readonly velocity: Tensor;
  readonly weights: Readonly<Record<string, NdArray>>;
}

async function trace(golden: GoldenCase): Promise<Traced> {
  const { io } = golden;
  const path = golden.config<string>("weights");
  const x0 = io.get("x0");
  const batch = [x0.shape[0]!];
  const params = new Params();
  const { loss, velocity } = flowMatchingLoss(params, await ditConfigBeside(golden, path), {
    references: inputLike("references", io.get("refs")),
    clean: inputLike("clean", x0),
    noise: input("noise", x0.shape),
    sigma: input("sigma", batch),
    weight: input("weight", batch),
    context: inputLike("context", io.get("context")),
  });
  return { params: params.tensors, loss, velocity, weights: (await golden.relative(path)).all() };
}

function gridOf(golden: GoldenCase) {
  return trainingGrid({ shift: golden.config("shift") });
}

/** What each step is fed. */
function batchesOf(golden: GoldenCase): Record<string, NdArray>[] {
  const { io } = golden;
  const grid = gridOf(golden);
  const noise = io.get("noise");
  const clean = io.get("x0");
  const size = clean.data.length;
  const batch = clean.shape[0]!;
  const whole = (value: number): NdArray => f32(new Float32Array(batch).fill(value));
  return Array.from(io.get("timestep_index").data, (index, step) => ({
    references: io.get("refs"),
    clean,
    noise: f32((noise.data as Float32Array).slice(step * size, (step + 1) * size), clean.shape),
    sigma: whole(grid.sigmas[index]!),
    weight: whole(trainingWeight(grid, grid.timesteps[index]!)),
    context: io.get("context"),
  }));
}

function scheduleChecks(golden: GoldenCase): Check[] {
  const { io } = golden;
  const grid = gridOf(golden);
  const indices = [...io.get("timestep_index").data];
  const tolerance = golden.tolerance("loss_relative");
  const at = (values: Float32Array): NdArray => f32(indices.map((index) => values[index]!));
  return [
    checkRelative("timestep", at(grid.timesteps), io.get("timestep"), tolerance),
    checkRelative("weight", at(grid.weights), io.get("weight"), tolerance),
  ];
}

async function gradientChecks(
  golden: GoldenCase,
  { params, loss, velocity, weights }: Traced,
  batch: Record<string, NdArray>,
): Promise<Check[]> {
  const file = golden.file("gradients.safetensors");
  const tolerance = golden.tolerance("gradient_relative_to_abs_max_per_tensor");
  const names = [...params.keys()];
  const gradients = grad(loss, [...params.values()]);
  const outputs = Object.fromEntries(names.map((name, i) => [name, gradients[i]!]));
  const graph = await compile({ ...outputs, "step0.velocity": velocity });
  const results = await graph.run({ ...batch, ...weights });
  await graph.release();
  const { "step0.velocity": predicted, ...computed } = results;
  return [
    checkRelative("step0.velocity", predicted!, golden.io.get("step0.velocity"), tolerance),
    { name: "number of gradients", maxError: Math.abs(names.length - file.names().length), tolerance: 0 },
    ...Object.entries(computed).map(([name, value]) =>
      checkRelative(`gradient of ${name}`, value, file.get(name), tolerance),
    ),
  ];
}

async function stepChecks(
  golden: GoldenCase,
  { params, loss, weights }: Traced,
  batches: readonly Record<string, NdArray>[],
): Promise<Check[]> {
  const { io } = golden;
  const { lr, betas, eps, weight_decay } = golden.config<AdamWJson>("adamw");
  const [beta1, beta2] = betas;
  const rules = { ...ADAMW, beta1, beta2, epsilon: eps, weightDecay: weight_decay };
  const step = await compileTrainStep(
    { loss, params, clipNorm: golden.config("clip_grad_norm"), optimizer: () => rules },
    weights,
  );
  const losses: number[] = [];
  const norms: number[] = [];
  for (const batch of batches) {
    const out = await step.step(batch, { learningRate: lr });
    losses.push(out["loss"]!.data[0]!);
    norms.push(out["gradientNorm"]!.data[0]!);
  }
  const state = await step.state();
  await step.release();
  const after = golden.file("params_after.safetensors");
  const absolute = golden.tolerance("params_after_absolute");
  return [
    checkRelative("losses", f32(losses), io.get("losses"), golden.tolerance("loss_relative")),
    checkRelative(
      "grad_norms",
      f32(norms),
      io.get("grad_norms"),
      golden.tolerance("gradient_relative_to_abs_max_per_tensor"),
    ),
    ...after.names().map((name) => ({
      name: `${name} after ${batches.length} steps`,
      maxError: absoluteError(state[name]?.data ?? [], after.get(name).data),
      tolerance: absolute,
    })),
  ];
}
