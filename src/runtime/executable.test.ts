import { afterEach, describe, expect, it } from "vitest";
import {
  add,
  f32,
  gather,
  i32,
  input,
  matmul,
  mul,
  parameter,
  scalar,
  sum,
  type Tensor,
  type WeightBinding,
} from "../tensor/index.ts";
import { type CompileOptions, compile, type Executable, liveSessions } from "./executable.ts";

const held: Executable[] = [];
/** Compiles and holds until the test is over. */
async function hold(outputs: Record<string, Tensor>, options: CompileOptions = {}): Promise<Executable> {
  const executable = await compile(outputs, options);
  held.push(executable);
  return executable;
}
afterEach(async () => {
  for (const executable of held.splice(0)) await executable.release();
  expect(liveSessions(), "every session was given back").toBe(0);
});

const graph = (size = 2, factor = 3): Record<string, Tensor> => ({ y: mul(input("x", [size]), factor) });
const bound = (values: readonly number[]): WeightBinding => ({ weight: () => f32(values) });

describe("the cache of compiled graphs", () => {
  it("compiles equal graphs once, also when asked for at the same time", async () => {
    const [a, b] = await Promise.all([hold(graph()), hold(graph())]);
    await hold(graph());
    expect(liveSessions()).toBe(1);
    expect((await a!.run({ x: f32([1, 2]) }))["y"]!.data).toEqual(Float32Array.of(3, 6));
    expect((await b!.run({ x: f32([3, 4]) }))["y"]!.data).toEqual(Float32Array.of(9, 12));
  });

  it("compiles other shapes, constants, names, weights and settings apart", async () => {
    const w = { y: mul(input("x", [2]), parameter("w", [2])) };
    const others: readonly [Record<string, Tensor>, CompileOptions?][] = [
      [graph()],
      [graph(3)],
      [graph(2, 4)],
      [{ z: graph()["y"]! }],
      [graph(), { threads: 1 }],
      [w],
      [w, { weights: bound([1, 2]) }],
      [w, { weights: bound([1, 3]) }],
    ];
    for (const [outputs, options] of others) await hold(outputs, options);
    expect(liveSessions()).toBe(others.length);
  });

  it("keeps a session until its last user releases it; releasing twice does no harm", async () => {
    const [a, b] = await Promise.all([hold(graph()), hold(graph())]);
    await a!.release();
    await a!.release();
    expect(liveSessions()).toBe(1);
    expect((await b!.run({ x: f32([1, 1]) }))["y"]!.data[0]).toBe(3);
    await expect(a!.run({ x: f32([1, 1]) })).rejects.toMatchObject({ code: "VANS_RUNTIME_RELEASED" });
  });

  it("forgets a graph that the runtime refused", async () => {
    const broken: WeightBinding = {
      weight: () => ({ path: import.meta.filename, byteOffset: 1, byteLength: 7, dtype: "f32", shape: [2] }),
    };
    const refused = compile({ y: parameter("w", [2]) }, { weights: broken });
    await expect(refused).rejects.toMatchObject({ code: "VANS_RUNTIME_SESSION" });
    expect(liveSessions()).toBe(0);
  });
});

describe("what is fed", () => {
  const outputs = { y: matmul(input("a", [2, 3]), input("b", [3, 2])) };
  const a = f32([1, 2, 3, 4, 5, 6], [2, 3]);

  it("must be there, of the traced type and shape", async () => {
    const product = await hold(outputs);
    await expect(product.run({ a })).rejects.toMatchObject({
      code: "VANS_RUNTIME_FEED_MISSING",
      message: expect.stringMatching(/"b"[\s\S]*f32\[3, 2\]/),
    });
    await expect(product.run({ a, b: a })).rejects.toMatchObject({
      code: "VANS_RUNTIME_FEED_SHAPE",
      message: expect.stringMatching(/asked: f32\[3, 2\][\s\S]*found: f32\[2, 3\][\s\S]*fix:/),
    });
    await expect(product.run({ a, b: i32(new Int32Array(6), [3, 2]) })).rejects.toMatchObject({
      code: "VANS_RUNTIME_FEED_SHAPE",
    });
    expect(() => product.checkFeed("c", a)).toThrow(
      expect.objectContaining({ code: "VANS_RUNTIME_FEED_UNKNOWN" }),
    );
  });

  it("is not changed, and results are not shared between runs", async () => {
    const double = await hold({ y: mul(input("x", [2]), 2), x: input("x", [2]) });
    const x = f32([1, 2]);
    const first = await double.run({ x });
    const second = await double.run({ x: f32([5, 6]) });
    expect(x.data).toEqual(Float32Array.of(1, 2));
    expect(first["y"]!.data).toEqual(Float32Array.of(2, 4));
    expect(first["x"]!.data).toEqual(Float32Array.of(1, 2));
    expect(second["y"]!.data).toEqual(Float32Array.of(10, 12));
  });
});

describe("runs", () => {
  it("fail with a code where an index lies outside of its axis", async () => {
    const rows = await hold({ y: gather(input("table", [4, 2]), input("at", [1], "i32")) });
    const table = f32(new Float32Array(8), [4, 2]);
    await expect(rows.run({ table, at: i32([9]) })).rejects.toMatchObject({
      code: "VANS_RUNTIME_RUN",
      message: expect.stringMatching(/found:[\s\S]*fix:/),
    });
  });

  it("do not start once aborted", async () => {
    const executable = await hold(graph());
    await expect(executable.run({ x: f32([1, 1]) }, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "VANS_RUN_ABORTED",
    });
  });

  it("give the same bits every time, with one thread and with two", async () => {
    const x = input("x", [300, 200]);
    const outputs = {
      y: sum(mul(matmul(x, x, { transposeB: true }), 0.01), { axes: [1] }),
      z: add(x, scalar(1)),
    };
    const feed = {
      x: f32(
        Float32Array.from({ length: 60_000 }, (_, i) => Math.sin(i)),
        [300, 200],
      ),
    };
    const results: Float32Array[] = [];
    for (const threads of [1, 2, 2]) {
      const executable = await hold(outputs, { threads });
      results.push((await executable.run(feed))["y"]!.data as Float32Array);
      results.push((await executable.run(feed))["y"]!.data as Float32Array);
    }
    for (const result of results) expect(result).toEqual(results[0]);
  });
});
