import { expect, it } from "vitest";
import { fold, keyFromSeed, normal, uniform } from "../base/keys.ts";
import { interpret } from "../runtime/index.ts";
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
