/**
 * What a legal graph is. Run on every graph before it is lowered or interpreted.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { type Node, reachableNodes, type Tensor } from "./graph.ts";
import { printNode } from "./print.ts";
import { formatShape, sameShape } from "./types.ts";

function refuse(node: Node, message: string): never {
  throw new VansError("VANS_TENSOR_INVALID", `internal: ${message}`, {
    found: printNode(node),
    fix: "this is a bug in vans or in an op's definition",
  });
}

/**
 * Checks that every node's recorded types are those its own rule infers, that inputs come before users and exist,
 * and that one name means one input.
 * @throws `VANS_TENSOR_INVALID` naming the node.
 */
export function verify(outputs: readonly Tensor[]): void {
  const leaves = new Map<string, Node>();
  for (const { node, index } of outputs) {
    if (index >= node.types.length)
      refuse(node, `the result %${node.id}.${index} names an output that does not exist`);
  }
  for (const node of reachableNodes(outputs)) {
    for (const input of node.inputs) {
      if (input.node.id >= node.id) refuse(node, "an input was made after its user");
      if (input.index >= input.node.types.length)
        refuse(node, `input %${input.node.id}.${input.index} names an output that does not exist`);
    }
    const inferred = node.op.infer(node.inputs, node.attrs);
    if (inferred.length !== node.types.length) refuse(node, "the op's rule gives another number of outputs");
    inferred.forEach((type, i) => {
      const recorded = node.types[i]!;
      if (type.dtype !== recorded.dtype || !sameShape(type.shape, recorded.shape)) {
        refuse(
          node,
          `output ${i} is recorded as ${recorded.dtype}${formatShape(recorded.shape)} but inferred as ${type.dtype}${formatShape(type.shape)}`,
        );
      }
      if (type.shape.some((axis) => !Number.isInteger(axis) || axis < 0))
        refuse(node, `output ${i} has shape ${formatShape(type.shape)}`);
    });
    if (node.op.name === "input" || node.op.name === "parameter") checkLeaf(node, leaves);
  }
}

function checkLeaf(node: Node, leaves: Map<string, Node>): void {
  const { name } = node.attrs as { name: string };
  const before = leaves.get(name);
  leaves.set(name, node);
  if (!before) return;
  const [a, b] = [before.types[0]!, node.types[0]!];
  if (before.op !== node.op || a.dtype !== b.dtype || !sameShape(a.shape, b.shape)) {
    throw new VansError("VANS_TENSOR_NAME_TWICE", `"${name}" stands for two different leaves of one graph`, {
      found: `${printNode(before)} and ${printNode(node)}`,
      fix: "give one of them another name",
    });
  }
}
