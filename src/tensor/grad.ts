/**
 * Reverse-mode differentiation: from a graph to the graph of its gradients.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { Node, reachableNodes, Tensor, tracingGradient } from "./graph.ts";
import * as ops from "./ops/index.ts";
import { formatShape, sizeOf } from "./types.ts";

/** Gradients that have arrived at the outputs of a node. */
type Arrived = (Tensor | undefined)[];

/**
 * Gradients of a scalar with respect to tensors it was computed from. Tensors that it does not depend on get zeros.
 * Blocks traced with `remat` are recomputed from their inputs when their gradient is reached.
 *
 * @example
 * ```ts
 * import { grad, input, mul, sum } from "vans/tensor";
 * const x = input("x", [3]);
 * grad(sum(mul(x, x)), [x])[0]!.shape; // => [3]
 * ```
 * @throws `VANS_TENSOR_GRADIENT` where `loss` is not a scalar.
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (sizeOf(loss.shape) !== 1) {
    throw new VansError("VANS_TENSOR_GRADIENT", "only a scalar has a gradient", {
      found: `a tensor of shape ${formatShape(loss.shape)}`,
      fix: "sum() or mean() it first",
    });
  }
  return tracingGradient(() => backward(loss, wrt));
}

function backward(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  const nodes = reachableNodes([loss]);
  const active = activeNodes(nodes, wrt);
  const arrived = new Map<Node, Arrived>();
  const accumulate = (tensor: Tensor, gradient: Tensor | undefined): void => {
    if (!gradient || !active.has(tensor.node)) return;
    // Every output has its slot from the start: rules map over them, and a hole would be skipped.
    const slots = arrived.get(tensor.node) ?? tensor.node.types.map(() => undefined);
    const before = slots[tensor.index];
    slots[tensor.index] = before ? ops.add(before, gradient) : gradient;
    arrived.set(tensor.node, slots);
  };
  accumulate(loss, ops.full(loss.shape, 1));
  const recomputed = new Map<number, Map<Node, Node>>();
  for (const node of [...nodes].reverse()) {
    const gradients = arrived.get(node);
    if (!gradients || node.inputs.length === 0) continue;
    const source = node.block === 0 ? node : recompute(node, nodes, gradients, recomputed);
    const inputGradients = node.op.gradient(source, gradients, ops);
    node.inputs.forEach((input, i) => {
      accumulate(input, inputGradients[i]);
    });
  }
  return wrt.map((tensor) => arrived.get(tensor.node)?.[tensor.index] ?? ops.full(tensor.shape, 0));
}

/** Nodes that depend on any of the tensors; the others need no gradient. */
function activeNodes(nodes: readonly Node[], wrt: readonly Tensor[]): Set<Node> {
  const active = new Set<Node>(wrt.map((tensor) => tensor.node));
  for (const node of nodes) {
    if (node.inputs.some((input) => active.has(input.node))) active.add(node);
  }
  return active;
}

/** The node's twin in a second copy of its block, which starts from the block's inputs once a gradient has arrived. */
function recompute(
  node: Node,
  nodes: readonly Node[],
  gradients: Arrived,
  done: Map<number, Map<Node, Node>>,
): Node {
  let twins = done.get(node.block);
  if (!twins) {
    const token = gradients.find((g) => g !== undefined)!;
    twins = new Map<Node, Node>();
    const waited = new Map<string, Tensor>();
    for (const member of nodes) {
      if (member.block !== node.block) continue;
      if (member.inputs.length === 0) {
        twins.set(member, member);
        continue;
      }
      const inputs = member.inputs.map((input) => {
        const twin = twins!.get(input.node);
        if (twin) return new Tensor(twin, input.index);
        if (input.node.op.name === "constant" || input.node.op.name === "parameter") return input;
        const key = `${input.node.id}.${input.index}`;
        const late = waited.get(key) ?? ops.after(input, token);
        waited.set(key, late);
        return late;
      });
      twins.set(member, new Node(member.op, inputs, member.attrs));
    }
    done.set(node.block, twins);
  }
  return twins.get(node)!;
}
