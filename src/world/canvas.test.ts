/** Coverage of shapes against their known areas. @module */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Canvas, fillEllipse, fillPolygon, fillRect, fillRoundRect, makeCanvas } from "./canvas.ts";

const ink = [100, 100, 100] as const;

/** Painted area in pixels. */
function area(paint: (canvas: Canvas) => void): number {
  const canvas = makeCanvas(64, 64);
  paint(canvas);
  let sum = 0;
  for (let i = 0; i < canvas.pixels.length; i += 3) sum += canvas.pixels[i]!;
  return sum / 100;
}

describe("shapes cover their area", () => {
  const place = fc.double({ min: 24, max: 40, noNaN: true });
  const size = fc.double({ min: 4, max: 16, noNaN: true });
  it("rectangles", () => {
    fc.assert(
      fc.property(place, place, size, size, (x, y, w, h) => {
        const painted = area((c) => fillRect(c, x - w, y - h, x + w, y + h, ink));
        expect(Math.abs(painted / (4 * w * h) - 1)).toBeLessThan(0.03);
      }),
      { numRuns: 50 },
    );
  });
  it("ellipses, turned or not", () => {
    fc.assert(
      fc.property(
        place,
        place,
        size,
        size,
        fc.double({ min: 0, max: 3, noNaN: true }),
        (x, y, a, b, turn) => {
          const exact = Math.PI * a * b;
          expect(Math.abs(area((c) => fillEllipse(c, x, y, a, b, ink, 1, turn)) / exact - 1)).toBeLessThan(
            0.06,
          );
        },
      ),
      { numRuns: 50 },
    );
  });
  it("polygons in both windings, and round rectangles without rounding, are rectangles", () => {
    fc.assert(
      fc.property(place, place, size, size, (x, y, w, h) => {
        const points = [x - w, y - h, x + w, y - h, x + w, y + h, x - w, y + h];
        const reversed = [x - w, y + h, x + w, y + h, x + w, y - h, x - w, y - h];
        const forward = area((c) => fillPolygon(c, points, ink));
        expect(Math.abs(forward / (4 * w * h) - 1)).toBeLessThan(0.06);
        expect(area((c) => fillPolygon(c, reversed, ink))).toBeCloseTo(forward, 4);
        const round = area((c) => fillRoundRect(c, x - w, y - h, x + w, y + h, 0, ink));
        expect(Math.abs(round / forward - 1)).toBeLessThan(0.03);
      }),
      { numRuns: 50 },
    );
  });
  it("alpha scales the coverage and nothing paints outside the canvas", () => {
    expect(area((c) => fillRect(c, 20, 20, 30, 30, ink, 0.25))).toBeCloseTo(25, 1);
    expect(area((c) => fillEllipse(c, -30, 90, 8, 8, ink))).toBe(0);
    expect(area((c) => fillRect(c, -10, -10, 90, 90, ink))).toBeCloseTo(64 * 64, 1);
  });
});
