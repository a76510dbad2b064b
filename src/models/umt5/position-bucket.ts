/**
 * Buckets of relative positions: near distances one by one, far ones in logarithmic steps.
 * @module
 */
import { i32, type NdArray } from "../../tensor/index.ts";
import type { Umt5Config } from "./config.ts";

/**
 * The bucket of a distance (key position - query position), bidirectional form of T5
 * (transformers, `_relative_position_bucket`).
 *
 * @example
 * ```ts
 * import { positionBucket, UMT5_XXL } from "vans/models/umt5";
 * [-200, -8, -1, 0, 1, 12].map((distance) => positionBucket(UMT5_XXL, distance)); // => [15, 8, 1, 0, 17, 25]
 * ```
 */
export function positionBucket(
  { bucketCount, maxDistance }: Pick<Umt5Config, "bucketCount" | "maxDistance">,
  distance: number,
): number {
  const half = bucketCount / 2;
  const exact = half / 2;
  const start = distance > 0 ? half : 0;
  const size = Math.abs(distance);
  if (size < exact) return start + size;
  // The reference computes the logarithms in f32; where a boundary is a whole number, rounding decides the bucket.
  const ratio = Math.fround(Math.log(Math.fround(size / exact)));
  const span = Math.fround(Math.log(maxDistance / exact));
  const steps = Math.fround(Math.fround(ratio / span) * (half - exact));
  return start + Math.min(half - 1, exact + Math.trunc(steps));
}

/** Buckets for all pairs of positions, `[length, length]` (query, key). */
export function bucketTable(config: Umt5Config, length: number): NdArray {
  const data = new Int32Array(length * length);
  for (let query = 0; query < length; query++)
    for (let key = 0; key < length; key++) data[query * length + key] = positionBucket(config, key - query);
  return i32(data, [length, length]);
}
