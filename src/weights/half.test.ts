import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bf16FromFloat,
  bf16FromFloat32,
  f16FromFloat,
  f16FromFloat32,
  float32FromBf16,
  float32FromF16,
  floatFromBf16,
  floatFromF16,
} from "./half.ts";

const ALL = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** The nearest of all numbers of a half type, ties to the even bit pattern: slow and obviously right. */
function nearest(value: number, table: Float32Array): number {
  let best = 0;
  for (let bits = 0; bits < 0x8000; bits++) {
    const distance = Math.abs(table[bits]! - Math.abs(value));
    const bestDistance = Math.abs(table[best]! - Math.abs(value));
    if (distance < bestDistance || (distance === bestDistance && bits % 2 === 0)) best = bits;
  }
  return best + (value < 0 || Object.is(value, -0) ? 0x8000 : 0);
}

describe.each([
  {
    name: "bf16",
    from: bf16FromFloat,
    to: floatFromBf16,
    fromMany: bf16FromFloat32,
    toMany: float32FromBf16,
    inf: 0x7f80,
  },
  {
    name: "f16",
    from: f16FromFloat,
    to: floatFromF16,
    fromMany: f16FromFloat32,
    toMany: float32FromF16,
    inf: 0x7c00,
  },
])("$name", ({ from, to, fromMany, toMany, inf }) => {
  const table = toMany(ALL);
  // For the nearest-value oracle: infinity stands where the next finite number would be.
  const finite = Float32Array.from(table, (value) => (Number.isNaN(value) ? 1e39 : value));

  it("keeps every bit pattern through f32", () => {
    const back = fromMany(table);
    for (let bits = 0; bits < 65536; bits++) {
      expect(Object.is(to(bits), table[bits]) || Number.isNaN(to(bits))).toBe(true);
      if (Number.isNaN(table[bits])) expect(Number.isNaN(to(back[bits]!))).toBe(true);
      else if (back[bits] !== bits) throw new Error(`${bits} became ${back[bits]}`);
    }
  });

  it("rounds to the nearest, ties to even", () => {
    const largest = to(inf - 1);
    const between = fc
      .tuple(fc.integer({ min: 0, max: inf - 2 }), fc.constantFrom(0.25, 0.5, 0.75), fc.boolean())
      .map(([bits, part, negative]) => (negative ? -1 : 1) * (to(bits) + (to(bits + 1) - to(bits)) * part));
    fc.assert(
      fc.property(fc.oneof(between, fc.float({ noNaN: true, min: -largest, max: largest })), (value) => {
        const single = Math.fround(value);
        expect(from(single)).toBe(nearest(single, finite));
      }),
      { numRuns: 60 },
    );
  });

  it("handles the ends of the range", () => {
    expect(from(Number.POSITIVE_INFINITY)).toBe(inf);
    expect(from(Number.NEGATIVE_INFINITY)).toBe(inf + 0x8000);
    expect(from(3.4028234663852886e38)).toBe(inf);
    expect(Number.isNaN(to(from(Number.NaN)))).toBe(true);
    expect(from(-0)).toBe(0x8000);
  });
});

it("f16 rounds 65520 to infinity and 65519 to 65504", () => {
  expect(f16FromFloat(65519)).toBe(0x7bff);
  expect(f16FromFloat(65520)).toBe(0x7c00);
  expect(f16FromFloat(2 ** -25)).toBe(0);
  expect(f16FromFloat(2 ** -25 * 1.0001)).toBe(1);
});
