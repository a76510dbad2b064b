/**
 * Half-precision numbers as they lie on disk: bfloat16 and IEEE float16, to and from f32, rounding to nearest even.
 * @module
 */

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** Bits of a bfloat16 (the upper half of an f32) as a number. */
export function floatFromBf16(bits: number): number {
  word[0] = bits << 16;
  return float[0]!;
}

/** A number as bfloat16 bits, rounded to nearest even; every NaN becomes 0x7fc0 with its sign. */
export function bf16FromFloat(value: number): number {
  float[0] = value;
  return bf16FromWord(word[0]!);
}

/** The f32 word `bits` as bfloat16 bits. */
function bf16FromWord(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return ((bits >>> 16) & 0x8000) | 0x7fc0;
  // Adds just under half of the last kept place, or exactly half when that place is odd. The sum may pass 2^32
  // only for NaN, which is gone by now.
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** Bits of an IEEE float16 as a number (subnormals, infinities and NaN included). */
export function floatFromF16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** A number as float16 bits, rounded from f32 to nearest even; beyond ±65504 (rounded) it becomes infinite. */
export function f16FromFloat(value: number): number {
  float[0] = value;
  return f16FromWord(word[0]!);
}

/** The f32 word `bits` as float16 bits. */
function f16FromWord(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65536 and above, also infinity
  if (magnitude >= 0x38800000) {
    // Normal float16: rebias by 112 and drop 13 bits; a carry out of the fraction raises the exponent as it should.
    const rebiased = magnitude - (112 << 23);
    return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
  }
  if (magnitude < 0x33000000) return sign; // below 2^-25: zero
  // Subnormal: the integer number of steps of 2^-24.
  const exponent = magnitude >>> 23;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - exponent;
  const kept = fraction >>> shift;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}

/** bfloat16 bits as an f32 array of the same length. */
export function float32FromBf16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16;
  return new Float32Array(out.buffer);
}

let f16Table: Float32Array | undefined;

/** float16 bits as an f32 array of the same length. */
export function float32FromF16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  f16Table ??= Float32Array.from({ length: 65536 }, (_, i) => floatFromF16(i));
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = f16Table[bits[i]!]!;
  return out;
}

/** An f32 array as bfloat16 bits, rounded to nearest even. */
export function bf16FromFloat32(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) out[i] = bf16FromWord(words[i]!);
  return out;
}

/** An f32 array as float16 bits, rounded to nearest even. */
export function f16FromFloat32(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) out[i] = f16FromWord(words[i]!);
  return out;
}
