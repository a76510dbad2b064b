import { expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../../base/keys.ts";
import { Params } from "../../nn/index.ts";
import { compile } from "../../runtime/index.ts";
import {
  f32,
  grad,
  input,
  mul,
  type NdArray,
  type Shape,
  sizeOf,
  sum,
  type Tensor,
} from "../../tensor/index.ts";
import { ditForward, ditWithReferences } from "./dit.ts";
import { ditConfig, WAN_T2V_1_3B } from "./dit-config.ts";
import { ditLoraTargets, ditParameters, initDit } from "./dit-init.ts";
import { DitRunner } from "./dit-runner.ts";

const config = ditConfig({ dim: 24, ffn_dim: 40, num_heads: 2, num_layers: 2, text_dim: 10, freq_dim: 16 });
const key = keyFromSeed(3);
const draw = (name: string, shape: Shape): NdArray => f32(normal(fold(key, name), sizeOf(shape)), shape);
/** Nothing at zero, so that every term counts. */
const weights = Object.fromEntries(
  [...ditParameters(config)].map(([name, shape]): [string, NdArray] => [
    name,
    f32(
      normal(fold(key, name), sizeOf(shape)).map((z) => 0.2 * z),
      shape,
    ),
  ]),
);
const binding = { weight: (name: string): NdArray | undefined => weights[name] };

const feeds = {
  references: draw("references", [2, 16, 3, 4, 4]),
  noisy: draw("noisy", [2, 16, 2, 4, 4]),
  timestep: f32([930.5, 12.25]),
  context: draw("context", [2, 5, 10]),
};
const inputs = Object.fromEntries(
  Object.entries(feeds).map(([name, array]) => [name, input(name, array.shape)]),
) as Record<keyof typeof feeds, Tensor>;

async function evaluate(outputs: Record<string, Tensor>, values: Record<string, NdArray>) {
  const graph = await compile(outputs, { weights: binding });
  const results = await graph.run(values);
  await graph.release();
  return results;
}

const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

/** One sample of a batch. */
function sample(array: NdArray, index: number): NdArray {
  const size = array.data.length / array.shape[0]!;
  return f32((array.data as Float32Array).slice(index * size, (index + 1) * size), [
    1,
    ...array.shape.slice(1),
  ]);
}

it("treats every sample of a batch with its own timestep", async () => {
  const { y } = await evaluate({ y: ditWithReferences(new Params(), config, inputs) }, feeds);
  for (const index of [0, 1]) {
    const one = Object.fromEntries(
      Object.entries(feeds).map(([name, array]) => [name, sample(array, index)]),
    ) as typeof feeds;
    const alone = await evaluate(
      {
        y: ditWithReferences(new Params(), config, {
          references: input("references", one.references.shape),
          noisy: input("noisy", one.noisy.shape),
          timestep: input("timestep", [1]),
          context: input("context", one.context.shape),
        }),
      },
      one,
    );
    expect(distance(alone["y"]!.data, sample(y!, index).data)).toBeLessThan(1e-5);
  }
});

it("shares references, text and timestep of one sample with a batch", async () => {
  const shared = {
    references: sample(feeds.references, 0),
    noisy: feeds.noisy,
    timestep: f32([500]),
    context: sample(feeds.context, 0),
  };
  const twice = (array: NdArray): NdArray =>
    f32(Float32Array.from([...array.data, ...array.data]), [2, ...array.shape.slice(1)]);
  const trace = (values: typeof shared): Record<string, Tensor> => ({
    y: ditWithReferences(new Params(), config, {
      references: input("references", values.references.shape),
      noisy: input("noisy", values.noisy.shape),
      timestep: input("timestep", values.timestep.shape),
      context: input("context", values.context.shape),
    }),
  });
  const repeated = {
    references: twice(shared.references),
    noisy: shared.noisy,
    timestep: f32([500, 500]),
    context: twice(shared.context),
  };
  const a = await evaluate(trace(shared), shared);
  const b = await evaluate(trace(repeated), repeated);
  expect(distance(a["y"]!.data, b["y"]!.data)).toBeLessThan(1e-5);
});

it("recomputing blocks changes no gradient", async () => {
  const gradients = (remat: boolean): Record<string, Tensor> => {
    const params = new Params();
    const y = ditWithReferences(params, config, inputs, { remat });
    const named = [...params.tensors];
    const all = grad(
      sum(mul(y, y)),
      named.map(([, tensor]) => tensor),
    );
    return Object.fromEntries(named.map(([name], i) => [name, all[i]!]));
  };
  const [kept, recomputed] = [
    await evaluate(gradients(false), feeds),
    await evaluate(gradients(true), feeds),
  ];
  for (const [name, array] of Object.entries(kept)) {
    const scale = Math.max(...array.data.map(Math.abs));
    expect(distance(array.data, recomputed[name]!.data) / scale).toBeLessThan(1e-4);
  }
});

it("the runner computes each text once and gives the same velocities", async () => {
  await using runner = new DitRunner(config, { weights: binding });
  const { y } = await evaluate({ y: ditWithReferences(new Params(), config, inputs) }, feeds);
  for (let i = 0; i < 2; i++)
    expect(distance((await runner.velocity(feeds)).data, y!.data)).toBeLessThan(1e-5);
});

it("the runner takes parameters that are not bound, and forgets texts when they change", async () => {
  await using runner = new DitRunner(config);
  runner.setParameters(weights);
  const before = await runner.velocity(feeds);
  const name = "blocks.1.cross_attn.v.weight";
  const { data, shape } = weights[name]!;
  runner.setParameters({ ...weights, [name]: f32(data.map((x) => 2 * x) as Float32Array, shape) });
  const after = await runner.velocity(feeds);
  expect(distance(before.data, after.data)).toBeGreaterThan(1e-3);
});

it("names the parameters of the released transformer", () => {
  const shapes = ditParameters(WAN_T2V_1_3B);
  const total = [...shapes.values()].reduce((all, shape) => all + sizeOf(shape), 0);
  expect(shapes.size).toBe(825);
  expect(total).toBe(1_418_996_800);
  expect(shapes.get("blocks.29.ffn.2.weight")).toEqual([1536, 8960]);
});

it("adapts q, k, v and o of both attentions", () => {
  const lora = { rank: 4, alpha: 8, targets: ditLoraTargets };
  const added = [...ditParameters(config, { lora }).keys()].filter((name) => name.includes(".lora_"));
  expect(added.length).toBe(config.layerCount * 2 * 4 * 2);
  expect(added).toContain("blocks.1.cross_attn.o.lora_B.weight");
});

it("starts with velocity 0, gates 1 and an adapter that changes nothing", async () => {
  const lora = { rank: 4, alpha: 8, targets: ditLoraTargets };
  const first = initDit(config, key, { lora });
  expect([...first["blocks.0.modulation"]!.data.slice(2 * 24, 3 * 24)]).toEqual(new Array(24).fill(1));
  expect(first["blocks.0.self_attn.q.lora_B.weight"]!.data.every((x) => x === 0)).toBe(true);
  const plain = initDit(config, key);
  for (const [name, array] of Object.entries(plain)) expect(first[name]!.data).toEqual(array.data);
  const values = { ...plain, ...feeds };
  const y = ditWithReferences(new Params(), config, inputs);
  const graph = await compile({ y });
  const result = await graph.run(values);
  await graph.release();
  expect(result["y"]!.data.every((x) => x === 0)).toBe(true);
});

it("refuses latents that do not divide into patches", () => {
  const trace = () =>
    ditForward(new Params(), config, {
      latents: input("latents", [1, 16, 2, 3, 4]),
      timestep: input("timestep", [1]),
      context: input("context", [1, 5, 10]),
    });
  expect(trace).toThrowError(expect.objectContaining({ code: "VANS_DIT_SHAPE" }));
});
