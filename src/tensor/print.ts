/**
 * Graphs as text that a person can read.
 * @module
 */
import { type Node, reachableNodes, type Tensor } from "./graph.ts";
import { formatShape, type NdArray } from "./types.ts";

/** The first values of a constant; enough to recognise it. */
function printValues(data: NdArray["data"]): string {
  const shown = Array.from(data.subarray(0, 6), (value) => Number(value.toPrecision(6)));
  return `[${shown.join(", ")}${data.length > shown.length ? `, … ${data.length}` : ""}]`;
}

function printAttrs(attrs: unknown): string {
  const entries = Object.entries(attrs as Record<string, unknown>).filter(([, value]) => value !== undefined);
  return entries
    .map(([key, value]) => {
      if (key === "array") return `values=${printValues((value as NdArray).data)}`;
      return `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`;
    })
    .join(" ");
}

/** One node: `%12:f32[2, 3] = matmul(%4, %7) transposeB=true`. */
export function printNode(node: Node, name: (node: Node) => string = (n) => `%${n.id}`): string {
  const types = node.types.map((type) => `${type.dtype}${formatShape(type.shape)}`).join(", ");
  const inputs = node.inputs
    .map((input) => `${name(input.node)}${input.index > 0 ? `.${input.index}` : ""}`)
    .join(", ");
  const attrs = printAttrs(node.attrs);
  const block = node.block > 0 ? ` block=${node.block}` : "";
  return `${name(node)}:${types} = ${node.op.name}(${inputs})${attrs ? ` ${attrs}` : ""}${block}`;
}

/**
 * All nodes that the outputs reach, one a line, numbered from 0, outputs last.
 *
 * @example
 * ```ts
 * import { input, mul, printGraph } from "vans/tensor";
 * const x = input("x", [2]);
 * printGraph({ y: mul(x, x) }).split("\n").length; // => 3
 * ```
 */
export function printGraph(outputs: Readonly<Record<string, Tensor>>): string {
  const nodes = reachableNodes(Object.values(outputs));
  const numbers = new Map(nodes.map((node, i) => [node, i]));
  const name = (node: Node): string => `%${numbers.get(node)}`;
  const lines = nodes.map((node) => printNode(node, name));
  for (const [key, tensor] of Object.entries(outputs))
    lines.push(`return ${key} = ${name(tensor.node)}${tensor.index > 0 ? `.${tensor.index}` : ""}`);
  return lines.join("\n");
}
