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
  const work = new Planes(height, width);
  let total = 0;
  for (let frame = 0; frame < frameCount; frame++)
    for (let channel = 0; channel < 3; channel++) total += work.ssim(a, b, frame, channel);
  return total / (3 * frameCount);
}

/** Moments of a window: means of x, y, x², y², xy. */
const MOMENTS = 5;

/** Buffers for planes of one size, used again and again. */
class Planes {
  readonly #height: number;
  readonly #width: number;
  /** Moments of each pixel, then of each piece of a row, then of each window; interleaved. */
  readonly #pixels: Float64Array;
  readonly #across: Float64Array;

  constructor(height: number, width: number) {
    this.#height = height;
    this.#width = width;
    this.#pixels = new Float64Array(MOMENTS * height * width);
    this.#across = new Float64Array(MOMENTS * height * (width - WINDOW + 1));
  }

  ssim(a: Clip, b: Clip, frame: number, channel: number): number {
    const [pixels, across] = [this.#pixels, this.#across];
    const [rows, columns] = [this.#height - WINDOW + 1, this.#width - WINDOW + 1];
    const area = this.#height * this.#width;
    for (let i = 0; i < area; i++) {
      const x = a.rgb[3 * (frame * area + i) + channel]!;
      const y = b.rgb[3 * (frame * area + i) + channel]!;
      const at = MOMENTS * i;
      pixels[at] = x;
      pixels[at + 1] = y;
      pixels[at + 2] = x * x;
      pixels[at + 3] = y * y;
      pixels[at + 4] = x * y;
    }
    for (let row = 0; row < this.#height; row++)
      weigh(pixels, MOMENTS * row * this.#width, MOMENTS, across, MOMENTS * row * columns, columns);
    let total = 0;
    const window = new Float64Array(MOMENTS);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        weigh(across, MOMENTS * (row * columns + column), MOMENTS * columns, window, 0, 1);
        const [u, v] = [window[0]!, window[1]!];
        const cross = window[4]! - u * v;
        const spread = window[2]! - u * u + (window[3]! - v * v);
        total += ((2 * u * v + C1) * (2 * cross + C2)) / ((u * u + v * v + C1) * (spread + C2));
      }
    return total / (rows * columns);
  }
}

/** Weighted means of {@link WINDOW} places that lie `step` apart, for `count` windows side by side. */
function weigh(
  from: Float64Array,
  start: number,
  step: number,
  to: Float64Array,
  at: number,
  count: number,
): void {
  for (let i = 0; i < count; i++) {
    let [x, y, xx, yy, xy] = [0, 0, 0, 0, 0];
    for (let k = 0; k < WINDOW; k++) {
      const weight = WEIGHTS[k]!;
      const place = start + MOMENTS * i + k * step;
      x += weight * from[place]!;
      y += weight * from[place + 1]!;
      xx += weight * from[place + 2]!;
      yy += weight * from[place + 3]!;
      xy += weight * from[place + 4]!;
    }
    const place = at + MOMENTS * i;
    to[place] = x;
    to[place + 1] = y;
    to[place + 2] = xx;
    to[place + 3] = yy;
    to[place + 4] = xy;
  }
}
