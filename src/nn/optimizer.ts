/**
 * Optimizers as graphs: gradients in, new parameters and state out.
 * @module
 */
import {
  add,
  div,
  matmul,
  maximum,
  minimum,
  mul,
  reshape,
  sizeOf,
  sqrt,
  sub,
  sum,
  type Tensor,
  transpose,
} from "../tensor/index.ts";

/** AdamW (Loshchilov & Hutter, arXiv 1711.05101), as `torch.optim.AdamW` computes it. */
export interface AdamWOptions {
  readonly kind: "adamw";
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Factor on the learning rate for this parameter. */
  readonly rateScale: number;
}

/**
 * Muon (Jordan et al. 2024): momentum, orthogonalised by Newton-Schulz, for matrices and convolution kernels
 * flattened to `[out, rest]`.
 */
export interface MuonOptions {
  readonly kind: "muon";
  readonly momentum: number;
  readonly rateScale: number;
}

export type OptimizerOptions = AdamWOptions | MuonOptions;

/** torch's defaults. */
export const ADAMW: AdamWOptions = {
  kind: "adamw",
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.01,
  rateScale: 1,
};

/** The published defaults. */
export const MUON: MuonOptions = { kind: "muon", momentum: 0.95, rateScale: 1 };

/** √Σ‖g‖² over all gradients. */
export function globalNorm(gradients: readonly Tensor[]): Tensor {
  const squares = gradients.map((g) => sum(mul(g, g)));
  return sqrt(squares.reduce((total, square) => add(total, square)));
}

/** The factor by which `clip_grad_norm_` scales gradients: min(1, limit / (norm + 1e-6)). */
export function clipFactor(norm: Tensor, limit: number): Tensor {
  return minimum(div(limit, add(norm, 1e-6)), 1);
}

/** Scalars of one step, fed at run time because they depend on the step. */
export interface StepScalars {
  readonly learningRate: Tensor;
  /** 1 - beta1^t, where beta1 is that of AdamW. */
  readonly correction1: Tensor;
  /** √(1 - beta2^t) */
  readonly correction2Sqrt: Tensor;
  /** What gradients are scaled by before they are used (clipping); undefined: 1. */
  readonly gradientFactor?: Tensor | undefined;
}

/** New value and new moments of one parameter under AdamW. */
export function adamw(
  p: Tensor,
  g: Tensor,
  m: Tensor,
  v: Tensor,
  scalars: StepScalars,
  options: AdamWOptions,
): { p: Tensor; m: Tensor; v: Tensor } {
  const { beta1, beta2, epsilon, weightDecay, rateScale } = options;
  const rate = mul(scalars.learningRate, rateScale);
  // Large tensors are what a step costs here, so scalars are multiplied with scalars first: √v̂ + ε is divided by the
  // correction of v̂ only in the rate, and the gradient is scaled and weighted at once.
  const fresh = mul(g, scalars.gradientFactor ? mul(scalars.gradientFactor, 1 - beta1) : 1 - beta1);
  const m1 = add(mul(m, beta1), fresh);
  const v1 = add(mul(v, beta2), mul(mul(fresh, fresh), (1 - beta2) / (1 - beta1) ** 2));
  const denominator = add(sqrt(v1), mul(scalars.correction2Sqrt, epsilon));
  const step = mul(rate, div(scalars.correction2Sqrt, scalars.correction1));
  const decayed = weightDecay === 0 ? p : mul(p, sub(1, mul(rate, weightDecay)));
  return { p: sub(decayed, mul(div(m1, denominator), step)), m: m1, v: v1 };
}

// Quintic Newton-Schulz coefficients of the published Muon.
const NEWTON_SCHULZ = [3.4445, -4.775, 2.0315] as const;
const NEWTON_SCHULZ_STEPS = 5;

/** The nearest semi-orthogonal matrix to `[rows, columns]`, approximately (singular values within about 0.7 … 1.2). */
export function orthogonalize(matrix: Tensor): Tensor {
  const [rows, columns] = matrix.shape as [number, number];
  const isTall = rows > columns;
  let x = isTall ? transpose(matrix, [1, 0]) : matrix;
  x = div(x, maximum(sqrt(sum(mul(x, x))), 1e-7));
  const [a, b, c] = NEWTON_SCHULZ;
  for (let i = 0; i < NEWTON_SCHULZ_STEPS; i++) {
    const gram = matmul(x, x, { transposeB: true });
    const mixed = add(mul(gram, b), matmul(gram, gram, { alpha: c }));
    x = add(mul(x, a), matmul(mixed, x));
  }
  return isTall ? transpose(x, [1, 0]) : x;
}

/** New value and momentum of one parameter under Muon (Nesterov form). */
export function muon(
  p: Tensor,
  g: Tensor,
  m: Tensor,
  scalars: StepScalars,
  options: MuonOptions,
): { p: Tensor; m: Tensor } {
  const rows = p.size(0);
  const columns = sizeOf(p.shape) / rows;
  const m1 = add(mul(m, options.momentum), g);
  const direction = add(g, mul(m1, options.momentum));
  const update = orthogonalize(reshape(direction, [rows, columns]));
  const scale = options.rateScale * Math.sqrt(Math.max(1, rows / columns));
  return { p: sub(p, mul(reshape(update, p.shape), mul(scalars.learningRate, scale))), m: m1 };
}
