/** The registry: every reward on hand-made rollouts, weights, normalisation. @module */
import { describe, expect, it } from "vitest";
import type { Clip } from "../media/clip.ts";
import { type ClipScorer, rougeL } from "../metrics/index.ts";
import { combinedAdvantages } from "../train/advantages.ts";
import { candidates, sampleForSeed } from "../world/index.ts";
import {
  combineRewards,
  PAPER_REWARDS,
  REWARD_NAMES,
  REWARDS,
  RewardSet,
  type Rollout,
  rewardMetrics,
} from "./index.ts";

const sample = sampleForSeed(700_001);
const [right, wrong] = candidates(sample).map((event) => event.render()) as [Clip, Clip];

/** A CLIP whose answers are known. */
const clip = {
  clipV: async (video: Clip, reference: Clip) => ({ value: video === reference ? 1 : 0.5, perFrame: [] }),
  clipT: async (_: Clip, caption: string) => ({
    value: 0,
    perFrame: caption === "odd" ? [-1, 0.4] : [0.3, 0.5],
  }),
} as unknown as ClipScorer;

let drawn = 0;
const models = {
  clip,
  shownEvents: async () => {
    drawn++;
    return candidates(sample).map((event) => event.render());
  },
};

const good: Rollout = {
  text: `[Think]so[/Think][Ans]${sample.caption}[/Ans]`,
  caption: sample.caption,
  video: right,
  referenceCaptions: sample.paraphrases,
  referenceVideo: right,
  sample,
};
const bad: Rollout = { ...good, text: "so", caption: sample.wrongEvents[0]!.caption, video: wrong };
const mute: Rollout = { ...good, text: "[Think]so[/Think]", caption: null, video: null };

const all = Object.fromEntries(REWARD_NAMES.map((name) => [name, 1]));
const scoresOf = async (rollout: Rollout): Promise<Record<string, number>> => {
  const { names, rows } = await new RewardSet(all, models).score([rollout]);
  return Object.fromEntries(names.map((name, k) => [name, rows[0]![k]!]));
};

describe("RewardSet", () => {
  it("scores what is right high, what is wrong lower, and what was not drawn 0", async () => {
    const all = sample.paraphrases.map((text) => rougeL(text, sample.caption));
    const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
    expect(mean).toBeLessThan(1);
    expect(await scoresOf(good)).toEqual({
      format: 1,
      "rouge-l": 1,
      "rouge-l-mean": expect.closeTo(mean, 12),
      "clip-video": 1,
      "clip-score": 0.4,
      "caption-event": 1,
      "video-event": 1,
    });
    const scores = await scoresOf(bad);
    expect(scores).toMatchObject({ format: 0, "clip-video": 0.5, "caption-event": 0, "video-event": 0 });
    expect(scores["rouge-l"]).toBeLessThan(1);
    const before = drawn;
    expect(Object.values(await scoresOf(mute))).toEqual([0, 0, 0, 0, 0, 0, 0]);
    // No event is drawn for what has no video.
    expect(drawn).toBe(before);
  });

  it("counts only the positive part of each frame's cosine for CLIPScore", async () => {
    expect((await scoresOf({ ...good, caption: "odd" }))["clip-score"]).toBeCloseTo(0.2, 12);
  });

  it("computes only what has a weight, in the registry's order", async () => {
    const table = await new RewardSet({ "rouge-l": 2, format: 0.5 }, {}).score([good]);
    expect(table).toEqual({ names: ["format", "rouge-l"], weights: [0.5, 2], rows: [[1, 1]] });
    expect(new RewardSet(PAPER_REWARDS.stage2, models).names).toEqual(["clip-video", "clip-score"]);
  });

  it("refuses missing models, fields, weights, numbers outside of the range, and stops", async () => {
    const code = (name: string) => expect.objectContaining({ code: name });
    expect(() => new RewardSet({ "clip-video": 1 }, {})).toThrow(code("VANS_REWARD_MODEL"));
    expect(() => new RewardSet({}, models)).toThrow(code("VANS_REWARD_WEIGHT"));
    expect(() => new RewardSet({ format: Number.NaN }, models)).toThrow(code("VANS_REWARD_WEIGHT"));
    const { video: _, ...videoless } = good;
    await expect(new RewardSet({ "clip-score": 1 }, models).score([videoless])).rejects.toThrow(
      code("VANS_REWARD_INPUT"),
    );
    const broken = { clipV: async () => ({ value: Number.NaN, perFrame: [] }) } as unknown as ClipScorer;
    await expect(new RewardSet({ "clip-video": 1 }, { clip: broken }).score([good])).rejects.toThrow(
      code("VANS_REWARD_RANGE"),
    );
    await expect(
      new RewardSet({ format: 1 }, {}).score([good], { signal: AbortSignal.abort() }),
    ).rejects.toThrow(code("VANS_RUN_ABORTED"));
  });

  it("knows of every reward its range, what it reads and what hacks it", () => {
    for (const name of REWARD_NAMES) {
      const { range, reads, hackedBy } = REWARDS[name];
      expect(range[0]).toBeLessThan(range[1]);
      expect(reads.length).toBeGreaterThan(0);
      expect(hackedBy).not.toBe("");
    }
  });
});

describe("combineRewards", () => {
  const table = {
    names: ["format", "rouge-l"] as const,
    weights: [1, 2],
    // The first reward spreads ten times as much as the second; the last group has no spread in either.
    rows: [
      [10, 1],
      [0, 2],
      [4, 0],
      [4, 0],
    ],
  };
  const groups = ["a", "a", "b", "b"];

  it("sums weighted scores as they are", () => {
    expect(combineRewards(table, { normalise: "none" })).toEqual([12, 4, 4, 4]);
  });

  it("or brings every reward to one spread within its group first", () => {
    const [first, second, ...rest] = combineRewards(table, { normalise: "per-reward", groups });
    // Two values lie ±1/√2 sample deviations from their mean.
    expect(first).toBeCloseTo((1 - 2) / Math.SQRT2, 3);
    expect(second).toBeCloseTo((2 - 1) / Math.SQRT2, 3);
    expect(rest).toEqual([0, 0]);
  });

  it("agrees with what training makes of the same rows", () => {
    const ours = combineRewards(table, { normalise: "per-reward", groups });
    const theirs = combinedAdvantages(table.rows, groups, {
      weights: table.weights,
      order: "normalize-then-sum",
    });
    // Training normalises the sums once more over the batch; their mean is 0, so only a factor is left.
    const factor = theirs[0]! / ours[0]!;
    expect(factor).toBeGreaterThan(0);
    ours.forEach((value, i) => {
      expect(theirs[i]).toBeCloseTo(factor * value, 10);
    });
  });

  it("refuses to normalise without groups", () => {
    const wrong = expect.objectContaining({ code: "VANS_REWARD_GROUPS" });
    expect(() => combineRewards(table, { normalise: "per-reward" })).toThrow(wrong);
    expect(() => combineRewards(table, { normalise: "per-reward", groups: ["a"] })).toThrow(wrong);
  });
});

it("rewardMetrics names means and deviations as TRL does", () => {
  const table = {
    names: ["format", "rouge-l"] as const,
    weights: [1, 1],
    rows: [
      [1, 0.5],
      [0, 0.5],
    ],
  };
  expect(rewardMetrics(table)).toEqual({
    "rewards/format/mean": 0.5,
    "rewards/format/std": 0.5,
    "rewards/rouge-l/mean": 0.5,
    "rewards/rouge-l/std": 0,
  });
});
