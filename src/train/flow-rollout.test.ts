import { expect, it } from "vitest";
import { isVansError } from "../base/index.ts";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { eulerStep, flowMatchGrid, type GuidedModel, sampleLatents } from "../models/wan/index.ts";
import { f32, type NdArray } from "../tensor/index.ts";
import { type FlowRolloutOptions, type FlowTransition, rolloutFlow } from "./flow-rollout.ts";

const shape = [2, 3, 2, 2, 2];
const key = keyFromSeed(41);
const draw = (name: string, index = 0): NdArray => f32(normal(fold(key, name, index), 48), shape);
const grid = flowMatchGrid({ steps: 5, shift: 5 });
const model: GuidedModel = async (noisy, timestep) => {
  const velocity = f32(
    Float32Array.from(noisy.data, (x) => 0.4 * x + timestep / 1000),
    noisy.shape,
  );
  return { velocity, conditional: velocity };
};
const options: FlowRolloutOptions = {
  model,
  grid,
  start: draw("start"),
  noise: (index) => draw("noise", index),
  scheme: "wan",
};

async function roll(changes: Partial<FlowRolloutOptions> = {}): Promise<FlowTransition[]> {
  const steps: FlowTransition[] = [];
  for await (const step of rolloutFlow({ ...options, ...changes })) steps.push(step);
  return steps;
}

it("goes on with what each step gave, and ends with an Euler step", async () => {
  const steps = await roll();
  expect(steps.map((step) => step.isStochastic)).toEqual([true, true, true, true, false]);
  steps.slice(1).forEach((step, i) => {
    expect(step.x).toBe(steps[i]!.next);
  });
  const last = steps[4]!;
  const euler = eulerStep(
    last.x.data as Float32Array,
    last.velocity.data as Float32Array,
    grid.sigmas[4]!,
    grid.sigmas[5]!,
  );
  expect([...last.next.data]).toEqual([...euler]);
  expect(last.logProb.every((value) => value === 0)).toBe(true);
});

it("is stochastic only where asked", async () => {
  const asked: number[] = [];
  const noise = (index: number): NdArray => {
    asked.push(index);
    return draw("noise", index);
  };
  const steps = await roll({ noise, isStochastic: (index) => index === 1 || index === 2 });
  expect(asked).toEqual([1, 2]);
  expect(steps.map((step) => step.coefficients.std > 0)).toEqual([false, true, true, false, false]);
});

it("gives the same rollout for the same noise", async () => {
  const [a, b] = [await roll(), await roll()];
  expect([...a[4]!.next.data]).toEqual([...b[4]!.next.data]);
  expect(a.map((step) => step.logProb)).toEqual(b.map((step) => step.logProb));
});

it("at noise level 0 a whole rollout is bitwise the sampler that answers", async () => {
  const sampled = sampleLatents({
    model: async ({ noisy, timestep }) => (await model(noisy, timestep.data[0]!)).velocity,
    references: f32([0], [1, 1, 1, 1, 1]),
    context: f32([0], [1, 1, 1]),
    noise: options.start,
    steps: 5,
    shift: 5,
    guidanceScale: 1,
    scheduler: "euler",
  });
  let final = options.start;
  for await (const { latents } of sampled) final = latents;
  const still = await roll({ isStochastic: () => false });
  expect([...still[4]!.next.data]).toEqual([...final.data]);
  for (const scheme of ["flow", "dance", "cps", "exact-flow", "exact-dance"] as const) {
    const quiet = await roll({ scheme, noiseLevel: 0 });
    expect([...quiet[4]!.next.data], scheme).toEqual([...final.data]);
  }
});

it("stops when aborted", async () => {
  await expect(roll({ signal: AbortSignal.abort() })).rejects.toSatisfy((error) =>
    isVansError(error, "VANS_RUN_ABORTED"),
  );
});
