import { describe, expect, it } from "vitest";
import {
  clipCrop,
  clipFromValues,
  clipPixels,
  levelsFromSigned,
  normaliseImage,
  signedFromLevels,
  valuesFromClip,
} from "./pixels.ts";

const levels = Uint8Array.from({ length: 256 }, (_, level) => level);

describe("scaling to [-1, 1]", () => {
  it("spans the range and comes back", () => {
    const values = signedFromLevels(levels);
    expect([values[0], values[255]]).toEqual([-1, 1]);
    expect(levelsFromSigned(values, "round")).toEqual(levels);
    // Truncation loses a level where f32 lands just below a whole number; never more.
    expect(
      levelsFromSigned(values, "truncate").every((level, index) => index - level <= 1 && level <= index),
    ).toBe(true);
  });
  it("clips, and maps what is not a number to black", () => {
    expect([...levelsFromSigned([-2, 2, Number.NaN, Number.POSITIVE_INFINITY], "truncate")]).toEqual([
      0, 255, 0, 255,
    ]);
    expect([...levelsFromSigned([-2, 2, Number.NaN, Number.NEGATIVE_INFINITY], "round")]).toEqual([
      0, 255, 0, 0,
    ]);
  });
});

describe("clips and planes", () => {
  it("are each other's inverse", () => {
    const clip = {
      frameCount: 2,
      height: 3,
      width: 4,
      frameRateHz: 8,
      rgb: Uint8Array.from({ length: 72 }, (_, i) => i * 3),
    };
    const values = valuesFromClip(clip);
    // [3, T, H, W]: the green plane begins after T * H * W numbers.
    expect(values[24]).toBeCloseTo((clip.rgb[1]! / 255) * 2 - 1, 6);
    expect(clipFromValues(values, { ...clip, rounding: "round" })).toEqual(clip);
    expect(() => clipFromValues(values, { ...clip, frameCount: 3 })).toThrow(RangeError);
  });
});

describe("CLIP pixels", () => {
  const picture = { height: 20, width: 30, rgb: new Uint8Array(1800).fill(255) };
  it("have the crop's shape and the published normalisation", () => {
    expect(clipCrop(picture, { shortestSide: 10 })).toMatchObject({ height: 10, width: 10 });
    const values = clipPixels(picture, { shortestSide: 10 });
    expect(values.length).toBe(300);
    expect(values[0]).toBeCloseTo((1 - 0.48145466) / 0.26862954, 6);
    expect(normaliseImage(picture, { mean: [0, 0, 0], std: [1, 1, 1] })[0]).toBe(1);
  });
});
