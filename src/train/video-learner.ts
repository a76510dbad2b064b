/**
 * How the video model learns from its rollouts: stochastic steps, their replay, the clipped loss, its gradient.
 *
 * Rollout and replay run one compiled forward at one micro-batch, so the log-ratio of an unchanged policy is bitwise 0; the
 * first update therefore takes the rollout's velocities for the replay's, and only checks that from time to time. The
 * gradient is that of the loss with respect to the velocity, carried on through a second graph of the same model.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { fold, type Key, normal } from "../base/keys.ts";
import { flowMatchGrid, type NoiseGrid } from "../models/wan/index.ts";
import { Params } from "../nn/index.ts";
import { compile, type Executable, type Feeds } from "../runtime/index.ts";
import { f32, grad, input, mul, type NdArray, sizeOf, sum, type Tensor } from "../tensor/index.ts";
import { GradientSum, gradientOutputs } from "./adapter-step.ts";
import { adaptersOff, isAdapterName } from "./caption-policy.ts";
import { flowPolicyLoss } from "./flow-policy-loss.ts";
import { type FlowTransition, rolloutFlow } from "./flow-rollout.ts";
import { packCoefficients, type SdeScheme } from "./flow-sde.ts";
import { moments } from "./grpo-rewards.ts";
import type { VideoCondition, VideoPolicy } from "./video-policy.ts";

/** Settings of {@link VideoLearner}; see `flowFields`. */
export interface VideoLearnerOptions {
  readonly rows: number;
  readonly beta: number;
  readonly clip: number;
  readonly ratio: "density" | "unbiased";
  readonly scheme: SdeScheme;
  readonly noiseLevel?: number | undefined;
  readonly rolloutSteps: number;
  readonly shift: number;
  readonly stepWeights: "equal" | "inverse-lambda";
  readonly threads: number;
}

/** The rows of one micro-batch: how they came about. */
export interface VideoChunk {
  readonly condition: VideoCondition;
  readonly trained: readonly FlowTransition[];
  /** Final latents, `[rows, C, F, h, w]`. */
  readonly latents: NdArray;
  /** Index of its first row among all rows. */
  readonly from: number;
  /** Velocities of the reference policy, by trained step. */
  readonly references: Map<FlowTransition, NdArray>;
}

/** Learns from videos. */
export class VideoLearner {
  /** The adapters, as the graphs ask for them. */
  readonly params: ReadonlyMap<string, Tensor>;
  readonly grid: NoiseGrid;
  readonly #policy: VideoPolicy;
  readonly #options: VideoLearnerOptions;
  readonly #loss: Executable;
  readonly #gradients: Executable;

  private constructor(
    policy: VideoPolicy,
    options: VideoLearnerOptions,
    graphs: {
      readonly params: ReadonlyMap<string, Tensor>;
      readonly loss: Executable;
      readonly gradients: Executable;
    },
  ) {
    this.#policy = policy;
    this.#options = options;
    this.params = graphs.params;
    this.#loss = graphs.loss;
    this.#gradients = graphs.gradients;
    this.grid = flowMatchGrid({ steps: options.rolloutSteps, shift: options.shift });
  }

  /** Compiles the graphs. */
  static async open(policy: VideoPolicy, options: VideoLearnerOptions): Promise<VideoLearner> {
    const { rows, beta, threads } = options;
    const leaf = (name: string): Tensor => input(name, policy.shape);
    const velocity = leaf("velocity");
    const { loss, policyLoss, kl, ratio, clippedShare } = flowPolicyLoss(
      {
        x: leaf("x"),
        next: leaf("next"),
        velocity,
        coefficients: input("coefficients", [rows, 5]),
        advantages: input("advantages", [rows]),
        old: { velocity: leaf("oldVelocity") },
        ...(beta > 0 && { referenceVelocity: leaf("referenceVelocity") }),
      },
      // Advantages arrive clamped: a step's weight comes on top.
      { clip: options.clip, beta, ratio: options.ratio, advantageClamp: Number.MAX_VALUE },
    );
    const cotangent = grad(loss, [velocity])[0]!;
    const lossGraph = await compile({ loss, policyLoss, kl, ratio, clippedShare, cotangent }, { threads });
    const params = new Params({ lora: policy.lora });
    const carried = sum(mul(policy.trace(params), leaf("cotangent")));
    const trained = new Map([...params.tensors].filter(([name]) => isAdapterName(name)));
    const gradients = await compile(gradientOutputs(trained, grad(carried, [...trained.values()])), {
      threads,
      weights: policy.binding,
      forTraining: true,
    });
    return new VideoLearner(policy, options, { params: trained, loss: lossGraph, gradients });
  }

  /** Rolls a micro-batch of videos out; noise is a function of the key. @throws `VANS_RUN_ABORTED` */
  async rollOut(
    condition: VideoCondition,
    adapters: Feeds,
    options: {
      readonly from: number;
      readonly isTrained: (index: number) => boolean;
      readonly key: Key;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<VideoChunk> {
    const { key, isTrained, signal, from } = options;
    const { shape } = this.#policy;
    const draw = (at: Key): NdArray => f32(normal(at, sizeOf(shape)), shape);
    const steps = rolloutFlow({
      model: async (noisy, timestep) => {
        const v = await this.#policy.velocity(adapters, this.#policy.feeds(condition, noisy, timestep));
        return { velocity: v, conditional: v };
      },
      grid: this.grid,
      start: draw(fold(key, "start")),
      noise: (index) => draw(fold(key, "step", index)),
      scheme: this.#options.scheme,
      noiseLevel: this.#options.noiseLevel,
      isStochastic: isTrained,
      signal,
    });
    const trained: FlowTransition[] = [];
    for (;;) {
      const next = await steps.next();
      if (next.done) return { condition, trained, latents: next.value, from, references: new Map() };
      if (next.value.isStochastic) trained.push(next.value);
    }
  }

  /**
   * The gradient of the loss, a mean over micro-batches and trained steps, at given adapters.
   * @param advantages one a row, clamped; chunks whose rows all have 0 are to be left out by the caller
   * @param round 0: the adapters are those of the rollout
   * @param check also run the first round's replay, and refuse a log-ratio other than exactly 0
   */
  async gradient(
    chunks: readonly VideoChunk[],
    advantages: readonly number[],
    adapters: Feeds,
    { round, check }: { readonly round: number; readonly check: boolean },
  ): Promise<{ readonly sum: GradientSum; readonly metrics: Record<string, number> }> {
    const { rows, beta } = this.#options;
    const gradients = new GradientSum(this.params);
    const log = new PolicyLog();
    const off = adaptersOff(adapters);
    const weights = inverseLambda(chunks[0]!.trained, this.#options.stepWeights);
    const share = 1 / (chunks.length * weights.length);
    const isReplayed = round > 0 || check;
    for (const { condition, trained, from, references } of chunks) {
      for (const [t, transition] of trained.entries()) {
        const { x, next, timestep, coefficients, velocity: oldVelocity } = transition;
        const feeds = this.#policy.feeds(condition, x, timestep);
        const velocity = isReplayed ? await this.#policy.velocity(adapters, feeds) : oldVelocity;
        if (beta > 0 && !references.has(transition))
          references.set(transition, await this.#policy.velocity(off, feeds));
        const own = advantages.slice(from, from + rows).map((a) => a * weights[t]!);
        const out = await this.#loss.run({
          x,
          next,
          velocity,
          oldVelocity,
          ...(beta > 0 && { referenceVelocity: references.get(transition)! }),
          coefficients: packCoefficients(Array.from({ length: rows }, () => coefficients)),
          advantages: f32(own),
        });
        log.add(transition.index, out);
        const carried = { ...feeds, ...adapters, cotangent: out["cotangent"]! };
        gradients.add(await this.#gradients.run(carried), share);
      }
    }
    const metrics = log.metrics();
    if (round === 0 && metrics["log_ratio/max"] !== 0)
      throw new VansError("VANS_TRAIN_REPLAY", "the replay of an unchanged policy differs from its rollout", {
        found: `a log-ratio of ${metrics["log_ratio/max"]}`,
        why: "internal: rollout and replay must run one compiled forward at one batch shape",
      });
    return { sum: gradients, metrics };
  }

  async release(): Promise<void> {
    await this.#loss.release();
    await this.#gradients.release();
  }
}

/** Sums over the micro-batches of one update. */
class PolicyLog {
  readonly #losses: Record<"loss" | "policy_loss" | "kl" | "clip_ratio/region_mean", number[]> = {
    loss: [],
    policy_loss: [],
    kl: [],
    "clip_ratio/region_mean": [],
  };
  readonly #byStep = new Map<
    number,
    { readonly ratios: number[]; readonly kls: number[]; readonly clips: number[] }
  >();

  add(index: number, out: Readonly<Record<string, NdArray>>): void {
    const scalar = (name: string): number => Number(out[name]!.data[0]);
    this.#losses.loss.push(scalar("loss"));
    this.#losses.policy_loss.push(scalar("policyLoss"));
    this.#losses.kl.push(scalar("kl"));
    this.#losses["clip_ratio/region_mean"].push(scalar("clippedShare"));
    const own = this.#byStep.get(index) ?? { ratios: [], kls: [], clips: [] };
    own.ratios.push(...Array.from(out["ratio"]!.data, (r) => Math.log(Number(r))));
    own.kls.push(scalar("kl"));
    own.clips.push(scalar("clippedShare"));
    this.#byStep.set(index, own);
  }

  metrics(): Record<string, number> {
    const metrics: Record<string, number> = {};
    for (const [name, values] of Object.entries(this.#losses)) metrics[name] = moments(values).mean;
    let most = 0;
    for (const [index, { ratios, kls, clips }] of this.#byStep) {
      const { mean, std } = moments(ratios);
      metrics[`log_ratio/mean/step_${index}`] = mean;
      metrics[`log_ratio/std/step_${index}`] = std;
      metrics[`kl/step_${index}`] = moments(kls).mean;
      metrics[`clip_ratio/step_${index}`] = moments(clips).mean;
      most = Math.max(most, ...ratios.map(Math.abs));
    }
    metrics["log_ratio/max"] = most;
    return metrics;
  }
}

/** Weights of the trained steps; λ = |∂mean/∂v| / std is how strongly a step's log-density acts on the velocity. */
export function inverseLambda(
  transitions: readonly Pick<FlowTransition, "coefficients">[],
  kind: "equal" | "inverse-lambda",
): readonly number[] {
  if (kind === "equal") return transitions.map(() => 1);
  const inverse = transitions.map(({ coefficients: { ofVelocity, std } }) => std / Math.abs(ofVelocity));
  const { mean } = moments(inverse);
  return inverse.map((value) => value / mean);
}

/** One row of latents, `[1, C, F, h, w]`. */
export function rowOf(latents: NdArray, row: number): NdArray {
  const size = latents.data.length / latents.shape[0]!;
  const shape = [1, ...latents.shape.slice(1)];
  return f32((latents.data as Float32Array).slice(row * size, (row + 1) * size), shape);
}
