import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { turnImage } from "./turn.ts";
import {
  CHROMA_MODES,
  DEFAULT_YUV_COLOUR,
  rgbFromYuv,
  type YuvMatrix,
  yuv420FromRgb,
  yuvByteCount,
  yuvMatrixFrom,
} from "./yuv.ts";

const I420 = "I420" as const;

describe("colour planes", () => {
  it("give back flat colours within two levels, for every matrix and range", () => {
    const matrices: YuvMatrix[] = ["bt601", "bt709", "bt2020", "smpte240m", "fcc"];
    const level = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(
        fc.constantFrom(...matrices),
        fc.boolean(),
        level,
        level,
        level,
        (matrix, isFullRange, r, g, b) => {
          const colour = { matrix, isFullRange };
          const flat = {
            height: 16,
            width: 16,
            rgb: Uint8Array.from({ length: 768 }, (_, i) => [r, g, b][i % 3]!),
          };
          for (const chroma of CHROMA_MODES) {
            const { rgb } = rgbFromYuv(
              yuv420FromRgb(flat, colour).planes,
              { height: 16, width: 16, layout: I420 },
              colour,
              chroma,
            );
            expect(
              Math.max(...rgb.map((value, index) => Math.abs(value - flat.rgb[index]!))),
            ).toBeLessThanOrEqual(2);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("know the levels of black, white and red", () => {
    const red = {
      height: 16,
      width: 16,
      rgb: Uint8Array.from({ length: 768 }, (_, i) => (i % 3 === 0 ? 255 : 0)),
    };
    const { planes } = yuv420FromRgb(red);
    // ITU-R BT.601: pure red is Y 81.5, Cb 90.2, Cr 240.
    expect([planes[0], planes[256], planes[320]]).toEqual([81, 90, 240]);
    const white = yuv420FromRgb({ height: 16, width: 16, rgb: new Uint8Array(768).fill(255) }).planes;
    expect([white[0], white[256], white[320]]).toEqual([235, 128, 128]);
  });

  it("pad to even sides of at least 16", () => {
    const small = { height: 3, width: 21, rgb: new Uint8Array(3 * 21 * 3).fill(200) };
    const { planes, height, width } = yuv420FromRgb(small);
    expect([height, width, planes.length]).toEqual([16, 22, yuvByteCount(I420, 16, 22)]);
    expect(new Set(planes.subarray(0, 16 * 22)).size).toBe(1);
  });

  it("count chroma of odd sides upwards", () => {
    expect(yuvByteCount("I420", 3, 5)).toBe(15 + 2 * 2 * 3);
    expect(yuvByteCount("I422", 3, 5)).toBe(15 + 2 * 3 * 3);
    expect(yuvByteCount("I444", 3, 5)).toBe(45);
  });

  it("read odd sides and all layouts", () => {
    for (const layout of ["I420", "I422", "I444"] as const) {
      const size = { height: 5, width: 7, layout };
      const planes = new Uint8Array(yuvByteCount(layout, 5, 7)).fill(128);
      planes.fill(126, 0, 35);
      for (const chroma of CHROMA_MODES)
        expect(new Set(rgbFromYuv(planes, size, DEFAULT_YUV_COLOUR, chroma).rgb)).toEqual(new Set([128]));
    }
  });

  it("recover edges between colours when guided by luma", () => {
    const size = { height: 32, width: 32 };
    const rgb = new Uint8Array(32 * 32 * 3);
    for (let i = 0; i < 1024; i++)
      rgb.set(i % 32 < 13 && i / 32 > 7 ? [220, 30, 40] : [235, 228, 210], i * 3);
    const { planes } = yuv420FromRgb({ ...size, rgb });
    const error = (chroma: "guided" | "repeat"): number =>
      rgbFromYuv(planes, { ...size, layout: I420 }, DEFAULT_YUV_COLOUR, chroma).rgb.reduce(
        (sum, value, index) => sum + (value - rgb[index]!) ** 2,
        0,
      );
    expect(error("guided")).toBeLessThan(error("repeat") / 10);
  });

  it("take BT.601 where a file does not say", () => {
    expect([undefined, null, "unknown", "smpte170m", "bt470bg"].map(yuvMatrixFrom)).toEqual(
      Array(5).fill("bt601"),
    );
    expect(["bt709", "bt2020nc", "bt2020-ncl"].map(yuvMatrixFrom)).toEqual(["bt709", "bt2020", "bt2020"]);
  });
});

describe("turnImage", () => {
  const picture = { height: 2, width: 3, rgb: Uint8Array.from({ length: 18 }, (_, i) => Math.floor(i / 3)) };
  const shown = (clockwise: 0 | 90 | 180 | 270, mirrored = false): number[] =>
    [...turnImage(picture, clockwise, mirrored).rgb].filter((_, i) => i % 3 === 0);
  it("turns clockwise, then mirrors", () => {
    // 0 1 2
    // 3 4 5
    expect(shown(90)).toEqual([3, 0, 4, 1, 5, 2]);
    expect(shown(180)).toEqual([5, 4, 3, 2, 1, 0]);
    expect(shown(270)).toEqual([2, 5, 1, 4, 0, 3]);
    expect(shown(0, true)).toEqual([2, 1, 0, 5, 4, 3]);
    expect(shown(90, true)).toEqual([0, 3, 1, 4, 2, 5]);
  });
});
