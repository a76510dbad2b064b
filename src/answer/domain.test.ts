/** The world's own clips pass, other footage does not; the reason is told in words. @module */
import { beforeAll, describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { keyFromSeed, uniform } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { sampleForSeed, stillInput } from "../world/index.ts";
import { domainReasons, measureDomain, reconstructionReason } from "./domain.ts";
import { type DomainStatistics, domainSchema } from "./domain-statistics.ts";

const shortened = (clip: Clip): Clip => {
  // Every fourth frame: the measures are means over frames, and this is a test.
  const size = clip.height * clip.width * 3;
  const kept = Array.from({ length: Math.ceil(clip.frameCount / 4) }, (_, i) =>
    clip.rgb.subarray(4 * i * size, (4 * i + 1) * size),
  );
  return { ...clip, frameCount: kept.length, rgb: new Uint8Array(Buffer.concat(kept)) };
};

function* trainingClips(): Generator<Clip> {
  for (let i = 0; i < 96; i++) {
    const sample = sampleForSeed(i * 37);
    yield i % 5 === 4 ? stillInput(sample) : shortened(sample.input);
  }
}

let statistics: DomainStatistics;
beforeAll(async () => {
  statistics = await measureDomain(trainingClips(), { reconstruct: async () => 4 });
});

describe("a suite's own footage", () => {
  it("passes on seeds that were not measured, clips and stills", () => {
    for (let seed = 900_000; seed < 900_024; seed++) {
      const sample = sampleForSeed(seed);
      expect(domainReasons(statistics, shortened(sample.input))).toEqual([]);
      expect(domainReasons(statistics, stillInput(sample))).toEqual([]);
    }
  });

  it("is described in a form that suite.json can hold", () => {
    expect(domainSchema.parse(JSON.parse(JSON.stringify(statistics)))).toEqual(statistics);
    expect(statistics).toMatchObject({ clipCount: 96, elsewhere: "vans-3b" });
  });
});

describe("other footage", () => {
  const painted = (colour: (x: number, y: number, t: number, random: number) => number[]): Clip => {
    const random = uniform(keyFromSeed(5), 5 * 64 * 64);
    const rgb = new Uint8Array(5 * 64 * 64 * 3);
    for (let i = 0; i < random.length; i++) {
      const [t, y, x] = [Math.floor(i / 4096), Math.floor((i % 4096) / 64), i % 64];
      rgb.set(
        colour(x, y, t, random[i]!).map((level) => Math.min(255, Math.max(0, level))),
        i * 3,
      );
    }
    return { frameCount: 5, height: 64, width: 64, frameRateHz: 8, rgb };
  };

  it("is noticed: noise, soft gradients of brown, a dark room, one white frame", () => {
    const clips = [
      painted((_x, _y, _t, random) => [255 * random, 200 * random, 100]),
      painted((x, y) => [90 + x, 70 + y / 2, 60 + x / 3]),
      painted((_x, _y, _t, random) => [20 + 8 * random, 18, 16]),
      painted(() => [255, 255, 255]),
    ];
    for (const clip of clips) expect(domainReasons(statistics, clip).length).toBeGreaterThan(0);
  });

  it("is explained by the measure that is farthest off", () => {
    const [first] = domainReasons(
      statistics,
      painted((_x, _y, _t, random) => [255 * random, 255 * random, 255 * random]),
    );
    expect(first!.value > first!.high || first!.value < first!.low).toBe(true);
    expect(first!.text).toMatch(/: [\d.]+( %)?, the suite's own clips have [\d.]+( %)? to [\d.]+( %)?$/);
  });

  it("is noticed by the autoencoder's error too", () => {
    expect(reconstructionReason(statistics, 4)).toBeUndefined();
    expect(reconstructionReason(statistics, 30)?.text).toContain("error of the suite's autoencoder");
    const { reconstruction: _, ...without } = statistics;
    expect(reconstructionReason(without, 30)).toBeUndefined();
  });
});

it("refuses to judge from a handful of clips", async () => {
  const clip = sampleForSeed(0).input;
  await expect(measureDomain([clip, clip])).rejects.toSatisfy((error) =>
    isVansError(error, "VANS_DOMAIN_TOO_FEW"),
  );
});
