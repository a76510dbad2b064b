import { describe, expect, it } from "vitest";
import {
  broadcastIndices,
  broadcastShapes,
  convolvedSize,
  normalizeAxes,
  normalizeAxis,
  reducedShape,
  stridedIndices,
  stridesOf,
} from "./shape.ts";
import { bool, f32, formatShape, i32, sameShape, sizeOf } from "./types.ts";

const shapeRefusal = expect.objectContaining({ code: "VANS_TENSOR_SHAPE" });

describe("broadcasting", () => {
  it.each([
    [[], [], []],
    [[3], [], [3]],
    [[4, 1], [5], [4, 5]],
    [
      [1, 2, 1],
      [7, 1, 3],
      [7, 2, 3],
    ],
    [
      [0, 1],
      [1, 4],
      [0, 4],
    ],
  ])("%j and %j give %j", (a, b, out) => {
    expect(broadcastShapes("op", a, b)).toEqual(out);
    expect(broadcastShapes("op", b, a)).toEqual(out);
  });

  it("sizes must agree or be 1", () => {
    expect(() => broadcastShapes("op", [2, 3], [3, 3])).toThrow(shapeRefusal);
    expect(() => broadcastShapes("op", [0], [2])).toThrow(shapeRefusal);
  });

  it("indices repeat what is broadcast", () => {
    expect([...broadcastIndices([2, 1], [2, 3])]).toEqual([0, 0, 0, 1, 1, 1]);
    expect([...broadcastIndices([3], [2, 3])]).toEqual([0, 1, 2, 0, 1, 2]);
    expect([...broadcastIndices([], [2])]).toEqual([0, 0]);
    expect([...broadcastIndices([1], [])]).toEqual([0]);
  });
});

describe("axes", () => {
  it("negative ones count from the end", () => {
    expect(normalizeAxis("op", -1, 3)).toBe(2);
    expect(normalizeAxes("op", [-1, 0], 3)).toEqual([0, 2]);
  });

  it("must exist, be whole, and be named once", () => {
    for (const axis of [3, -4, 0.5, Number.NaN])
      expect(() => normalizeAxis("op", axis, 3)).toThrow(shapeRefusal);
    expect(() => normalizeAxes("op", [0, -3], 3)).toThrow(shapeRefusal);
  });

  it("vanish when reduced, or stay as 1", () => {
    expect(reducedShape([2, 3, 4], [0, 2], false)).toEqual([3]);
    expect(reducedShape([2, 3, 4], [0, 2], true)).toEqual([1, 3, 1]);
    expect(reducedShape([2], [], false)).toEqual([2]);
  });
});

describe("strides", () => {
  it("are row-major", () => {
    expect(stridesOf([2, 3, 4])).toEqual([12, 4, 1]);
    expect(stridesOf([])).toEqual([]);
  });

  it("walk any view, also an empty one and a scalar", () => {
    expect([...stridedIndices([3, 2], [1, 3], 0)]).toEqual([0, 3, 1, 4, 2, 5]);
    expect([...stridedIndices([2], [-1], 5)]).toEqual([5, 4]);
    expect([...stridedIndices([0, 4], [4, 1], 0)]).toEqual([]);
    expect([...stridedIndices([], [], 7)]).toEqual([7]);
  });
});

describe("convolved sizes", () => {
  it.each([
    [5, 3, 1, 0, 0, 3],
    [5, 3, 2, 1, 1, 3],
    [4, 1, 3, 0, 0, 2],
    [1, 3, 1, 2, 0, 1],
  ])("size %i, kernel %i, stride %i, pads %i and %i give %i", (size, kernel, stride, before, after, out) => {
    expect(convolvedSize("op", size, kernel, stride, before, after)).toBe(out);
  });

  it("the kernel must fit", () => {
    expect(() => convolvedSize("op", 1, 3, 1, 1, 0)).toThrow(shapeRefusal);
  });
});

describe("plain arrays", () => {
  it("know their shape and refuse another number of elements", () => {
    expect(f32([1, 2]).shape).toEqual([2]);
    expect(f32([7], []).shape).toEqual([]);
    expect(i32([1.9, -1.9]).data).toEqual(Int32Array.of(1, -1));
    expect(bool([true, 0, 2]).data).toEqual(Uint8Array.of(1, 0, 1));
    expect(() => f32([1, 2, 3], [2, 2])).toThrow(/3 elements.*\[2, 2\] \(4 elements\)/);
  });

  it("typed arrays are taken without a copy", () => {
    const data = new Float32Array(2);
    expect(f32(data).data).toBe(data);
  });

  it("shapes print, compare and count", () => {
    expect(formatShape([])).toBe("scalar");
    expect(formatShape([2, 3])).toBe("[2, 3]");
    expect(sameShape([2, 1], [2])).toBe(false);
    expect(sizeOf([2, 0, 3])).toBe(0);
    expect(sizeOf([])).toBe(1);
  });
});
