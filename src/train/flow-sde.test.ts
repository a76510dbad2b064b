import fc from "fast-check";
import { expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { flowMatchGrid } from "../models/wan/index.ts";
import { f32 } from "../tensor/index.ts";
import {
  SDE_SCHEMES,
  type SdeScheme,
  type StepCoefficients,
  sdeStep,
  stepCoefficients,
  stepKl,
} from "./flow-sde.ts";

const key = keyFromSeed(11);

// One step by hand in f64: x = 0.3, v = -0.8, σ = 0.8 to 0.7, drawn next 0.45; wan with a second level of 0.98.
const byHand = [
  ["flow", 0.7, 0.36285, 0.4427188724, -0.1234935358],
  ["dance", 0.3, 0.3792125, 0.0948683298, 1.1579451423],
  ["wan", undefined, 0.37462176, 0.2479225686, 0.42948028],
  ["cps", 0.8, 0.3122836654, 0.6657395614, -0.0189657888],
  ["exact-flow", 0.7, 0.3678767678, 0.3372442911, 0.1383599868],
] as const;

it.each(byHand)(
  "%s: mean, deviation and log-probability of one number",
  (scheme, noiseLevel, mean, std, logProb) => {
    const sigmas = scheme === "wan" ? [1, 0.98, 0.8, 0.7] : [0.8, 0.7];
    const step = stepCoefficients(scheme, { sigmas, index: sigmas.length - 2, noiseLevel });
    const result = sdeStep(step, { x: f32([0.3]), velocity: f32([-0.8]), next: f32([0.45]) });
    expect(result.mean.data[0]).toBeCloseTo(mean, 6);
    expect(result.std[0]).toBeCloseTo(std, 9);
    expect(result.logProb[0]).toBeCloseTo(logProb, 5);
  },
);

it("the log-density of a cps step would be another number than its published log-probability", () => {
  const { std, precision, offset } = stepCoefficients("cps", { sigmas: [0.8, 0.7], index: 0 });
  const squares = (0.45 - 0.3122836654) ** 2;
  expect(-precision * squares - offset).toBeCloseTo(-0.0189657888, 9);
  const density = -squares / (2 * std * std) - Math.log(std) - 0.5 * Math.log(2 * Math.PI);
  expect(density).toBeCloseTo(-0.5334777793, 9);
});

it("every scheme weighs the clean estimate by 1 - σ', and cps and the exact ones keep c² + std² = σ'²", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...SDE_SCHEMES),
      fc.integer({ min: 2, max: 40 }),
      fc.double({ min: 1, max: 8, noNaN: true }),
      fc.nat(),
      (scheme, steps, shift, n) => {
        const { sigmas } = flowMatchGrid({ steps, shift });
        const index = n % steps;
        const [sigma, next] = [sigmas[index]!, sigmas[index + 1]!];
        const { ofSample, ofVelocity, std } = stepCoefficients(scheme, { sigmas, index });
        // mean = (1-σ')(x - σv) + c(x + (1-σ)v): two equations for one c.
        const c = ofSample - (1 - next);
        expect(ofVelocity).toBeCloseTo(c * (1 - sigma) - (1 - next) * sigma, 10);
        if (scheme === "cps" || scheme.startsWith("exact-"))
          expect(c * c + std * std).toBeCloseTo(next * next, 10);
        if (scheme === "ode") expect([c, std]).toEqual([expect.closeTo(next, 12), 0]);
        for (const value of [ofSample, ofVelocity, std]) expect(Number.isFinite(value)).toBe(true);
      },
    ),
  );
});

it("at noise level 0 a step is bitwise the Euler step", () => {
  const { sigmas } = flowMatchGrid({ steps: 7, shift: 5 });
  const x = f32(normal(fold(key, "x"), 32), [2, 16]);
  const velocity = f32(normal(fold(key, "v"), 32), [2, 16]);
  const noise = f32(normal(fold(key, "n"), 32), [2, 16]);
  const ode = sdeStep(stepCoefficients("ode", { sigmas, index: 3 }), { x, velocity, noise });
  for (const scheme of ["flow", "dance", "cps", "exact-flow", "exact-dance"] as const) {
    const still = sdeStep(stepCoefficients(scheme, { sigmas, index: 3, noiseLevel: 0 }), {
      x,
      velocity,
      noise,
    });
    expect([...still.next.data]).toEqual([...ode.next.data]);
  }
});

/** A step as the recursion below takes it: next = ofSample·x + ofVelocity·v + std·noise. */
type LinearStep = Pick<StepCoefficients, "ofSample" | "ofVelocity" | "std">;

/** How a run is stepped: a scheme, or a step of one's own. */
type Stepper = (sigmas: ArrayLike<number>, index: number) => LinearStep;

const stepperOf =
  (scheme: SdeScheme, lastIsOde = true): Stepper =>
  (sigmas, index) =>
    stepCoefficients(lastIsOde && index === sigmas.length - 2 ? "ode" : scheme, { sigmas, index });

/**
 * Mean and deviation at σ = 0 of a run on data N(1, 0.5²), where the exact velocity is linear in x, so that both follow
 * a recursion without any sampling.
 */
function momentsOf(stepper: Stepper, steps: number, shift = 5): { mean: number; std: number } {
  const { sigmas } = flowMatchGrid({ steps, shift });
  let [mean, variance] = [0, 1];
  for (let index = 0; index < steps; index++) {
    const sigma = sigmas[index]!;
    const step = stepper(sigmas, index);
    const total = (1 - sigma) ** 2 * 0.25 + sigma ** 2;
    const slope = (sigma - (1 - sigma) * 0.25) / total;
    const offset = -1 - slope * (1 - sigma);
    const gain = step.ofSample + step.ofVelocity * slope;
    mean = gain * mean + step.ofVelocity * offset;
    variance = gain ** 2 * variance + step.std ** 2;
  }
  return { mean, std: Math.sqrt(variance) };
}

const finalMoments = (scheme: SdeScheme, steps: number): { mean: number; std: number } =>
  momentsOf(stepperOf(scheme), steps);

// Deviations by N = 20, 50, 200 steps; the data has 0.5. Wrong drifts or noise land far from these.
const published = [
  ["ode", [0.3982, 0.4571, 0.489]],
  ["flow", [0.4302, 0.4712, 0.4931]],
  ["wan", [0.4123, 0.4628, 0.4903]],
  ["dance", [0.4044, 0.4608, 0.49]],
  ["exact-wan", [0.393, 0.4536, 0.4878]],
  // It does not keep the marginals; the numbers pin its identity.
  ["cps", [0.3304, 0.3655, 0.3895]],
] as const;

it.each(published)("%s ends with the moments of the closed form", (scheme, deviations) => {
  [20, 50, 200].forEach((steps, i) => {
    const { mean, std } = finalMoments(scheme, steps);
    expect(mean).toBeCloseTo(1, 5);
    expect(std).toBeCloseTo(deviations[i]!, 3);
  });
});

it.each([
  ["flow", [0.4332, 0.4713, 0.4931]],
  ["wan", [0.4139, 0.4628, 0.4903]],
  ["dance", [0.4089, 0.4614, 0.4901]],
] as const)("%s with noise in its last step ends elsewhere", (scheme, deviations) => {
  [20, 50, 200].forEach((steps, i) => {
    const { mean, std } = momentsOf(stepperOf(scheme, false), steps);
    expect(mean).toBeCloseTo(1, 5);
    expect(std).toBeCloseTo(deviations[i]!, 3);
  });
});

/**
 * The step of Flow-GRPO for Wan written out, with one thing wrong at a time: the drift v + s²/(2σ)·(x + (1-σ)·v) and the
 * noise s·√Δ.
 */
function wanStep(wrong?: "drift" | "sign" | "rest" | "root" | "half" | "velocity"): Stepper {
  return (sigmas, index) => {
    const [sigma, next] = [sigmas[index]!, sigmas[index + 1]!];
    const size = sigma - next;
    if (index === sigmas.length - 2) return { ofSample: 1, ofVelocity: -size, std: 0 };
    const s = sigmas[1]! * sigma;
    let correction = (s * s) / (2 * sigma);
    if (wrong === "drift") correction = 0;
    if (wrong === "sign") correction = -correction;
    if (wrong === "half") correction *= 2;
    const direction = wrong === "velocity" ? -1 : 1;
    const rest = wrong === "rest" ? 1 : 1 - sigma;
    return {
      ofSample: 1 - size * correction,
      ofVelocity: -size * (direction + correction * rest * direction),
      std: wrong === "root" ? s * size : s * Math.sqrt(size),
    };
  };
}

it("the written-out step is the scheme's, and each mutant of it is found by the moments", () => {
  const right = momentsOf(wanStep(), 200, 3);
  expect(right).toEqual({ mean: expect.closeTo(1, 4), std: expect.closeTo(0.4938, 4) });
  const ours = momentsOf(stepperOf("wan"), 200, 3);
  expect(ours.mean).toBeCloseTo(right.mean, 10);
  expect(ours.std).toBeCloseTo(right.std, 10);
  const mutants = [
    ["drift", 1, 0.634],
    ["sign", 1, 0.83],
    ["rest", 1.087, 0.439],
    ["root", 1, 0.357],
    ["half", 1, 0.394],
  ] as const;
  for (const [wrong, mean, std] of mutants) {
    const found = momentsOf(wanStep(wrong), 200, 3);
    expect(found.std, wrong).toBeCloseTo(std, 2);
    if (wrong === "rest") expect(found.mean, wrong).toBeCloseTo(mean, 2);
    expect(Math.abs(found.std - right.std), wrong).toBeGreaterThan(0.05);
  }
  expect(momentsOf(wanStep("velocity"), 200, 3).mean).toBeCloseTo(-1.54, 1);
});

it("the error of the marginals halves with the step size, and noise in the last step is told apart", () => {
  const error = (scheme: SdeScheme, steps: number): number => 0.5 - finalMoments(scheme, steps).std;
  for (const scheme of ["ode", "wan"] as const) {
    expect(error(scheme, 50) / error(scheme, 100)).toBeCloseTo(2, 0);
    expect(error(scheme, 100)).toBeCloseTo(scheme === "ode" ? 0.0219 : 0.0191, 3);
  }
  const gap = (steps: number): number => finalMoments("wan", steps).std - finalMoments("ode", steps).std;
  expect(Math.abs(gap(200))).toBeLessThan(Math.abs(gap(20)) / 5);
});

it("the first step of every scheme is finite where the noise level is 1, and exact ones end without noise", () => {
  const { sigmas } = flowMatchGrid({ steps: 6, shift: 5 });
  for (const scheme of SDE_SCHEMES) {
    const first = stepCoefficients(scheme, { sigmas, index: 0 });
    for (const value of Object.values(first)) expect(Number.isFinite(value)).toBe(true);
    const last = stepCoefficients(scheme, { sigmas, index: 5 });
    if (scheme === "cps" || scheme.startsWith("exact-")) expect(last.std).toBe(0);
  }
});

it("the log-ratio has mean -K and deviation √(2K / d); without its bias the mean is 0", () => {
  const { sigmas } = flowMatchGrid({ steps: 10, shift: 5 });
  const step = stepCoefficients("wan", { sigmas, index: 4 });
  const [samples, d] = [400, 500];
  const shape = [samples, d];
  const x = f32(normal(fold(key, "ratio.x"), samples * d), shape);
  const velocity = f32(normal(fold(key, "ratio.v"), samples * d), shape);
  // The same shift in every sample, so that K is one number.
  const moved = f32(velocity.data.map((v, i) => v + 0.2 * Math.sin(i % d)) as Float32Array, shape);
  const noise = f32(normal(fold(key, "ratio.n"), samples * d), shape);
  const old = sdeStep(step, { x, velocity, noise });
  const now = sdeStep(step, { x, velocity: moved, next: old.next });
  const k = stepKl(now.mean, old.mean, old.std)[0]!;
  const ratios = now.logProb.map((value, i) => value - old.logProb[i]!);
  const mean = ratios.reduce((sum, value) => sum + value, 0) / samples;
  const deviation = Math.sqrt(ratios.reduce((sum, value) => sum + (value - mean) ** 2, 0) / samples);
  const expected = Math.sqrt((2 * k) / d);
  expect(Math.abs(mean + k)).toBeLessThan((4 * expected) / Math.sqrt(samples));
  expect(deviation / expected).toBeCloseTo(1, 0);
  expect(Math.abs(deviation / expected - 1)).toBeLessThan(4 / Math.sqrt(2 * samples));
  // GRPO-Guard's form, (log r + K)·std: its mean is 0 within four standard errors, that of log r is many away from it.
  const guarded = ratios.map((value) => (value + k) * step.std);
  const guardedMean = guarded.reduce((sum, value) => sum + value, 0) / samples;
  const standardError = (expected * step.std) / Math.sqrt(samples);
  expect(Math.abs(guardedMean)).toBeLessThan(4 * standardError);
  expect(Math.abs(mean * step.std)).toBeGreaterThan(8 * standardError);
});

it("the closed-form KL is the mean of the log-ratio under the policy", () => {
  const { sigmas } = flowMatchGrid({ steps: 10, shift: 5 });
  const step = stepCoefficients("wan", { sigmas, index: 4 });
  const size = 200_000;
  const x = f32(normal(fold(key, "kl.x"), size), [1, size]);
  const velocity = f32(normal(fold(key, "kl.v"), size), [1, size]);
  const other = f32(velocity.data.map((v, i) => v + 0.3 * Math.sin(i)) as Float32Array, [1, size]);
  const noise = f32(normal(fold(key, "kl.n"), size), [1, size]);
  const policy = sdeStep(step, { x, velocity, noise });
  const reference = sdeStep(step, { x, velocity: other, next: policy.next });
  const closed = stepKl(policy.mean, reference.mean, policy.std)[0]!;
  expect(closed).toBeGreaterThan(1e-3);
  // Standard error of the sampled mean: √(2·KL / n).
  const sampled = policy.logProb[0]! - reference.logProb[0]!;
  expect(Math.abs(sampled - closed)).toBeLessThan(4 * Math.sqrt((2 * closed) / size));
});

it("refuses a step beyond the grid", () => {
  expect(() => stepCoefficients("wan", { sigmas: [1, 0.5, 0], index: 2 })).toThrowError(
    expect.objectContaining({ code: "VANS_TRAIN_STEP_INDEX" }),
  );
});
