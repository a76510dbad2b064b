/**
 * Gradients against central differences, both in f64 on the interpreter: every op, random shapes and attributes.
 * @module
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { interpretExact } from "../../src/runtime/index.ts";
import { definedOps, grad, reachableNodes, type Value } from "../../src/tensor/index.ts";
import { ALL_CASES, OP_CASES } from "./cases.ts";
import { type Instance, trace, weightedLoss } from "./instance.ts";

const RUNS = 50;
const SEED = 20260701;
const STEP = 1e-5;
/** Constants inside gradients are rounded to f32, which limits the agreement to about 6e-8 of the largest term. */
const TOLERANCE = 1e-6;
/** Elements a feed whose difference is taken; larger feeds are sampled evenly. */
const ELEMENTS = 12;

/** Throws where a gradient differs from the central difference of the loss. */
function checkGradients(instance: Instance): void {
  const { feeds, loss, gradients } = trace(instance);
  if (!loss || Object.keys(gradients).length === 0) return;
  const exact: Record<string, Value> = Object.fromEntries(
    Object.entries(feeds).map(([name, { shape, data }]) => [
      name,
      { shape, data: data instanceof Float32Array ? Float64Array.from(data) : data },
    ]),
  );
  const lossAt = (): number => interpretExact({ loss }, exact)["loss"]!.data[0]!;
  const found = interpretExact(gradients, exact);
  for (const [name, gradient] of Object.entries(found)) {
    const { data } = exact[name]!;
    expect(gradient.shape, `${instance.text}: shape of the gradient of ${name}`).toEqual(exact[name]!.shape);
    const stride = Math.max(1, Math.ceil(data.length / ELEMENTS));
    for (let i = 0; i < data.length; i += stride) {
      const middle = data[i]!;
      data[i] = middle + STEP;
      const above = lossAt();
      data[i] = middle - STEP;
      const below = lossAt();
      data[i] = middle;
      const difference = (above - below) / (2 * STEP);
      const error = Math.abs(gradient.data[i]! - difference) / (1 + Math.abs(difference));
      if (!(error <= TOLERANCE)) {
        throw new Error(
          `${instance.text}: d loss / d ${name}[${i}] is ${gradient.data[i]}, differences say ${difference}`,
        );
      }
    }
  }
}

describe("every op", () => {
  it("has a row in the table of cases, and the table names no other", () => {
    expect(Object.keys(OP_CASES).sort()).toEqual(definedOps());
  });

  it.each(Object.keys(OP_CASES))("%s is really in the graphs of its row", (name) => {
    const instances = fc.sample(OP_CASES[name]!, { seed: SEED, numRuns: RUNS });
    const withOp = instances.filter((instance) =>
      reachableNodes(Object.values(trace(instance).outputs)).some((node) => node.op.name === name),
    );
    expect(withOp.length).toBeGreaterThanOrEqual(RUNS / 4);
  });
});

describe("gradients agree with central differences", () => {
  it.each(Object.keys(ALL_CASES))("%s", (name) => {
    fc.assert(fc.property(ALL_CASES[name]!, checkGradients), { seed: SEED, numRuns: RUNS });
  });
});

describe("the family of convolutions is closed: gradients of gradients agree as well", () => {
  // d/dx of a gradient is taken by tracing it as an output of its own.
  it.each(["matmul", "conv", "convInputGradient", "convWeightGradient", "mul", "tanh"])("%s", (name) => {
    const twice = ALL_CASES[name]!.map((instance) => gradientAsOutput(instance));
    fc.assert(fc.property(twice, checkGradients), { seed: SEED, numRuns: 8 });
  });
});

/** The instance whose outputs are the gradients of another one's loss. */
function gradientAsOutput(instance: Instance): Instance {
  return {
    ...instance,
    text: `gradient of ${instance.text}`,
    build: (leaf) =>
      grad(
        weightedLoss(instance.build(leaf), 2)!,
        instance.differentiable.map((name) => leaf[name]!),
      ),
  };
}
