/**
 * An identity through which no gradient flows (`detach`).
 * @module
 */
import { Node, type OpDefinition, Tensor } from "../tensor/index.ts";

const stopOp: OpDefinition<Record<string, never>> = {
  name: "stopGradient",
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  gradient: () => [undefined],
  lower: (_, [x]) => [x!],
  evaluate: ([x]) => [x!],
  flops: () => 0,
};

/** `x` as a number that does not depend on parameters. */
export const stopGradient = (x: Tensor): Tensor => new Tensor(new Node(stopOp, [x], {}) as Node, 0);
