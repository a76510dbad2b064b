/**
 * Symbolic tensors. Calling an op adds a node; nothing is computed. A graph is whatever its outputs reach.
 * @module
 */

import type { OpDefinition } from "./op.ts";
import { type DType, formatShape, type Shape, type TensorType } from "./types.ts";

let nextNodeId = 1;
const blockStack: number[] = [];
let nextBlockId = 1;
let isTracingGradient = false;

/** One application of an op. Immutable. */
export class Node<A = unknown> {
  readonly id: number;
  readonly op: OpDefinition<A>;
  readonly inputs: readonly Tensor[];
  readonly attrs: A;
  readonly types: readonly TensorType[];
  /** The rematerialisation block in which the node was traced; 0 outside of any. */
  readonly block: number;
  /** True for nodes that a gradient added. */
  readonly isGradient: boolean;

  constructor(op: OpDefinition<A>, inputs: readonly Tensor[], attrs: A) {
    this.id = nextNodeId++;
    this.op = op;
    this.inputs = inputs;
    this.attrs = attrs;
    this.types = op.infer(inputs, attrs);
    this.block = blockStack[blockStack.length - 1] ?? 0;
    this.isGradient = isTracingGradient;
  }
}

/** One output of a node: the symbolic tensor that model code passes around. */
export class Tensor implements TensorType {
  readonly node: Node;
  readonly index: number;

  constructor(node: Node, index: number) {
    this.node = node;
    this.index = index;
  }

  get dtype(): DType {
    return this.node.types[this.index]!.dtype;
  }

  get shape(): Shape {
    return this.node.types[this.index]!.shape;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Size of an axis; negative axes count from the end. */
  size(axis: number): number {
    const size = this.shape[axis < 0 ? axis + this.rank : axis];
    if (size === undefined)
      throw new RangeError(`axis ${axis} of a tensor of shape ${formatShape(this.shape)}`);
    return size;
  }

  toString(): string {
    return `%${this.node.id}${this.index > 0 ? `.${this.index}` : ""}:${this.dtype}${formatShape(this.shape)}`;
  }
}

/** Applies an op and returns all its outputs. */
export function applyAll<A>(op: OpDefinition<A>, inputs: readonly Tensor[], attrs: A): Tensor[] {
  const node = new Node(op, inputs, attrs) as Node;
  return node.types.map((_, index) => new Tensor(node, index));
}

/** Applies an op with one output. */
export function apply<A>(op: OpDefinition<A>, inputs: readonly Tensor[], attrs: A): Tensor {
  return applyAll(op, inputs, attrs)[0]!;
}

/**
 * Traces `body` as one rematerialisation block: its activations are not kept for the backward pass; the
 * gradient recomputes them from the block's inputs when it reaches them. Blocks do not nest (an inner one joins the outer).
 */
export function remat<T>(body: () => T): T {
  if (blockStack.length > 0) return body();
  blockStack.push(nextBlockId++);
  try {
    return body();
  } finally {
    blockStack.pop();
  }
}

/** Traces `body` as part of a backward pass: outside of any block, its nodes marked as gradients. */
export function tracingGradient<T>(body: () => T): T {
  const before = isTracingGradient;
  isTracingGradient = true;
  blockStack.push(0);
  try {
    return body();
  } finally {
    blockStack.pop();
    isTracingGradient = before;
  }
}

/** All nodes that the outputs reach, inputs before users, in the order in which they were traced. */
export function reachableNodes(outputs: readonly Tensor[]): Node[] {
  const seen = new Set<Node>();
  const stack: Node[] = outputs.map((tensor) => tensor.node);
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) stack.push(input.node);
  }
  // Ids grow as nodes are made and inputs exist before their users, so sorting by id is a topological order.
  return [...seen].sort((a, b) => a.id - b.id);
}
