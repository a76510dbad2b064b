/** What every sample of the world promises: learnable pictures, one right answer, no leaks. @module */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import type { Clip } from "../media/clip.ts";
import { attributeValues } from "./attributes.ts";
import { worldFamilies } from "./families.ts";
import { identityProbes } from "./identity.ts";
import { candidates, sampleForSeed, stillInput, type WorldSample } from "./sample.ts";
import { ANSWER_FRAMES, INPUT_FRAMES } from "./scene.ts";
import { assertTrainingSeed, EVALUATION_SEED_START } from "./seeds.ts";
import { vocabularyCorpus } from "./vocabulary.ts";

const FRAME_BYTES = 64 * 64 * 3;
const EVALUATION = 900_000;
const seeds = (count: number, start = 0) => Array.from({ length: count }, (_, i) => start + i);

function words(text: string): string[] {
  return text.replaceAll(/[.,?]/g, " ").trim().split(/\s+/);
}

/** ROUGE-L F1 over words. */
function rougeL(a: string, b: string): number {
  const left = words(a);
  const right = words(b);
  const row = new Array<number>(right.length + 1).fill(0);
  for (const word of left) {
    let diagonal = 0;
    for (let j = 0; j < right.length; j++) {
      const above = row[j + 1]!;
      row[j + 1] = word === right[j] ? diagonal + 1 : Math.max(above, row[j]!);
      diagonal = above;
    }
  }
  return (2 * row[right.length]!) / (left.length + right.length);
}

/** Pixels of frame `frame` that differ by more than 40 of 255 in some channel. */
function differingPixels(a: Clip, b: Clip, frame: number): number {
  let count = 0;
  for (let at = frame * FRAME_BYTES; at < (frame + 1) * FRAME_BYTES; at += 3) {
    const largest = Math.max(
      Math.abs(a.rgb[at]! - b.rgb[at]!),
      Math.abs(a.rgb[at + 1]! - b.rgb[at + 1]!),
      Math.abs(a.rgb[at + 2]! - b.rgb[at + 2]!),
    );
    if (largest > 40) count++;
  }
  return count;
}

function frameOf(clip: Clip, frame: number): Uint8Array {
  return clip.rgb.subarray(frame * FRAME_BYTES, (frame + 1) * FRAME_BYTES);
}

function digest(sample: WorldSample): string {
  const hash = createHash("sha256");
  hash.update(sample.input.rgb);
  hash.update(sample.output.rgb);
  hash.update([sample.question, sample.reasoning, sample.caption, sample.event].join("\n"));
  return hash.digest("hex").slice(0, 16);
}

describe("a sample", () => {
  it("is a function of its seed alone", () => {
    for (const seed of seeds(16)) expect(digest(sampleForSeed(seed))).toBe(digest(sampleForSeed(seed)));
    expect(new Set(seeds(200).map((seed) => digest(sampleForSeed(seed)))).size).toBe(200);
  });

  it("is the same as ever in this world version", () => {
    // Digests of both clips and all texts. A change here means a new worldVersion.
    const all = seeds(16)
      .map((seed) => digest(sampleForSeed(seed)))
      .join(" ");
    expect(createHash("sha256").update(all).digest("hex").slice(0, 16)).toBe("2a2089e108de496e");
  });

  it("rotates through kinds and families", () => {
    for (const seed of seeds(32, EVALUATION)) {
      const sample = sampleForSeed(seed);
      const families = worldFamilies[sample.kind];
      expect(sample.kind).toBe(seed % 2 === 0 ? "procedural" : "predictive");
      expect(sample.family).toBe(families[Math.floor(seed / 2) % families.length]!.name);
    }
  });

  it("has curated captions where policies learn and are judged, annotators' captions below", () => {
    for (const seed of [879_000, 880_123, 900_000, 912_345])
      expect(sampleForSeed(seed).captionStyle, String(seed)).toBe("literal");
    const styles: Record<string, number> = {};
    const count = 1600;
    for (let seed = 0; seed < count; seed++) {
      const { captionStyle, kind } = sampleForSeed(seed);
      styles[`${kind} ${captionStyle}`] = (styles[`${kind} ${captionStyle}`] ?? 0) + 2 / count;
    }
    // Half of the procedural questions imply their goal, and 3 of 7 ways to do so have few words; 3 of 9 predictive ones do.
    // 7 of 8 captions to them are abstract.
    expect(styles["procedural abstract"]).toBeCloseTo((1 / 2) * (3 / 7) * (7 / 8), 1);
    expect(styles["predictive abstract"]).toBeCloseTo((3 / 9) * (7 / 8), 1);
    expect(styles["procedural vivid"]).toBeGreaterThan(0.1);
  });

  it("has the promised sizes and texts", () => {
    for (const seed of seeds(400)) {
      const sample = sampleForSeed(seed);
      expect(sample.wrongEvents).toHaveLength(4);
      expect(sample.wrongEvents[0]!.event).toBe("nothing");
      expect(new Set(candidates(sample).map((one) => one.event)).size).toBe(5);
      expect(sample.paraphrases).toContain(sample.caption);
      expect(words(sample.question).length).toBeLessThanOrEqual(25);
      expect(words(sample.reasoning).length).toBeLessThanOrEqual(45);
      for (const one of candidates(sample)) {
        expect(one.paraphrases.length).toBeGreaterThanOrEqual(4);
        expect(one.captions.literal.length).toBeGreaterThan(0);
        for (const text of one.paraphrases) expect(words(text).length).toBeLessThanOrEqual(16);
      }
      for (const text of [sample.question, sample.reasoning, ...sample.paraphrases]) {
        expect(text).toMatch(/^[a-z][a-z ,.?]*$/);
      }
      for (const [name, value] of Object.entries(sample.attributes)) {
        expect(attributeValues[name as keyof typeof attributeValues]).toContain(value);
      }
    }
    const { input, output } = sampleForSeed(3);
    expect([input.frameCount, input.rgb.length]).toEqual([INPUT_FRAMES, INPUT_FRAMES * FRAME_BYTES]);
    expect([output.frameCount, output.rgb.length]).toEqual([ANSWER_FRAMES, ANSWER_FRAMES * FRAME_BYTES]);
  });

  it("shows every right event and every state", () => {
    const events = new Set<string>();
    const states = new Set<string>();
    for (const seed of seeds(800)) {
      events.add(sampleForSeed(seed).attributes.next);
      states.add(sampleForSeed(seed).attributes.state);
    }
    expect([...events].sort()).toEqual([...attributeValues.next].sort());
    expect([...states].sort()).toEqual([...attributeValues.state].sort());
  });

  it("uses a small vocabulary", () => {
    const vocabulary = new Set<string>();
    for (const text of vocabularyCorpus(seeds(2000))) for (const word of words(text)) vocabulary.add(word);
    expect(vocabulary.size).toBeLessThanOrEqual(450);
    const evaluation = new Set([...vocabularyCorpus(seeds(400, EVALUATION))].flatMap(words));
    expect([...evaluation].filter((word) => !vocabulary.has(word))).toEqual([]);
  });
});

describe("pictures", () => {
  it("all five candidates differ visibly in the final frame, which stands for at least 6 frames", () => {
    for (const seed of [...seeds(160), ...seeds(160, EVALUATION)]) {
      const sample = sampleForSeed(seed);
      const all = candidates(sample);
      const clips = all.map((one) => one.render());
      for (let i = 0; i < 5; i++) {
        for (let j = 0; j < i; j++) {
          const count = differingPixels(clips[i]!, clips[j]!, ANSWER_FRAMES - 1);
          expect(count, `${seed} ${all[i]!.event} | ${all[j]!.event}`).toBeGreaterThanOrEqual(100);
        }
        const last = frameOf(clips[i]!, ANSWER_FRAMES - 1);
        for (let frame = ANSWER_FRAMES - 6; frame < ANSWER_FRAMES - 1; frame++) {
          expect(Buffer.compare(frameOf(clips[i]!, frame), last)).toBe(0);
        }
      }
    }
  });

  it("all candidates begin in one state, which is the input's last one unless steps were skipped", () => {
    for (const seed of seeds(96)) {
      const sample = sampleForSeed(seed);
      const start = frameOf(sample.output, 0);
      for (const one of sample.wrongEvents) expect(Buffer.compare(frameOf(one.render(), 0), start)).toBe(0);
      const isSame = Buffer.compare(frameOf(sample.input, INPUT_FRAMES - 1), start) === 0;
      expect(isSame, `${seed}`).toBe(sample.attributes.skipped === "0");
      expect(Buffer.compare(stillInput(sample).rgb, frameOf(sample.input, INPUT_FRAMES - 1))).toBe(0);
    }
  });

  it("identity probes differ from the truth in colour and place", () => {
    for (const seed of seeds(64, EVALUATION)) {
      const { truth, alternatives } = identityProbes(sampleForSeed(seed));
      for (const other of alternatives) {
        let most = 0;
        for (let frame = 0; frame < ANSWER_FRAMES; frame++) {
          most = Math.max(most, differingPixels(truth, other, frame));
        }
        expect(most, `${seed}`).toBeGreaterThanOrEqual(60);
      }
    }
  });
});

describe("texts", () => {
  it("captions of the right event are nearer to it than to any wrong one", () => {
    for (const seed of seeds(240)) {
      const sample = sampleForSeed(seed);
      for (const caption of sample.paraphrases) {
        for (const wrong of sample.wrongEvents) {
          for (const other of wrong.paraphrases) {
            expect(rougeL(caption, other), `${seed}: ${caption} | ${other}`).toBeLessThan(1);
          }
        }
      }
    }
  });

  it("a shortened caption is still nearer to its own event", () => {
    // Leaving one word out stands for a caption that a model writes not quite by the book.
    let right = 0;
    let count = 0;
    for (const seed of seeds(240)) {
      const sample = sampleForSeed(seed);
      for (const caption of sample.right.captions.literal) {
        const all = words(caption);
        for (let leave = 0; leave < all.length; leave++) {
          const shortened = all.filter((_, i) => i !== leave).join(" ");
          const best = (texts: readonly string[]) =>
            Math.max(...texts.map((text) => rougeL(shortened, text)));
          count++;
          if (sample.wrongEvents.every((wrong) => best(wrong.paraphrases) < best(sample.paraphrases)))
            right++;
        }
      }
    }
    expect(right / count).toBeGreaterThan(0.98);
  });

  it("the question never tells the answer", () => {
    for (const seed of seeds(800)) {
      const sample = sampleForSeed(seed);
      for (const caption of sample.paraphrases) {
        expect(rougeL(sample.question, caption), `${sample.question} | ${caption}`).toBeLessThan(0.45);
      }
    }
    // Words that name the outcome.
    const outcomes: Record<string, readonly string[]> = {
      blow: ["smoke", "out", "dark", "goes"],
      water: ["pool", "out", "dark", "blue"],
      wait: ["melts", "short", "stub", "wax"],
      cover: ["hides", "hidden", "vanishes", "dark"],
      pump: ["big", "bigger", "grows", "swells"],
      prick: ["bursts", "pops", "scraps", "pieces"],
      cut: ["up", "flies", "rises", "floats", "away"],
      leak: ["small", "smaller", "shrinks", "sinks"],
      fill: ["full", "rim", "rises", "climbs"],
      drink: ["empty", "gone", "sinks", "drops"],
      tip: ["falls", "pool", "spreads", "tips", "side"],
      milk: ["pale", "light", "soft", "rises"],
      "push-left": ["left", "rolls", "falls", "lands"],
      "push-right": ["rolls", "falls", "lands"],
      remove: ["floor", "straight", "down", "lies"],
      press: ["flat", "squeezed", "pressed", "wide"],
    };
    for (const seed of seeds(800)) {
      const { kind, event, question } = sampleForSeed(seed);
      const forbidden = kind === "predictive" ? outcomes[event]! : [event.replace("add-", "")];
      for (const word of words(question)) expect(forbidden, question).not.toContain(word);
    }
  });

  it("a question about a state has exactly one right answer", () => {
    const answers = new Map<string, string>();
    for (const seed of seeds(6000)) {
      const { attributes, question, event } = sampleForSeed(seed);
      const asked = `${attributes.state} ${question}`;
      expect(answers.get(asked) ?? event, asked).toBe(event);
      answers.set(asked, event);
    }
  });

  it("the same calm clip has another answer to another question", () => {
    for (const family of worldFamilies.predictive) expect(family.events.length).toBeGreaterThanOrEqual(4);
  });
});

describe("seeds", () => {
  it("from 900,000 on are refused in training", () => {
    expect(() => assertTrainingSeed(EVALUATION_SEED_START - 1)).not.toThrow();
    try {
      assertTrainingSeed(EVALUATION_SEED_START);
      expect.unreachable();
    } catch (error) {
      expect(isVansError(error, "VANS_WORLD_EVALUATION_SEED")).toBe(true);
    }
  });
});
