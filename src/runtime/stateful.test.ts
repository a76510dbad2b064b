import { afterEach, describe, expect, it } from "vitest";
import { add, f32, input, mul, parameter, sum, type Tensor } from "../tensor/index.ts";
import { liveSessions } from "./executable.ts";
import { compileStateful, type StatefulExecutable } from "./stateful.ts";

/** A counter: `total` grows by `x`, `seen` by one. */
const counter = (): Record<string, Tensor> => ({
  total: add(input("total", [2]), input("x", [2])),
  seen: add(input("seen", []), 1),
  sum: sum(input("total", [2])),
});
const start = { total: f32([1, 2]), seen: f32([0], []) };

let stateful: StatefulExecutable;
afterEach(async () => {
  await stateful.release();
  expect(liveSessions()).toBe(0);
});

describe("state between runs", () => {
  it("is replaced after each run; other outputs are returned", async () => {
    stateful = await compileStateful(counter(), start);
    expect([...stateful.stateNames].sort()).toEqual(["seen", "total"]);
    const first = await stateful.step({ x: f32([1, 1]) });
    expect(Object.keys(first)).toEqual(["sum"]);
    expect(first["sum"]!.data[0]).toBe(3);
    await stateful.step({ x: f32([10, 10]) });
    const third = await stateful.step({ x: f32([0, 0]) });
    expect(third["sum"]!.data[0]).toBe(25);
    const state = await stateful.read();
    expect(state["total"]!.data).toEqual(Float32Array.of(12, 13));
    expect(state["seen"]!.data[0]).toBe(3);
  });

  it("is copied in and out", async () => {
    const mine = { total: f32([1, 2]), seen: f32([0], []) };
    stateful = await compileStateful(counter(), mine);
    mine.total.data[0] = 99;
    const before = await stateful.read();
    await stateful.step({ x: f32([1, 1]) });
    await stateful.step({ x: f32([1, 1]) });
    expect(before["total"]!.data).toEqual(Float32Array.of(1, 2));
    before["total"]!.data[0] = 99;
    expect((await stateful.read())["total"]!.data).toEqual(Float32Array.of(3, 4));
  });

  it("can be set again, in part", async () => {
    stateful = await compileStateful(counter(), start);
    await stateful.step({ x: f32([1, 1]) });
    stateful.load({ total: f32([5, 5]) });
    const { sum: total } = await stateful.step({ x: f32([0, 0]) });
    expect(total!.data[0]).toBe(10);
    expect((await stateful.read())["seen"]!.data[0]).toBe(2);
    expect(() => stateful.load({ total: f32([5, 5, 5]) })).toThrow(
      expect.objectContaining({ code: "VANS_RUNTIME_FEED_SHAPE" }),
    );
  });

  it("stays as it was where a run does not happen", async () => {
    stateful = await compileStateful(counter(), start);
    await expect(stateful.step({})).rejects.toMatchObject({ code: "VANS_RUNTIME_FEED_MISSING" });
    await expect(stateful.step({ x: f32([1, 1]) }, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "VANS_RUN_ABORTED",
    });
    expect((await stateful.read())["total"]!.data).toEqual(Float32Array.of(1, 2));
  });

  it("is never frozen into the graph by a binding that knows its name", async () => {
    const w = parameter("w", [2]);
    const scale = parameter("scale", []);
    const weights = { weight: (name: string) => (name === "scale" ? f32([2], []) : f32([7, 7])) };
    stateful = await compileStateful({ w: mul(w, scale) }, { w: f32([1, 2]) }, { weights });
    await stateful.step({});
    await stateful.step({});
    expect((await stateful.read())["w"]!.data).toEqual(Float32Array.of(4, 8));
  });
});
