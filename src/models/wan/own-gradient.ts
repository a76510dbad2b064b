/**
 * A composite of ops whose gradient is written by hand, where that is cheaper than the one of its parts.
 * @module
 */
import { Node, type OpDefinition, Tensor } from "../../tensor/index.ts";

/** Gradients with respect to the inputs, from the gradient with respect to the output. */
export type Backward = (g: Tensor, inputs: readonly Tensor[]) => readonly Tensor[];

/**
 * A function of tensors with its own gradient. Values that `forward` and `backward` both compute are computed once:
 * equal nodes are written once.
 * @param name shown where graphs are printed
 */
export function withOwnGradient(
  name: string,
  forward: (inputs: readonly Tensor[]) => Tensor,
  backward: Backward,
): (inputs: readonly Tensor[]) => Tensor {
  // Its first input is the result, which passes through; the others are there for the gradient.
  const op: OpDefinition<Record<string, never>> = {
    name,
    infer: ([y]) => [{ dtype: y!.dtype, shape: y!.shape }],
    gradient: ({ inputs }, [g]) => (g ? [undefined, ...backward(g, inputs.slice(1))] : []),
    lower: (_, [y]) => [y!],
    evaluate: ([y]) => [y!],
    passesThrough: true,
    flops: () => 0,
  };
  return (inputs) => new Tensor(new Node(op, [forward(inputs), ...inputs], {}) as Node, 0);
}
