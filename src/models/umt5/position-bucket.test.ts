import { expect, it } from "vitest";
import { UMT5_XXL } from "./config.ts";
import { bucketTable, positionBucket } from "./position-bucket.ts";

it("has the published boundaries on both sides", () => {
  // First distance of each bucket from 8 up (128 distances, 32 buckets).
  const firsts = [8, 12, 16, 23, 32, 46, 64, 91];
  firsts.forEach((first, i) => {
    expect(positionBucket(UMT5_XXL, -first)).toBe(8 + i);
    expect(positionBucket(UMT5_XXL, -(first - 1))).toBe(7 + i);
    expect(positionBucket(UMT5_XXL, first)).toBe(24 + i);
  });
  expect(positionBucket(UMT5_XXL, -511)).toBe(15);
  expect(positionBucket(UMT5_XXL, 511)).toBe(31);
});

it("names the bucket of key minus query", () => {
  const table = bucketTable(UMT5_XXL, 3);
  expect([...table.data]).toEqual([0, 17, 18, 1, 0, 17, 2, 1, 0]);
});
