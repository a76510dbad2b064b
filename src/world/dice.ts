/**
 * Draws from a key by name, so that adding a draw never changes the others.
 * @module
 */
import { fold, integer, type Key, permutation, uniform } from "../base/keys.ts";

/** One item of a list. */
export function pick<T>(key: Key, name: string, items: readonly T[]): T {
  return items[integer(fold(key, name), items.length)]!;
}

/** A number uniform in `[low, high)`. */
export function between(key: Key, name: string, low: number, high: number): number {
  return low + (high - low) * uniform(fold(key, name), 1)[0]!;
}

/** An integer uniform in `low … high`, both included. */
export function integerBetween(key: Key, name: string, low: number, high: number): number {
  return low + integer(fold(key, name), high - low + 1);
}

/** `count` different items of a list, in random order. */
export function pickSome<T>(key: Key, name: string, items: readonly T[], count: number): T[] {
  return Array.from(permutation(fold(key, name), items.length).subarray(0, count), (i) => items[i]!);
}
