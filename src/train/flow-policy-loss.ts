/**
 * The policy loss of stochastic flow steps (Flow-GRPO, arXiv 2505.05470) as a graph: clipped ratio and KL to a reference.
 * @module
 */
import { VansError } from "../base/errors.ts";
import {
  abs,
  add,
  cast,
  div,
  exp,
  greater,
  maximum,
  mean,
  minimum,
  mul,
  neg,
  reshape,
  slice,
  sqrt,
  sub,
  type Tensor,
} from "../tensor/index.ts";
import { COEFFICIENT_COLUMNS } from "./flow-sde.ts";
import { stopGradient } from "./stop-gradient.ts";

/**
 * What the policy was when it drew the step: its log-probabilities `[B]` or, exact even in f32, its velocities. The
 * latter should come from a replay through the same graph, whose kernels round alike.
 */
export type OldPolicy = { readonly logProb: Tensor } | { readonly velocity: Tensor };

/** Inputs of {@link flowPolicyLoss}; all cover the generated frames only. */
export interface FlowPolicyInputs {
  /** Latents before the step, `[B, C, F, h, w]`. */
  readonly x: Tensor;
  /** Latents that the rollout went on with. */
  readonly next: Tensor;
  /** Velocity of the policy that is trained. */
  readonly velocity: Tensor;
  /** `packCoefficients` of the steps, `[B, 5]`. */
  readonly coefficients: Tensor;
  /** `[B]` */
  readonly advantages: Tensor;
  /** Absent: the policy has not changed since the rollout, so every ratio is exactly 1 (and still has a gradient). */
  readonly old?: OldPolicy | undefined;
  /** Velocity of the reference policy (adapters off); needed where `beta` is not 0. */
  readonly referenceVelocity?: Tensor;
}

/** Settings of {@link flowPolicyLoss}; the defaults in brackets are Flow-GRPO's for Wan2.1-1.3B. */
export interface FlowPolicyOptions {
  /** The ratio counts within 1 ± clip (0.001: it is the ratio of the mean log-density). */
  readonly clip: number;
  /** Weight of the KL term (0.004). */
  readonly beta: number;
  /** Advantages are clamped to ± this (5). */
  readonly advantageClamp: number;
  /**
   * `density` (default) is the ratio of mean log-densities, whose logarithm has mean -KL under the old policy. `unbiased`
   * adds that KL and multiplies by the deviation (GRPO-Guard, arXiv 2510.22319), a sample at a time; it needs old
   * velocities and another `clip` (2e-6 there).
   */
  readonly ratio?: "density" | "unbiased" | undefined;
}

/** Outputs of {@link flowPolicyLoss}. */
export interface FlowPolicyLoss {
  /** policyLoss + beta · kl */
  readonly loss: Tensor;
  /** Mean over samples of max(-A·r, -A·clip(r)). */
  readonly policyLoss: Tensor;
  /** Mean over samples of the closed-form KL per element. */
  readonly kl: Tensor;
  /** Expected next latents. */
  readonly mean: Tensor;
  /** `[B]` */
  readonly logProb: Tensor;
  /** `[B]` */
  readonly ratio: Tensor;
  /** Share of ratios outside of the clip range. */
  readonly clippedShare: Tensor;
}

/** Mean over everything but the batch, in two levels: f32 sums of half a million elements would lose digits. */
function sampleMean(x: Tensor): Tensor {
  const axes = x.shape.map((_, axis) => axis);
  return mean(mean(x, { axes: axes.slice(-2) }), { axes: axes.slice(1, -2) });
}

/**
 * Loss of one step of each sample.
 *
 * With old velocities the log-ratio is computed from the difference of the means, which is exactly 0 where the policy
 * has not changed: log r = -precision · mean((mean_old - mean)·(2·next - mean - mean_old)).
 */
export function flowPolicyLoss(inputs: FlowPolicyInputs, options: FlowPolicyOptions): FlowPolicyLoss {
  const { x, next, velocity, referenceVelocity } = inputs;
  const old = inputs.old ?? { velocity: stopGradient(velocity) };
  const batch = x.size(0);
  const column = (name: (typeof COEFFICIENT_COLUMNS)[number]): Tensor => {
    const at = COEFFICIENT_COLUMNS.indexOf(name);
    return reshape(slice(inputs.coefficients, 1, at, at + 1), [batch]);
  };
  const wide = (value: Tensor): Tensor => reshape(value, [batch, ...x.shape.slice(1).map(() => 1)]);
  const ofVelocity = wide(column("ofVelocity"));
  const precision = column("precision");
  const kept = mul(x, wide(column("ofSample")));
  const mu = add(kept, mul(velocity, ofVelocity));
  const residual = sub(next, mu);
  const logProb = neg(add(mul(precision, sampleMean(mul(residual, residual))), column("offset")));
  const logRatio =
    "logProb" in old
      ? sub(logProb, old.logProb)
      : neg(mul(precision, sampleMean(squareDifference(residual, velocity, old.velocity, ofVelocity))));
  const { clip, beta, advantageClamp } = options;
  const ratio = exp(
    options.ratio === "unbiased" ? unbiased(logRatio, velocity, old, ofVelocity, column) : logRatio,
  );
  const advantage = minimum(maximum(inputs.advantages, -advantageClamp), advantageClamp);
  const clipped = minimum(maximum(ratio, 1 - clip), 1 + clip);
  const policyLoss = mean(maximum(neg(mul(advantage, ratio)), neg(mul(advantage, clipped))));
  const drift = referenceVelocity ? mul(sub(velocity, referenceVelocity), ofVelocity) : undefined;
  const kl = drift ? mean(mul(column("klPrecision"), sampleMean(mul(drift, drift)))) : mul(policyLoss, 0);
  return {
    loss: beta === 0 ? policyLoss : add(policyLoss, mul(kl, beta)),
    policyLoss,
    kl,
    mean: mu,
    logProb,
    ratio,
    clippedShare: mean(cast(greater(abs(sub(ratio, 1)), clip), "f32")),
  };
}

/** (log r + mean(Δ²) / (2·std²))·std, where Δ is what the mean moved by: mean(noise·Δ), without bias. */
function unbiased(
  logRatio: Tensor,
  velocity: Tensor,
  old: OldPolicy,
  ofVelocity: Tensor,
  column: (name: (typeof COEFFICIENT_COLUMNS)[number]) => Tensor,
): Tensor {
  if (!("velocity" in old))
    throw new VansError(
      "VANS_TRAIN_OLD_POLICY",
      "the unbiased ratio needs the velocities of the old policy",
      {
        fix: "give old: { velocity } rather than log-probabilities",
      },
    );
  const klPrecision = column("klPrecision");
  const moved = mul(sub(velocity, old.velocity), ofVelocity);
  const bias = mul(klPrecision, sampleMean(mul(moved, moved)));
  return mul(add(logRatio, bias), sqrt(div(0.5, klPrecision)));
}

/** residual² - residualOld² = (residual - residualOld)·(residual + residualOld), with residualOld - residual = b·(v - vOld). */
function squareDifference(
  residual: Tensor,
  velocity: Tensor,
  oldVelocity: Tensor,
  ofVelocity: Tensor,
): Tensor {
  const step = mul(sub(oldVelocity, velocity), ofVelocity);
  // residual = next - mean and residualOld = next - meanOld = residual - step.
  return mul(step, sub(mul(residual, 2), step));
}
