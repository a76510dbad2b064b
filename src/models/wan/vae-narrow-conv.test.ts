import { expect, it } from "vitest";
import { keyFromSeed, normal } from "../../base/index.ts";
import { compile, interpret } from "../../runtime/index.ts";
import {
  channelNorm,
  conv,
  f32,
  grad,
  input,
  mul,
  type NdArray,
  type Shape,
  sigmoid,
  sizeOf,
  sum,
  type Tensor,
} from "../../tensor/index.ts";
import { frameConv, narrowCausalConv } from "./vae-narrow-conv.ts";
import { normSilu } from "./vae-norm.ts";

type Shapes = Readonly<Record<string, Shape>>;

const feedsOf = (shapes: Shapes): Record<string, NdArray> =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => [
      name,
      f32(normal(keyFromSeed(i + 1), sizeOf(shape)), shape),
    ]),
  );

/** Value and gradients of a function under a random weighting of its output. */
function traced(f: (inputs: Tensor[]) => Tensor, shapes: Shapes): Record<string, Tensor> {
  const names = Object.keys(shapes);
  const inputs = names.map((name) => input(name, shapes[name]!));
  const y = f(inputs);
  const upstream = input("upstream", y.shape);
  const gradients = grad(sum(mul(y, upstream)), inputs);
  return { y, ...Object.fromEntries(gradients.map((g, i) => [`d${names[i]}`, g])) };
}

/** Both functions have the same values and gradients, run and interpreted. */
async function expectSame(
  fast: (inputs: Tensor[]) => Tensor,
  plain: (inputs: Tensor[]) => Tensor,
  shapes: Shapes,
): Promise<void> {
  const [a, b] = [traced(fast, shapes), traced(plain, shapes)];
  const feeds = feedsOf({ ...shapes, upstream: b["y"]!.shape });
  const judged = interpret(b, feeds);
  const executable = await compile(a);
  const ran = await executable.run(feeds);
  await executable.release();
  const interpreted = interpret(a, feeds);
  for (const [name, golden] of Object.entries(judged)) {
    for (const result of [ran[name]!, interpreted[name]!]) {
      expect(result.shape).toEqual(golden.shape);
      const scale = Math.max(...Array.from(golden.data, Math.abs));
      golden.data.forEach((value, i) => {
        if (Math.abs(result.data[i]! - value) > 1e-5 * scale)
          expect.fail(`${name}[${i}] is ${result.data[i]}, expected ${value}`);
      });
    }
  }
}

for (const frames of [2, 3, 5]) {
  it(`the causal convolution of ${frames} frames equals the plain one, forward and backward`, async () => {
    await expectSame(
      ([x, w, b]) => narrowCausalConv(x!, w!, b!),
      ([x, w, b]) =>
        conv(x!, w!, { strides: [1, 1, 1], padsBefore: [2, 1, 1], padsAfter: [0, 1, 1], bias: b! }),
      { x: [2, 3, frames, 4, 5], w: [2, 3, 3, 3, 3], b: [2] },
    );
  });
}

it("the convolution of frames equals the plain one, forward and backward", async () => {
  const geometry = { strides: [1, 1], padsBefore: [1, 1], padsAfter: [1, 1] };
  const fast = ([x, w, b]: Tensor[]): Tensor => frameConv(x!, w!, b!);
  await expectSame(fast, ([x, w, b]) => conv(x!, w!, { ...geometry, bias: b! }), {
    x: [2, 3, 4, 5],
    w: [4, 3, 3, 3],
    b: [4],
  });
  const ofClips = { strides: [1, 1, 1], padsBefore: [0, 1, 1], padsAfter: [0, 1, 1] };
  await expectSame(fast, ([x, w, b]) => conv(x!, w!, { ...ofClips, bias: b! }), {
    x: [1, 2, 3, 4, 5],
    w: [3, 2, 1, 3, 3],
    b: [3],
  });
});

it("norm and SiLU together equal the two, forward and backward", async () => {
  await expectSame(
    ([x, gamma]) => normSilu(x!, gamma!),
    ([x, gamma]) => {
      const scaled = channelNorm(x!, gamma!);
      return mul(scaled, sigmoid(scaled));
    },
    { x: [2, 3, 2, 2, 3], gamma: [3, 1, 1, 1] },
  );
});

it("a position without any signal gets no gradient", async () => {
  const shapes = { x: [1, 3, 1, 1, 2], gamma: [3, 1, 1, 1] };
  const outputs = traced(([x, gamma]) => normSilu(x!, gamma!), shapes);
  const feeds = feedsOf({ ...shapes, upstream: [1, 3, 1, 1, 2] });
  for (let channel = 0; channel < 3; channel++) feeds["x"]!.data[2 * channel] = 0;
  const { y, dx } = interpret(outputs, feeds);
  const silent = (array: NdArray): number[] => [...array.data].filter((_, i) => i % 2 === 0).map(Math.abs);
  expect(silent(y!)).toEqual([0, 0, 0]);
  expect(silent(dx!)).toEqual([0, 0, 0]);
  expect([...dx!.data].every(Number.isFinite)).toBe(true);
});
