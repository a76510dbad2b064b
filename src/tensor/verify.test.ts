import { describe, expect, it } from "vitest";
import { Node, Tensor } from "./graph.ts";
import { add, exp, f32, input, lower, matmul, mul, parameter, type TensorType, verify } from "./index.ts";

const x = input("x", [2, 3]);

/** A copy of a node with some fields replaced, as a buggy pass might leave it. */
function forge(node: Node, changes: Partial<Record<keyof Node, unknown>>): Tensor {
  const copy = Object.assign(Object.create(Node.prototype) as Node, node, changes);
  return new Tensor(copy, 0);
}

const refusal = (message: RegExp) =>
  expect.objectContaining({ code: "VANS_TENSOR_INVALID", message: expect.stringMatching(message) });

describe("verify", () => {
  it("accepts what the ops build", () => {
    verify([matmul(x, input("w", [3, 4])), add(x, 1)]);
  });

  it("refuses a recorded shape that the rule does not infer", () => {
    const types: TensorType[] = [{ dtype: "f32", shape: [3, 2] }];
    const bad = forge(exp(x).node, { types });
    expect(() => verify([bad])).toThrow(refusal(/recorded as f32\[3, 2\] but inferred as f32\[2, 3\]/));
  });

  it("refuses a recorded type that the rule does not infer", () => {
    const bad = forge(exp(x).node, { types: [{ dtype: "i32", shape: [2, 3] }] });
    expect(() => verify([bad])).toThrow(refusal(/i32\[2, 3\] but inferred as f32\[2, 3\]/));
  });

  it("refuses inputs that no longer fit, by the op's own rule", () => {
    const other = input("v", [5, 4]);
    const product = matmul(x, input("w", [3, 4])).node;
    const bad = forge(product, { inputs: [x, other] });
    expect(() => verify([bad])).toThrow(expect.objectContaining({ code: "VANS_TENSOR_SHAPE" }));
  });

  it("refuses an input that was made after its user", () => {
    const user = exp(x).node;
    const late = input("late", [2, 3]);
    const bad = forge(user, { inputs: [late] });
    expect(() => verify([bad])).toThrow(refusal(/made after its user/));
  });

  it("refuses an output that does not exist, inside a graph and as a result", () => {
    const ghost = new Tensor(exp(x).node, 1);
    const user = mul(exp(x), 2).node;
    expect(() => verify([forge(user, { inputs: [ghost, user.inputs[1]] })])).toThrow(
      refusal(/names an output that does not exist/),
    );
    expect(() => verify([ghost])).toThrow(refusal(/names an output that does not exist/));
  });

  it("refuses another number of outputs than the rule gives", () => {
    const bad = forge(exp(x).node, { types: [x.node.types[0], x.node.types[0]] });
    expect(() => verify([bad])).toThrow(refusal(/another number of outputs/));
  });

  it("refuses one name for two leaves, and takes equal ones", () => {
    const twice = expect.objectContaining({
      code: "VANS_TENSOR_NAME_TWICE",
      message: expect.stringMatching(/"x".*\n.*\[2, 3\].*\[3, 2\]/),
    });
    expect(() => verify([matmul(x, input("x", [3, 2]))])).toThrow(twice);
    expect(() => verify([add(input("n", [2]), parameter("n", [2]))])).toThrow(
      expect.objectContaining({ code: "VANS_TENSOR_NAME_TWICE" }),
    );
    verify([add(input("n", [2]), input("n", [2]))]);
  });

  it("runs before lowering", () => {
    const bad = forge(exp(x).node, { types: [{ dtype: "f32", shape: [3, 2] }] });
    expect(() => lower({ y: bad }, { target: "cpu" })).toThrow(refusal(/recorded as/));
    expect(f32([1]).shape).toEqual([1]);
  });
});
