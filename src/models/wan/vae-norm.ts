/**
 * The autoencoder's norm and the SiLU behind it, with a gradient in few passes over the clip.
 * @module
 */
import {
  add,
  cast,
  div,
  greater,
  matmul,
  maximum,
  mul,
  reshape,
  sigmoid,
  silu,
  sqrt,
  sub,
  sum,
  type Tensor,
} from "../../tensor/index.ts";
import { withOwnGradient } from "./own-gradient.ts";

/** Norms below this count as this (torch's `normalize`). */
const EPSILON = 1e-12;

interface Parts {
  readonly norm: Tensor;
  /** √C / max(norm, epsilon) */
  readonly inverse: Tensor;
  readonly normal: Tensor;
  readonly gain: Tensor;
  readonly scaled: Tensor;
}

/** x / max(‖x‖₂ over channels, 1e-12) · √C · gamma, with what the gradient needs (Wan2.1 vae.py, RMS_norm). */
function normParts(x: Tensor, gamma: Tensor): Parts {
  const channels = x.size(1);
  const norm = sqrt(sum(mul(x, x), { axes: [1], keepDims: true }));
  const inverse = div(Math.sqrt(channels), maximum(norm, EPSILON));
  const normal = mul(x, inverse);
  const gain = reshape(gamma, [channels, ...x.shape.slice(2).map(() => 1)]);
  return { norm, inverse, normal, gain, scaled: mul(normal, gain) };
}

function forward([x, gamma]: readonly Tensor[]): Tensor {
  const { scaled } = normParts(x!, gamma!);
  return silu(scaled);
}

function backward(g: Tensor, [x, gamma]: readonly Tensor[]): Tensor[] {
  const { norm, inverse, normal, gain, scaled } = normParts(x!, gamma!);
  const s = sigmoid(scaled);
  const y = silu(scaled);
  // d silu / dx = s + y·(1 - s)
  const arriving = mul(g, add(s, mul(y, sub(1, s))));
  const product = mul(arriving, normal);
  const axes = x!.shape.map((_, i) => i).filter((i) => i !== 1);
  const [batch, channels] = x!.shape as [number, number];
  // The part along x, which the norm takes away: Σ_c gamma·arriving·normal / C.
  const along = matmul(reshape(gamma!, [1, channels]), reshape(product, [batch, channels, -1]), {
    alpha: 1 / channels,
  });
  // Where there is no signal the direction is undefined and 1 / norm is huge: nothing is passed on.
  const slope = mul(inverse, cast(greater(norm, EPSILON), "f32"));
  const dx = mul(sub(mul(arriving, gain), mul(normal, reshape(along, norm.shape))), slope);
  return [dx, reshape(sum(product, { axes }), gamma!.shape)];
}

const apply = withOwnGradient("normSilu", forward, backward);

/**
 * SiLU of the norm over channels with its gain.
 * @param x `[B, C, …]`
 * @param gamma C values in any shape
 */
export const normSilu = (x: Tensor, gamma: Tensor): Tensor => apply([x, gamma]);
