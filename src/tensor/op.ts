/**
 * What an op is: one definition that carries all its rules. A missing rule does not compile.
 * @module
 */
import type { Node, Tensor } from "./graph.ts";
import type * as AllOps from "./ops/index.ts";
import type { Shape, TensorType } from "./types.ts";

/** Values of the interpreter: `f32` tensors are held in f64, so that the judge is more exact than the judged. */
export interface Value {
  readonly shape: Shape;
  readonly data: Float64Array | Int32Array | Uint8Array;
}

/** An attribute of an ONNX node. Integers are `int`, so that `1` and `1.0` stay apart. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] };

/** Where a graph is going to run; lowering may choose other kernels for other targets. */
export type Target = "cpu" | "webgpu" | "cuda" | "wasm";

/** Writes ONNX nodes. Equal nodes are written once (value numbering), so lowering may repeat itself freely. */
export interface OnnxEmitter {
  readonly target: Target;
  /** True where the graph holds gradients: then forward values shared with the backward pass should not hide in fused kernels. */
  readonly forTraining: boolean;
  /** One node; returns the names of its outputs. `domain` is `""` (ONNX) or `"com.microsoft"`. */
  node(
    type: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
    options?: { readonly domain?: string; readonly outputCount?: number },
  ): string[];
  /** The value before a transpose by `perm` that wrote this one, or undefined where something else did. */
  beforeTranspose(name: string, perm: readonly number[]): string | undefined;
  /** The value of a tensor that was lowered before, for lowerings that see through their inputs. */
  nameOf(tensor: Tensor): string;
  /** A constant of 64-bit integers (shapes, axes, starts …). */
  ints(values: readonly number[], shape?: Shape): string;
  /** A constant of 32-bit floats. */
  floats(values: ArrayLike<number>, shape?: Shape): string;
}

/** One op: every rule in one place. `A` is the type of its attributes (plain data: it is hashed and printed). */
export interface OpDefinition<A> {
  readonly name: string;
  /** Types of the outputs; throws `VANS_TENSOR_SHAPE` with both sides and the fix. */
  infer(inputs: readonly TensorType[], attrs: A): TensorType[];
  /**
   * Gradients with respect to the inputs, given those with respect to the outputs (undefined: none arrived).
   * Undefined entries mean that the input is not differentiable (integers, masks).
   */
  gradient(node: Node<A>, outputGradients: readonly (Tensor | undefined)[], ops: Ops): (Tensor | undefined)[];
  /** ONNX nodes that compute the op; returns the names of its outputs. */
  lower(emit: OnnxEmitter, inputs: readonly string[], node: Node<A>): string[];
  /** Plain evaluation, slow and obvious. */
  evaluate(inputs: readonly Value[], node: Node<A>): Value[];
  /** The output is the first input itself; what else it reads is there for the gradient alone. */
  readonly passesThrough?: boolean;
  /** Floating-point operations of one evaluation (a multiply-add counts as 2). */
  flops(node: Node<A>): number;
}

/**
 * The functions that build ops. Gradient rules get them as an argument, because rules of different files need
 * each other and modules must not import in circles.
 */
export type Ops = typeof AllOps;

/** All defined ops by name; filled by {@link defineOp}. */
const definitions = new Map<string, OpDefinition<never>>();

/** Registers an op. Names are unique. */
export function defineOp<A>(definition: OpDefinition<A>): OpDefinition<A> {
  if (definitions.has(definition.name)) throw new Error(`internal: op ${definition.name} is defined twice`);
  definitions.set(definition.name, definition as OpDefinition<never>);
  return definition;
}

/** Names of all ops; tests use it to prove that every op is covered. */
export function definedOps(): string[] {
  return [...definitions.keys()].sort();
}
