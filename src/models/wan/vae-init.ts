/**
 * First weights of an autoencoder that is trained from scratch on still images and then on video.
 *
 * A still image meets only the last temporal tap of each convolution, so the other taps start small and the resampling
 * in time starts as an average of neighbours: what was learned on images then works on video before any video was seen.
 * The scales are measured ones (docs: training the playroom autoencoder).
 * @module
 */
import { fold, type Key, uniform } from "../../base/index.ts";
import { f32, type NdArray, type Shape, sizeOf } from "../../tensor/index.ts";
import { vaeParameterShapes } from "./vae.ts";
import type { VaeConfig } from "./vae-config.ts";

/** Size of the earlier temporal taps, relative to the last. */
const EARLIER_TAP_SCALE = 0.05;
/** Size of the random part of a convolution over time, relative to torch's. */
const TIME_NOISE_SCALE = 0.1;
/** Taps of the convolution that halves the frame rate: of three frames, the last two are averaged. */
const HALVING_TAPS = [0, 0.4, 0.6] as const;
/** Taps of the convolution that doubles the frame rate: both new frames begin as the old one. */
const DOUBLING_TAPS = [0, 0, 1] as const;
/** Convolutions outside of residual branches keep the variance: torch's uniform bound gives a third of it. */
const KEEPING_SCALE = Math.sqrt(3);
/** The last convolution of a residual branch. */
const BRANCH_END_SCALE = 0.6;
/** The log-variance of latents begins here: a standard deviation of 0.14. */
const FIRST_LOG_VARIANCE = -4;

/** Uniform in ±scale/√fanIn, which at scale 1 is torch's default for convolutions and their biases. */
function drawn(key: Key, shape: Shape, fanIn: number, scale: number): Float32Array {
  const bound = scale / Math.sqrt(fanIn);
  return uniform(key, sizeOf(shape)).map((u) => (2 * u - 1) * bound);
}

function scaleOf(layer: string): number {
  if (layer.endsWith(".shortcut") || layer.endsWith(".resample.1")) return KEEPING_SCALE;
  if (layer.endsWith(".residual.6")) return BRANCH_END_SCALE;
  return 1;
}

/** Multiplies temporal tap `tap` of a weight `[out, in, taps, rows, columns]`. */
function scaleTap(data: Float32Array, shape: Shape, tap: number, factor: number): void {
  const [out, channels, taps, rows, columns] = shape as [number, number, number, number, number];
  const area = rows * columns;
  for (let filter = 0; filter < out * channels; filter++) {
    const start = (filter * taps + tap) * area;
    for (let i = start; i < start + area; i++) data[i]! *= factor;
  }
}

/** A convolution over time: little noise, plus an identity spread over its taps. */
function timeConv(key: Key, shape: Shape): NdArray {
  const [out, channels, taps] = shape as [number, number, number];
  const data = drawn(key, shape, channels * taps, TIME_NOISE_SCALE);
  const spread = out === channels ? HALVING_TAPS : DOUBLING_TAPS;
  for (let o = 0; o < out; o++)
    for (let tap = 0; tap < taps; tap++) data[(o * channels + (o % channels)) * taps + tap]! += spread[tap]!;
  return f32(data, shape);
}

/** The weights that image training never touches: convolutions over time. */
const isTimeConv = (name: string): boolean => name.endsWith("time_conv.weight");

const hasEarlierTaps = (name: string, shape: Shape): boolean =>
  shape.length === 5 && shape[2]! > 1 && !isTimeConv(name);

/**
 * Weights to start training from, by their names in a checkpoint.
 *
 * @example
 * ```ts
 * import { keyFromSeed } from "vans";
 * import { initVae, WAN21_VAE } from "vans/models/wan";
 * const weights = initVae({ ...WAN21_VAE, base_dim: 8 }, keyFromSeed(1));
 * weights["encoder.conv1.weight"]!.shape; // => [8, 3, 3, 3, 3]
 * ```
 */
export function initVae(config: VaeConfig, key: Key): Record<string, NdArray> {
  const shapes = vaeParameterShapes(config);
  const weights: Record<string, NdArray> = {};
  for (const [name, shape] of shapes) {
    const layer = name.slice(0, name.lastIndexOf("."));
    const own = fold(key, name);
    const count = sizeOf(shape);
    if (name.endsWith(".gamma")) {
      weights[name] = f32(new Float32Array(count).fill(1), shape);
    } else if (layer.endsWith(".proj") || layer.endsWith("time_conv")) {
      weights[name] = isTimeConv(name) ? timeConv(own, shape) : f32(new Float32Array(count), shape);
    } else {
      const kernel = shapes.get(`${layer}.weight`)!;
      const fanIn = sizeOf(kernel.slice(1));
      const data = drawn(own, shape, fanIn, name.endsWith(".weight") ? scaleOf(layer) : 1);
      if (hasEarlierTaps(name, shape))
        for (let tap = 0; tap < shape[2]! - 1; tap++) scaleTap(data, shape, tap, EARLIER_TAP_SCALE);
      weights[name] = f32(data, shape);
    }
  }
  startLogVariance(weights, config);
  return weights;
}

/** The second half of the encoder's output begins near a constant. */
function startLogVariance(weights: Record<string, NdArray>, config: VaeConfig): void {
  const kernel = weights["conv1.weight"]!.data;
  const bias = weights["conv1.bias"]!.data;
  const width = 2 * config.z_dim;
  for (let o = config.z_dim; o < width; o++) {
    bias[o] = FIRST_LOG_VARIANCE;
    for (let i = 0; i < width; i++) kernel[o * width + i]! *= TIME_NOISE_SCALE;
  }
}

function rootMeanSquareOfTap(data: ArrayLike<number>, shape: Shape, tap: number): number {
  const [out, channels, taps, rows, columns] = shape as [number, number, number, number, number];
  const area = rows * columns;
  let sum = 0;
  for (let filter = 0; filter < out * channels; filter++)
    for (let i = 0; i < area; i++) sum += data[(filter * taps + tap) * area + i]! ** 2;
  return Math.sqrt(sum / (out * channels * area));
}

/**
 * Weights for video from weights that were trained on still images: the untrained earlier taps become at most 0.05 of
 * the last, the convolutions over time start anew as in {@link initVae}. Weights that started in `initVae` are already
 * like that. The given weights stay as they are.
 */
export function inflateVae(weights: Readonly<Record<string, NdArray>>, key: Key): Record<string, NdArray> {
  return Object.fromEntries(
    Object.entries(weights).map(([name, array]): [string, NdArray] => {
      const { shape } = array;
      if (isTimeConv(name)) return [name, timeConv(fold(key, name), shape)];
      if (name.endsWith("time_conv.bias")) return [name, f32(new Float32Array(sizeOf(shape)), shape)];
      if (!hasEarlierTaps(name, shape)) return [name, array];
      const data = Float32Array.from(array.data);
      const last = rootMeanSquareOfTap(data, shape, shape[2]! - 1);
      for (let tap = 0; tap < shape[2]! - 1; tap++) {
        const size = rootMeanSquareOfTap(data, shape, tap);
        if (size > EARLIER_TAP_SCALE * last) scaleTap(data, shape, tap, (EARLIER_TAP_SCALE * last) / size);
      }
      return [name, f32(data, shape)];
    }),
  );
}
