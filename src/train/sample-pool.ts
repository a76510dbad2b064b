/**
 * The samples of policy training: a fixed pool, gone through in one random order after another.
 * @module
 */
import { fold, keyFromSeed, permutation } from "../base/keys.ts";
import { CURATED_SEED_START, sampleForSeed, type WorldSample } from "../world/index.ts";
import { HELD_OUT_SEED_START } from "./world-batches.ts";

/** A range of training seeds. */
export interface SamplePool {
  readonly firstSeed: number;
  readonly samples: number;
}

/** The pool of the recipes: 1,000 samples, as many as VANS picks by hand, with curated captions. */
export const DEFAULT_POOL: SamplePool = { firstSeed: CURATED_SEED_START, samples: 1000 };

/** The `count` samples from position `start` on of the endless order that `seed` gives to the pool. */
export function poolSamples(pool: SamplePool, seed: number, start: number, count: number): WorldSample[] {
  if (pool.firstSeed + pool.samples > HELD_OUT_SEED_START)
    throw new RangeError(`the pool must end below seed ${HELD_OUT_SEED_START}`);
  const root = fold(keyFromSeed(seed), "pool");
  const orders = new Map<number, Uint32Array>();
  return Array.from({ length: count }, (_, i) => {
    const round = Math.floor((start + i) / pool.samples);
    const order = orders.get(round) ?? permutation(fold(root, round), pool.samples);
    orders.set(round, order);
    return sampleForSeed(pool.firstSeed + order[(start + i) % pool.samples]!);
  });
}
