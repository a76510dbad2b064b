/**
 * Policy gradients of adapters: gradients of any number of micro-batches, added up, then one optimizer step.
 *
 * A training step whose loss is Σ⟨parameter, g⟩ has the gradient g, whatever made it. So the graphs that give gradients
 * are free to differ from update to update (how many micro-batches, of which model), while parameters, moments and averages
 * live in one step with one checkpoint.
 * @module
 */
import { compileTrainStep, type OptimizerOptions, type TrainState, type TrainStep } from "../nn/index.ts";
import type { Feeds } from "../runtime/index.ts";
import { add, f32, input, mul, type NdArray, sum, type Tensor } from "../tensor/index.ts";

const PREFIX = "gradient.";

/** Name of a parameter's gradient among a graph's outputs and a step's feeds. */
export const gradientName = (parameter: string): string => `${PREFIX}${parameter}`;

/** What {@link compileAdapterStep} is made of. */
export interface AdapterStepOptions {
  /** What is trained, as the traced models asked for it. */
  readonly params: ReadonlyMap<string, Tensor>;
  readonly optimizer: (name: string, tensor: Tensor) => OptimizerOptions;
  /** Gradients are scaled down to this global norm. */
  readonly clipNorm?: number;
  readonly threads: number;
  readonly stepCount: number;
}

/** Compiles the step; it is fed {@link GradientSum.feeds}. */
export function compileAdapterStep(options: AdapterStepOptions, first: TrainState): Promise<TrainStep> {
  const { params, optimizer, clipNorm, threads, stepCount } = options;
  const products = [...params].map(([name, p]) => sum(mul(p, input(gradientName(name), p.shape))));
  return compileTrainStep(
    { loss: products.reduce(add), params, optimizer, ...(clipNorm !== undefined && { clipNorm }), ema: true },
    first,
    { threads, stepCount },
  );
}

/** Adds gradients up, in the order in which they come. */
export class GradientSum {
  readonly #sums = new Map<string, NdArray>();

  constructor(params: ReadonlyMap<string, Tensor>) {
    for (const [name, { shape }] of params)
      this.#sums.set(name, f32(new Float32Array(shape.reduce((size, n) => size * n, 1)), shape));
  }

  /** Adds the outputs of a graph that are gradients, `weight` times. */
  add(outputs: Readonly<Record<string, NdArray>>, weight = 1): void {
    for (const [name, { data }] of this.#sums) {
      const part = outputs[gradientName(name)]?.data;
      if (part) for (let i = 0; i < data.length; i++) data[i]! += weight * Number(part[i]!);
    }
  }

  /** Their Euclidean norm. */
  get norm(): number {
    let squares = 0;
    for (const { data } of this.#sums.values()) for (const value of data) squares += Number(value) ** 2;
    return Math.sqrt(squares);
  }

  /** What the step takes, scaled down to a greatest norm. */
  feeds(greatestNorm = Number.POSITIVE_INFINITY): Feeds {
    const factor = Math.min(1, greatestNorm / (this.norm || 1));
    return Object.fromEntries(
      [...this.#sums].map(([name, array]): [string, NdArray] => [
        gradientName(name),
        factor === 1
          ? array
          : f32(
              (array.data as Float32Array).map((g) => g * factor),
              array.shape,
            ),
      ]),
    );
  }
}

/** Gradients as outputs of a graph. */
export function gradientOutputs(
  params: ReadonlyMap<string, Tensor>,
  gradients: readonly Tensor[],
): Record<string, Tensor> {
  return Object.fromEntries([...params.keys()].map((name, i) => [gradientName(name), gradients[i]!]));
}
