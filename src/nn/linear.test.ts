import { describe, expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/index.ts";
import { interpret, liveSessions } from "../runtime/index.ts";
import {
  f32,
  grad,
  input,
  mean,
  mul,
  type NdArray,
  reachableNodes,
  sizeOf,
  sub,
  type Tensor,
} from "../tensor/index.ts";
import { linear } from "./linear.ts";
import { type LoraOptions, Params } from "./params.ts";
import { compileTrainStep } from "./train-step.ts";

const lora: LoraOptions = { rank: 2, alpha: 6, targets: (layer) => layer.endsWith("q_proj") };
const x = input("x", [5, 4]);

function draw(
  params: ReadonlyMap<string, Tensor>,
  zero: (name: string) => boolean = () => false,
): Record<string, NdArray> {
  return Object.fromEntries(
    [...params].map(([name, { shape }]): [string, NdArray] => {
      const size = sizeOf(shape);
      return [
        name,
        f32(zero(name) ? new Float32Array(size) : normal(fold(keyFromSeed(2), name), size), shape),
      ];
    }),
  );
}
const feedX = f32(normal(keyFromSeed(3), 20), [5, 4]);

describe("linear", () => {
  it("asks for torch's names and layouts, with or without a bias", () => {
    const params = new Params();
    expect(linear(params.at("a"), x, { out: 3 }).shape).toEqual([5, 3]);
    linear(params.at("b"), x, { out: 2, bias: false });
    expect([...params.tensors].map(([name, t]) => `${name} ${t.shape}`)).toEqual([
      "a.weight 3,4",
      "a.bias 3",
      "b.weight 2,4",
    ]);
  });
});

describe("LoRA", () => {
  it("adds adapters to the layers it targets, under PEFT's names", () => {
    const params = new Params({ lora });
    linear(params.at("layer", "q_proj"), x, { out: 3 });
    linear(params.at("layer", "v_proj"), x, { out: 3 });
    expect([...params.tensors.keys()].filter((name) => name.includes("lora"))).toEqual([
      "layer.q_proj.lora_A.weight",
      "layer.q_proj.lora_B.weight",
    ]);
    expect(params.tensors.get("layer.q_proj.lora_A.weight")!.shape).toEqual([2, 4]);
    expect(params.tensors.get("layer.q_proj.lora_B.weight")!.shape).toEqual([3, 2]);
  });

  it("changes nothing while B is zero", () => {
    const plain = new Params();
    const adapted = new Params({ lora });
    const outputs = {
      plain: linear(plain.at("q_proj"), x, { out: 3 }),
      adapted: linear(adapted.at("q_proj"), x, { out: 3 }),
    };
    const weights = draw(adapted.tensors, (name) => name.includes("lora_B"));
    const out = interpret(outputs, { ...weights, x: feedX });
    expect(out["adapted"]!.data).toEqual(out["plain"]!.data);
  });

  it("is the layer with weight W + alpha/rank · B · A", () => {
    const params = new Params({ lora });
    const y = linear(params.at("q_proj"), x, { out: 3 });
    const weights = draw(params.tensors);
    const merged = weights["q_proj.weight"]!.data.slice() as Float32Array;
    const [a, b] = ["A", "B"].map((part) => weights[`q_proj.lora_${part}.weight`]!.data) as [
      Float32Array,
      Float32Array,
    ];
    for (let o = 0; o < 3; o++)
      for (let i = 0; i < 4; i++)
        for (let r = 0; r < 2; r++) merged[o * 4 + i]! += (6 / 2) * b[o * 2 + r]! * a[r * 4 + i]!;
    const plain = new Params();
    const wanted = linear(plain.at("q_proj"), x, { out: 3 });
    const out = interpret({ y }, { ...weights, x: feedX })["y"]!;
    const merge = interpret({ y: wanted }, { ...weights, "q_proj.weight": f32(merged, [3, 4]), x: feedX })[
      "y"
    ]!;
    out.data.forEach((value, i) => {
      expect(value).toBeCloseTo(merge.data[i]!, 4);
    });
  });

  it("trained alone leaves the base untouched, computes no gradient for it, and learns", async () => {
    const params = new Params({ lora });
    const error = sub(linear(params.at("q_proj"), x, { out: 3 }), input("target", [5, 3]));
    const loss = mean(mul(error, error));
    const adapters = new Map([...params.tensors].filter(([name]) => name.includes("lora")));
    // The gradient of a weight of [3, 4] would be a product of that shape.
    const gradients = grad(loss, [...adapters.values()]);
    const made = reachableNodes(gradients).filter((node) => node.isGradient);
    expect(made.some((node) => node.types[0]!.shape.join() === "3,4")).toBe(false);

    const weights = draw(params.tensors, (name) => name.includes("lora_B"));
    const first = Object.fromEntries([...adapters.keys()].map((name) => [name, weights[name]!]));
    const step = await compileTrainStep({ loss, params: adapters }, first, {
      weights: { weight: (name) => weights[name] },
    });
    const feeds = { x: feedX, target: f32(normal(keyFromSeed(4), 15), [5, 3]) };
    const losses: number[] = [];
    for (let i = 0; i < 60; i++)
      losses.push((await step.step(feeds, { learningRate: 0.05 }))["loss"]!.data[0]!);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2);
    expect(Object.keys(await step.state()).filter((name) => !name.includes(":"))).toEqual([
      ...adapters.keys(),
    ]);
    await step.release();
    expect(liveSessions()).toBe(0);
  });
});

describe("Params", () => {
  it("gives one tensor a name, and refuses another shape under it", () => {
    const params = new Params();
    expect(params.at("a").get("w", [2])).toBe(params.get("a.w", [2]));
    expect(() => params.get("a.w", [3])).toThrow(
      expect.objectContaining({
        code: "VANS_WEIGHTS_SHAPE_MISMATCH",
        message: expect.stringMatching(/\[2\] and \[3\]/),
      }),
    );
  });
});
