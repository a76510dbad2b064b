import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  linspace,
  QWEN_VIDEO_PIXELS,
  referenceFrames,
  roundHalfEven,
  smartFrameCount,
  smartResize,
  uniformFrames,
  videoMaxPixels,
} from "./frame-index.ts";

describe("rounding", () => {
  it("sends halves to the even number", () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, 2.6].map(roundHalfEven)).toEqual(
      [0, 2, 2, 0, -2, 2, 3].map((x) => x + 0),
    );
  });
});

describe("frame picks", () => {
  it("are those of the released code", () => {
    expect(referenceFrames(9)).toEqual([0, 1, 3, 4, 6, 8]);
    expect(referenceFrames(5)).toEqual([0, 0, 1, 2, 3, 4]);
    expect(referenceFrames(6)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(referenceFrames(13)).toEqual([0, 2, 4, 7, 9, 12]);
    expect(referenceFrames(21)).toEqual([0, 4, 8, 12, 16, 20]);
    expect(uniformFrames(100, 6)).toEqual([0, 20, 40, 59, 79, 99]);
  });

  it("run from the first frame to the last", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 2, max: 200 }), (total, count) => {
        const picks = uniformFrames(total, count);
        expect(picks.length).toBe(count);
        expect([picks[0], picks.at(-1)]).toEqual([0, total - 1]);
        expect(picks.every((pick, index) => index === 0 || pick >= picks[index - 1]!)).toBe(true);
      }),
    );
    expect([...linspace(3, 9, 1)]).toEqual([3]);
    expect([...linspace(3, 9, 0)]).toEqual([]);
  });
});

describe("smartResize", () => {
  it("gives the sizes of the notes on the model", () => {
    const bounds = { minPixels: QWEN_VIDEO_PIXELS.min, maxPixels: videoMaxPixels(6) };
    expect(smartResize({ height: 720, width: 1280 }, bounds)).toEqual({ height: 560, width: 1008 });
    expect(smartResize({ height: 352, width: 640 }, bounds)).toEqual({ height: 364, width: 644 });
  });

  it("gives multiples of 28 within the bounds", () => {
    const pixels = fc.integer({ min: 28, max: 3000 });
    fc.assert(
      fc.property(pixels, pixels, (height, width) => {
        const { min, max } = QWEN_VIDEO_PIXELS;
        const size = smartResize({ height, width }, { minPixels: min, maxPixels: max });
        expect([size.height % 28, size.width % 28]).toEqual([0, 0]);
        expect(size.height * size.width).toBeLessThanOrEqual(max);
        expect(size.height * size.width).toBeGreaterThanOrEqual(min);
      }),
    );
  });

  it("refuses strips", () => {
    expect(() => smartResize({ height: 1, width: 300 }, { minPixels: 1, maxPixels: 1e6 })).toThrow(
      expect.objectContaining({ code: "VANS_MEDIA_ASPECT_REFUSED" }),
    );
  });
});

describe("smartFrameCount", () => {
  it("takes 6 frames, fewer only of shorter videos", () => {
    expect([2, 3, 5, 6, 7, 33, 3000].map((total) => smartFrameCount(total, 24))).toEqual([
      2, 2, 4, 6, 6, 6, 6,
    ]);
    expect(smartFrameCount(240, 24, { frameRateHz: 2, minFrames: 4, maxFrames: 768 })).toBe(20);
  });
  it("refuses what the video cannot give", () => {
    expect(() => smartFrameCount(1, 24)).toThrow(
      expect.objectContaining({ code: "VANS_MEDIA_TOO_FEW_FRAMES" }),
    );
    expect(() => smartFrameCount(7, 24, { frameCount: 7 })).toThrow(/8 frames/);
  });
});
