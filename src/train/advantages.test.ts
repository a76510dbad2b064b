import fc from "fast-check";
import { expect, it } from "vitest";
import { ADVANTAGE_RULES, combinedAdvantages, groupAdvantages } from "./advantages.ts";

const rules = Object.values(ADVANTAGE_RULES);
const reward = fc.double({ min: -10, max: 10, noNaN: true });

it("advantages of a group sum to 0 and keep the order of rewards", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...rules),
      fc.array(reward, { minLength: 2, maxLength: 9 }),
      (rule, rewards) => {
        const advantages = groupAdvantages(
          rewards,
          rewards.map(() => 7),
          rule,
        );
        const total = advantages.reduce((sum, a) => sum + a, 0);
        const scale = Math.max(1, ...advantages.map(Math.abs));
        expect(Math.abs(total) / scale).toBeLessThan(1e-6);
        rewards.forEach((r, i) => {
          rewards.forEach((s, j) => {
            if (r > s) expect(advantages[i]).toBeGreaterThanOrEqual(advantages[j]!);
          });
        });
      },
    ),
  );
});

it("does not depend on where the members of a group stand", () => {
  const groups = ["a", "b", "a", "b", "a"];
  const rewards = [1, 5, 2, 7, 6];
  const order = [3, 0, 4, 1, 2];
  for (const rule of rules) {
    const straight = groupAdvantages(rewards, groups, rule);
    const mixed = groupAdvantages(
      order.map((i) => rewards[i]!),
      order.map((i) => groups[i]!),
      rule,
    );
    order.forEach((i, at) => {
      expect(mixed[at]).toBeCloseTo(straight[i]!, 12);
    });
  }
});

it("tells groups apart by their ids, also where f32 could not", () => {
  const far = 2 ** 24;
  const numbers = groupAdvantages([1, 0, 5, 3], [far, far, far + 1, far + 1]);
  const texts = groupAdvantages([1, 0, 5, 3], ["a", "a", "b", "b"]);
  expect(numbers).toEqual(texts);
  expect(Math.sign(numbers[3]!)).toBe(-1);
});

it("a group without spread gets exactly 0 under every rule", () => {
  const third = 0.1 + 0.2;
  for (const rule of rules)
    expect(groupAdvantages([third, third, third, 1, 2], [0, 0, 0, 1, 1], rule).slice(0, 3)).toEqual([
      0, 0, 0,
    ]);
});

it("population and sample deviation differ by √(n / (n - 1))", () => {
  const rewards = [1, 2, 4, 8, 3, 3, 0, 5];
  const groups = rewards.map(() => 0);
  const population = groupAdvantages(rewards, groups, {
    deviation: "population",
    scale: "group",
    epsilon: 0,
  });
  const sample = groupAdvantages(rewards, groups, { deviation: "sample", scale: "group", epsilon: 0 });
  expect(population[3]! / sample[3]!).toBeCloseTo(Math.sqrt(8 / 7), 10);
});

it("a reward that was not given counts nowhere", () => {
  expect(groupAdvantages([1, Number.NaN, 3], [0, 0, 0], ADVANTAGE_RULES["trl-none"])).toEqual([-1, 0, 1]);
  const rows = [
    [1, Number.NaN],
    [3, Number.NaN],
    [Number.NaN, Number.NaN],
  ];
  for (const order of ["sum-then-normalize", "normalize-then-sum"] as const) {
    const advantages = combinedAdvantages(rows, [0, 0, 0], { weights: [1, 1], order });
    expect(advantages[2]).toBe(0);
    expect(advantages[0]).toBeCloseTo(-advantages[1]!, 10);
    expect(advantages[1]).toBeGreaterThan(0.5);
  }
});

it("normalising first keeps a large reward from drowning a small one", () => {
  const rows = [
    [0, 1],
    [1000, 0],
    [0, 1],
    [1000, 1],
  ];
  const groups = [0, 0, 0, 0];
  const summed = combinedAdvantages(rows, groups, { weights: [1, 1], order: "sum-then-normalize" });
  const normalised = combinedAdvantages(rows, groups, { weights: [1, 1], order: "normalize-then-sum" });
  expect(summed[3]! - summed[1]!).toBeLessThan(0.01);
  expect(normalised[3]! - normalised[1]!).toBeGreaterThan(0.5);
});

it("needs a group for every reward", () => {
  expect(() => groupAdvantages([1, 2], [0])).toThrowError(
    expect.objectContaining({ code: "VANS_TRAIN_GROUPS" }),
  );
});
