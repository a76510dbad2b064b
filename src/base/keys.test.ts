import { describe, expect, it } from "vitest";
import { fold, integer, keyFromSeed, normal, permutation, philox4x32, uniform } from "./keys.ts";

describe("philox4x32", () => {
  // Known-answer tests of Random123 (kat_vectors, philox4x32 10 rounds).
  it("gives the published words for counter 0 and key 0", () => {
    expect([...philox4x32(0, 0, 0, 0, { low: 0, high: 0 })]).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  });
  it("gives the published words for all ones", () => {
    const f = 0xffffffff;
    expect([...philox4x32(f, f, f, f, { low: f, high: f })]).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  });
});

describe("streams", () => {
  it("are prefixes of themselves and differ between keys", () => {
    const key = keyFromSeed(7);
    expect([...uniform(key, 5)]).toEqual([...uniform(key, 9).slice(0, 5)]);
    expect([...normal(key, 4)]).toEqual([...normal(key, 8).slice(0, 4)]);
    expect(fold(key, "a")).not.toEqual(fold(key, "b"));
    expect(fold(key, 1, 2)).not.toEqual(fold(key, 2, 1));
  });
  it("have the moments they should have", () => {
    const values = normal(keyFromSeed(3), 20_000);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.04);
  });
  it("permute and pick within bounds", () => {
    expect([...permutation(keyFromSeed(1), 50)].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    for (let i = 0; i < 100; i++) expect(integer(fold(keyFromSeed(1), i), 3)).toBeLessThan(3);
  });
});
