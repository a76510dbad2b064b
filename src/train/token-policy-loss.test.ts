import { expect, it } from "vitest";
import { fold, keyFromSeed, normal, uniform } from "../base/keys.ts";
import { completionRows, QWEN_25_VL_3B } from "../models/qwen25vl/index.ts";
import { interpret, interpretExact } from "../runtime/index.ts";
import { f32, grad, input, type NdArray, type Tensor } from "../tensor/index.ts";
import { TOKEN_LOSSES, type TokenLossKind, tokenPolicyLoss } from "./token-policy-loss.ts";

const key = keyFromSeed(31);
const shape = [3, 5];
const logProb = f32(
  uniform(fold(key, "lp"), 15).map((u) => -3 * u),
  shape,
);
const shifted = (name: string, scale: number): NdArray => {
  const noise = normal(fold(key, name), 15);
  return f32(
    Float32Array.from(logProb.data, (value, i) => value + scale * noise[i]!),
    shape,
  );
};
const feeds = {
  logProb,
  oldLogProb: shifted("old", 0.3),
  referenceLogProb: shifted("ref", 0.4),
  mask: f32([1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0], shape),
  advantages: f32([1.2, -0.8, 0.5]),
};

function trace(kind: TokenLossKind, options: { level?: "token" | "sequence"; onPolicy?: boolean } = {}) {
  const lp = input("logProb", shape);
  const old: { oldLogProb?: Tensor } = options.onPolicy ? {} : { oldLogProb: input("oldLogProb", shape) };
  const result = tokenPolicyLoss(
    {
      logProb: lp,
      ...old,
      referenceLogProb: input("referenceLogProb", shape),
      mask: input("mask", shape),
      advantages: input("advantages", [3]),
      tokenCount: 20,
    },
    {
      kind,
      level: options.level ?? "token",
      epsilonLow: 0.2,
      epsilonHigh: kind === "cispo" ? 2 : 0.28,
      beta: 0.04,
      maxLength: 8,
    },
  );
  return { loss: result.loss, ratio: result.ratio, gradient: grad(result.loss, [lp])[0]! };
}

it.each(TOKEN_LOSSES.filter((kind) => kind !== "cispo"))(
  "%s: the gradient is that of finite differences",
  (kind) => {
    for (const level of ["token", "sequence"] as const) {
      const { loss, gradient } = trace(kind, { level });
      const exact = interpret({ gradient }, feeds)["gradient"]!.data;
      for (const at of [0, 3, 6, 12]) {
        const moved = (delta: number): number => {
          const data = Float32Array.from(logProb.data, (value, i) => (i === at ? value + delta : value));
          return interpret({ loss }, { ...feeds, logProb: f32(data, shape) })["loss"]!.data[0]!;
        };
        expect(exact[at]).toBeCloseTo((moved(1e-2) - moved(-1e-2)) / 2e-2, 3);
      }
    }
  },
);

it.each(TOKEN_LOSSES)("%s: tokens outside of the mask change nothing", (kind) => {
  const { loss, gradient } = trace(kind);
  const before = interpret({ loss, gradient }, feeds);
  const disturbed = f32(
    Float32Array.from(logProb.data, (value, i) => (feeds.mask.data[i] ? value : -9)),
    shape,
  );
  const after = interpret({ loss, gradient }, { ...feeds, logProb: disturbed });
  expect(after["loss"]!.data[0]).toBeCloseTo(before["loss"]!.data[0]!, 7);
  feeds.mask.data.forEach((isToken, i) => {
    if (!isToken) expect(Math.abs(after["gradient"]!.data[i]!)).toBe(0);
  });
});

it("without old log-probabilities every ratio is exactly 1 and the gradient is that of REINFORCE", () => {
  const { ratio, gradient } = trace("grpo", { onPolicy: true });
  const withKl = interpret({ ratio, gradient }, { ...feeds, referenceLogProb: logProb });
  expect(withKl["ratio"]!.data.every((r) => r === 1)).toBe(true);
  const lengths = [5, 2, 4];
  withKl["gradient"]!.data.forEach((g, i) => {
    const row = Math.floor(i / 5);
    const expected = (-feeds.advantages.data[row]! * feeds.mask.data[i]!) / lengths[row]! / 3;
    expect(g).toBeCloseTo(expected, 6);
  });
});

it("stays finite where the reference gives a token up", () => {
  const { loss, gradient } = trace("grpo");
  const far = f32(new Float32Array(15).fill(200), shape);
  const results = interpret({ loss, gradient }, { ...feeds, referenceLogProb: far });
  for (const { data } of Object.values(results))
    for (const value of data) expect(Number.isFinite(value)).toBe(true);
});

it("in f64, each clip branch and sign of the advantage has the gradient of finite differences", () => {
  const lp = input("lp", [4, 1]);
  const { loss, ratio } = tokenPolicyLoss(
    {
      logProb: lp,
      oldLogProb: input("old", [4, 1]),
      referenceLogProb: input("ref", [4, 1]),
      mask: input("mask", [4, 1]),
      advantages: input("a", [4]),
    },
    { kind: "grpo", epsilonLow: 0.2, epsilonHigh: 0.2, beta: 0.04 },
  );
  const gradient = grad(loss, [lp])[0]!;
  const old = [-1, -1, -1, -1];
  // Cut above, kept below (A > 0); kept above, cut below (A < 0).
  const now = [-0.5, -1.5, -0.5, -1.5];
  const advantages = [1, 2, -1, -2];
  const values = {
    lp: f32(now, [4, 1]),
    old: f32(old, [4, 1]),
    ref: f32([-0.75, -1.25, -1, -2], [4, 1]),
    mask: f32([1, 1, 1, 1], [4, 1]),
    a: f32(advantages),
  };
  const exact = interpretExact({ gradient, ratio }, values);
  const h = 2 ** -10;
  now.forEach((value, row) => {
    const moved = (delta: number): number => {
      const data = now.map((v, i) => (i === row ? v + delta : v));
      return Number(interpretExact({ loss }, { ...values, lp: f32(data, [4, 1]) })["loss"]!.data[0]);
    };
    const own = Number(exact["gradient"]!.data[row]);
    expect(own).toBeCloseTo((moved(h) - moved(-h)) / (2 * h), 6);
    const d = Number(values.ref.data[row]) - value;
    const ofKl = (0.04 * (1 - Math.exp(d))) / 4;
    const ofPolicy = row === 0 || row === 3 ? 0 : (-advantages[row]! * Math.exp(value + 1)) / 4;
    expect(own).toBeCloseTo(ofKl + ofPolicy, 9);
  });
});

it("the KL estimate and its gradient are exactly 0 at the reference, and neither is beside it", () => {
  const lp = input("logProb", shape);
  const { kl } = tokenPolicyLoss(
    {
      logProb: lp,
      referenceLogProb: input("ref", shape),
      mask: input("mask", shape),
      advantages: input("a", [3]),
    },
    { kind: "grpo", epsilonLow: 0.2, epsilonHigh: 0.2, beta: 1 },
  );
  const gradient = grad(kl, [lp])[0]!;
  const at = (ref: NdArray) =>
    interpret({ kl, gradient }, { logProb, ref, mask: feeds.mask, a: feeds.advantages });
  const same = at(logProb);
  expect(same["kl"]!.data[0]).toBe(0);
  expect(same["gradient"]!.data.every((g) => Math.abs(Number(g)) === 0)).toBe(true);
  const other = at(feeds.referenceLogProb);
  expect(other["kl"]!.data[0]).toBeGreaterThan(0.01);
  expect(Math.max(...Array.from(other["gradient"]!.data, (g) => Math.abs(Number(g))))).toBeGreaterThan(1e-3);
});

it.each(TOKEN_LOSSES)("%s: eight parts of one row add up to one part of eight", (kind) => {
  const rows = 8;
  const [length, lengths] = [6, [6, 1, 4, 2, 6, 3, 5, 2]];
  const random = (name: string, scale: number): number[] =>
    Array.from(normal(fold(key, name), rows * length), (z) => scale * z - 1);
  const [now, old, ref] = [random("now", 0.3), random("then", 0.3), random("base", 0.3)];
  const mask = now.map((_, i) => (i % length < lengths[Math.floor(i / length)]! ? 1 : 0));
  const advantages = [1, -1, 0.5, -0.5, 2, -2, 0.25, -0.25];
  const gradients = (from: number, count: number): number[] => {
    const lp = input("lp", [count, length]);
    const { loss } = tokenPolicyLoss(
      {
        logProb: lp,
        oldLogProb: input("old", [count, length]),
        referenceLogProb: input("ref", [count, length]),
        mask: input("mask", [count, length]),
        advantages: input("a", [count]),
        batch: { rows: input("rows", []), tokens: input("tokens", []) },
      },
      { kind, epsilonLow: 0.2, epsilonHigh: kind === "cispo" ? 1.2 : 0.28, beta: 0.04, maxLength: 9 },
    );
    const cut = (values: readonly number[]): NdArray =>
      f32(values.slice(from * length, (from + count) * length), [count, length]);
    const out = interpretExact(
      { gradient: grad(loss, [lp])[0]! },
      {
        lp: cut(now),
        old: cut(old),
        ref: cut(ref),
        mask: cut(mask),
        a: f32(advantages.slice(from, from + count)),
        rows: f32([rows], []),
        tokens: f32([mask.reduce<number>((sum, m) => sum + m, 0)], []),
      },
    );
    return Array.from(out["gradient"]!.data, Number);
  };
  const whole = gradients(0, rows);
  const parts = Array.from({ length: rows }, (_, row) => gradients(row, 1)).flat();
  expect(Math.max(...whole.map(Math.abs))).toBeGreaterThan(1e-3);
  whole.forEach((g, i) => {
    expect(parts[i]).toBeCloseTo(g, 9);
  });
});

it.each(TOKEN_LOSSES)("%s: a row that is masked and not counted is as if it were not there", (kind) => {
  const run = (count: number): { loss: number; gradient: number[] } => {
    const lp = input("lp", [count, 5]);
    const { loss } = tokenPolicyLoss(
      {
        logProb: lp,
        oldLogProb: input("old", [count, 5]),
        referenceLogProb: input("ref", [count, 5]),
        mask: input("mask", [count, 5]),
        advantages: input("a", [count]),
        batch: { rows: input("rows", []), tokens: input("tokens", []) },
      },
      { kind, epsilonLow: 0.2, epsilonHigh: kind === "cispo" ? 1.2 : 0.2, beta: 0.04, maxLength: 9 },
    );
    const cut = ({ data }: NdArray): NdArray => f32(Array.from(data, Number).slice(0, count * 5), [count, 5]);
    // The third row has no spread: no advantage, no place in the mask.
    const mask = Array.from(feeds.mask.data, (m, i) => (i < 10 ? Number(m) : 0));
    const out = interpretExact(
      { loss, gradient: grad(loss, [lp])[0]! },
      {
        lp: cut(logProb),
        old: cut(feeds.oldLogProb),
        ref: cut(feeds.referenceLogProb),
        mask: cut(f32(mask, shape)),
        a: f32([1.2, -0.8, 0].slice(0, count)),
        rows: f32([2], []),
        tokens: f32([7], []),
      },
    );
    return { loss: Number(out["loss"]!.data[0]), gradient: Array.from(out["gradient"]!.data, Number) };
  };
  const [with3, with2] = [run(3), run(2)];
  expect(with3.loss).toBeCloseTo(with2.loss, 12);
  expect(with3.gradient.slice(0, 10)).toEqual(with2.gradient.map((g) => expect.closeTo(g, 12)));
  expect(with3.gradient.slice(10).every((g) => Math.abs(g) === 0)).toBe(true);
});

it("rows mark the end token, nothing after it, and all of a completion that has none", () => {
  const end = QWEN_25_VL_3B.eosTokenIds[0]!;
  const { completionMask, ids } = completionRows(
    QWEN_25_VL_3B,
    [[5], [5, 6]],
    [
      [7, end],
      [7, 8, 9],
    ],
    {
      grids: [],
      promptLength: 2,
      completionLength: 3,
    },
  );
  expect([...completionMask.data]).toEqual([1, 1, 0, 1, 1, 1]);
  // Prompts are padded on the left, completions on the right.
  expect([...ids.data].slice(1, 4)).toEqual([5, 7, end]);
});
