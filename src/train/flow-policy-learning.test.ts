/** Flow-GRPO end to end on a toy whose reward is known: brighter is better. */
import { expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { flowMatchGrid } from "../models/wan/index.ts";
import { ADAMW, compileTrainStep, Params } from "../nn/index.ts";
import { compile } from "../runtime/index.ts";
import { add, f32, input, mul, type NdArray, type Tensor } from "../tensor/index.ts";
import { groupAdvantages } from "./advantages.ts";
import { flowPolicyLoss } from "./flow-policy-loss.ts";
import { type FlowTransition, rolloutFlow } from "./flow-rollout.ts";
import { packCoefficients } from "./flow-sde.ts";

const group = 8;
const shape = [group, 2, 2, 2, 2];
const size = group * 16;
const grid = flowMatchGrid({ steps: 5, shift: 3 });
const start = { "policy.bias": f32([0, 0], [1, 2, 1, 1, 1]) };

/** Latents shrink to nothing, but for what the bias adds. */
const velocity = (params: Params, x: Tensor): Tensor =>
  add(mul(x, 0.9), params.at("policy").get("bias", [1, 2, 1, 1, 1]));

async function learn(updates: number, beta: number): Promise<{ brightness: number[]; kl: number[] }> {
  const forward = await compile({ v: velocity(new Params(), input("x", shape)) }, { forTraining: true });
  const params = new Params();
  const traced = velocity(params, input("x", shape));
  const { loss, kl, ratio } = flowPolicyLoss(
    {
      x: input("x", shape),
      next: input("next", shape),
      velocity: traced,
      coefficients: input("coefficients", [group, 5]),
      advantages: input("advantages", [group]),
      old: { velocity: input("old", shape) },
      referenceVelocity: input("reference", shape),
    },
    { clip: 1e-3, beta, advantageClamp: 5 },
  );
  const steps = grid.timesteps.length - 1;
  const step = await compileTrainStep(
    { loss, params: params.tensors, metrics: { kl, ratio }, optimizer: () => ADAMW, accumulate: steps },
    start,
  );
  const brightness: number[] = [];
  const kls: number[] = [];
  for (let at = 0; at < updates; at++) {
    const key = fold(keyFromSeed(77), at);
    const draw = (name: string, index = 0): NdArray => f32(normal(fold(key, name, index), size), shape);
    const { "policy.bias": bias } = await step.state();
    const run = async (x: NdArray, b: NdArray): Promise<NdArray> =>
      (await forward.run({ x, "policy.bias": b }))["v"]!;
    const transitions: FlowTransition[] = [];
    const rollout = rolloutFlow({
      model: async (x) => {
        const v = await run(x, bias!);
        return { velocity: v, conditional: v };
      },
      grid,
      start: draw("start"),
      noise: (index) => draw("noise", index),
      scheme: "wan",
    });
    let final: NdArray;
    for (;;) {
      const next = await rollout.next();
      if (next.done) {
        final = next.value;
        break;
      }
      if (next.value.isStochastic) transitions.push(next.value);
    }
    const rewards = Array.from({ length: group }, (_, row) => {
      const own = Array.from(final.data.subarray(row * 16, (row + 1) * 16));
      return own.reduce((sum, value) => sum + value, 0) / 16;
    });
    brightness.push(rewards.reduce((sum, value) => sum + value, 0) / group);
    const advantages = groupAdvantages(
      rewards,
      rewards.map(() => at),
    );
    const feeds = [];
    for (const { x, next, velocity: old, coefficients } of transitions)
      feeds.push({
        x,
        next,
        old,
        reference: await run(x, start["policy.bias"]),
        coefficients: packCoefficients(rewards.map(() => coefficients)),
        advantages: f32(advantages),
      });
    const out = await step.step(feeds, { learningRate: 0.02 });
    expect([...out["ratio"]!.data]).toEqual(rewards.map(() => 1));
    kls.push(out["kl"]!.data[0]!);
  }
  await forward.release();
  await step.release();
  return { brightness, kl: kls };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

it("raises a known reward, and a KL weight keeps the policy near its reference", async () => {
  const free = await learn(40, 0);
  expect(mean(free.brightness.slice(-5)) - mean(free.brightness.slice(0, 5))).toBeGreaterThan(0.4);
  const held = await learn(40, 20);
  expect(mean(held.kl.slice(-5))).toBeLessThan(0.3 * mean(free.kl.slice(-5)));
  expect(mean(held.brightness.slice(-5))).toBeGreaterThan(mean(held.brightness.slice(0, 5)) - 0.1);
});
