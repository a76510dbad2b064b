/**
 * How the language model learns from its responses: old and reference log-probabilities, the token loss, its gradient.
 *
 * Only groups with spread are learned from. A part of the batch holds one prompt by default, so a group without spread costs
 * no replay, no reference and no gradient; where a part holds several prompts and some are missing, their places are filled by
 * rows that the mask takes out of the loss and of what the loss is divided by.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { LoraOptions } from "../nn/index.ts";
import { Params } from "../nn/index.ts";
import { compile, type Executable, type Feeds } from "../runtime/index.ts";
import { add, f32, grad, i32, input, mul, type NdArray, sub, type Tensor } from "../tensor/index.ts";
import { GradientSum, gradientOutputs } from "./adapter-step.ts";
import {
  adaptersOff,
  type CaptionPolicy,
  type CaptionPrompt,
  type CaptionResponse,
  captionLogProbs,
  isAdapterName,
  type ReplaySizes,
  replayFeeds,
} from "./caption-policy.ts";
import { moments } from "./grpo-rewards.ts";
import { stopGradient } from "./stop-gradient.ts";
import { type TokenLossKind, tokenPolicyLoss } from "./token-policy-loss.ts";

/** Settings of {@link CaptionLearner}; see `tokenFields`. */
export interface CaptionLearnerOptions {
  readonly lora: LoraOptions;
  readonly group: number;
  /** Prompts of an update. */
  readonly prompts: number;
  readonly beta: number;
  readonly loss: TokenLossKind;
  readonly ratioLevel: "token" | "sequence";
  readonly epsilonLow: number;
  readonly epsilonHigh: number;
  readonly temperature: number;
  readonly truncated: "zero" | "mask" | "keep";
  readonly accumulate?: number | undefined;
  readonly promptLength: number;
  readonly maxNewTokens: number;
  readonly threads: number;
}

/** A rollout, ready to learn from. */
export interface CaptionRollout {
  readonly parts: readonly CaptionPart[];
  /** Greatest difference of the cached decoding's log-probabilities to the first replay; known after a first gradient. */
  cachedGap: number;
}

interface CaptionPart {
  /** All inputs of the loss but the old log-probabilities. */
  readonly feeds: Feeds;
  /** Responses, in the order of the rows; fewer where places are filled up. */
  readonly responses: readonly CaptionResponse[];
  readonly tokens: number;
  /** Log-probabilities of the first gradient's own forward. */
  old?: NdArray;
}

/** Metrics that add up over the parts, and those that are means over their tokens. */
const SUMMED = { loss: "loss", policyLoss: "policy_loss" } as const;
const AVERAGED = {
  kl: "kl",
  clipLow: "clip_ratio/low_mean",
  clipHigh: "clip_ratio/high_mean",
  clipRegion: "clip_ratio/region_mean",
} as const;

/** Learns from responses. */
export class CaptionLearner {
  /** The adapters, as the graphs ask for them. */
  readonly params: ReadonlyMap<string, Tensor>;
  readonly #policy: CaptionPolicy;
  readonly #options: CaptionLearnerOptions;
  readonly #sizes: ReplaySizes;
  readonly #gradients: Executable;
  readonly #logProbs: Executable | undefined;

  private constructor(
    policy: CaptionPolicy,
    options: CaptionLearnerOptions,
    sizes: ReplaySizes,
    graphs: {
      readonly params: ReadonlyMap<string, Tensor>;
      readonly gradients: Executable;
      readonly logProbs: Executable | undefined;
    },
  ) {
    this.#policy = policy;
    this.#options = options;
    this.#sizes = sizes;
    this.params = graphs.params;
    this.#gradients = graphs.gradients;
    this.#logProbs = graphs.logProbs;
  }

  /** Compiles the graphs. @param example fixes the size of a clip's patches */
  static async open(
    policy: CaptionPolicy,
    example: CaptionPrompt,
    options: CaptionLearnerOptions,
  ): Promise<CaptionLearner> {
    const { lora, group, prompts, beta, threads, temperature, accumulate = prompts } = options;
    if (prompts % accumulate !== 0)
      throw new VansError("VANS_RECIPE_INVALID", "settings.accumulate must divide the batch", {
        found: `${accumulate} parts, ${prompts} prompts`,
      });
    const sizes: ReplaySizes = {
      prompts: prompts / accumulate,
      samples: group,
      promptLength: options.promptLength,
      completionLength: options.maxNewTokens,
    };
    const trace = (scope: Params): Tensor =>
      captionLogProbs(scope, policy.config, example.grid, example.patches.shape[1]!, sizes, temperature);
    const params = new Params({ lora });
    const logProb = trace(params);
    const { shape } = logProb;
    // In the first update the policy is still the one that drew: its own values are the old ones (TRL does the same).
    const isFirst = input("isFirst", []);
    const oldLogProb = add(
      mul(stopGradient(logProb), isFirst),
      mul(input("oldLogProb", shape), sub(1, isFirst)),
    );
    const inputs = {
      logProb,
      oldLogProb,
      ...(beta > 0 && { referenceLogProb: input("referenceLogProb", shape) }),
      mask: input("completionMask", shape, "i32"),
      advantages: input("advantages", [shape[0]!]),
      batch: { rows: input("rowCount", []), tokens: input("tokenCount", []) },
    };
    const lossOptions = {
      kind: options.loss,
      level: options.ratioLevel,
      epsilonLow: options.epsilonLow,
      epsilonHigh: options.epsilonHigh,
      maxLength: options.maxNewTokens,
    };
    const { loss, ratio, kl, clipLow, clipHigh, clipRegion, clipLowMin, clipHighMax } = tokenPolicyLoss(
      inputs,
      { ...lossOptions, beta },
    );
    const { loss: policyLoss } = tokenPolicyLoss(inputs, { ...lossOptions, beta: 0 });
    const trained = new Map([...params.tensors].filter(([name]) => isAdapterName(name)));
    const settings = { threads, weights: policy.binding, forTraining: true };
    const shown = { loss, policyLoss, kl, ratio, clipLow, clipHigh, clipRegion, clipLowMin, clipHighMax };
    const gradients = await compile(
      { ...shown, logProb, ...gradientOutputs(trained, grad(loss, [...trained.values()])) },
      settings,
    );
    const logProbs = beta > 0 ? await compile({ logProb: trace(new Params({ lora })) }, settings) : undefined;
    return new CaptionLearner(policy, options, sizes, { params: trained, gradients, logProbs });
  }

  /**
   * Makes a rollout ready: the live groups in parts, and their log-probabilities under the reference.
   * @param live places of the prompts whose groups have spread
   */
  async begin(
    prompts: readonly CaptionPrompt[],
    responses: readonly (readonly CaptionResponse[])[],
    grouped: { readonly advantages: readonly number[]; readonly live: readonly number[] },
    adapters: Feeds,
  ): Promise<CaptionRollout> {
    const { group, truncated, beta } = this.#options;
    const { live, advantages } = grouped;
    const counts = (response: CaptionResponse): boolean => truncated !== "mask" || response.isFinished;
    const counted = live.flatMap((p) => responses[p]!.filter(counts));
    const rowCount = counted.length;
    const tokenCount = counted.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const off = adaptersOff(adapters);
    const parts: CaptionPart[] = [];
    for (let from = 0; from < live.length && rowCount > 0; from += this.#sizes.prompts) {
      const own = live.slice(from, from + this.#sizes.prompts);
      const filled = Array.from({ length: this.#sizes.prompts }, (_, i) => own[i] ?? own[0]!);
      const batch = replayFeeds(
        this.#policy.config,
        filled.map((p) => prompts[p]!),
        filled.map((p) => responses[p]!),
        this.#sizes,
      );
      const mask = Int32Array.from(batch.completionMask.data, Number);
      const ownResponses = own.flatMap((p) => responses[p]!);
      const width = this.#sizes.completionLength;
      for (let row = 0; row < mask.length / width; row++) {
        const response = ownResponses[row];
        if (!response || !counts(response)) mask.fill(0, row * width, (row + 1) * width);
      }
      const { feeds } = batch;
      const reference = beta > 0 ? (await this.#logProbs!.run({ ...feeds, ...off }))["logProb"]! : undefined;
      parts.push({
        feeds: {
          ...feeds,
          completionMask: i32(mask, batch.completionMask.shape),
          ...(reference && { referenceLogProb: reference }),
          advantages: f32(filled.flatMap((p) => advantages.slice(p * group, (p + 1) * group))),
          rowCount: f32([rowCount], []),
          tokenCount: f32([tokenCount], []),
        },
        responses: ownResponses,
        tokens: mask.reduce((sum, value) => sum + value, 0),
      });
    }
    return { parts, cachedGap: 0 };
  }

  /**
   * The gradient of the loss at given adapters. Its first call must be at those that drew the responses.
   * @param check also run the first gradient from replayed log-probabilities, and refuse a ratio other than exactly 1
   */
  async gradient(
    rollout: CaptionRollout,
    adapters: Feeds,
    check: boolean,
  ): Promise<{ readonly sum: GradientSum; readonly metrics: Record<string, number> }> {
    const sum = new GradientSum(this.params);
    const metrics: Record<string, number> = {};
    const tokens = rollout.parts.reduce((all, part) => all + part.tokens, 0);
    const [lows, highs, logRatios]: [number[], number[], number[]] = [[], [], []];
    for (const part of rollout.parts) {
      const isFirst = part.old === undefined;
      const run = (old: NdArray, first: boolean): Promise<Record<string, NdArray>> =>
        this.#gradients.run({
          ...part.feeds,
          ...adapters,
          oldLogProb: old,
          isFirst: f32([first ? 1 : 0], []),
        });
      const blank = part.feeds["completionMask"]!.shape;
      const out = await run(part.old ?? f32(new Float32Array(blank[0]! * blank[1]!), blank), isFirst);
      if (isFirst) {
        part.old = out["logProb"]!;
        rollout.cachedGap = Math.max(rollout.cachedGap, cachedDifference(part.old, part.responses));
        if (check) {
          const again = await run(part.old, false);
          metrics["log_ratio/first_max"] = Math.max(
            metrics["log_ratio/first_max"] ?? 0,
            ...Array.from(again["ratio"]!.data, (r) => Math.abs(Math.log(Number(r)))),
          );
        }
      }
      sum.add(out);
      const scalar = (name: string): number => Number(out[name]!.data[0]);
      for (const [name, logged] of Object.entries(SUMMED))
        metrics[logged] = (metrics[logged] ?? 0) + scalar(name);
      for (const [name, logged] of Object.entries(AVERAGED))
        metrics[logged] = (metrics[logged] ?? 0) + (scalar(name) * part.tokens) / Math.max(1, tokens);
      lows.push(scalar("clipLowMin"));
      highs.push(scalar("clipHighMax"));
      logRatios.push(...maskedLogRatios(out["ratio"]!, part.feeds["completionMask"]!));
    }
    if ((metrics["log_ratio/first_max"] ?? 0) !== 0)
      throw new VansError(
        "VANS_TRAIN_REPLAY",
        "the replay of an unchanged policy differs from what it gave before",
        {
          found: `a log-ratio of ${metrics["log_ratio/first_max"]}`,
          why: "internal: equal feeds must give equal bits",
        },
      );
    metrics["clip_ratio/low_min"] = Math.min(...lows);
    metrics["clip_ratio/high_max"] = Math.max(...highs);
    const { mean, std } = moments(logRatios);
    metrics["log_ratio/mean"] = mean;
    metrics["log_ratio/std"] = std;
    return { sum, metrics };
  }

  async release(): Promise<void> {
    await this.#gradients.release();
    await this.#logProbs?.release();
  }
}

/** Log-ratios of the tokens that count, or of their rows. */
function maskedLogRatios(ratio: NdArray, mask: NdArray): number[] {
  const width = mask.shape[1]!;
  const isWide = ratio.shape[1] === width;
  const values: number[] = [];
  for (let i = 0; i < ratio.data.length; i++)
    if (mask.data[isWide ? i : i * width]) values.push(Math.log(Number(ratio.data[i])));
  return values;
}

/** How far the cached decoding's log-probabilities are from those of the replay. */
function cachedDifference(replayed: NdArray, responses: readonly CaptionResponse[]): number {
  const width = replayed.shape[1]!;
  let most = 0;
  for (const [row, { logProbs }] of responses.entries())
    for (const [t, value] of logProbs.entries())
      most = Math.max(most, Math.abs(value - Number(replayed.data[row * width + t]!)));
  return most;
}

/** What TRL logs about completions. */
export function responseMetrics(responses: readonly CaptionResponse[]): Record<string, number> {
  const lengths = responses.map(({ tokens }) => tokens.length);
  const finished = responses.filter(({ isFinished }) => isFinished).map(({ tokens }) => tokens.length);
  return {
    num_tokens: lengths.reduce((sum, length) => sum + length, 0),
    "completions/mean_length": moments(lengths).mean,
    "completions/min_length": Math.min(...lengths),
    "completions/max_length": Math.max(...lengths),
    "completions/mean_terminated_length": moments(finished).mean,
    "completions/clipped_ratio": 1 - finished.length / responses.length,
    entropy: moments(responses.map((response) => response.entropy)).mean,
    format: moments(responses.map((response) => (response.isWellFormed ? 1 : 0))).mean,
  };
}
