import { describe, expect, it } from "vitest";
import {
  add,
  cast,
  div,
  f32,
  gather,
  i32,
  input,
  mul,
  parameter,
  putAlong,
  repeatInterleave,
  reshape,
  scatterRows,
  sum,
  type Tensor,
  takeAlong,
} from "../tensor/index.ts";
import { interpret, interpretExact } from "./interpreter.ts";

describe("the interpreter", () => {
  it("computes in f64 and rounds at the end", () => {
    const x = input("x", [2]);
    const third = div(x, 3);
    const exact = interpretExact({ y: sum(third) }, { x: { shape: [2], data: Float64Array.of(1, 1e-12) } });
    expect(exact["y"]!.data[0]).toBe(1 / 3 + 1e-12 / 3);
    const single = interpret({ y: third }, { x: f32([1, 2]) })["y"]!;
    expect(single).toEqual({ dtype: "f32", shape: [2], data: Float32Array.of(1 / 3, 2 / 3) });
  });

  it("keeps integers and truth values as they are", () => {
    const x = input("x", [3], "i32");
    const out = interpret({ x, asBool: cast(x, "bool") }, { x: i32([0, -1, 2]) });
    expect(out["x"]!.data).toEqual(Int32Array.of(0, -1, 2));
    expect(out["asBool"]).toEqual({ dtype: "bool", shape: [3], data: Uint8Array.of(0, 1, 1) });
  });

  it("does not change its feeds", () => {
    const x = f32([1, 2]);
    interpret({ y: mul(input("x", [2]), 5) }, { x });
    expect(x.data).toEqual(Float32Array.of(1, 2));
  });

  it("names the op and the index where one lies outside of its axis", () => {
    const table = input("table", [4, 2]);
    const at = input("at", [2], "i32");
    const feeds = { table: f32(new Float32Array(8), [4, 2]), wide: f32(new Float32Array(4), [2, 2]) };
    const lookups: Record<string, Tensor> = {
      gather: gather(table, at),
      scatterRows: scatterRows(input("wide", [2, 2]), at, 4),
      takeAlong: takeAlong(table, reshape(at, [1, 2]), 0),
      putAlong: putAlong(input("wide", [2, 2]), reshape(repeatInterleave(at, 0, 2), [2, 2]), 1, [2, 4]),
    };
    for (const [name, tensor] of Object.entries(lookups)) {
      for (const bad of [4, -1]) {
        expect(() => interpret({ y: tensor }, { ...feeds, at: i32([0, bad]) }), name).toThrow(
          expect.objectContaining({
            code: "VANS_TENSOR_INDEX",
            message: expect.stringMatching(new RegExp(`^${name}: [\\s\\S]*index ${bad} [\\s\\S]*axis of 4`)),
          }),
        );
      }
    }
  });

  it("asks for every leaf, by name and shape", () => {
    const outputs = { y: add(input("x", [2]), parameter("w", [2])) };
    expect(() => interpret(outputs, { x: f32([1, 2]) })).toThrow(
      expect.objectContaining({ code: "VANS_RUNTIME_FEED_MISSING", message: expect.stringContaining('"w"') }),
    );
    expect(() => interpret(outputs, { x: f32([1, 2, 3]), w: f32([1, 2]) })).toThrow(
      expect.objectContaining({
        code: "VANS_RUNTIME_FEED_SHAPE",
        message: expect.stringMatching(/\[2\][\s\S]*\[3\]/),
      }),
    );
  });
});
