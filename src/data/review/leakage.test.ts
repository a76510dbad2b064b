/** Planted leaks are found, clean samples pass. @module */
import { describe, expect, it } from "vitest";
import { plantedSamples } from "../testing/planted-leaks.ts";
import { WRITTEN_CLEAN, WRITTEN_LEAKS } from "../testing/written-leaks.ts";
import { contentWords, stem } from "./content-words.ts";
import { findLeaks } from "./leakage.ts";

describe("leakage rules", () => {
  it.each([1, 2, 3])("find at least 95 %% of planted leaks and spare clean samples (seed %i)", (seed) => {
    const samples = plantedSamples(seed);
    const planted = samples.filter((one) => one.planted !== undefined);
    const clean = samples.filter((one) => one.planted === undefined);
    const missed = planted.filter((one) => findLeaks(one.subject).length === 0);
    const wrong = clean.filter((one) => findLeaks(one.subject).length > 0);
    const shown = (list: typeof samples) =>
      list.map((one) => `${one.planted}: ${one.subject.question} | ${one.subject.caption}`).slice(0, 12);
    expect(planted.length).toBeGreaterThan(400);
    expect({ share: 1 - missed.length / planted.length, missed: shown(missed) }).toSatisfy(
      (found: { share: number }) => found.share >= 0.95,
    );
    expect({ share: wrong.length / clean.length, wrong: shown(wrong) }).toSatisfy(
      (found: { share: number }) => found.share <= 0.03,
    );
  });

  it("find at least 95 % of leaks written by hand, and spare clean samples", () => {
    const missed = WRITTEN_LEAKS.filter((subject) => findLeaks(subject).length === 0);
    const wrong = WRITTEN_CLEAN.filter((subject) => findLeaks(subject).length > 0);
    const shown = (list: typeof missed) => list.map(({ question, caption }) => `${question} | ${caption}`);
    expect(missed.length / WRITTEN_LEAKS.length, shown(missed).join("\n")).toBeLessThanOrEqual(0.05);
    expect(wrong.length / WRITTEN_CLEAN.length, shown(wrong).join("\n")).toBeLessThanOrEqual(0.03);
  });

  it("lets a question name the cause, not the outcome", () => {
    const sample = {
      reasoning: "A sharp pin makes a hole.",
      caption: "the balloon pops and pieces lie on the floor",
    };
    expect(findLeaks({ ...sample, question: "What happens if a pin pricks the balloon?" })).toEqual([]);
    expect(
      findLeaks({ ...sample, question: "Will the balloon burst into bits on the ground?" })[0]?.kind,
    ).toBe("words");
  });

  it("brings words to one form", () => {
    expect(["slices", "sliced", "slicing", "slice"].map(stem)).toEqual(["slic", "slic", "slic", "slic"]);
    expect(["add", "adds", "adding", "added"].map(stem)).toEqual(["ad", "ad", "ad", "ad"]);
    expect(contentWords("the eggs are fried")).toEqual(contentWords("eggs fry"));
    expect(contentWords("take the wheel off")).toEqual(contentWords("remove the wheel"));
    expect(contentWords("стакан разобьётся")).toHaveLength(2);
    expect(contentWords("The dogs were running")).toEqual(contentWords("a dog runs"));
    expect(contentWords("it bursts")).toEqual(contentWords("it popped"));
  });
});
