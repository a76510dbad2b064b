/**
 * The training step against a plain f64 implementation of its parts, and what must not change its numbers:
 * accumulation, resuming, rematerialisation, repetition.
 * @module
 */
import { afterEach, describe, expect, it } from "vitest";
import { TINY, tinyBatch, tinyInitial, tinyLoss, tinyStep } from "../../test/engine/tiny-model.ts";
import { fold, keyFromSeed, normal } from "../base/index.ts";
import { interpretExact, liveSessions } from "../runtime/index.ts";
import {
  f32,
  grad,
  input,
  matmul,
  mean,
  mul,
  type NdArray,
  parameter,
  sub,
  type Tensor,
} from "../tensor/index.ts";
import { ADAMW, type AdamWOptions, MUON } from "./optimizer.ts";
import { compileTrainStep, stateName, type TrainState, type TrainStep } from "./train-step.ts";

const held: TrainStep[] = [];
function hold(step: TrainStep): TrainStep {
  held.push(step);
  return step;
}
afterEach(async () => {
  for (const step of held.splice(0)) await step.release();
  expect(liveSessions()).toBe(0);
});

/** A least-squares problem: two matrices, a vector and a scalar, four kinds of size. */
function problem(): { loss: Tensor; params: Map<string, Tensor> } {
  const params = new Map([
    ["a", parameter("a", [4, 6])],
    ["b", parameter("b", [6, 3])],
    ["c", parameter("c", [3])],
    ["d", parameter("d", [])],
  ]);
  const [a, b, c, d] = [...params.values()] as [Tensor, Tensor, Tensor, Tensor];
  const error = sub(mul(mul(matmul(matmul(input("x", [8, 4]), a), b), c), d), input("y", [8, 3]));
  return { loss: mean(mul(error, error)), params };
}
const draw = (name: string, shape: number[]): NdArray =>
  f32(
    normal(
      fold(keyFromSeed(11), name),
      shape.reduce((p, s) => p * s, 1),
    ),
    shape,
  );
const initial = { a: draw("a", [4, 6]), b: draw("b", [6, 3]), c: draw("c", [3]), d: f32([1], []) };
const batch = (i: number) => ({ x: draw(`x${i}`, [8, 4]), y: draw(`y${i}`, [8, 3]) });

interface Exact {
  p: Float64Array;
  m: Float64Array;
  v: Float64Array;
  ema: Float64Array;
}

/** torch.optim.AdamW with clip_grad_norm_ and a moving average, written out in f64. */
function adamwReference(
  rules: (name: string) => AdamWOptions,
  clipNorm: number | undefined,
  rates: readonly number[],
  decays: readonly number[],
): { state: Record<string, Exact>; norms: number[]; losses: number[] } {
  const { loss, params } = problem();
  const names = [...params.keys()];
  const gradients = grad(loss, [...params.values()]);
  const state: Record<string, Exact> = {};
  for (const name of names) {
    const p = Float64Array.from(initial[name as "a"].data);
    state[name] = { p, m: new Float64Array(p.length), v: new Float64Array(p.length), ema: p.slice() };
  }
  const norms: number[] = [];
  const losses: number[] = [];
  rates.forEach((rate, i) => {
    const feeds = Object.fromEntries(
      names.map((n) => [n, { shape: params.get(n)!.shape, data: state[n]!.p.slice() }]),
    );
    const out = interpretExact(
      { loss, ...Object.fromEntries(names.map((n, k) => [`g:${n}`, gradients[k]!])) },
      { ...feeds, ...batch(i) },
    );
    const g = (name: string): Float64Array => out[`g:${name}`]!.data as Float64Array;
    let norm = 0;
    for (const name of names) for (const value of g(name)) norm += value * value;
    norm = Math.sqrt(norm);
    norms.push(norm);
    losses.push(out["loss"]!.data[0]!);
    const factor = clipNorm === undefined ? 1 : Math.min(1, clipNorm / (norm + 1e-6));
    const t = i + 1;
    for (const name of names) {
      const { beta1, beta2, epsilon, weightDecay, rateScale } = rules(name);
      const { p, m, v, ema } = state[name]!;
      const lr = rate * rateScale;
      for (let j = 0; j < p.length; j++) {
        const clipped = g(name)[j]! * factor;
        p[j]! *= 1 - lr * weightDecay;
        m[j] = beta1 * m[j]! + (1 - beta1) * clipped;
        v[j] = beta2 * v[j]! + (1 - beta2) * clipped * clipped;
        const mHat = m[j]! / (1 - beta1 ** t);
        const vHat = v[j]! / (1 - beta2 ** t);
        p[j]! -= (lr * mHat) / (Math.sqrt(vHat) + epsilon);
        ema[j] = decays[i]! * ema[j]! + (1 - decays[i]!) * p[j]!;
      }
    }
  });
  return { state, norms, losses };
}

/** Largest difference relative to 1 + magnitude. */
function apart(found: NdArray | undefined, wanted: ArrayLike<number>): number {
  return Math.max(...Array.from(wanted, (w, i) => Math.abs(found!.data[i]! - w) / (1 + Math.abs(w))));
}

describe("AdamW", () => {
  const rates = [0.01, 0.02, 0.03, 0.03, 0.02, 0.01, 0.005, 0.001];
  const decays = [0, 0.5, 0.9, 0.9, 0.99, 0.99, 0.9, 0.9];
  const rulesOf = (name: string): AdamWOptions => ({
    ...ADAMW,
    beta2: 0.95,
    weightDecay: name === "c" ? 0 : 0.3,
    rateScale: name === "b" ? 0.5 : 1,
  });

  it.each([
    ["unclipped", undefined],
    ["clipped at every step", 0.05],
    ["clipped at some steps", 40],
  ])("follows f64 over eight steps of changing rates, %s", async (_, clipNorm) => {
    const options = { ...problem(), optimizer: rulesOf, ema: true, ...(clipNorm ? { clipNorm } : {}) };
    const step = hold(await compileTrainStep(options, initial));
    const wanted = adamwReference(rulesOf, clipNorm, rates, decays);
    for (const [i, learningRate] of rates.entries()) {
      const out = await step.step(batch(i), { learningRate, emaDecay: decays[i]! });
      expect(apart(out["gradientNorm"], [wanted.norms[i]!])).toBeLessThan(2e-6);
      expect(apart(out["loss"], [wanted.losses[i]!])).toBeLessThan(2e-6);
    }
    const state = await step.state();
    for (const [name, exact] of Object.entries(wanted.state)) {
      // The second moment has a wide range; Adam divides by its root, so parameters carry the largest error.
      expect(apart(state[name], exact.p), name).toBeLessThan(5e-6);
      expect(apart(state[stateName.momentum(name)], exact.m), `m of ${name}`).toBeLessThan(5e-6);
      expect(apart(state[stateName.variance(name)], exact.v), `v of ${name}`).toBeLessThan(5e-6);
      expect(apart(state[stateName.average(name)], exact.ema), `average of ${name}`).toBeLessThan(5e-6);
    }
    expect(step.stepCount).toBe(rates.length);
  });

  it("clips only above the limit", () => {
    const { norms } = adamwReference(rulesOf, 40, rates, decays);
    expect(norms.some((norm) => norm > 40) && norms.some((norm) => norm < 40)).toBe(true);
  });

  it("wants one pair of betas a step, and a first value for every parameter", async () => {
    const mixed = (name: string): AdamWOptions => ({ ...ADAMW, beta1: name === "a" ? 0.8 : 0.9 });
    await expect(compileTrainStep({ ...problem(), optimizer: mixed }, initial)).rejects.toMatchObject({
      code: "VANS_TRAIN_OPTIMIZER",
    });
    await expect(compileTrainStep(problem(), { a: initial.a })).rejects.toMatchObject({
      code: "VANS_TRAIN_PARAM_MISSING",
      message: expect.stringContaining('"b"'),
    });
  });
});

describe("Muon beside AdamW", () => {
  it("lowers the loss, keeps no second moment, and leaves AdamW's corrections alone", async () => {
    const optimizer = (name: string) => (name === "c" || name === "d" ? ADAMW : MUON);
    const step = hold(await compileTrainStep({ ...problem(), optimizer }, initial));
    const losses: number[] = [];
    for (let i = 0; i < 20; i++)
      losses.push((await step.step(batch(0), { learningRate: 0.02 }))["loss"]!.data[0]!);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2);
    const state = await step.state();
    expect(Object.keys(state).sort()).toEqual(["a", "b", "c", "d", "m:a", "m:b", "m:c", "m:d", "v:c", "v:d"]);
  });
});

/** All bits of a state as one comparable object. */
const bitsOf = (state: TrainState): Record<string, string> =>
  Object.fromEntries(
    Object.entries(state).map(([name, { data }]) => [name, Buffer.from(data.buffer).toString("hex")]),
  );

describe("what must not change the numbers", { timeout: 600_000 }, () => {
  const STEPS = 6;
  const settings = (i: number) => ({ learningRate: 0.01 / (1 + i), emaDecay: 0.9 });

  async function train(step: TrainStep, from: number, to: number): Promise<number[]> {
    const losses: number[] = [];
    for (let i = from; i < to; i++)
      losses.push((await step.step(tinyBatch(i), settings(i)))["loss"]!.data[0]!);
    return losses;
  }

  it("repetition: the same seed gives the same bits", async () => {
    const a = hold(await tinyStep({ ema: true }));
    const b = hold(await tinyStep({ ema: true }));
    expect(await train(a, 0, STEPS)).toEqual(await train(b, 0, STEPS));
    expect(bitsOf(await a.state())).toEqual(bitsOf(await b.state()));
  });

  it("resuming: stopped, saved, loaded and continued is bitwise the uninterrupted run", async () => {
    const whole = hold(await tinyStep({ ema: true }));
    const losses = await train(whole, 0, STEPS);
    const first = await tinyStep({ ema: true });
    await train(first, 0, 3);
    const saved = await first.state();
    const { stepCount } = first;
    await first.release();
    const { loss, params } = tinyLoss();
    const resumed = hold(
      await compileTrainStep({ loss, params, clipNorm: 1, ema: true }, saved, { stepCount }),
    );
    expect(await train(resumed, 3, STEPS)).toEqual(losses.slice(3));
    expect(bitsOf(await resumed.state())).toEqual(bitsOf(await whole.state()));
    expect(resumed.stepCount).toBe(STEPS);
  });

  it("rematerialised layers: bitwise the same", async () => {
    const kept = hold(await tinyStep());
    const recomputed = hold(await tinyStep({ sizes: { ...TINY, remat: true } }));
    expect(recomputed.nodeCount).toBeGreaterThan(kept.nodeCount);
    expect(await train(recomputed, 0, 3)).toEqual(await train(kept, 0, 3));
    expect(bitsOf(await recomputed.state())).toEqual(bitsOf(await kept.state()));
  });

  it("threads: one and two give the same bits at this size", async () => {
    const one = hold(await tinyStep({}, { threads: 1 }));
    const two = hold(await tinyStep({}, { threads: 2 }));
    expect(await train(one, 0, 3)).toEqual(await train(two, 0, 3));
    expect(bitsOf(await one.state())).toEqual(bitsOf(await two.state()));
  });

  it("accumulation: two half batches move as the whole batch does", async () => {
    const whole = hold(await tinyStep({ ema: true }));
    const halfSizes = { ...TINY, batch: TINY.batch / 2 };
    const half = hold(await tinyStep({ ema: true, sizes: halfSizes, accumulate: 2 }));
    const halves = (i: number) => {
      const full = tinyBatch(i);
      return [0, 1].map((part) =>
        Object.fromEntries(
          Object.entries(full).map(([name, { data, dtype }]): [string, NdArray] => {
            const size = data.length / 2;
            const shape = [halfSizes.batch, TINY.tokens];
            return [name, { dtype, shape, data: data.slice(part * size, (part + 1) * size) }];
          }),
        ),
      );
    };
    for (let i = 0; i < 4; i++) {
      const a = await whole.step(tinyBatch(i), settings(i));
      const b = await half.step(halves(i), settings(i));
      expect(apart(b["loss"], a["loss"]!.data)).toBeLessThan(2e-6);
      expect(apart(b["gradientNorm"], a["gradientNorm"]!.data)).toBeLessThan(5e-6);
    }
    const [a, b] = [await whole.state(), await half.state()];
    expect(Object.keys(b).sort()).toEqual(Object.keys(a).sort());
    // A bias of the keys shifts all scores of a query alike: its true gradient is zero, and Adam blows up the rounding.
    for (const name of Object.keys(a).filter((n) => !n.endsWith(".k.bias")))
      expect(apart(b[name], a[name]!.data), name).toBeLessThan(5e-5);
    await expect(half.step(tinyBatch(0), settings(0))).rejects.toMatchObject({
      code: "VANS_TRAIN_ACCUMULATE",
    });
  });

  it("a binding that also knows the trained parameters does not freeze them", async () => {
    const traced = tinyLoss();
    const first = tinyInitial(traced.params);
    const weights = { weight: (name: string) => first[name] };
    for (const accumulate of [1, 2]) {
      const bound = hold(await compileTrainStep({ ...traced, accumulate }, first, { weights }));
      const free = hold(await compileTrainStep({ ...traced, accumulate }, first));
      const feeds = accumulate === 1 ? tinyBatch(0) : [tinyBatch(0), tinyBatch(1)];
      for (let i = 0; i < 2; i++) {
        const a = await bound.step(feeds, settings(i));
        expect(a["loss"]!.data).toEqual((await free.step(feeds, settings(i)))["loss"]!.data);
      }
      expect(bitsOf(await bound.state())).toEqual(bitsOf(await free.state()));
    }
  });
});
