/**
 * Golden case of a whole policy-gradient round of the video transformer: rollout, advantages, loss and gradients with
 * unchanged weights and after an update.
 * @module
 */
import {
  type DitConfig,
  DitRunner,
  ditWithReferences,
  flowMatchGrid,
  guidedModel,
  pickReferenceFrames,
} from "../../src/models/wan/index.ts";
import { Params } from "../../src/nn/index.ts";
import { compile, type Executable } from "../../src/runtime/index.ts";
import { f32, grad, input, type NdArray, type WeightBinding } from "../../src/tensor/index.ts";
import { ADVANTAGE_RULES, groupAdvantages } from "../../src/train/advantages.ts";
import { flowPolicyLoss } from "../../src/train/flow-policy-loss.ts";
import { type FlowTransition, rolloutFlow } from "../../src/train/flow-rollout.ts";
import { packCoefficients, sdeStep, stepCoefficients } from "../../src/train/flow-sde.ts";
import {
  absoluteError,
  type CaseHandler,
  type Check,
  checkRelative,
  type GoldenCase,
  type TensorFile,
} from "./case.ts";
import { ditConfigBeside } from "./wan-dit.ts";

export const grpoRollout: CaseHandler = {
  title: "policy-gradient round of the video transformer",
  recognises: (golden) => golden.hasConfig("weights_old_and_reference", "weights_current", "trained_steps"),
  async run(golden) {
    const path = golden.config<string>("weights_old_and_reference");
    const config = await ditConfigBeside(golden, path);
    const old = await golden.relative(path);
    const current = await golden.relative(golden.config("weights_current"));
    const setup = setupOf(golden);
    const checks = await rolloutChecks(golden, config, old.binding(), setup);
    const replays = [
      ["on_policy", old],
      ["current", current],
    ] as const;
    for (const [prefix, weights] of replays)
      checks.push(...(await replayChecks(golden, config, prefix, weights, setup)));
    return checks;
  },
};

/** Inputs of the round. */
interface Setup {
  readonly references: NdArray;
  readonly context: NdArray;
  readonly start: NdArray;
  readonly noise: readonly NdArray[];
  readonly advantages: NdArray;
}

/** Entries of the first axis. */
function parts(array: NdArray): NdArray[] {
  const shape = array.shape.slice(1);
  const size = array.data.length / array.shape[0]!;
  return Array.from({ length: array.shape[0]! }, (_, i) =>
    f32((array.data as Float32Array).slice(i * size, (i + 1) * size), shape),
  );
}

function stacked(arrays: readonly ArrayLike<number>[]): NdArray {
  return f32(arrays.flatMap((array) => Array.from(array)));
}

/** The released VANS conditions on this many latent frames. */
const REFERENCE_FRAMES = 6;

function setupOf(golden: GoldenCase): Setup {
  const { io } = golden;
  const rewards = io.get("rewards").data;
  const rule = { ...ADVANTAGE_RULES["flow-grpo"], epsilon: golden.config<number>("advantage_std_epsilon") };
  const group = Array.from(rewards, () => 0);
  return {
    references: pickReferenceFrames(io.get("ref_latents"), REFERENCE_FRAMES).latents,
    context: io.get("context"),
    start: io.get("start"),
    noise: parts(io.get("noise")),
    advantages: f32(groupAdvantages(rewards, group, rule)),
  };
}

const gridOf = (golden: GoldenCase) =>
  flowMatchGrid({ steps: golden.config("steps"), shift: golden.config("shift") });

const absolute = (name: string, actual: ArrayLike<number>, golden: NdArray, tolerance: number): Check => ({
  name,
  maxError: absoluteError(actual, golden.data),
  tolerance,
});

async function rolloutChecks(
  golden: GoldenCase,
  config: DitConfig,
  weights: WeightBinding,
  setup: Setup,
): Promise<Check[]> {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  const logTolerance = golden.tolerance("logp_absolute");
  const grid = gridOf(golden);
  const runner = new DitRunner(config, { weights });
  const { references, context, start, noise } = setup;
  const model = guidedModel({ model: runner.velocity, references, context, guidanceScale: 1 });
  const steps: FlowTransition[] = [];
  const options = { model, grid, start, noise: (index: number) => noise[index]!, scheme: "wan" as const };
  for await (const step of rolloutFlow(options)) steps.push(step);
  await runner.release();
  const trained = steps.filter((step) => step.isStochastic);
  const last = steps[steps.length - 1]!;
  const noisy = sdeStep(stepCoefficients("wan", { sigmas: grid.sigmas, index: last.index }), {
    x: last.x,
    velocity: last.velocity,
    noise: noise[last.index]!,
  });
  return [
    checkRelative("sigmas", f32(grid.sigmas), io.get("sigmas"), tolerance),
    checkRelative("advantages", setup.advantages, io.get("advantages"), tolerance),
    {
      name: "trained steps",
      maxError: Math.abs(trained.length - golden.config<number>("trained_steps")),
      tolerance: 0,
    },
    ...trained.flatMap(({ index, velocity, coefficients }) => [
      checkRelative(`step${index}.velocity`, velocity, io.get(`step${index}.velocity`), tolerance),
      checkRelative(`step${index}.std`, f32([coefficients.std]), io.get(`step${index}.std`), tolerance),
    ]),
    checkRelative(
      "trajectory",
      stacked([start.data, ...steps.map((step) => step.next.data)]),
      io.get("trajectory"),
      tolerance,
    ),
    absolute(
      "old_logp",
      trained.flatMap((step) => step.logProb),
      io.get("old_logp"),
      logTolerance,
    ),
    checkRelative("final_with_last_noise", noisy.next, io.get("final_with_last_noise"), tolerance),
    absolute("final_with_last_noise_logp", noisy.logProb, io.get("final_with_last_noise_logp"), logTolerance),
  ];
}

/** One step's loss and its gradients; every trained step runs through the same graph. */
async function replayGraph(
  golden: GoldenCase,
  config: DitConfig,
  setup: Setup,
  weights: TensorFile,
): Promise<{ graph: Executable; names: string[] }> {
  const { shape } = setup.start;
  const batch = [shape[0]!];
  const params = new Params();
  const x = input("x", shape);
  const velocity = ditWithReferences(params, config, {
    references: input("references", setup.references.shape),
    noisy: x,
    timestep: input("timestep", batch),
    context: input("context", setup.context.shape),
  });
  const { loss, logProb, ratio, policyLoss, kl } = flowPolicyLoss(
    {
      x,
      velocity,
      next: input("next", shape),
      coefficients: input("coefficients", [shape[0]!, 5]),
      advantages: input("advantages", batch),
      old: { logProb: input("oldLogProb", batch) },
      referenceVelocity: input("referenceVelocity", shape),
    },
    { clip: golden.config("clip"), beta: golden.config("beta"), advantageClamp: 5 },
  );
  const names = [...params.tensors.keys()];
  const gradients = grad(loss, [...params.tensors.values()]);
  const named = Object.fromEntries(names.map((name, i) => [`g:${name}`, gradients[i]!]));
  const outputs = { loss, logProb, ratio, policyLoss, kl, ...named };
  return { graph: await compile(outputs, { weights: weights.binding() }), names };
}

async function replayChecks(
  golden: GoldenCase,
  config: DitConfig,
  prefix: "on_policy" | "current",
  weights: TensorFile,
  setup: Setup,
): Promise<Check[]> {
  const { io } = golden;
  const grid = gridOf(golden);
  const trained = golden.config<number>("trained_steps");
  const trajectory = parts(io.get("trajectory"));
  const oldLogProb = parts(io.get("old_logp"));
  const { graph, names } = await replayGraph(golden, config, setup, weights);
  const group = setup.start.shape[0]!;
  const results: Record<string, NdArray>[] = [];
  for (let index = 0; index < trained; index++) {
    const step = stepCoefficients("wan", { sigmas: grid.sigmas, index });
    results.push(
      await graph.run({
        x: trajectory[index]!,
        next: trajectory[index + 1]!,
        references: setup.references,
        context: setup.context,
        timestep: f32(new Float32Array(group).fill(grid.timesteps[index]!)),
        coefficients: packCoefficients(new Array(group).fill(step)),
        advantages: setup.advantages,
        oldLogProb: oldLogProb[index]!,
        referenceVelocity: io.get(`step${index}.velocity`),
      }),
    );
  }
  await graph.release();
  const all = (name: string): NdArray => stacked(results.map((result) => result[name]!.data));
  const mean = (name: string): NdArray => {
    const first = results[0]![name]!;
    const values = first.data.length;
    const data = new Float32Array(values);
    for (const result of results)
      for (let i = 0; i < values; i++) data[i]! += result[name]!.data[i]! / results.length;
    return f32(data, first.shape);
  };
  const tolerance = golden.tolerance("relative_to_abs_max");
  const logTolerance = golden.tolerance("logp_absolute");
  const at = (part: string): NdArray => io.get(`${prefix}.${part}`);
  // On-policy, KL and -mean(advantage) are rounding around 0, so they are compared absolutely.
  const close = (part: string, actual: NdArray): Check =>
    prefix === "on_policy"
      ? absolute(`${prefix}.${part}`, actual.data, at(part), logTolerance)
      : checkRelative(`${prefix}.${part}`, actual, at(part), tolerance);
  return [
    absolute(`${prefix}.logp`, all("logProb").data, at("logp"), logTolerance),
    checkRelative(`${prefix}.ratio`, all("ratio"), at("ratio"), tolerance),
    close("policy_loss", all("policyLoss")),
    close("kl", all("kl")),
    close("loss", mean("loss")),
    ...gradientChecks(golden, prefix, names, mean),
  ];
}

function gradientChecks(
  golden: GoldenCase,
  prefix: string,
  names: readonly string[],
  mean: (name: string) => NdArray,
): Check[] {
  const tolerance = golden.tolerance("gradient_relative_to_abs_max_per_tensor");
  const file = golden.file(`gradients_${prefix}.safetensors`);
  const norms = (golden.json.values?.[`${prefix}_gradient_norms`] ?? {}) as Record<string, number>;
  const norm = (array: NdArray): NdArray => f32([Math.hypot(...array.data)]);
  return [
    ...file
      .names()
      .map((name) =>
        checkRelative(`${prefix}: gradient of ${name}`, mean(`g:${name}`), file.get(name), tolerance),
      ),
    ...Object.entries(norms).map(([name, value]) =>
      checkRelative(`${prefix}: gradient norm of ${name}`, norm(mean(`g:${name}`)), f32([value]), tolerance),
    ),
    {
      name: `${prefix}: number of gradients`,
      maxError: Math.abs(names.length - Object.keys(norms).length),
      tolerance: 0,
    },
  ];
}
