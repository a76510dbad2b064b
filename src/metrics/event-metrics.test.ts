/** Metrics of clips and events on hand-made cases. @module */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fold, keyFromSeed, uniform } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { meanEstimate, shareEstimate } from "./estimate.ts";
import { captionEventVerdict, videoEventVerdict } from "./event-accuracy.ts";
import { identityVerdict } from "./identity-accuracy.ts";
import { motionEnergy } from "./motion-energy.ts";
import { movingPixels, PSNR_OF_EQUAL_CLIPS_DB, psnrDb } from "./psnr.ts";

/** One row of grey pixels a frame. */
function greys(...frames: readonly (readonly number[])[]): Clip {
  return {
    frameCount: frames.length,
    height: 1,
    width: frames[0]!.length,
    frameRateHz: 8,
    rgb: Uint8Array.from(frames.flat().flatMap((level) => [level, level, level])),
  };
}

const shapeError = expect.objectContaining({ code: "VANS_METRICS_SHAPE" });

describe("videoEventVerdict", () => {
  it("names the nearest candidate", () => {
    const candidates = [greys([200]), greys([0]), greys([90])];
    expect(videoEventVerdict(greys([180]), candidates)).toMatchObject({ isRight: true, nearest: 0 });
    expect(videoEventVerdict(greys([80]), candidates)).toMatchObject({ isRight: false, nearest: 2 });
  });
  it("counts a tie as wrong, also one with equal candidates", () => {
    expect(videoEventVerdict(greys([100]), [greys([90]), greys([110])]).isRight).toBe(false);
    expect(videoEventVerdict(greys([90]), [greys([90]), greys([90]), greys([0])]).isRight).toBe(false);
    expect(videoEventVerdict(greys([5]), [greys([90]), greys([90])]).scores).toEqual([0, 0]);
  });
  it("looks only where candidates differ", () => {
    // The first pixel is far off but the same in all candidates.
    const verdict = videoEventVerdict(greys([255, 11]), [greys([0, 10]), greys([0, 14])]);
    expect(verdict.scores).toEqual([1, 9]);
  });
  it("refuses other sizes", () => {
    expect(() => videoEventVerdict(greys([1]), [greys([1, 2])])).toThrow(shapeError);
  });
});

describe("captionEventVerdict", () => {
  it("takes the best paraphrase of each event and counts ties as wrong", () => {
    const right = ["the red ball falls", "it drops"];
    expect(captionEventVerdict("It drops.", [right, ["nothing happens"]])).toMatchObject({
      isRight: true,
      scores: [1, 0],
    });
    expect(captionEventVerdict("it drops", [right, ["it drops"]]).isRight).toBe(false);
    expect(captionEventVerdict("", [right, ["nothing happens"]]).isRight).toBe(false);
  });
});

describe("identityVerdict", () => {
  const [truth, colour, place, both] = [greys([200, 0]), greys([90, 0]), greys([0, 200]), greys([0, 90])];
  it("is right where the true object is nearest", () => {
    expect(identityVerdict(greys([190, 5]), truth, [colour, place, both]).isRight).toBe(true);
    expect(identityVerdict(greys([5, 190]), truth, [colour, place, both]).nearest).toBe(2);
  });
  it("looks at all frames: an object that is gone at the end still counts", () => {
    const gone = (level: number): Clip => greys([level], [0]);
    expect(identityVerdict(gone(200), gone(210), [gone(90)]).isRight).toBe(true);
  });
});

describe("psnrDb", () => {
  it("is 10 log10(255² / mse), and finite for equal clips", () => {
    expect(psnrDb(greys([100, 100]), greys([110, 90]))).toBeCloseTo(28.1308, 4);
    expect(psnrDb(greys([3]), greys([3]))).toBe(PSNR_OF_EQUAL_CLIPS_DB);
  });
  it("counts the chosen pixels only", () => {
    expect(psnrDb(greys([0, 100]), greys([255, 110]), [0, 1])).toBeCloseTo(28.1308, 4);
    expect(() => psnrDb(greys([0, 1]), greys([0, 1]), [1])).toThrow(shapeError);
    expect(() => psnrDb(greys([0]), greys([0, 1]))).toThrow(shapeError);
  });
  it("finds what moves, in all frames", () => {
    expect([...movingPixels(greys([0, 50, 9], [0, 90, 20], [0, 50, 9]))]).toEqual([
      0, 1, 0, 0, 1, 0, 0, 1, 0,
    ]);
  });
});

it("motionEnergy is the mean difference of neighbouring frames", () => {
  expect(motionEnergy(greys([0, 10], [4, 10], [4, 0]))).toBe((4 + 10) / 4);
  expect(motionEnergy(greys([7]))).toBe(0);
});

describe("shareEstimate", () => {
  it("agrees with published Wilson intervals", () => {
    // Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I.
    const close = ([hits, n]: [number, number]) => {
      const { low, high } = shareEstimate(hits, n);
      return [low.toFixed(4), high.toFixed(4)];
    };
    expect(close([81, 263])).toEqual(["0.2553", "0.3662"]);
    expect(close([15, 148])).toEqual(["0.0624", "0.1605"]);
    expect(close([0, 20])).toEqual(["0.0000", "0.1611"]);
    expect(close([1, 29])).toEqual(["0.0061", "0.1718"]);
  });
  it("holds its value and is symmetric", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.nat(500), (n, hits) => {
        fc.pre(hits <= n);
        const { value, low, high } = shareEstimate(hits, n);
        expect(low <= value && value <= high && low >= 0 && high <= 1).toBe(true);
        expect(shareEstimate(n - hits, n).low).toBeCloseTo(1 - high, 10);
      }),
    );
  });
  it("refuses what is no share", () => {
    expect(() => shareEstimate(0, 0)).toThrow(RangeError);
    expect(() => shareEstimate(3, 2)).toThrow(RangeError);
  });
});

describe("meanEstimate", () => {
  it("comes near the normal interval for many values and repeats itself", () => {
    const values = [...uniform(fold(keyFromSeed(4), "values"), 400)];
    const { value, low, high, n } = meanEstimate(values);
    expect(n).toBe(400);
    expect(value).toBeCloseTo(values.reduce((sum, one) => sum + one, 0) / 400, 12);
    const spread = Math.sqrt(values.reduce((sum, one) => sum + (one - value) ** 2, 0) / 400);
    const half = (1.96 * spread) / 20;
    expect(Math.abs(high - value - half)).toBeLessThan(half / 5);
    expect(Math.abs(value - low - half)).toBeLessThan(half / 5);
    expect(meanEstimate(values)).toEqual({ value, low, high, n });
  });
  it("has no width without spread, and no mean without values", () => {
    expect(meanEstimate([2, 2])).toEqual({ value: 2, low: 2, high: 2, n: 2 });
    expect(() => meanEstimate([])).toThrow(RangeError);
  });
});
