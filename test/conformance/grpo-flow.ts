/**
 * Golden case of single stochastic flow steps: mean, deviation, log-probability, KL, policy loss and gradient.
 * @module
 */
import { flowMatchGrid } from "../../src/models/wan/index.ts";
import { compile } from "../../src/runtime/index.ts";
import { f32, grad, input, type NdArray } from "../../src/tensor/index.ts";
import { flowPolicyLoss } from "../../src/train/flow-policy-loss.ts";
import {
  packCoefficients,
  SDE_SCHEMES,
  type SdeScheme,
  type StepCoefficients,
  sdeStep,
  stepCoefficients,
  stepKl,
} from "../../src/train/flow-sde.ts";
import { absoluteError, type CaseHandler, type Check, checkRelative, type GoldenCase } from "./case.ts";

export const grpoFlow: CaseHandler = {
  title: "stochastic flow steps",
  recognises: (golden) => golden.hasConfig("noise_level", "clip", "beta") && golden.io.has("old_logp_offset"),
  async run(golden) {
    const { io } = golden;
    const grid = flowMatchGrid({ steps: golden.config("steps"), shift: golden.config("shift") });
    const tolerance = golden.tolerance("relative_to_abs_max");
    const checks = [checkRelative("sigmas", f32(grid.sigmas), io.get("sigmas"), tolerance)];
    for (const scheme of SDE_SCHEMES)
      if (io.has(`${scheme}.mean`)) checks.push(...(await schemeChecks(golden, scheme)));
    return [...checks, ...scalarChecks(golden)];
  },
};

function noiseLevelOf(golden: GoldenCase, scheme: SdeScheme): number | undefined {
  return golden.config<Record<string, number | null>>("noise_level")[scheme] ?? undefined;
}

const absolute = (name: string, actual: ArrayLike<number>, golden: NdArray, tolerance: number): Check => ({
  name,
  maxError: absoluteError(actual, golden.data),
  tolerance,
});

async function schemeChecks(golden: GoldenCase, scheme: SdeScheme): Promise<Check[]> {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  const logTolerance = golden.tolerance("logp_absolute");
  const at = (part: string): NdArray => io.get(`${scheme}.${part}`);
  const sigmas = io.get("sigmas").data;
  const steps = Array.from(io.get("index").data, (index) =>
    stepCoefficients(scheme, { sigmas, index, noiseLevel: noiseLevelOf(golden, scheme) }),
  );
  const [x, velocity, velocityRef] = [io.get("x"), io.get("velocity"), io.get("velocity_ref")];
  const host = sdeStep(steps, { x, velocity, noise: io.get("noise") });
  const reference = sdeStep(steps, { x, velocity: velocityRef, next: host.next });
  const kl = stepKl(host.mean, reference.mean, host.std);
  const meanKl = kl.reduce((sum, value) => sum + value, 0) / kl.length;
  return [
    checkRelative(`${scheme}.mean`, host.mean, at("mean"), tolerance),
    checkRelative(`${scheme}.std`, f32(host.std), at("std"), tolerance),
    checkRelative(`${scheme}.next`, host.next, at("next"), tolerance),
    absolute(`${scheme}.logp`, host.logProb, at("logp"), logTolerance),
    checkRelative(`${scheme}.kl`, f32([meanKl], []), at("kl"), tolerance),
    ...(await graphChecks(golden, scheme, steps)),
  ];
}

/** The same in a graph, from the golden samples, with loss and gradients. */
async function graphChecks(
  golden: GoldenCase,
  scheme: SdeScheme,
  steps: readonly StepCoefficients[],
): Promise<Check[]> {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  const at = (part: string): NdArray => io.get(`${scheme}.${part}`);
  const { shape } = io.get("x");
  const batch = [shape[0]!];
  const coefficients = packCoefficients(steps);
  const velocity = input("velocity", shape);
  const { clippedShare, ...result } = flowPolicyLoss(
    {
      x: input("x", shape),
      next: input("next", shape),
      velocity,
      referenceVelocity: input("referenceVelocity", shape),
      coefficients: input("coefficients", coefficients.shape),
      advantages: input("advantages", batch),
      old: { logProb: input("oldLogProb", batch) },
    },
    {
      clip: golden.config("clip"),
      beta: golden.config("beta"),
      advantageClamp: golden.config("advantage_clamp"),
    },
  );
  const graph = await compile({
    ...result,
    clippedShare,
    gradPolicy: grad(result.policyLoss, [velocity])[0]!,
    grad: grad(result.loss, [velocity])[0]!,
  });
  const logProb = at("logp");
  const offset = io.get("old_logp_offset").data;
  const results = await graph.run({
    x: io.get("x"),
    next: at("next"),
    velocity: io.get("velocity"),
    referenceVelocity: io.get("velocity_ref"),
    coefficients,
    advantages: io.get("advantages"),
    oldLogProb: f32(Float32Array.from(logProb.data, (value, i) => value + offset[i]!)),
  });
  await graph.release();
  const clip = golden.config<number>("clip");
  const outside = Array.from(at("ratio").data).filter((ratio) => Math.abs(ratio - 1) > clip);
  const expectedShare = outside.length / batch[0]!;
  const gradients = golden.tolerance("gradients");
  const name = (part: string): string => `${scheme}, graph: ${part}`;
  return [
    checkRelative(name("mean"), results["mean"]!, at("mean"), tolerance),
    absolute(name("logp"), results["logProb"]!.data, logProb, golden.tolerance("logp_absolute")),
    checkRelative(name("ratio"), results["ratio"]!, at("ratio"), tolerance),
    checkRelative(name("kl"), results["kl"]!, at("kl"), tolerance),
    checkRelative(name("policy_loss"), results["policyLoss"]!, at("policy_loss"), tolerance),
    checkRelative(name("loss"), results["loss"]!, at("loss"), tolerance),
    checkRelative(name("grad_policy"), results["gradPolicy"]!, at("grad_policy"), gradients),
    checkRelative(name("grad"), results["grad"]!, at("grad"), gradients),
    {
      name: name("share outside of the clip range"),
      maxError: Math.abs(results["clippedShare"]!.data[0]! - expectedShare),
      tolerance: 1e-6,
    },
  ];
}

interface ScalarExample {
  readonly x: number;
  readonly velocity: number;
  readonly sigma: number;
  readonly sigma_next: number;
  readonly next: number;
  readonly result: Readonly<Record<string, { mean: number; std: number; logp: number }>>;
}

/** One number by hand: `values.scalar_example`. */
function scalarChecks(golden: GoldenCase): Check[] {
  const example = golden.json.values?.["scalar_example"] as ScalarExample | undefined;
  if (!example) return [];
  const tolerance = golden.tolerance("relative_to_abs_max");
  return Object.entries(example.result).flatMap(([name, expected]) => {
    const scheme = name as SdeScheme;
    const sigmas = [example.sigma, example.sigma_next];
    const step = stepCoefficients(scheme, {
      sigmas,
      index: 0,
      noiseLevel: noiseLevelOf(golden, scheme),
    });
    const one = (value: number): NdArray => f32([value]);
    const result = sdeStep(step, {
      x: one(example.x),
      velocity: one(example.velocity),
      next: one(example.next),
    });
    return [
      checkRelative(`scalar ${name} mean`, result.mean, one(expected.mean), tolerance),
      checkRelative(`scalar ${name} std`, f32(result.std), one(expected.std), tolerance),
      checkRelative(`scalar ${name} logp`, f32(result.logProb), one(expected.logp), tolerance),
    ];
  });
}
