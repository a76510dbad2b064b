import { expect, it } from "vitest";
import { fold, keyFromSeed, normal, uniform } from "../base/keys.ts";
import { ditConfig, initDit } from "../models/wan/index.ts";
import { Params } from "../nn/index.ts";
import { compile } from "../runtime/index.ts";
import { f32, input, type NdArray, type Shape, sizeOf, type Tensor } from "../tensor/index.ts";
import { flowMatchingLoss } from "./flow-matching-loss.ts";

const config = ditConfig({ dim: 24, ffn_dim: 40, num_heads: 2, num_layers: 1, text_dim: 10, freq_dim: 16 });
const key = keyFromSeed(51);
// At first weights the velocity is 0, so the loss is the mean square of noise - clean.
const weights = initDit(config, key);
const frame = [16, 2, 4, 4];
const draw = (name: string, shape: Shape): NdArray => f32(normal(fold(key, name), sizeOf(shape)), shape);
const feeds = {
  references: draw("references", [2, 16, 3, 4, 4]),
  clean: draw("clean", [2, ...frame]),
  noise: draw("noise", [2, ...frame]),
  sigma: f32([0.3, 0.9]),
  context: draw("context", [2, 5, 10]),
  weight: f32([2, 0.5]),
  elementWeight: f32(uniform(fold(key, "w"), 64), [2, 1, 2, 4, 4]),
};
type Name = keyof typeof feeds;

async function evaluate(names: readonly Name[]): Promise<Record<string, NdArray>> {
  const inputs = Object.fromEntries(names.map((name) => [name, input(name, feeds[name].shape)])) as Record<
    Name,
    Tensor
  >;
  const { loss, sampleLoss } = flowMatchingLoss(new Params(), config, inputs);
  const graph = await compile({ loss, sampleLoss }, { weights: { weight: (name) => weights[name] } });
  const results = await graph.run(Object.fromEntries(names.map((name) => [name, feeds[name]])));
  await graph.release();
  return results;
}

const base = ["references", "clean", "noise", "sigma", "context"] as const;
const size = sizeOf(frame);
const squares = Array.from(feeds.clean.data, (clean, i) => (feeds.noise.data[i]! - clean) ** 2);
const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

it("weighs samples", async () => {
  const { loss, sampleLoss } = await evaluate([...base, "weight"]);
  const expected = [meanOf(squares.slice(0, size)), meanOf(squares.slice(size))] as const;
  expect(sampleLoss!.data[0]).toBeCloseTo(expected[0], 4);
  expect(sampleLoss!.data[1]).toBeCloseTo(expected[1], 4);
  expect(loss!.data[0]).toBeCloseTo((2 * expected[0] + 0.5 * expected[1]) / 2, 4);
});

it("weighs elements, and the weight of a channel-wide mask counts for every channel", async () => {
  const { sampleLoss } = await evaluate([...base, "elementWeight"]);
  for (const sample of [0, 1]) {
    let [above, below] = [0, 0];
    for (let i = 0; i < size; i++) {
      const w = feeds.elementWeight.data[sample * 32 + (i % 32)]!;
      above += w * squares[sample * size + i]!;
      below += w;
    }
    expect(sampleLoss!.data[sample]).toBeCloseTo(above / below, 4);
  }
});
