/**
 * The judge: evaluates a graph node by node in plain TypeScript, in f64. Slow, obvious, needs nothing.
 * @module
 */
import { VansError } from "../base/errors.ts";
import {
  formatShape,
  type NdArray,
  type Node,
  reachableNodes,
  sameShape,
  type Tensor,
  type Value,
  verify,
} from "../tensor/index.ts";

/** Feeds by the names of inputs and parameters. */
export type Feeds = Readonly<Record<string, NdArray>>;

function leafValue(node: Node, feeds: Readonly<Record<string, NdArray | Value>>): Value {
  const { name } = node.attrs as { name: string };
  const fed = feeds[name];
  const { shape } = node.types[0]!;
  if (!fed)
    throw new VansError("VANS_RUNTIME_FEED_MISSING", `nothing was fed for "${name}"`, {
      asked: formatShape(shape),
    });
  if (!sameShape(shape, fed.shape)) {
    throw new VansError("VANS_RUNTIME_FEED_SHAPE", `"${name}" was fed another shape`, {
      asked: formatShape(shape),
      found: formatShape(fed.shape),
    });
  }
  return { shape, data: fed.data instanceof Float32Array ? Float64Array.from(fed.data) : fed.data };
}

/** Evaluates named outputs in f64. Feeds may be f32 arrays or f64 values. */
export function interpretExact(
  outputs: Readonly<Record<string, Tensor>>,
  feeds: Readonly<Record<string, NdArray | Value>>,
): Record<string, Value> {
  const roots = Object.values(outputs);
  verify(roots);
  const values = new Map<Node, Value[]>();
  for (const node of reachableNodes(roots)) {
    if (node.op.name === "input" || node.op.name === "parameter") {
      values.set(node, [leafValue(node, feeds)]);
      continue;
    }
    const inputs = node.inputs.map((input) => values.get(input.node)![input.index]!);
    values.set(node, node.op.evaluate(inputs, node));
  }
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [name, values.get(tensor.node)![tensor.index]!]),
  );
}

/** Evaluates named outputs; f64 results are rounded to f32. */
export function interpret(outputs: Readonly<Record<string, Tensor>>, feeds: Feeds): Record<string, NdArray> {
  const exact = interpretExact(outputs, feeds);
  return Object.fromEntries(
    Object.entries(exact).map(([name, value]): [string, NdArray] => {
      const { dtype, shape } = outputs[name]!;
      return [
        name,
        {
          dtype,
          shape,
          data: value.data instanceof Float64Array ? Float32Array.from(value.data) : value.data,
        },
      ];
    }),
  );
}
