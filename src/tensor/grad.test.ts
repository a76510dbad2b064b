/**
 * Reverse-mode differentiation beyond single ops: what it returns, what it does not touch, and blocks that are
 * recomputed. The gradients of the ops themselves: test/ops.
 * @module
 */
import { describe, expect, it } from "vitest";
import { interpretExact } from "../runtime/index.ts";
import {
  add,
  f32,
  grad,
  input,
  matmul,
  mul,
  type Node,
  parameter,
  reachableNodes,
  remat,
  softmax,
  split,
  sum,
  type Tensor,
  tanh,
} from "./index.ts";

const x = input("x", [2, 3]);
const w = parameter("w", [3, 3]);
const feeds = {
  x: f32([1, 2, 3, 4, 5, 6], [2, 3]),
  w: f32([0.1, 0.2, 0.3, -0.4, 0.5, 0.6, 0.7, -0.8, 0.9], [3, 3]),
};
const values = (tensor: Tensor): number[] => [...interpretExact({ y: tensor }, feeds)["y"]!.data];
const countOps = (tensors: readonly Tensor[], op: string): number =>
  reachableNodes(tensors).filter((node) => node.op.name === op).length;

describe("grad", () => {
  it("gives zeros for what the loss does not depend on", () => {
    const [g] = grad(sum(x), [w]);
    expect(g!.shape).toEqual([3, 3]);
    expect(values(g!)).toEqual(new Array(9).fill(0));
  });

  it("gives one for the loss itself, and also reaches the inside of a graph", () => {
    const inner = mul(x, x);
    const loss = sum(inner);
    const [own, middle] = grad(loss, [loss, inner]);
    expect(values(own!)).toEqual([1]);
    expect(values(middle!)).toEqual(new Array(6).fill(1));
  });

  it("adds up all paths", () => {
    const [g] = grad(sum(add(mul(x, x), add(x, x))), [x]);
    expect(values(g!)).toEqual([4, 6, 8, 10, 12, 14]);
  });

  it("adds up the outputs of one node, used or not", () => {
    const [a, , c] = split(x, 1, [1, 1, 1]);
    const [g] = grad(sum(add(mul(a!, 2), mul(c!, 3))), [x]);
    expect(values(g!)).toEqual([2, 0, 3, 2, 0, 3]);
  });

  it("computes no gradient for what was not asked for", () => {
    const loss = sum(matmul(tanh(x), w));
    const [onlyW] = grad(loss, [w]);
    // The path to x would need tanh's derivative and the product with w transposed.
    expect(countOps([onlyW!], "matmul")).toBe(1);
    expect(countOps([onlyW!], "tanh")).toBe(1);
  });
});

describe("remat", () => {
  const block = (h: Tensor): Tensor => add(h, tanh(tanh(matmul(h, w))));
  const chain = (wrap: (body: () => Tensor) => Tensor): Tensor => {
    let h: Tensor = x;
    for (let i = 0; i < 3; i++) {
      const before = h;
      h = wrap(() => block(before));
    }
    return sum(mul(h, h));
  };

  it("changes no value", () => {
    const kept = grad(
      chain((body) => body()),
      [x, w],
    );
    const recomputed = grad(chain(remat), [x, w]);
    expect(recomputed.map(values)).toEqual(kept.map(values));
  });

  it("recomputes the inside of every block once, from its inputs, after a gradient has arrived", () => {
    const kept = grad(
      chain((body) => body()),
      [x, w],
    );
    const recomputed = grad(chain(remat), [x, w]);
    expect(countOps(kept, "tanh")).toBe(6);
    expect(countOps(recomputed, "tanh")).toBe(12);
    expect(countOps(recomputed, "after")).toBe(3);
    // What the backward pass uses of a block hangs on its waiting input alone: no forward value inside is kept.
    const nodes = reachableNodes(recomputed);
    const isGradientUser = (node: Node): boolean => node.isGradient && node.op.name !== "after";
    for (const node of nodes.filter(isGradientUser)) {
      for (const { node: used } of node.inputs) expect(used.block === 0 || used.op.name === "add").toBe(true);
    }
  });

  it("inner blocks join the outer one", () => {
    const loss = chain((body) => remat(() => remat(body)));
    const blocks = new Set(reachableNodes([loss]).map((node) => node.block));
    expect(blocks.size).toBe(4);
  });

  it("an error inside a block leaves none open", () => {
    expect(() =>
      remat(() => {
        throw new Error("stop");
      }),
    ).toThrow("stop");
    expect(softmax(x).node.block).toBe(0);
  });
});
