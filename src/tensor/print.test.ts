import { expect, it } from "vitest";
import {
  add,
  constant,
  f32,
  grad,
  input,
  matmul,
  mul,
  parameter,
  printGraph,
  remat,
  softmax,
  split,
  sum,
} from "./index.ts";

it("prints one node a line, numbered from 0, with types and attributes, outputs last", () => {
  const x = input("x", [2, 3]);
  const w = parameter("w", [4, 3]);
  const [left, right] = split(matmul(x, w, { transposeB: true, alpha: 0.5 }), 1, [1, 3]);
  const y = add(right!, constant(f32([1, 2, 3])));
  expect(printGraph({ y, left: left! })).toMatchInlineSnapshot(`
    "%0:f32[2, 3] = input() name=x dtype=f32 shape=[2,3]
    %1:f32[4, 3] = parameter() name=w dtype=f32 shape=[4,3]
    %2:f32[2, 4] = matmul(%0, %1) transposeA=false transposeB=true alpha=0.5
    %3:f32[2, 1], f32[2, 3] = split(%2) axis=1 sizes=[1,3]
    %4:f32[3] = constant() values=[1, 2, 3]
    %5:f32[2, 3] = add(%3.1, %4)
    return y = %5
    return left = %3"
  `);
});

it("prints the same text for the same graph traced again", () => {
  const traced = (): string => printGraph({ y: softmax(mul(input("x", [2]), 3)) });
  expect(traced()).toBe(traced());
});

it("marks rematerialisation blocks and shows what a gradient waits for", () => {
  const x = input("x", [2]);
  const y = remat(() => softmax(softmax(x)));
  const [g] = grad(sum(mul(y, y)), [x]);
  const text = printGraph({ g: g! });
  expect(text).toMatch(/softmax\(%0\) block=\d+/);
  expect(text).toContain("= after(%0, ");
});
