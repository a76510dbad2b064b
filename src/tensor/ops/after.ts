/**
 * An identity that waits: it makes recomputation happen late.
 * @module
 */
import { apply, type Tensor } from "../graph.ts";
import { defineOp } from "../op.ts";

/**
 * The runtime merges equal subgraphs, which would undo rematerialisation: the recomputed nodes equal the first ones.
 * So their inputs pass through this op, which adds zero times one element of a tensor that exists only in the
 * backward pass: another value to the optimiser, the same number to the reader.
 */
const afterOp = defineOp<Record<string, never>>({
  name: "after",
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  gradient: (_, [g]) => [g, undefined],
  lower: (emit, [x, token], node) => {
    const flat = emit.node("Reshape", [token!, emit.ints([-1])])[0]!;
    const first = emit.node("Slice", [flat, emit.ints([0]), emit.ints([1]), emit.ints([0])])[0]!;
    const zero = emit.node("Mul", [first, emit.floats([0], [])])[0]!;
    const scalar = emit.node("Reshape", [zero, emit.ints([])])[0]!;
    if (node.inputs[0]!.dtype !== "f32") return [x!];
    return emit.node("Add", [x!, scalar]);
  },
  evaluate: ([x]) => [x!],
  flops: () => 0,
});

/** `x` itself, but not before `token` exists. */
export const after = (x: Tensor, token: Tensor): Tensor => apply(afterOp, [x, token], {});
