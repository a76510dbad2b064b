import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bits, fold, integer, keyFromSeed, normal, permutation, philox4x32, uniform } from "./keys.ts";

describe("philox4x32", () => {
  // Known-answer tests of Random123 (kat_vectors, philox4x32 10 rounds).
  it("gives the published words for counter 0 and key 0", () => {
    expect([...philox4x32(0, 0, 0, 0, { low: 0, high: 0 })]).toEqual([
      0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8,
    ]);
  });
  it("gives the published words for all ones", () => {
    const f = 0xffffffff;
    expect([...philox4x32(f, f, f, f, { low: f, high: f })]).toEqual([
      0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
    ]);
  });
  it("gives the published words for the digits of pi", () => {
    const key = { low: 0xa4093822, high: 0x299f31d0 };
    expect([...philox4x32(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, key)]).toEqual([
      0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
    ]);
  });
});

/** Numbers that datasets, checkpoints and answers rest on: they may never change. */
describe("pinned numbers", () => {
  it("of keys", () => {
    expect(fold(keyFromSeed(1), "noise")).toEqual({ low: 1651346986, high: 1759423121 });
    expect(fold(keyFromSeed(1), 5)).toEqual({ low: 2695575606, high: 3019598297 });
    expect(fold(keyFromSeed(2 ** 40 + 3), "ä", 2 ** 33)).toEqual({ low: 855650809, high: 1366411996 });
  });
  it("of every kind of draw, to the last bit", () => {
    expect([...uniform(keyFromSeed(1), 4)]).toEqual([
      0.8902591466903687, 0.8946846723556519, 0.5857259035110474, 0.7112680673599243,
    ]);
    expect(Buffer.from(normal(keyFromSeed(1), 5).buffer).toString("hex")).toBe(
      "e3c3c23ebcb197be0c377fbebd7d80bfa87f203f",
    );
    expect([...permutation(keyFromSeed(9), 8)]).toEqual([0, 1, 4, 7, 5, 2, 6, 3]);
    expect([1, 2, 3].map((i) => integer(fold(keyFromSeed(4), i), 1000))).toEqual([404, 819, 284]);
  });
});

describe("streams", () => {
  it("repeat for the same key and differ for others", () => {
    const key = fold(keyFromSeed(7), "noise", 3);
    expect([...normal(key, 5)]).toEqual([...normal(fold(keyFromSeed(7), "noise", 3), 5)]);
    expect([...normal(key, 5)]).not.toEqual([...normal(fold(keyFromSeed(7), "noise", 4), 5)]);
  });
  it("a longer draw begins with the shorter one", () => {
    const key = keyFromSeed(12);
    for (const draw of [bits, uniform, normal])
      expect([...draw(key, 101).subarray(0, 37)]).toEqual([...draw(key, 37)]);
    expect(normal(key, 0)).toHaveLength(0);
  });
  it("have the moments of their distribution", () => {
    const z = normal(keyFromSeed(1), 20_000);
    const mean = z.reduce((a, b) => a + b, 0) / z.length;
    const variance = z.reduce((a, b) => a + (b - mean) ** 2, 0) / z.length;
    const kurtosis = z.reduce((a, b) => a + (b - mean) ** 4, 0) / z.length / variance ** 2;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.04);
    expect(Math.abs(kurtosis - 3)).toBeLessThan(0.15);
    const u = uniform(keyFromSeed(2), 20_000);
    expect(u.every((x) => x >= 0 && x < 1)).toBe(true);
    expect(Math.abs(u.reduce((a, b) => a + b, 0) / u.length - 0.5)).toBeLessThan(0.01);
  });
  it("of neighbouring keys are not correlated", () => {
    for (const [a, b] of [
      [fold(keyFromSeed(1), 0), fold(keyFromSeed(1), 1)],
      [keyFromSeed(5), keyFromSeed(6)],
      [fold(keyFromSeed(1), "a", 1), fold(keyFromSeed(1), "a", 2)],
    ] as const) {
      const [x, y] = [normal(a, 20_000), normal(b, 20_000)];
      const product = x.reduce((sum, value, i) => sum + value * y[i]!, 0) / x.length;
      expect(Math.abs(product)).toBeLessThan(0.03);
    }
  });
  it("permute and pick within bounds", () => {
    expect([...permutation(keyFromSeed(1), 50)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
    const counts = [0, 0, 0];
    for (let i = 0; i < 3000; i++) counts[integer(fold(keyFromSeed(1), i), 3)]!++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(100);
    expect(integer(keyFromSeed(1), 1)).toBe(0);
  });
});

describe("keys", () => {
  it("are folded step by step or at once, and in order", () => {
    const parts = fc.array(fc.oneof(fc.string({ maxLength: 8 }), fc.nat()), { maxLength: 4 });
    fc.assert(
      fc.property(fc.nat(), parts, parts, (seed, a, b) => {
        const key = keyFromSeed(seed);
        expect(fold(key, ...a, ...b)).toEqual(fold(fold(key, ...a), ...b));
      }),
      { seed: 1, numRuns: 100 },
    );
    const key = keyFromSeed(3);
    expect(fold(key, "a", "b")).not.toEqual(fold(key, "b", "a"));
    expect(fold(key, "1")).not.toEqual(fold(key, 1));
  });
  it("do not collide over many names and numbers", () => {
    const seen = new Set<string>();
    for (let i = 0; i < 20_000; i++) {
      for (const key of [fold(keyFromSeed(1), i), fold(keyFromSeed(1), `layer.${i}.weight`)])
        seen.add(`${key.low},${key.high}`);
    }
    expect(seen.size).toBe(40_000);
  });
  it("refuse what would silently name another stream", () => {
    for (const seed of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => keyFromSeed(seed)).toThrow(RangeError);
    for (const part of [-1, 0.25, Number.NaN, 2 ** 53])
      expect(() => fold(keyFromSeed(1), part)).toThrow(RangeError);
  });
});
