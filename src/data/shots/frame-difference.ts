/**
 * How different two frames are, beyond what motion and light explain. Works on thumbnails.
 * @module
 */
import { THUMB_BYTES, THUMB_HEIGHT, THUMB_PIXELS, THUMB_WIDTH } from "../scan/thumbnail.ts";

/** Blocks are this wide and high, in thumbnail pixels. */
const BLOCK_WIDTH = 8;
const BLOCK_HEIGHT = 9;
/** Motion is searched this far, in thumbnail pixels: about 9 % of the width either way. */
const REACH_X = 4;
const REACH_Y = 3;
/** A global fit of brightness is believed from this correlation on. */
const FIT_CORRELATION = 0.85;
/** What every pixel may differ without meaning anything: rounding, grain, compression. */
const DEAD_ZONE = 1;

/** Thumbnails of a stretch of video, one after another. */
export interface Thumbnails {
  readonly bytes: Uint8Array;
  readonly count: number;
}

/** A brightness map from one frame to the other: `b = gain * a + lift`. */
interface LightFit {
  readonly correlation: number;
  readonly gain: number;
  readonly lift: number;
}

/** Luma this near the ends of the coded range counts as clipped: it says nothing about a change of light. */
const CLIPPED_LOW = 20;
const CLIPPED_HIGH = 228;

/** Least squares fit of frame b's luma by frame a's, over pixels that are clipped in neither. */
export function fitLight(bytes: Uint8Array, a: number, b: number): LightFit {
  const atA = a * THUMB_BYTES;
  const atB = b * THUMB_BYTES;
  let n = 0;
  let sa = 0;
  let sb = 0;
  let saa = 0;
  let sbb = 0;
  let sab = 0;
  for (let i = 0; i < THUMB_PIXELS; i++) {
    const va = bytes[atA + i]!;
    const vb = bytes[atB + i]!;
    if (va < CLIPPED_LOW || vb < CLIPPED_LOW || va > CLIPPED_HIGH || vb > CLIPPED_HIGH) continue;
    n++;
    sa += va;
    sb += vb;
    saa += va * va;
    sbb += vb * vb;
    sab += va * vb;
  }
  if (n < THUMB_PIXELS / 4) return { correlation: 0, gain: 1, lift: 0 };
  const varA = saa / n - (sa / n) ** 2;
  const varB = sbb / n - (sb / n) ** 2;
  const cov = sab / n - (sa / n) * (sb / n);
  if (varA < 1 || varB < 1)
    return { correlation: varA < 1 && varB < 1 ? 1 : 0, gain: 1, lift: (sb - sa) / n };
  const gain = cov / varA;
  return { correlation: cov / Math.sqrt(varA * varB), gain, lift: sb / n - gain * (sa / n) };
}

/**
 * Mean absolute difference of two frames (levels of 255, luma and half the chroma), after each block has been moved
 * to where it fits best, and after a global change of light where one explains most of the picture.
 */
export function frameDifference(bytes: Uint8Array, a: number, b: number): number {
  const raw = movedDifference(bytes, a, b, 1, 0);
  if (raw < 1) return raw;
  const fit = fitLight(bytes, a, b);
  if (fit.correlation < FIT_CORRELATION || fit.gain < 0.2 || fit.gain > 5) return raw;
  return Math.min(raw, movedDifference(bytes, a, b, fit.gain, fit.lift) / Math.max(1, Math.min(fit.gain, 2)));
}

const mapped = new Float32Array(256);

function movedDifference(bytes: Uint8Array, a: number, b: number, gain: number, lift: number): number {
  const atA = a * THUMB_BYTES;
  const atB = b * THUMB_BYTES;
  const isLit = gain !== 1 || lift !== 0;
  for (let v = 0; v < 256; v++) mapped[v] = !isLit ? v : Math.min(235, Math.max(16, v * gain + lift));
  let total = 0;
  for (let by = 0; by < THUMB_HEIGHT; by += BLOCK_HEIGHT) {
    for (let bx = 0; bx < THUMB_WIDTH; bx += BLOCK_WIDTH) {
      let best = Number.POSITIVE_INFINITY;
      let bestShift = 0;
      // From no motion outwards, so that equal fits keep still.
      for (const [dx, dy] of SHIFTS) {
        const left = bx + dx;
        const top = by + dy;
        if (left < 0 || top < 0 || left + BLOCK_WIDTH > THUMB_WIDTH || top + BLOCK_HEIGHT > THUMB_HEIGHT)
          continue;
        let sum = 0;
        for (let y = 0; y < BLOCK_HEIGHT && sum < best; y++) {
          const rowA = atA + (top + y) * THUMB_WIDTH + left;
          const rowB = atB + (by + y) * THUMB_WIDTH + bx;
          for (let x = 0; x < BLOCK_WIDTH; x++) {
            const difference = mapped[bytes[rowA + x]!]! - bytes[rowB + x]!;
            const size = difference < 0 ? -difference : difference;
            if (size > DEAD_ZONE) sum += size - DEAD_ZONE;
          }
        }
        if (sum < best) {
          best = sum;
          bestShift = dy * THUMB_WIDTH + dx;
          if (best < BLOCK_WIDTH * BLOCK_HEIGHT * 0.5) break;
        }
      }
      total += best;
      // Light changes colour too, so chroma counts only where luma was taken as it is.
      if (isLit) continue;
      let chroma = 0;
      for (let plane = 1; plane < 3; plane++) {
        const rowsA = atA + plane * THUMB_PIXELS + bestShift;
        const rowsB = atB + plane * THUMB_PIXELS;
        for (let y = by; y < by + BLOCK_HEIGHT; y++)
          for (let x = bx; x < bx + BLOCK_WIDTH; x++) {
            const i = y * THUMB_WIDTH + x;
            const difference = bytes[rowsA + i]! - bytes[rowsB + i]!;
            const size = difference < 0 ? -difference : difference;
            if (size > DEAD_ZONE) chroma += size - DEAD_ZONE;
          }
      }
      total += chroma / 2;
    }
  }
  return total / THUMB_PIXELS;
}

const SHIFTS: readonly (readonly [number, number])[] = Array.from(
  { length: (2 * REACH_X + 1) * (2 * REACH_Y + 1) },
  (_, i) =>
    [(i % (2 * REACH_X + 1)) - REACH_X, Math.floor(i / (2 * REACH_X + 1)) - REACH_Y] as [number, number],
).sort((p, q) => Math.hypot(...p) - Math.hypot(...q));

/** Mean luma of a frame. */
export function meanLuma(bytes: Uint8Array, frame: number): number {
  let sum = 0;
  const at = frame * THUMB_BYTES;
  for (let i = 0; i < THUMB_PIXELS; i++) sum += bytes[at + i]!;
  return sum / THUMB_PIXELS;
}

/** Standard deviation of a frame's luma. */
export function lumaSpread(bytes: Uint8Array, frame: number): number {
  const mean = meanLuma(bytes, frame);
  let sum = 0;
  const at = frame * THUMB_BYTES;
  for (let i = 0; i < THUMB_PIXELS; i++) sum += (bytes[at + i]! - mean) ** 2;
  return Math.sqrt(sum / THUMB_PIXELS);
}

/** Luma gradients at least this strong (levels a pixel) count as edges. */
const EDGE_LEAST = 5;

/**
 * Share of the edges of frame `a`, by strength, that frame `b` has too: the same direction within one thumbnail pixel.
 * Light leaves edges where they are; what happens inside a shot moves some of them; a new shot has others.
 *
 * @returns 0 … 1, or undefined where `a` has hardly any edge
 */
export function sharedEdges(bytes: Uint8Array, a: number, b: number): number | undefined {
  const fromA = gradientsOf(bytes, a, 0);
  const fromB = gradientsOf(bytes, b, 1);
  let total = 0;
  let shared = 0;
  let edges = 0;
  for (let y = 1; y < THUMB_HEIGHT - 1; y++) {
    for (let x = 1; x < THUMB_WIDTH - 1; x++) {
      const i = (y * THUMB_WIDTH + x) * 2;
      const gx = fromA[i]!;
      const gy = fromA[i + 1]!;
      const size = Math.sqrt(gx * gx + gy * gy);
      if (size < EDGE_LEAST) continue;
      edges++;
      // A few hard edges must not outweigh all others.
      const weight = Math.min(size, 30);
      total += weight;
      let best = 0;
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          const k = i + (dy * THUMB_WIDTH + dx) * 2;
          const hx = fromB[k]!;
          const hy = fromB[k + 1]!;
          const other = Math.sqrt(hx * hx + hy * hy);
          if (other < 0.3 * size && other < 12) continue;
          const likeness = (gx * hx + gy * hy) / (size * other);
          if (likeness > best) best = likeness;
        }
      }
      // Directions within 25 degrees are the same edge.
      if (best > 0.9) shared += weight;
    }
  }
  return edges < 12 ? undefined : shared / total;
}

const gradients = [new Float32Array(THUMB_PIXELS * 2), new Float32Array(THUMB_PIXELS * 2)] as const;

function gradientsOf(bytes: Uint8Array, frame: number, slot: 0 | 1): Float32Array {
  const out = gradients[slot];
  const at = frame * THUMB_BYTES;
  for (let y = 1; y < THUMB_HEIGHT - 1; y++)
    for (let x = 1; x < THUMB_WIDTH - 1; x++) {
      const i = y * THUMB_WIDTH + x;
      out[i * 2] = (bytes[at + i + 1]! - bytes[at + i - 1]!) / 2;
      out[i * 2 + 1] = (bytes[at + i + THUMB_WIDTH]! - bytes[at + i - THUMB_WIDTH]!) / 2;
    }
  return out;
}
