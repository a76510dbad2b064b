import { describe, expect, it } from "vitest";
import { add, cast, div, f32, i32, input, mul, parameter, sum } from "../tensor/index.ts";
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
