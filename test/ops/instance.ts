/**
 * One concrete use of an op: what is fed, how the graph is built, which feeds have gradients. The cases make
 * them at random; the checks run them on the interpreter and on the runtime's devices.
 * @module
 */
import { fold, keyFromSeed, permutation, uniform } from "../../src/base/index.ts";
import type { Feeds } from "../../src/runtime/index.ts";
import {
  add,
  bool,
  constant,
  type DType,
  f32,
  formatShape,
  grad,
  i32,
  input,
  mul,
  type NdArray,
  parameter,
  type Shape,
  scalar,
  sizeOf,
  sum,
  type Tensor,
} from "../../src/tensor/index.ts";

/** How the numbers of a feed are drawn. */
export type Values =
  /** f32 in [low, high). */
  | { readonly kind: "between"; readonly low: number; readonly high: number }
  /** f32 at least 0.05 away from every integer, in (-high, high): no kink of sign, floor, relu … within a difference step. */
  | { readonly kind: "betweenIntegers"; readonly high: number }
  /** f32, every two elements at least 0.1 apart: no ties. */
  | { readonly kind: "distinct" }
  /** f32 from {-1, 0, 1}: many ties. */
  | { readonly kind: "ties" }
  /** i32 in [0, bound). */
  | { readonly kind: "index"; readonly bound: number }
  | { readonly kind: "coin" };

/** One fed tensor. */
export interface Fed {
  readonly shape: Shape;
  readonly values: Values;
  /** Built as a parameter instead of an input. */
  readonly isParameter?: boolean;
}

/** One concrete use of an op. */
export interface Instance {
  /** Attributes in words, for the message of a failure. */
  readonly text: string;
  readonly fed: Readonly<Record<string, Fed>>;
  /** Names of the feeds whose gradients are checked. */
  readonly differentiable: readonly string[];
  /** The outputs, given the leaves by name. */
  readonly build: (leaf: Readonly<Record<string, Tensor>>) => readonly Tensor[];
}

const DTYPE: Readonly<Record<Values["kind"], DType>> = {
  between: "f32",
  betweenIntegers: "f32",
  distinct: "f32",
  ties: "f32",
  index: "i32",
  coin: "bool",
};

/** Ordinary numbers in (-1.5, 1.5). */
export const plain: Values = { kind: "between", low: -1.5, high: 1.5 };

/** The numbers of a feed; the same for the same instance and name, on any machine. */
function draw(name: string, fed: Fed, seed: number): NdArray {
  const key = fold(keyFromSeed(seed), name, formatShape(fed.shape));
  const count = sizeOf(fed.shape);
  const u = uniform(key, count);
  const { values } = fed;
  switch (values.kind) {
    case "between":
      return f32(
        u.map((x) => values.low + x * (values.high - values.low)),
        fed.shape,
      );
    case "betweenIntegers":
      return f32(
        u.map((x, i) => {
          const sign = uniform(fold(key, i), 1)[0]! < 0.5 ? -1 : 1;
          const whole = Math.floor(x * values.high);
          return sign * (whole + 0.05 + 0.9 * (x * values.high - whole));
        }),
        fed.shape,
      );
    case "distinct": {
      const order = permutation(key, count);
      return f32(
        u.map((_, i) => 0.1 * order[i]! - 0.05 * count),
        fed.shape,
      );
    }
    case "ties":
      return f32(
        u.map((x) => Math.floor(x * 3) - 1),
        fed.shape,
      );
    case "index":
      return i32(
        Array.from(u, (x) => Math.floor(x * values.bound)),
        fed.shape,
      );
    case "coin":
      return bool(
        Array.from(u, (x) => x < 0.5),
        fed.shape,
      );
  }
}

/** An instance with leaves, outputs and gradients traced, and its numbers. */
export interface Traced {
  readonly text: string;
  readonly feeds: Feeds;
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Σ of outputs times fixed random weights; undefined where no output is f32. */
  readonly loss: Tensor | undefined;
  /** Gradients of the loss by the name of the feed. */
  readonly gradients: Readonly<Record<string, Tensor>>;
}

/** Σ of all f32 elements times fixed random weights in [-1, 1); undefined where no tensor is f32. */
export function weightedLoss(tensors: readonly Tensor[], seed = 1): Tensor | undefined {
  let loss: Tensor | undefined;
  tensors.forEach((tensor, i) => {
    if (tensor.dtype !== "f32") return;
    const drawn = uniform(fold(keyFromSeed(seed), "weights", i), sizeOf(tensor.shape));
    const weights = constant(
      f32(
        drawn.map((w) => 2 * w - 1),
        tensor.shape,
      ),
    );
    const part = sum(mul(tensor, weights));
    loss = loss ? add(loss, part) : part;
  });
  return loss;
}

/** Traces an instance; `prefix` keeps the names of several instances apart. */
export function trace(instance: Instance, prefix = "", seed = 1): Traced {
  const leaves: Record<string, Tensor> = {};
  const feeds: Record<string, NdArray> = {};
  for (const [name, fed] of Object.entries(instance.fed)) {
    const full = `${prefix}${name}`;
    leaves[name] = fed.isParameter
      ? parameter(full, fed.shape)
      : input(full, fed.shape, DTYPE[fed.values.kind]);
    feeds[full] = draw(name, fed, seed);
  }
  const built = instance.build(leaves);
  const outputs = Object.fromEntries(built.map((tensor, i) => [`${prefix}out${i}`, tensor]));
  const loss = weightedLoss(built, seed);
  const names = loss ? instance.differentiable : [];
  const gradients = grad(
    loss ?? scalar(0),
    names.map((name) => leaves[name]!),
  );
  return {
    text: instance.text,
    feeds,
    outputs,
    loss,
    gradients: Object.fromEntries(names.map((name, i) => [`${prefix}${name}`, gradients[i]!])),
  };
}
