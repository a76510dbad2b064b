/** The step that is fed gradients. */
import { expect, it } from "vitest";
import { ADAMW, Params } from "../nn/index.ts";
import { interpret } from "../runtime/index.ts";
import { f32, grad, mul, sum } from "../tensor/index.ts";
import { compileAdapterStep, GradientSum, gradientName, gradientOutputs } from "./adapter-step.ts";
import { adaptersOff } from "./caption-policy.ts";
import { emaDecayAt } from "./recipe.ts";

const params = new Params();
const a = params.get("x.lora_A.weight", [2]);
const b = params.get("x.lora_B.weight", [2]);
const loss = sum(mul(mul(a, a), b));
const first = { "x.lora_A.weight": f32([1, 2]), "x.lora_B.weight": f32([0, 0.5]) };
const graph = gradientOutputs(params.tensors, grad(loss, [a, b]));

it("adds gradients of parts up with their weights, and scales them down to a norm", () => {
  const out = interpret(graph, first);
  expect([...out[gradientName("x.lora_B.weight")]!.data]).toEqual([1, 4]);
  const total = new GradientSum(params.tensors);
  total.add(out, 0.5);
  total.add(out, 0.5);
  expect(total.norm).toBeCloseTo(Math.hypot(0, 2, 1, 4), 6);
  expect(Object.keys(total.feeds()).sort()).toEqual(Object.keys(graph).sort());
  const small = new GradientSum(params.tensors);
  small.add(total.feeds(1));
  expect(small.norm).toBeCloseTo(1, 6);
});

it("one step changes exactly what it is given, by the gradient that it is fed, and the reference not at all", async () => {
  const step = await compileAdapterStep(
    { params: params.tensors, optimizer: () => ({ ...ADAMW, weightDecay: 0 }), threads: 1, stepCount: 0 },
    first,
  );
  const reference = adaptersOff(first);
  const total = new GradientSum(params.tensors);
  total.add(interpret(graph, first));
  await step.step(total.feeds(), { learningRate: 0.1, emaDecay: 0.5 });
  const state = await step.state();
  const names = Object.keys(state).filter((name) => !name.includes(":"));
  expect(names.sort()).toEqual(["x.lora_A.weight", "x.lora_B.weight"]);
  // AdamW's first step is the learning rate against the sign of the gradient; a gradient of 0 moves nothing.
  expect([...state["x.lora_A.weight"]!.data]).toEqual([1, expect.closeTo(1.9, 4)]);
  expect([...state["x.lora_B.weight"]!.data]).toEqual([expect.closeTo(-0.1, 4), expect.closeTo(0.4, 4)]);
  expect([...state["ema:x.lora_A.weight"]!.data]).toEqual([1, expect.closeTo(1.95, 4)]);
  expect(adaptersOff(first)).toEqual(reference);
  expect([...reference["x.lora_B.weight"]!.data]).toEqual([0, 0]);
  await step.release();
});

it("the moving average starts loose: min((1 + n) / (10 + n), decay)", () => {
  const recipe = { optimizer: { emaDecay: 0.9 } } as Parameters<typeof emaDecayAt>[0];
  expect([0, 8, 80, 800].map((n) => emaDecayAt(recipe, n))).toEqual([0.1, 0.5, 0.9, 0.9]);
});
