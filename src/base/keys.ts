/**
 * Counter-based random numbers with explicit keys: the same key gives the same numbers on any machine,
 * in any order, on any number of threads.
 *
 * Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC'11), constants as published there.
 * @module
 */

/** A key names a stream of random numbers. Derive keys with {@link fold}; never reuse one for two purposes. */
export interface Key {
  /** Low 32 bits of the key. */
  readonly low: number;
  /** High 32 bits of the key. */
  readonly high: number;
}

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** High 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const middle2 = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(middle2 / 65536)) >>> 0;
}

/**
 * One Philox4x32-10 block: 4 unsigned 32-bit words for a 128-bit counter and a 64-bit key.
 * Writes into `out` (length 4) and returns it.
 */
export function philox4x32(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  key: Key,
  out: Uint32Array = new Uint32Array(4),
): Uint32Array {
  let k0 = key.low >>> 0;
  let k1 = key.high >>> 0;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0 >>> 0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2 >>> 0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    const n0 = high1 ^ c1 ^ k0;
    const n2 = high0 ^ c3 ^ k1;
    c0 = n0;
    c1 = low1;
    c2 = n2;
    c3 = low0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
  return out;
}

/**
 * The root key of a seed. Seeds are non-negative safe integers.
 *
 * @example
 * ```ts
 * import { keyFromSeed, uniform } from "vans";
 * uniform(keyFromSeed(1), 3).length; // => 3
 * ```
 */
export function keyFromSeed(seed: number): Key {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new RangeError(`seed must be a non-negative safe integer, got ${seed}`);
  return { low: seed >>> 0, high: Math.floor(seed / 4294967296) >>> 0 };
}

/** FNV-1a over the UTF-16 units of a string, 32 bits. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/**
 * A new independent key from a key and names or non-negative integers. Folding in several parts at once is folding
 * them in one after the other.
 *
 * @example
 * ```ts
 * import { fold, keyFromSeed, normal } from "vans";
 * const key = fold(keyFromSeed(7), "noise", 3);
 * [...normal(key, 2)].map((z) => z.toFixed(4)); // => ["0.4573", "1.1059"]
 * fold(fold(keyFromSeed(7), "noise"), 3); // => key
 * ```
 */
export function fold(key: Key, ...parts: readonly (string | number)[]): Key {
  let current = key;
  const block = new Uint32Array(4);
  for (const part of parts) {
    const isText = typeof part === "string";
    // 0.25 and 0.75 would name the same stream.
    if (!isText && (!Number.isSafeInteger(part) || part < 0))
      throw new RangeError(`a key is folded with names and non-negative integers, got ${part}`);
    const low = isText ? hashText(part) : part >>> 0;
    const high = isText ? part.length : Math.floor(part / 4294967296) >>> 0;
    philox4x32(low, high, isText ? 1 : 2, 0x76616e73, current, block);
    current = { low: block[0]!, high: block[1]! };
  }
  return current;
}

/** `count` unsigned 32-bit words of a key's stream. */
export function bits(key: Key, count: number): Uint32Array {
  const out = new Uint32Array(count);
  const block = new Uint32Array(4);
  for (let i = 0; i < count; i += 4) {
    philox4x32(i / 4, 0, 0, 0, key, block);
    for (let j = 0; j < 4 && i + j < count; j++) out[i + j] = block[j]!;
  }
  return out;
}

/** `count` numbers uniform in [0, 1), 24 bits each (exact in f32). */
export function uniform(key: Key, count: number): Float32Array {
  const words = bits(key, count);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) out[i] = (words[i]! >>> 8) / 16777216;
  return out;
}

/** `count` standard normal numbers (Box-Muller over pairs of 32-bit words, computed in f64, rounded to f32). */
export function normal(key: Key, count: number): Float32Array {
  const words = bits(key, count + (count % 2));
  const out = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log((words[i]! + 1) / 4294967297));
    const angle = (2 * Math.PI * words[i + 1]!) / 4294967296;
    out[i] = radius * Math.cos(angle);
    if (i + 1 < count) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}

/** One integer uniform in [0, bound). */
export function integer(key: Key, bound: number): number {
  const words = bits(key, 2);
  const number = Math.floor((words[0]! / 4294967296 + words[1]! / 2 ** 64) * bound);
  // The largest words round up to 1.
  return Math.min(number, bound - 1);
}

/** A random permutation of 0 … count-1 (Fisher-Yates). */
export function permutation(key: Key, count: number): Uint32Array {
  const out = Uint32Array.from({ length: count }, (_, i) => i);
  const words = bits(key, count);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor((words[i]! / 4294967296) * (i + 1));
    const kept = out[i]!;
    out[i] = out[j]!;
    out[j] = kept;
  }
  return out;
}
