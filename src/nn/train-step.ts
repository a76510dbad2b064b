/**
 * A whole training step as one graph: loss, gradients, global-norm clip, optimizer, moving average.
 * @module
 */
import { VansError } from "../base/errors.ts";
import {
  type CompileOptions,
  compileStateful,
  type Feeds,
  type StatefulExecutable,
} from "../runtime/index.ts";
import { add, f32, grad, input, mul, type NdArray, sizeOf, sub, type Tensor } from "../tensor/index.ts";
import {
  ADAMW,
  adamw,
  clipFactor,
  globalNorm,
  muon,
  type OptimizerOptions,
  type StepScalars,
} from "./optimizer.ts";
import {
  joined,
  joinedArray,
  type ParameterGroup,
  parameterGroups,
  parted,
  partedArray,
} from "./parameter-groups.ts";

/** What a training step is made of. */
export interface TrainStepOptions {
  /** The scalar to minimise. */
  readonly loss: Tensor;
  /** The parameters to train, by name, as the traced model asked for them. */
  readonly params: ReadonlyMap<string, Tensor>;
  /** Further scalars or tensors to return from each step. */
  readonly metrics?: Readonly<Record<string, Tensor>>;
  /** The optimizer of a parameter; default {@link ADAMW} for all. */
  readonly optimizer?: (name: string, tensor: Tensor) => OptimizerOptions;
  /** Gradients are scaled down to this global norm; undefined: never. */
  readonly clipNorm?: number;
  /** Keep an exponential moving average of the parameters. */
  readonly ema?: boolean;
  /** Gradients of several runs are averaged before the optimizer moves; default 1. */
  readonly accumulate?: number;
}

/** Scalars of one step. */
export interface StepSettings {
  readonly learningRate: number;
  /** Decay of the moving average; default 0.999. */
  readonly emaDecay?: number;
}

/** Names under which the state lives: the parameter itself, its moments and its average. */
export const stateName = {
  momentum: (name: string): string => `m:${name}`,
  variance: (name: string): string => `v:${name}`,
  average: (name: string): string => `ema:${name}`,
  gradient: (name: string): string => `g:${name}`,
} as const;

interface StepGraph {
  readonly outputs: Record<string, Tensor>;
  readonly state: Record<string, NdArray>;
}

const rulesOf =
  (options: TrainStepOptions) =>
  (name: string, tensor: Tensor): OptimizerOptions =>
    options.optimizer?.(name, tensor) ?? ADAMW;

function updates(
  options: TrainStepOptions,
  groups: readonly ParameterGroup[],
  gradients: ReadonlyMap<string, Tensor>,
  initial: Readonly<Record<string, NdArray>>,
): StepGraph {
  const outputs: Record<string, Tensor> = {};
  const state: Record<string, NdArray> = {};
  const scalars: StepScalars = {
    learningRate: input("step.learningRate", []),
    correction1: input("step.correction1", []),
    correction2Sqrt: input("step.correction2Sqrt", []),
  };
  const arrived = groups.map(({ members }) => joined(members.map((name) => gradients.get(name)!)));
  const norm = globalNorm(arrived);
  outputs["gradientNorm"] = norm;
  const factor = options.clipNorm === undefined ? undefined : clipFactor(norm, options.clipNorm);
  const emaDecay = options.ema ? input("step.emaDecay", []) : undefined;
  groups.forEach(({ name, members, rules }, i) => {
    const tensors = members.map((member) => options.params.get(member)!);
    const values = members.map((member) => {
      const value = initial[member];
      if (!value)
        throw new VansError("VANS_TRAIN_PARAM_MISSING", `the parameter "${member}" has no first value`, {
          fix: "initialise or load every parameter that is trained",
        });
      state[member] = value;
      return value;
    });
    const p = joined(tensors);
    const g = arrived[i]!;
    const read = (keyOf: (of: string) => string, first: (value: NdArray) => NdArray): Tensor => {
      const key = keyOf(name);
      state[key] = joinedArray(members.map((member, j) => initial[keyOf(member)] ?? first(values[j]!)));
      return input(key, p.shape);
    };
    const zeros = (value: NdArray): NdArray => f32(new Float32Array(value.data.length), value.shape);
    const momentum = read(stateName.momentum, zeros);
    let next: Tensor;
    if (rules.kind === "adamw") {
      const variance = read(stateName.variance, zeros);
      const moved = adamw(p, g, momentum, variance, { ...scalars, gradientFactor: factor }, rules);
      next = moved.p;
      outputs[stateName.momentum(name)] = moved.m;
      outputs[stateName.variance(name)] = moved.v;
    } else {
      const moved = muon(p, factor ? mul(g, factor) : g, momentum, scalars, rules);
      next = moved.p;
      outputs[stateName.momentum(name)] = moved.m;
    }
    parted(next, tensors).forEach((part, j) => {
      outputs[members[j]!] = part;
    });
    if (emaDecay) {
      const average = read(stateName.average, (value) => value);
      outputs[stateName.average(name)] = add(mul(average, emaDecay), mul(next, sub(1, emaDecay)));
    }
  });
  return { outputs, state };
}

/** State by the names of parameters, from state in which small ones are joined. */
function byParameter(
  options: TrainStepOptions,
  groups: readonly ParameterGroup[],
  state: Readonly<Record<string, NdArray>>,
): TrainState {
  const keys = [stateName.momentum, stateName.variance, stateName.average];
  const result: TrainState = {};
  for (const { name, members } of groups) {
    for (const member of members) result[member] = state[member]!;
    const tensors = members.map((member) => options.params.get(member)!);
    for (const keyOf of keys) {
      const whole = state[keyOf(name)];
      if (!whole) continue;
      partedArray(whole, tensors).forEach((part, j) => {
        result[keyOf(members[j]!)] = part;
      });
    }
  }
  return result;
}

/** The betas of all AdamW parameters: the bias correction is one scalar for the whole graph. */
function sharedBetas(options: TrainStepOptions): { beta1: number; beta2: number } {
  const adamwRules = [...options.params]
    .map(([name, p]) => rulesOf(options)(name, p))
    .filter((rules) => rules.kind === "adamw");
  const { beta1, beta2 } = adamwRules[0] ?? ADAMW;
  if (adamwRules.some((rules) => rules.beta1 !== beta1 || rules.beta2 !== beta2)) {
    throw new VansError("VANS_TRAIN_OPTIMIZER", "all AdamW parameters of one step need the same betas", {
      found: [...new Set(adamwRules.map((rules) => `(${rules.beta1}, ${rules.beta2})`))].join(" and "),
      fix: "vary rateScale, weightDecay or epsilon between parameters instead",
    });
  }
  return { beta1, beta2 };
}

/** The state of a training step by name: parameters, moments, averages. */
export type TrainState = Record<string, NdArray>;

/** A compiled training step. State stays inside between steps. */
export class TrainStep {
  /** Optimizer steps taken; part of what a checkpoint holds. */
  stepCount: number;
  private readonly compiled: CompiledStep;
  private readonly options: TrainStepOptions;
  private readonly beta1: number;
  private readonly beta2: number;
  /** Only with accumulation: the parameters that the gradient graph is fed. */
  private parameters: Record<string, NdArray> = {};

  constructor(
    compiled: CompiledStep,
    options: TrainStepOptions,
    initial: Readonly<TrainState>,
    stepCount: number,
  ) {
    this.compiled = compiled;
    this.options = options;
    this.stepCount = stepCount;
    const betas = sharedBetas(options);
    this.beta1 = betas.beta1;
    this.beta2 = betas.beta2;
    if (compiled.gradients) for (const name of options.params.keys()) this.parameters[name] = initial[name]!;
  }

  /** Floating-point operations of one run of the loss and its gradients. */
  get flops(): number {
    return (this.compiled.gradients ?? this.compiled.update).graph.flops;
  }

  /** Nodes of the compiled graph. */
  get nodeCount(): number {
    return (this.compiled.gradients ?? this.compiled.update).graph.nodeCount;
  }

  private scalars(settings: StepSettings): Feeds {
    const t = this.stepCount + 1;
    return {
      "step.learningRate": f32([settings.learningRate], []),
      "step.correction1": f32([1 - this.beta1 ** t], []),
      "step.correction2Sqrt": f32([Math.sqrt(1 - this.beta2 ** t)], []),
      "step.emaDecay": f32([settings.emaDecay ?? 0.999], []),
    };
  }

  /**
   * One optimizer step from one batch (or, with `accumulate`, from that many). Returns the loss, the metrics and
   * `gradientNorm` (before clipping); with accumulation the means over the batches.
   */
  async step(
    feeds: Feeds | readonly Feeds[],
    settings: StepSettings,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Record<string, NdArray>> {
    const batches = Array.isArray(feeds) ? (feeds as readonly Feeds[]) : [feeds as Feeds];
    const { gradients, update, accumulate } = this.compiled;
    if (batches.length !== accumulate) {
      throw new VansError("VANS_TRAIN_ACCUMULATE", "the number of batches is not that of the step", {
        asked: String(accumulate),
        found: String(batches.length),
      });
    }
    const scalars = this.scalars(settings);
    if (!gradients) {
      const out = await update.step({ ...batches[0]!, ...scalars }, options);
      this.stepCount++;
      return out;
    }
    const results: Record<string, NdArray>[] = [];
    for (const batch of batches)
      results.push(await gradients.step({ ...batch, ...this.parameters }, options));
    const summed = await gradients.read();
    const moved = await update.step({ ...summed, ...scalars });
    this.stepCount++;
    const next = await update.read();
    for (const name of Object.keys(this.parameters)) this.parameters[name] = next[name]!;
    gradients.load(Object.fromEntries(Object.entries(summed).map(([name, g]) => [name, zerosLike(g)])));
    return { ...meanOf(results), ...moved };
  }

  /** Parameters, moments and averages by name (copies). */
  async state(): Promise<TrainState> {
    return byParameter(this.options, this.compiled.groups, await this.compiled.update.read());
  }

  async release(): Promise<void> {
    await this.compiled.update.release();
    await this.compiled.gradients?.release();
  }
}

interface CompiledStep {
  readonly groups: readonly ParameterGroup[];
  readonly update: StatefulExecutable;
  readonly gradients: StatefulExecutable | undefined;
  readonly accumulate: number;
}

function zerosLike(array: NdArray): NdArray {
  return f32(new Float32Array(array.data.length), array.shape);
}

function meanOf(results: readonly Record<string, NdArray>[]): Record<string, NdArray> {
  return Object.fromEntries(
    Object.entries(results[0]!).map(([name, first]): [string, NdArray] => {
      const data = new Float32Array(first.data.length);
      for (const result of results)
        for (let i = 0; i < data.length; i++) data[i]! += result[name]!.data[i]! / results.length;
      return [name, f32(data, first.shape)];
    }),
  );
}

/**
 * Compiles a training step.
 * @param initial first values of all parameters; moments and averages too when resuming
 * @throws `VANS_TRAIN_PARAM_MISSING` where a parameter has no first value, `VANS_TRAIN_OPTIMIZER` where betas differ
 */
export async function compileTrainStep(
  options: TrainStepOptions,
  initial: Readonly<TrainState>,
  settings: CompileOptions & { readonly stepCount?: number } = {},
): Promise<TrainStep> {
  const { stepCount = 0, ...given } = settings;
  // What is trained comes from `initial`, also where the binding of the frozen rest knows the name.
  const { weights } = given;
  const frozen = weights && {
    weight: (name: string) => (options.params.has(name) ? undefined : weights.weight(name)),
  };
  const compileOptions: CompileOptions = { ...given, weights: frozen };
  const accumulate = options.accumulate ?? 1;
  // Before anything is compiled, so that a refusal leaves nothing behind.
  sharedBetas(options);
  const names = [...options.params.keys()];
  const gradients = grad(options.loss, [...options.params.values()]);
  const reported = { loss: options.loss, ...options.metrics };
  const groups = parameterGroups(options.params, rulesOf(options), (given.device ?? "cpu") === "cpu");
  if (accumulate === 1) {
    const named = new Map(names.map((name, i) => [name, gradients[i]!]));
    const { outputs, state } = updates(options, groups, named, initial);
    const update = await compileStateful({ ...reported, ...outputs }, state, compileOptions);
    return new TrainStep({ groups, update, gradients: undefined, accumulate }, options, initial, stepCount);
  }
  const sums: Record<string, Tensor> = { ...reported };
  const zeros: Record<string, NdArray> = {};
  const arriving = new Map<string, Tensor>();
  names.forEach((name, i) => {
    const key = stateName.gradient(name);
    const { shape } = gradients[i]!;
    sums[key] = add(input(key, shape), mul(gradients[i]!, 1 / accumulate));
    zeros[key] = f32(new Float32Array(sizeOf(shape)), shape);
    arriving.set(name, input(key, shape));
  });
  const { outputs, state } = updates(options, groups, arriving, initial);
  const summing = await compileStateful(sums, zeros, compileOptions);
  const update = await compileStateful(outputs, state, compileOptions);
  return new TrainStep({ groups, update, gradients: summing, accumulate }, options, initial, stepCount);
}
