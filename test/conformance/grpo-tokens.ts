/**
 * Golden case of advantages and of policy losses over tokens, with gradients and the metrics that trainers log.
 * @module
 */
import { compile } from "../../src/runtime/index.ts";
import { f32, grad, input, type NdArray, type Tensor } from "../../src/tensor/index.ts";
import {
  ADVANTAGE_RULES,
  type AdvantageRuleName,
  combinedAdvantages,
  groupAdvantages,
} from "../../src/train/advantages.ts";
import {
  k3Estimate,
  type TokenLossKind,
  type TokenPolicyLoss,
  type TokenPolicyOptions,
  tokenPolicyLoss,
  VANS_TOKEN_LOSS,
} from "../../src/train/token-policy-loss.ts";
import { type CaseHandler, type Check, checkRelative, type GoldenCase } from "./case.ts";

export const grpoTokens: CaseHandler = {
  title: "advantages and token losses",
  recognises: (golden) => golden.hasConfig("epsilon_low", "max_completion_length") && golden.io.has("k3"),
  async run(golden) {
    const settings = (golden.json.values?.["settings"] ?? {}) as Record<string, SettingsJson>;
    const checks = [...advantageChecks(golden), ...twoRewardChecks(golden), await k3Check(golden)];
    for (const [name, json] of Object.entries(settings))
      checks.push(...(await lossChecks(golden, name, json)));
    return [...checks, ...(await vansChecks(golden))];
  },
};

/** The case's names of the rules. */
const RULES: Readonly<Record<string, AdvantageRuleName>> = {
  flow_grpo_group_std: "flow-grpo",
  flow_grpo_global_std: "flow-grpo-global",
  trl_group: "trl",
  trl_batch: "trl-batch",
  trl_none: "trl-none",
  "group_std_1e-8": "dance",
};

function advantageChecks(golden: GoldenCase): Check[] {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  return Object.entries(RULES).map(([name, rule]) => {
    const mine = groupAdvantages(io.get("rewards").data, io.get("group").data, ADVANTAGE_RULES[rule]);
    return checkRelative(`advantage.${name}`, f32(mine), io.get(`advantage.${name}`), tolerance);
  });
}

/** Weights of the two reward functions, as the case's description of `rewards_two` states them. */
const TWO_WEIGHTS = [1, 0.5] as const;

function twoRewardChecks(golden: GoldenCase): Check[] {
  const { io } = golden;
  const rewards = io.get("rewards_two");
  const known = io.get("rewards_two.known").data;
  const width = rewards.shape[1]!;
  const rows = Array.from({ length: rewards.shape[0]! }, (_, i) =>
    Array.from({ length: width }, (_unused, k) =>
      known[i * width + k] ? rewards.data[i * width + k]! : Number.NaN,
    ),
  );
  return (["sum-then-normalize", "normalize-then-sum"] as const).map((order) => {
    const name = `advantage.trl_two_${order.replaceAll("-", "_")}`;
    const mine = combinedAdvantages(rows, io.get("group").data, { weights: TWO_WEIGHTS, order });
    return checkRelative(name, f32(mine), io.get(name), golden.tolerance("relative_to_abs_max"));
  });
}

async function k3Check(golden: GoldenCase): Promise<Check> {
  const { io } = golden;
  const { shape } = io.get("logp");
  const graph = await compile({ k3: k3Estimate(input("logp", shape), input("ref", shape)) });
  const { k3 } = await graph.run({ logp: io.get("logp"), ref: io.get("ref_logp") });
  await graph.release();
  return checkRelative("k3", k3!, io.get("k3"), golden.tolerance("relative_to_abs_max"));
}

interface SettingsJson {
  readonly loss_type: TokenLossKind;
  readonly level: "token" | "sequence";
  readonly beta: number;
  readonly delta: number | null;
  readonly lo: number;
  readonly hi: number;
  /** "on-policy": without log-probabilities of sampling time. */
  readonly old_lp?: string;
}

interface Evaluated {
  readonly gradient: NdArray;
  readonly results: Readonly<Record<string, NdArray>>;
}

async function evaluate(
  golden: GoldenCase,
  options: TokenPolicyOptions,
  isOnPolicy: boolean,
): Promise<Evaluated> {
  const { io } = golden;
  const { shape } = io.get("logp");
  const logProb = input("logProb", shape);
  const old: { oldLogProb?: Tensor } = isOnPolicy ? {} : { oldLogProb: input("oldLogProb", shape) };
  const { tokenKl, ...result } = tokenPolicyLoss(
    {
      logProb,
      ...old,
      referenceLogProb: input("referenceLogProb", shape),
      mask: input("mask", shape, "i32"),
      advantages: input("advantages", [shape[0]!]),
      tokenCount: golden.config<number>("num_items_in_batch") / golden.config<number>("num_processes"),
    },
    options,
  );
  const graph = await compile({
    ...(result satisfies Omit<TokenPolicyLoss, "tokenKl">),
    gradient: grad(result.loss, [logProb])[0]!,
  });
  const feeds: Record<string, NdArray> = {
    logProb: io.get("logp"),
    referenceLogProb: io.get("ref_logp"),
    mask: io.get("mask"),
    advantages: io.get("advantages"),
  };
  if (!isOnPolicy) feeds["oldLogProb"] = io.get("old_logp");
  const { gradient, ...results } = await graph.run(feeds);
  await graph.release();
  return { gradient: gradient!, results };
}

/** TRL's names of what {@link tokenPolicyLoss} returns. `entropy` is a constant of the case's stand-in model. */
const METRICS: Readonly<Record<string, keyof TokenPolicyLoss>> = {
  kl: "kl",
  "clip_ratio/low_mean": "clipLow",
  "clip_ratio/high_mean": "clipHigh",
  "clip_ratio/region_mean": "clipRegion",
  "clip_ratio/low_min": "clipLowMin",
  "clip_ratio/high_max": "clipHighMax",
  cispo_clip_ratio: "clipHigh",
};

async function lossChecks(golden: GoldenCase, name: string, json: SettingsJson): Promise<Check[]> {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  const { gradient, results } = await evaluate(
    golden,
    {
      kind: json.loss_type,
      level: json.level,
      epsilonLow: json.lo,
      epsilonHigh: json.hi,
      delta: json.delta ?? undefined,
      beta: json.beta,
      maxLength: golden.config("max_completion_length"),
    },
    json.old_lp === "on-policy",
  );
  const metrics = (golden.json.values?.["metrics"] ?? {}) as Record<string, Record<string, number>>;
  const logged = Object.entries(metrics[name] ?? {}).flatMap(([metric, value]) => {
    const mine = METRICS[metric];
    return mine ? [checkRelative(`${name}: ${metric}`, results[mine]!, f32([value], []), tolerance)] : [];
  });
  return [
    checkRelative(`loss.${name}`, results["loss"]!, io.get(`loss.${name}`), tolerance),
    checkRelative(`grad.${name}`, gradient, io.get(`grad.${name}`), tolerance),
    ...logged,
  ];
}

async function vansChecks(golden: GoldenCase): Promise<Check[]> {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  const { gradient, results } = await evaluate(
    golden,
    { ...VANS_TOKEN_LOSS, beta: golden.config("beta") },
    true,
  );
  return [
    checkRelative("loss.vans", results["loss"]!, io.get("loss.vans"), tolerance),
    checkRelative("grad.vans", gradient, io.get("grad.vans"), tolerance),
  ];
}
