/**
 * Structural similarity of two clips, frame by frame.
 *
 * Definition: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
 * similarity" (2004): Gaussian window of 11×11 with deviation 1.5, K₁ = 0.01, K₂ = 0.03, L = 255, covariances without
 * Bessel's correction, mean over the windows that lie wholly inside. Colour: each of R, G, B by itself, then the mean;
 * this is `structural_similarity(channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
 * data_range=255)` of scikit-image, with which it agrees (the paper itself looks at grey pictures). Mean over frames.
 *
 * Range -1 … 1, 1 only for equal clips. What games it: a still scene. Where little moves, repeating the last input frame
 * scores high, so it says how sharp and alike pictures are, never whether the event is right.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { Clip } from "../media/clip.ts";

/** Side of the window in pixels. */
const WINDOW = 11;
const DEVIATION = 1.5;
/** (K₁ L)² and (K₂ L)². */
const C1 = (0.01 * 255) ** 2;
const C2 = (0.03 * 255) ** 2;

/** Weights of one axis of the window; their sum is 1. */
const WEIGHTS = gaussian();

function gaussian(): Float64Array {
  const middle = (WINDOW - 1) / 2;
  const raw = Float64Array.from({ length: WINDOW }, (_, i) =>
    Math.exp(-((i - middle) ** 2) / (2 * DEVIATION ** 2)),
  );
  const total = raw.reduce((sum, weight) => sum + weight, 0);
  return raw.map((weight) => weight / total);
}

/**
 * Mean structural similarity of two 8-bit clips of one size, at least 11×11 pixels.
 *
 * @throws `VANS_METRICS_SHAPE` where sizes differ or the window does not fit
 * @example
 * ```ts
 * import { ssim } from "vans/metrics";
 * const rgb = Uint8Array.from({ length: 3 * 144 }, (_, i) => (i * 7) % 256);
 * const clip = { frameCount: 1, height: 12, width: 12, frameRateHz: 8, rgb };
 * ssim(clip, clip); // => 1
 * ```
 */
export function ssim(a: Clip, b: Clip): number {
  const { frameCount, height, width } = a;
  if (
    frameCount !== b.frameCount ||
    height !== b.height ||
    width !== b.width ||
    Math.min(height, width) < WINDOW ||
    frameCount === 0
  ) {
    throw new VansError("VANS_METRICS_SHAPE", "two clips cannot be compared by SSIM", {
      asked: `two clips of one size, at least ${WINDOW}x${WINDOW} pixels`,
      found: `${frameCount} frames of ${width}x${height} and ${b.frameCount} frames of ${b.width}x${b.height}`,
    });
  }
  let total = 0;
  for (let frame = 0; frame < frameCount; frame++)
    for (let channel = 0; channel < 3; channel++)
      total += ssimOfPlane(planeOf(a, frame, channel), planeOf(b, frame, channel), height, width);
  return total / (3 * frameCount);
}

function planeOf({ rgb, height, width }: Clip, frame: number, channel: number): Float64Array {
  const at = frame * height * width;
  return Float64Array.from({ length: height * width }, (_, i) => rgb[3 * (at + i) + channel]!);
}

function ssimOfPlane(x: Float64Array, y: Float64Array, height: number, width: number): number {
  const product = (p: Float64Array, q: Float64Array): Float64Array => p.map((value, i) => value * q[i]!);
  const mean = (plane: Float64Array): Float64Array => windowMeans(plane, height, width);
  const [mx, my] = [mean(x), mean(y)];
  const [xx, yy, xy] = [mean(product(x, x)), mean(product(y, y)), mean(product(x, y))];
  let total = 0;
  for (let i = 0; i < mx.length; i++) {
    const [u, v] = [mx[i]!, my[i]!];
    const cross = xy[i]! - u * v;
    const spread = xx[i]! - u * u + (yy[i]! - v * v);
    total += ((2 * u * v + C1) * (2 * cross + C2)) / ((u * u + v * v + C1) * (spread + C2));
  }
  return total / mx.length;
}

/** Weighted means of all windows inside a plane, first along rows, then along columns. */
function windowMeans(plane: Float64Array, height: number, width: number): Float64Array {
  const [rows, columns] = [height - WINDOW + 1, width - WINDOW + 1];
  const across = new Float64Array(height * columns);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let k = 0; k < WINDOW; k++) sum += WEIGHTS[k]! * plane[y * width + x + k]!;
      across[y * columns + x] = sum;
    }
  const out = new Float64Array(rows * columns);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let k = 0; k < WINDOW; k++) sum += WEIGHTS[k]! * across[(y + k) * columns + x]!;
      out[y * columns + x] = sum;
    }
  return out;
}
