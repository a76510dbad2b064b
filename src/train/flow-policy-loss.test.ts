import { expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { flowMatchGrid } from "../models/wan/index.ts";
import { compile, interpretExact } from "../runtime/index.ts";
import { f32, grad, input, type NdArray, type Tensor } from "../tensor/index.ts";
import { type FlowPolicyOptions, flowPolicyLoss, type OldPolicy } from "./flow-policy-loss.ts";
import { packCoefficients, sdeStep, stepCoefficients } from "./flow-sde.ts";

const key = keyFromSeed(21);
const shape = [4, 2, 2, 3, 3];
const size = 4 * 36;
const draw = (name: string, scale = 1): NdArray =>
  f32(
    normal(fold(key, name), size).map((z) => z * scale),
    shape,
  );
const { sigmas } = flowMatchGrid({ steps: 8, shift: 5 });
const steps = [1, 3, 5, 6].map((index) => stepCoefficients("wan", { sigmas, index }));
const x = draw("x");
const velocity = draw("v");
const rolled = sdeStep(steps, { x, velocity, noise: draw("noise") });
const settings = { clip: 1e-3, beta: 0.004, advantageClamp: 5 };

const leaf = (name: string): Tensor => input(name, shape);
const batchLeaf = (name: string): Tensor => input(name, [4]);

function loss(old: OldPolicy | undefined, options: FlowPolicyOptions = settings) {
  const v = leaf("velocity");
  const result = flowPolicyLoss(
    {
      x: leaf("x"),
      next: leaf("next"),
      velocity: v,
      referenceVelocity: leaf("reference"),
      coefficients: input("coefficients", [4, 5]),
      advantages: batchLeaf("advantages"),
      old,
    },
    options,
  );
  return { ...result, gradient: grad(result.loss, [v])[0]!, klGradient: grad(result.kl, [v])[0]! };
}

const feeds = {
  x,
  next: rolled.next,
  velocity,
  reference: velocity,
  coefficients: packCoefficients(steps),
  advantages: f32([1.5, -0.5, -7, 0.25]),
};

async function run(outputs: Record<string, Tensor>, values: Record<string, NdArray>) {
  const graph = await compile(outputs);
  const results = await graph.run(values);
  await graph.release();
  return results;
}

it("replays an unchanged policy with ratio exactly 1, KL exactly 0 and a gradient", async () => {
  const { gradient, klGradient, ratio, kl, policyLoss, clippedShare } = loss({
    velocity: leaf("oldVelocity"),
  });
  const results = await run(
    { gradient, klGradient, ratio, kl, policyLoss, clippedShare },
    { ...feeds, oldVelocity: velocity },
  );
  expect([...results["ratio"]!.data]).toEqual([1, 1, 1, 1]);
  expect(results["kl"]!.data[0]).toBe(0);
  expect(results["klGradient"]!.data.every((g) => g === 0)).toBe(true);
  expect(results["clippedShare"]!.data[0]).toBe(0);
  // -mean of the clamped advantages
  expect(results["policyLoss"]!.data[0]).toBeCloseTo(-(1.5 - 0.5 - 5 + 0.25) / 4, 6);
  expect(Math.max(...results["gradient"]!.data.map(Math.abs))).toBeGreaterThan(1e-6);
});

it("without an old policy the ratio is exactly 1 and the gradient the same", async () => {
  const given = loss({ velocity: leaf("oldVelocity") });
  const none = loss(undefined);
  const a = await run({ gradient: given.gradient }, { ...feeds, oldVelocity: velocity });
  const b = await run({ gradient: none.gradient, ratio: none.ratio }, feeds);
  expect([...b["ratio"]!.data]).toEqual([1, 1, 1, 1]);
  expect([...b["gradient"]!.data]).toEqual([...a["gradient"]!.data]);
});

it("log-probability and mean are those of the rollout", async () => {
  const { logProb, mean } = loss({ velocity: leaf("oldVelocity") });
  const results = await run({ logProb, mean }, feeds);
  expect([...results["mean"]!.data]).toEqual([...rolled.mean.data]);
  results["logProb"]!.data.forEach((value, i) => {
    expect(value).toBeCloseTo(rolled.logProb[i]!, 5);
  });
});

it("both ways of giving the old policy agree", async () => {
  const changed = f32(velocity.data.map((v, i) => v + 0.01 * Math.cos(i)) as Float32Array, shape);
  const byVelocity = loss({ velocity: leaf("oldVelocity") });
  const byLogProb = loss({ logProb: batchLeaf("oldLogProb") });
  const values = { ...feeds, velocity: changed };
  const a = await run(
    { ratio: byVelocity.ratio, gradient: byVelocity.gradient },
    { ...values, oldVelocity: velocity },
  );
  const b = await run(
    { ratio: byLogProb.ratio, gradient: byLogProb.gradient },
    { ...values, oldLogProb: f32(rolled.logProb) },
  );
  a["ratio"]!.data.forEach((value, i) => {
    expect(value).not.toBe(1);
    expect(Math.abs(value - b["ratio"]!.data[i]!)).toBeLessThan(1e-5);
  });
});

it("the gradient of loss and KL is that of finite differences, on both sides of the clip", () => {
  const changed = f32(velocity.data.map((v, i) => v + 0.02 * Math.cos(i)) as Float32Array, shape);
  const wide = { ...settings, clip: 5e-4, beta: 0.5 };
  const { loss: total, gradient, ratio } = loss({ velocity: leaf("oldVelocity") }, wide);
  const values = {
    ...feeds,
    velocity: changed,
    oldVelocity: velocity,
    reference: draw("ref", 0.5),
    advantages: f32([1, -1, -2, -2]),
  };
  const exact = interpretExact({ gradient, ratio }, values);
  const isOutside = Array.from(exact["ratio"]!.data, (r) => Math.abs(r - 1) > wide.clip);
  // Inside for both signs, outside with the gradient kept (A < 0, r above), outside with it cut off (A < 0, r below).
  expect(isOutside).toEqual([false, false, true, true]);
  const h = 1e-3;
  for (const at of [0, 17, 40, 77, 111, 143]) {
    const moved = (delta: number): number => {
      const data = Float32Array.from(changed.data, (v, i) => (i === at ? v + delta : v));
      return interpretExact({ total }, { ...values, velocity: f32(data, shape) })["total"]!.data[0]!;
    };
    const slope = (moved(h) - moved(-h)) / (2 * h);
    expect(exact["gradient"]!.data[at]).toBeCloseTo(slope, 5);
  }
});

it("in f64, each clip branch and sign of the advantage has the gradient of finite differences", () => {
  // Rows: cut above (A > 0), kept below (A > 0), kept above (A < 0), cut below (A < 0).
  const noise = draw("noise").data;
  const direction = [1, -1, 1, -1];
  const changed = f32(
    velocity.data.map(
      (v, i) => v + 0.2 * direction[Math.floor(i / 36)]! * steps[Math.floor(i / 36)]!.ofVelocity * noise[i]!,
    ) as Float32Array,
    shape,
  );
  const advantages = f32([1, 2, -1, -2]);
  const wide = { ...settings, clip: 1e-3, beta: 0.5 };
  const traced = loss({ velocity: leaf("oldVelocity") }, wide);
  const values = {
    ...feeds,
    velocity: changed,
    oldVelocity: velocity,
    reference: draw("ref", 0.5),
    advantages,
  };
  const exact = interpretExact(
    { gradient: traced.gradient, klGradient: traced.klGradient, ratio: traced.ratio },
    values,
  );
  const ratios = [...exact["ratio"]!.data].map(Number);
  expect(ratios[0]).toBeGreaterThan(1.001);
  expect(ratios[1]).toBeLessThan(0.999);
  expect(ratios[2]).toBeGreaterThan(1.001);
  expect(ratios[3]).toBeLessThan(0.999);
  const h = 1e-3;
  for (let row = 0; row < 4; row++) {
    for (const at of [row * 36 + 2, row * 36 + 31]) {
      const moved = (delta: number): number => {
        const data = Float32Array.from(changed.data, (v, i) => (i === at ? v + delta : v));
        return Number(
          interpretExact({ total: traced.loss }, { ...values, velocity: f32(data, shape) })["total"]!.data[0],
        );
      };
      // f32 inputs: divide by the distance that was really gone.
      const gone = Math.fround(changed.data[at]! + h) - Math.fround(changed.data[at]! - h);
      const own = Number(exact["gradient"]!.data[at]);
      expect(own).toBeCloseTo((moved(h) - moved(-h)) / gone, 6);
      // Where the ratio is cut off, the KL alone is left.
      const ofKl = 0.5 * Number(exact["klGradient"]!.data[at]);
      if (row === 0 || row === 3) expect(own).toBeCloseTo(ofKl, 9);
      else expect(Math.abs(own - ofKl)).toBeGreaterThan(1e-7);
    }
  }
});

it("the unbiased ratio is the exponential of mean(noise · what the mean moved by)", async () => {
  const changed = f32(velocity.data.map((v, i) => v + 0.05 * Math.cos(i)) as Float32Array, shape);
  const { ratio } = loss({ velocity: leaf("oldVelocity") }, { ...settings, ratio: "unbiased" });
  const results = await run({ ratio }, { ...feeds, velocity: changed, oldVelocity: velocity });
  const noise = draw("noise").data;
  results["ratio"]!.data.forEach((value, row) => {
    let total = 0;
    for (let i = row * 36; i < (row + 1) * 36; i++)
      total += noise[i]! * steps[row]!.ofVelocity * (changed.data[i]! - velocity.data[i]!);
    expect(Math.log(value)).toBeCloseTo(total / 36, 5);
  });
  expect(() => loss({ logProb: batchLeaf("old") }, { ...settings, ratio: "unbiased" })).toThrowError(
    expect.objectContaining({ code: "VANS_TRAIN_OLD_POLICY" }),
  );
});

it("at the policy that rolled out, the gradient is -A · ∇ log-probability", () => {
  const free = { clip: 1e-3, beta: 0, advantageClamp: 100 };
  const { gradient, logProb } = loss({ velocity: leaf("oldVelocity") }, free);
  const values = { ...feeds, oldVelocity: velocity };
  const exact = interpretExact({ gradient }, values)["gradient"]!.data;
  const h = 1e-3;
  for (const at of [3, 50, 99, 140]) {
    const row = Math.floor(at / 36);
    const moved = (delta: number): number => {
      const data = Float32Array.from(velocity.data, (v, i) => (i === at ? v + delta : v));
      return interpretExact({ logProb }, { ...values, velocity: f32(data, shape) })["logProb"]!.data[row]!;
    };
    const slope = (moved(h) - moved(-h)) / (2 * h);
    expect(exact[at]).toBeCloseTo((-feeds.advantages.data[row]! * slope) / 4, 5);
  }
});

it("the KL of a changed policy pulls back: its gradient is that of finite differences and not 0", () => {
  const { kl, klGradient } = loss({ velocity: leaf("oldVelocity") });
  const values = { ...feeds, oldVelocity: velocity, reference: draw("kl.ref", 0.5) };
  const exact = interpretExact({ kl, klGradient }, values);
  expect(exact["kl"]!.data[0]).toBeGreaterThan(1e-3);
  const h = 1e-3;
  for (const at of [5, 60, 130]) {
    const moved = (delta: number): number => {
      const data = Float32Array.from(velocity.data, (v, i) => (i === at ? v + delta : v));
      return interpretExact({ kl }, { ...values, velocity: f32(data, shape) })["kl"]!.data[0]!;
    };
    expect(Math.abs(exact["klGradient"]!.data[at]!)).toBeGreaterThan(1e-6);
    expect(exact["klGradient"]!.data[at]).toBeCloseTo((moved(h) - moved(-h)) / (2 * h), 6);
  }
});
