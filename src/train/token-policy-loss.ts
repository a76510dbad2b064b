/**
 * Policy losses over the tokens of completions, as graphs: GRPO and its relatives, as TRL computes them.
 * @module
 */
import {
  add,
  cast,
  div,
  exp,
  greater,
  less,
  max,
  maximum,
  mean,
  minimum,
  mul,
  neg,
  reshape,
  sigmoid,
  sub,
  sum,
  type Tensor,
  where,
} from "../tensor/index.ts";
import { stopGradient } from "./stop-gradient.ts";

/**
 * How token losses become one number.
 * - `grpo`: mean over completions of the mean over their tokens (arXiv 2402.03300)
 * - `bnpo`: mean over all tokens of the batch
 * - `dr_grpo`: sum over batch size times `maxLength`, a constant (arXiv 2503.20783)
 * - `dapo`: sum over `tokenCount`, the tokens of the whole accumulated batch (arXiv 2503.14476)
 * - `cispo`: the ratio is cut off above and carries no gradient; normalised as `dapo` (arXiv 2506.13585)
 * - `sapo`: a sigmoid in place of the clip; averaged as `grpo` (arXiv 2511.20347)
 */
export const TOKEN_LOSSES = ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo"] as const;
export type TokenLossKind = (typeof TOKEN_LOSSES)[number];

/** Inputs of {@link tokenPolicyLoss}. */
export interface TokenPolicyInputs {
  /** Log-probabilities of the drawn tokens under the policy that is trained, `[B, T]`. */
  readonly logProb: Tensor;
  /** The same at sampling time; absent: the policy has not changed since, so every ratio is exactly 1. */
  readonly oldLogProb?: Tensor;
  /** The same under the reference policy; needed where `beta` is not 0. */
  readonly referenceLogProb?: Tensor;
  /** 1 on completion tokens up to and including the end token, `[B, T]` f32 or i32. */
  readonly mask: Tensor;
  /** `[B]` */
  readonly advantages: Tensor;
  /** For `dapo` and `cispo`: number of tokens to divide by, a scalar or a number. Default: those of the mask. */
  readonly tokenCount?: Tensor | number;
  /**
   * Where these rows are a part of a greater batch, or some rows are left out (mask 0): what the loss divides by, so that
   * the losses and gradients of all parts add up to those of the batch. Scalars.
   */
  readonly batch?: {
    /** Completions that count; for `grpo`, `sapo` and `dr_grpo`. */
    readonly rows: Tensor;
    /** Their tokens; for `bnpo`, `dapo` and `cispo`. */
    readonly tokens: Tensor;
  };
}

/** Settings of {@link tokenPolicyLoss}. */
export interface TokenPolicyOptions {
  readonly kind: TokenLossKind;
  /** A ratio for each token, or one for the completion: the exponential of the mean log-ratio (GSPO, arXiv 2507.18071). */
  readonly level?: "token" | "sequence";
  /** The ratio counts within 1 - low … 1 + high; for `cispo`, up to `high` itself. */
  readonly epsilonLow: number;
  readonly epsilonHigh: number;
  /** Upper bound of the ratio also where the advantage is negative (two-sided clipping, arXiv 2505.07291). */
  readonly delta?: number | undefined;
  /** Weight of the KL estimate. */
  readonly beta: number;
  /** For `dr_grpo`: the longest completion that generation allows. */
  readonly maxLength?: number | undefined;
  /** For `sapo`: sharpness for positive and for negative advantages. */
  readonly temperatures?: readonly [positive: number, negative: number];
}

/** Outputs of {@link tokenPolicyLoss}. */
export interface TokenPolicyLoss {
  readonly loss: Tensor;
  /** Mean KL estimate a token; 0 without a reference. */
  readonly kl: Tensor;
  /** k3 estimate of each token, `[B, T]`. */
  readonly tokenKl: Tensor | undefined;
  /** Ratios `[B, T]` or `[B, 1]`. */
  readonly ratio: Tensor;
  /** Share of tokens whose ratio is cut from below (A < 0), from above (A > 0), or either. */
  readonly clipLow: Tensor;
  readonly clipHigh: Tensor;
  readonly clipRegion: Tensor;
  /** Least share of a completion cut from below, greatest cut from above. */
  readonly clipLowMin: Tensor;
  readonly clipHighMax: Tensor;
}

/** TRL's defaults (`sapo_temperature_pos`, `sapo_temperature_neg`). */
const SAPO_TEMPERATURES = [1, 1.05] as const;
/** Log-differences are kept within ± this, where exp would overflow f32 (verl's bound); no effect on sane values. */
const LOG_BOUND = 20;

/** KL(policy ‖ reference) of each token by the k3 estimator, exp(d) - d - 1 with d = reference - policy (Schulman). */
export function k3Estimate(logProb: Tensor, referenceLogProb: Tensor): Tensor {
  const d = minimum(maximum(sub(referenceLogProb, logProb), -LOG_BOUND), LOG_BOUND);
  return sub(sub(exp(d), d), 1);
}

const flag = (condition: Tensor): Tensor => cast(condition, "f32");
const atLeastOne = (count: Tensor): Tensor => maximum(count, 1);

/** Token losses by kind; ratios, advantages `[B, 1]` and log-probabilities broadcast. */
function tokenLosses(
  ratio: Tensor,
  advantages: Tensor,
  logProb: Tensor,
  options: TokenPolicyOptions,
): Tensor {
  const { kind, epsilonLow, epsilonHigh, delta, temperatures = SAPO_TEMPERATURES } = options;
  if (kind === "cispo") return neg(mul(mul(stopGradient(minimum(ratio, epsilonHigh)), advantages), logProb));
  if (kind === "sapo") {
    const temperature = where(greater(advantages, 0), temperatures[0], temperatures[1]);
    const soft = div(mul(sigmoid(mul(temperature, sub(ratio, 1))), 4), temperature);
    return neg(mul(soft, advantages));
  }
  const clipped = minimum(maximum(ratio, 1 - epsilonLow), 1 + epsilonHigh);
  const bounded = delta === undefined ? ratio : minimum(ratio, delta);
  return neg(minimum(mul(bounded, advantages), mul(clipped, advantages)));
}

/** Reduces token losses `[B, T]` as the kind says. */
function reduced(
  losses: Tensor,
  mask: Tensor,
  inputs: TokenPolicyInputs,
  options: TokenPolicyOptions,
): Tensor {
  const masked = mul(losses, mask);
  const [batch, length] = mask.shape as [number, number];
  const { batch: whole } = inputs;
  switch (options.kind) {
    case "grpo":
    case "sapo": {
      const byRow = div(sum(masked, { axes: [1] }), atLeastOne(sum(mask, { axes: [1] })));
      return whole ? div(sum(byRow), whole.rows) : mean(byRow);
    }
    case "bnpo":
      return div(sum(masked), whole?.tokens ?? atLeastOne(sum(mask)));
    case "dr_grpo": {
      const longest = options.maxLength ?? length;
      return whole ? div(sum(masked), mul(whole.rows, longest)) : mul(sum(masked), 1 / (batch * longest));
    }
    case "dapo":
    case "cispo":
      return div(sum(masked), whole?.tokens ?? inputs.tokenCount ?? atLeastOne(sum(mask)));
  }
}

/**
 * Loss of a batch of completions.
 * @returns the loss, to be minimised, and what trainers log (TRL's metric definitions)
 */
export function tokenPolicyLoss(inputs: TokenPolicyInputs, options: TokenPolicyOptions): TokenPolicyLoss {
  const { logProb, oldLogProb, referenceLogProb } = inputs;
  const { level = "token", beta, kind, epsilonLow, epsilonHigh } = options;
  const [batch] = logProb.shape as [number, number];
  const mask = cast(inputs.mask, "f32");
  const advantages = reshape(inputs.advantages, [batch, 1]);
  const logRatio = sub(logProb, oldLogProb ?? stopGradient(logProb));
  const lengths = atLeastOne(sum(mask, { axes: [1], keepDims: true }));
  const weight =
    level === "token" ? logRatio : div(sum(mul(logRatio, mask), { axes: [1], keepDims: true }), lengths);
  const ratio = exp(weight);
  const policy = tokenLosses(ratio, advantages, logProb, options);
  const tokenKl = referenceLogProb && k3Estimate(logProb, referenceLogProb);
  const losses = tokenKl && beta !== 0 ? add(policy, mul(tokenKl, beta)) : policy;

  // One ratio a completion counts once, not once a token.
  const share = (x: Tensor): Tensor =>
    x.size(1) === 1 ? mean(x) : div(sum(mul(x, mask)), atLeastOne(sum(mask)));
  const byCompletion = (x: Tensor): Tensor =>
    x.size(1) === 1 ? x : div(sum(mul(x, mask), { axes: [1], keepDims: true }), lengths);
  const upper = kind === "cispo" ? epsilonHigh : 1 + epsilonHigh;
  const low = mul(flag(less(ratio, 1 - epsilonLow)), flag(less(advantages, 0)));
  const high = mul(flag(greater(ratio, upper)), flag(greater(advantages, 0)));
  return {
    loss: reduced(losses, mask, inputs, options),
    kl: tokenKl ? share(tokenKl) : mul(sum(mask), 0),
    tokenKl,
    ratio,
    clipLow: share(low),
    clipHigh: share(high),
    clipRegion: share(maximum(low, high)),
    clipLowMin: neg(max(neg(byCompletion(low)))),
    clipHighMax: max(byCompletion(high)),
  };
}

/** The settings of the released VANS (`compute_grpo_loss`): one update a rollout, clip 0.2, mean a completion. */
export const VANS_TOKEN_LOSS = {
  kind: "grpo",
  level: "token",
  epsilonLow: 0.2,
  epsilonHigh: 0.2,
} as const satisfies Partial<TokenPolicyOptions>;
