/** SSIM against scikit-image and by hand. @module */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Clip } from "../media/clip.ts";
import { ssim } from "./ssim.ts";

/** The pictures of the golden values: numbers that any language makes alike. */
function wave(height: number, width: number, a: number, b: number): Clip {
  const rgb = Uint8Array.from(
    { length: 3 * height * width },
    (_, i) => (i * a + Math.floor(i / 7) * b) % 256,
  );
  return { frameCount: 1, height, width, frameRateHz: 8, rgb };
}
const disturbed = (clip: Clip, a: number): Clip => ({
  ...clip,
  rgb: clip.rgb.map((value, i) => Math.min(255, Math.max(0, value + ((i * a) % 41) - 20))),
});
const flat = (level: number): Clip => ({
  frameCount: 1,
  height: 12,
  width: 12,
  frameRateHz: 8,
  rgb: new Uint8Array(432).fill(level),
});

describe("ssim", () => {
  it("agrees with scikit-image 0.26", () => {
    // structural_similarity(x, y, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    // data_range=255) on the same pictures.
    const golden = [
      [16, 16, 3, 11, 17, 0.9846517519420722],
      [11, 13, 1, 5, 29, 0.9866059029271153],
      [20, 12, 37, 3, 7, 0.9869579683113385],
    ] as const;
    for (const [height, width, a, b, noise, expected] of golden) {
      const clip = wave(height, width, a, b);
      expect(ssim(clip, disturbed(clip, noise))).toBeCloseTo(expected, 12);
    }
  });

  it("of flat pictures is the comparison of their levels", () => {
    // (2·100·120 + C1) / (100² + 120² + C1), and scikit-image says the same.
    expect(ssim(flat(100), flat(120))).toBeCloseTo((24_000 + 6.5025) / (24_400 + 6.5025), 12);
    expect(ssim(flat(100), flat(120))).toBeCloseTo(0.9836109249983688, 12);
  });

  it("is the mean over frames", () => {
    const two = (a: Clip, b: Clip): Clip => ({ ...a, frameCount: 2, rgb: Uint8Array.of(...a.rgb, ...b.rgb) });
    expect(ssim(two(flat(100), flat(7)), two(flat(120), flat(7)))).toBeCloseTo(
      (0.9836109249983688 + 1) / 2,
      12,
    );
  });

  it("is symmetric and at most 1, which equal clips reach", () => {
    const picture = fc
      .uint8Array({ minLength: 3 * 11 * 12, maxLength: 3 * 11 * 12 })
      .map((rgb): Clip => ({ frameCount: 1, height: 11, width: 12, frameRateHz: 8, rgb }));
    fc.assert(
      fc.property(picture, picture, (a, b) => {
        expect(ssim(a, a)).toBeCloseTo(1, 12);
        expect(ssim(a, b)).toBe(ssim(b, a));
        expect(Math.abs(ssim(a, b))).toBeLessThanOrEqual(1);
      }),
      { numRuns: 20 },
    );
  });

  it("refuses other sizes and pictures smaller than its window", () => {
    const shape = expect.objectContaining({ code: "VANS_METRICS_SHAPE" });
    expect(() => ssim(flat(1), wave(12, 13, 1, 1))).toThrow(shape);
    expect(() => ssim(wave(10, 12, 1, 1), wave(10, 12, 1, 1))).toThrow(shape);
  });
});
