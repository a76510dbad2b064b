import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import {
  clipOf,
  coveringSize,
  cropCentre,
  cropTopLeft,
  fitClip,
  frameOf,
  mapFrames,
  RESIZE_METHODS,
  type RgbImage,
  resizeClip,
  resizeImage,
} from "./resize.ts";

const side = fc.integer({ min: 1, max: 12 });
const image = fc.tuple(side, side, fc.infiniteStream(fc.integer({ min: 0, max: 255 }))).map(
  ([height, width, levels]): RgbImage => ({
    height,
    width,
    rgb: Uint8Array.from(levels.take(height * width * 3)),
  }),
);

describe("resizeImage", () => {
  it.each(RESIZE_METHODS)("%s keeps a flat picture flat", (method) => {
    fc.assert(
      fc.property(side, side, side, side, fc.integer({ min: 0, max: 255 }), (h, w, toH, toW, level) => {
        const flat = { height: h, width: w, rgb: new Uint8Array(h * w * 3).fill(level) };
        const { rgb } = resizeImage(flat, { height: toH, width: toW }, method);
        expect(rgb.length).toBe(toH * toW * 3);
        expect(rgb.every((value) => value === level)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it.each(RESIZE_METHODS)("%s changes nothing at the same size", (method) => {
    fc.assert(
      fc.property(image, (given) => {
        expect(resizeImage(given, given, method).rgb).toEqual(given.rgb);
      }),
    );
  });

  // Not PIL's bicubic: it cuts off overshoot between its two passes, so their order shows.
  it.each(RESIZE_METHODS.filter((method) => method !== "pil-bicubic"))(
    "%s commutes with turning rows into columns, up to rounding",
    (method) => {
      const transpose = ({ height, width, rgb }: RgbImage): RgbImage => {
        const out = new Uint8Array(rgb.length);
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++)
            for (let c = 0; c < 3; c++) out[(x * height + y) * 3 + c] = rgb[(y * width + x) * 3 + c]!;
        return { height: width, width: height, rgb: out };
      };
      fc.assert(
        fc.property(image, side, side, (given, height, width) => {
          const straight = resizeImage(given, { height, width }, method);
          const around = transpose(resizeImage(transpose(given), { height: width, width: height }, method));
          const worst = Math.max(...straight.rgb.map((value, index) => Math.abs(value - around.rgb[index]!)));
          expect(worst).toBeLessThanOrEqual(2);
        }),
        { numRuns: 60 },
      );
    },
  );

  it("repeats pixels with nearest", () => {
    const two = { height: 1, width: 2, rgb: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    expect([...resizeImage(two, { height: 2, width: 4 }, "nearest").rgb]).toEqual([
      1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6,
    ]);
  });

  it("refuses sizes that are none", () => {
    const dot = { height: 1, width: 1, rgb: new Uint8Array(3) };
    for (const size of [
      { height: 0, width: 1 },
      { height: 1, width: 1.5 },
    ]) {
      expect(() => resizeImage(dot, size, "nearest")).toThrow(
        expect.objectContaining({ code: "VANS_MEDIA_SIZE_INVALID" }),
      );
    }
    const lying = { height: 2, width: 2, rgb: new Uint8Array(3) };
    let error: unknown;
    try {
      resizeImage(lying, { height: 1, width: 1 }, "nearest");
    } catch (caught) {
      error = caught;
    }
    expect(isVansError(error, "VANS_MEDIA_SIZE_INVALID")).toBe(true);
  });
});

describe("cropping", () => {
  const counting = (height: number, width: number): RgbImage => ({
    height,
    width,
    rgb: Uint8Array.from({ length: height * width * 3 }, (_, index) => Math.floor(index / 3) + 1),
  });
  const reds = ({ rgb }: RgbImage): number[] => [...rgb.filter((_, index) => index % 3 === 0)];

  it("takes the centre, rounding the offset down", () => {
    expect(reds(cropCentre(counting(3, 4), { height: 1, width: 2 }))).toEqual([6, 7]);
    expect(reds(cropCentre(counting(4, 4), { height: 1, width: 1 }))).toEqual([6]);
  });

  it("fills with black where the picture is too small", () => {
    expect(reds(cropCentre(counting(1, 1), { height: 3, width: 3 }))).toEqual([0, 0, 0, 0, 1, 0, 0, 0, 0]);
    expect(reds(cropCentre(counting(1, 4), { height: 2, width: 2 }))).toEqual([0, 0, 2, 3]);
  });

  it("takes the top left", () => {
    expect(reds(cropTopLeft(counting(3, 3), { height: 2, width: 2 }))).toEqual([1, 2, 4, 5]);
  });
});

describe("clips", () => {
  const clip = {
    frameCount: 2,
    height: 2,
    width: 4,
    frameRateHz: 8,
    rgb: Uint8Array.from({ length: 48 }, (_, i) => i),
  };

  it("are taken apart and joined again", () => {
    expect(mapFrames(clip, (frame) => frame)).toEqual(clip);
    expect(clipOf([frameOf(clip, 0), frameOf(clip, 1)], 8)).toEqual(clip);
    expect(() => frameOf(clip, 2)).toThrow(RangeError);
    expect(() => clipOf([frameOf(clip, 0), { height: 1, width: 1, rgb: new Uint8Array(3) }], 8)).toThrow(
      /another size/,
    );
  });

  it("are resized and fitted to a size", () => {
    expect(resizeClip(clip, { height: 4, width: 8 }, "nearest").rgb.length).toBe(2 * 4 * 8 * 3);
    expect(fitClip(clip, { height: 2, width: 2 }, "nearest")).toMatchObject({
      frameCount: 2,
      height: 2,
      width: 2,
    });
    expect(coveringSize({ height: 338, width: 640 }, { height: 64, width: 64 })).toEqual({
      height: 64,
      width: 121,
    });
  });
});
