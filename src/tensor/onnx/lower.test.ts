import { describe, expect, it } from "vitest";
import { countTypes, type ReadNode, readOnnx } from "../../../test/onnx-reader.ts";
import {
  add,
  attention,
  concat,
  constant,
  conv,
  embedding,
  exp,
  f32,
  geluTanh,
  grad,
  i32,
  input,
  layerNorm,
  linear,
  lower,
  matmul,
  mean,
  mul,
  parameter,
  reshape,
  rmsNorm,
  scalar,
  silu,
  slice,
  softmax,
  sub,
  sum,
  type Target,
  type Tensor,
  type WeightBinding,
} from "../index.ts";

const lowered = (outputs: Record<string, Tensor>, target: Target = "cpu", forTraining?: boolean) =>
  readOnnx(lower(outputs, { target, forTraining }).bytes);

const x = input("x", [2, 3]);

describe("what training graphs are written as", () => {
  it("of several reshapes in a row the last one", () => {
    const there = reshape(reshape(input("w", [2, 6]), [3, 4]), [12]);
    expect(countTypes(lowered({ y: exp(there) }))).toEqual({ Reshape: 1, Exp: 1 });
    const back = reshape(reshape(input("w", [2, 6]), [3, 4]), [2, 6]);
    expect(countTypes(lowered({ y: exp(back) }))).toEqual({ Exp: 1 });
  });

  it("a bias after a large product, within a small one", () => {
    const product = (rows: number): Tensor =>
      linear(input("a", [rows, 64]), input("w", [64, 64]), input("bias", [64]));
    expect(countTypes(lowered({ y: product(1024) }, "cpu", true))).toEqual({ Gemm: 1, Add: 1 });
    expect(countTypes(lowered({ y: product(16) }, "cpu", true))).toEqual({ Gemm: 1 });
    expect(countTypes(lowered({ y: product(1024) }))).toEqual({ Gemm: 1 });
  });

  it("GELU and its gradient in twelve passes, those of the forward pass shared", () => {
    const w = input("w", [4, 8]);
    const counts = countTypes(lowered({ g: grad(sum(mul(geluTanh(w), input("v", [4, 8]))), [w])[0]! }));
    const passes = ["Mul", "Add", "Sub", "Sigmoid", "HardSigmoid"].map((type) => counts[type] ?? 0);
    // One more than in a network: the product with v.
    expect(passes.reduce((total, count) => total + count)).toBeLessThanOrEqual(13);
  });
});

describe("equal nodes are written once", () => {
  it("within a graph that was traced twice", () => {
    const once = (): Tensor => add(exp(x), mul(x, 2));
    const counts = countTypes(lowered({ y: add(once(), once()) }));
    expect(counts).toEqual({ Exp: 1, Mul: 1, Add: 2 });
  });

  it("but not where an attribute or the order of inputs differs", () => {
    const y = input("y", [2, 3]);
    expect(countTypes(lowered({ a: sub(x, y), b: sub(y, x) }))["Sub"]).toBe(2);
    const s = input("s", [2, 2]);
    expect(countTypes(lowered({ a: concat([s, s], 0), b: concat([s, s], 1) }))["Concat"]).toBe(2);
  });

  it("constants are merged by type, shape and bits", () => {
    const same = lowered({ y: add(add(x, constant(f32([1, 2, 3]))), constant(f32([1, 2, 3]))) });
    expect(same.initializers).toHaveLength(1);
    const others = lowered({
      a: add(x, constant(f32([1, 2, 3], [3]))),
      b: add(x, constant(f32([1, 2, 3], [1, 3]))),
      c: add(x, scalar(0)),
      d: mul(x, scalar(-0)),
    });
    expect(others.initializers).toHaveLength(4);
  });
});

describe("both passes of a training graph share forward values", () => {
  const shared = (loss: Tensor, wrt: Tensor[]): Record<string, number> => {
    const gradients = grad(loss, wrt);
    return countTypes(lowered({ loss, ...Object.fromEntries(gradients.map((g, i) => [`g${i}`, g])) }));
  };

  it.each([
    ["heads", [2, 4, 5, 8], [2, 4, 5, 8], undefined],
    ["heads with a mask", [2, 4, 5, 8], [2, 4, 5, 8], [5, 5]],
    ["grouped heads", [2, 2, 3, 5, 8], [2, 2, 1, 5, 8], undefined],
    ["a matrix", [5, 8], [5, 8], undefined],
  ])("attention's softmax is computed once: %s", (_, qShape, kShape, maskShape) => {
    const [q, k, v] = [input("q", qShape), input("k", kShape), input("v", kShape)];
    const mask = maskShape ? input("mask", maskShape) : undefined;
    const counts = shared(mean(attention(q, k, v, { mask })), [q, k, v]);
    expect(counts["Softmax"]).toBe(1);
  });

  it("softmax, sigmoids of activations and statistics of norms as well", () => {
    expect(shared(sum(mul(softmax(x), x)), [x])["Softmax"]).toBe(1);
    expect(shared(sum(silu(x)), [x])["Sigmoid"]).toBe(1);
    expect(shared(sum(geluTanh(x)), [x])["Sigmoid"]).toBe(1);
    const [scale, bias] = [input("scale", [3]), input("bias", [3])];
    const norm = shared(sum(mul(layerNorm(x, scale, bias, 1e-5), x)), [x, scale, bias]);
    expect(norm["LayerNormalization"]).toBe(1);
    expect(norm["Sqrt"]).toBeUndefined();
    const rms = shared(sum(mul(rmsNorm(x, scale, 1e-5), x)), [x, scale]);
    expect(rms["SimplifiedLayerNormalization"]).toBe(1);
    expect(rms["Sqrt"]).toBeUndefined();
  });

  it("an inference graph fuses instead", () => {
    expect(countTypes(lowered({ y: silu(x) }))).toEqual({ QuickGelu: 1 });
    expect(countTypes(lowered({ y: geluTanh(x) }))).toEqual({ Gelu: 1 });
    expect(countTypes(lowered({ y: silu(x) }, "cpu", true))["QuickGelu"]).toBeUndefined();
  });
});

describe("what is written", () => {
  it("every output has a name of its own, also an input that is passed through or named twice", () => {
    const model = lowered({ a: x, b: x, c: exp(x) });
    expect(model.inputs).toEqual(["x"]);
    expect(model.outputs).toEqual(["out:a", "out:b", "out:c"]);
    const written = model.nodes.flatMap((node) => node.outputs);
    expect(new Set(written).size).toBe(written.length);
  });

  it("names of inputs and weights never meet those of values in between", () => {
    const names = ["v0", "c0", "y", "0"];
    const total = names.reduce<Tensor>((sum, name) => add(sum, mul(input(name, [2]), 3)), scalar(1));
    const model = lowered({ y: total, c0: exp(total) });
    const defined = [
      ...model.inputs,
      ...model.initializers.map((c) => c.name),
      ...model.nodes.flatMap((node) => node.outputs),
    ];
    expect(new Set(defined).size).toBe(defined.length);
  });

  it("no scatter on the CPU that adds from several threads without locks", () => {
    const ids = input("ids", [500], "i32");
    for (const rows of [20, 300]) {
      const table = input("table", [rows, 8]);
      const [g] = grad(sum(embedding(table, ids)), [table]);
      expect(countTypes(lowered({ g: g! }))["ScatterND"]).toBeUndefined();
      expect(countTypes(lowered({ g: g! }, "webgpu"))["ScatterND"]).toBe(1);
    }
  });

  it("zeros, negative numbers and large numbers survive the protobuf", () => {
    const find = (nodes: readonly ReadNode[], type: string): ReadNode => nodes.find((n) => n.type === type)!;
    const joined = lowered({ y: concat([x, x], 0) });
    expect(find(joined.nodes, "Concat").attributes["axis"]).toBe(0n);
    const normal = lowered({ y: softmax(x) });
    expect(find(normal.nodes, "Softmax").attributes["axis"]).toBe(-1n);
    const big = lowered({ y: slice(input("long", [3_000_000_000, 0]), 0, 7, 2_999_999_999) });
    const values = big.initializers.map((c) => new BigInt64Array(c.raw!.slice().buffer)[0]);
    expect(values).toContain(2_999_999_999n);
    const scaled = lowered({ y: matmul(x, input("w", [3, 4]), { alpha: 0.5 }) });
    expect(find(scaled.nodes, "Gemm").attributes["alpha"]).toBe(0.5);
    const geometry = { strides: [2], padsBefore: [0], padsAfter: [3] };
    const convolved = lowered({ y: conv(input("c", [1, 2, 9]), input("k", [4, 2, 3]), geometry) });
    expect(find(convolved.nodes, "Conv").attributes).toMatchObject({ strides: [2n], pads: [0n, 3n] });
  });

  it("a constant keeps its bits", () => {
    const values = Float32Array.of(Number.NaN, -0, 1e-45, Number.POSITIVE_INFINITY);
    const model = lowered({ y: constant(f32(values)), z: constant(i32([-1, 2 ** 31 - 1])) });
    expect(model.initializers[0]!.raw).toEqual(new Uint8Array(values.buffer));
    expect(model.initializers[1]!.raw).toEqual(new Uint8Array(Int32Array.of(-1, 2 ** 31 - 1).buffer));
  });

  it("counts its own nodes and floating-point operations", () => {
    const graph = lower({ y: matmul(x, input("w", [3, 4])) }, { target: "cpu" });
    expect(graph.flops).toBe(2 * 2 * 3 * 4);
    expect(graph.nodeCount).toBe(readOnnx(graph.bytes).nodes.length);
    const kernel = { strides: [1, 1], padsBefore: [1, 1], padsAfter: [1, 1] };
    const image = conv(input("c", [2, 3, 8, 8]), input("k", [5, 3, 3, 3]), kernel);
    expect(lower({ y: image }, { target: "cpu" }).flops).toBe(2 * (2 * 5 * 8 * 8) * (3 * 3 * 3));
  });
});

describe("weights", () => {
  const p = parameter("w", [2, 3]);
  const bind = (weight: ReturnType<WeightBinding["weight"]>): WeightBinding => ({ weight: () => weight });

  it("without a binding a parameter is an input", () => {
    expect(lowered({ y: p }).inputs).toEqual(["w"]);
  });

  it("an array becomes a constant of the file", () => {
    const weights = bind(f32([1, 2, 3, 4, 5, 6], [2, 3]));
    const model = readOnnx(lower({ y: p }, { target: "cpu", weights }).bytes);
    expect(model.inputs).toEqual([]);
    expect(model.initializers[0]).toMatchObject({ name: "w", dims: [2, 3], dataType: 1 });
  });

  it("a range of a file is named, and half types are cast", () => {
    const file = { path: "/a/b.safetensors", byteOffset: 72, byteLength: 12, shape: [2, 3] };
    const weights = bind({ ...file, dtype: "bf16" });
    const locate = (path: string): string => path.slice(3);
    const model = readOnnx(lower({ y: p }, { target: "cpu", weights, locate }).bytes);
    expect(model.initializers[0]).toMatchObject({
      dataType: 16,
      external: { location: "b.safetensors", offset: "72", length: "12" },
    });
    expect(model.nodes[0]).toMatchObject({ type: "Cast", attributes: { to: 1n } });
  });

  it("half types that stay small are cast where they stand first, and cut from the file in parts", () => {
    const [rows, width, tokens] = [3000, 1024, 64];
    const bytes = rows * width * 2;
    const file = { path: "/a/b.safetensors", byteOffset: 100, byteLength: bytes, shape: [rows, width] };
    const given = {
      target: "cpu",
      weights: bind({ ...file, dtype: "bf16" }),
      keepWeightsSmall: true,
    } as const;
    const wide = matmul(exp(input("x", [tokens, width])), parameter("w", [rows, width]), {
      transposeB: true,
    });
    const model = readOnnx(lower({ y: wide }, given).bytes);
    // Two million elements at once: 2048 rows, then the rest. The runtime starts with the node that stands last.
    expect(model.nodes.map(({ type }) => type)).toEqual(["Cast", "Cast", "Exp", "Gemm", "Gemm", "Concat"]);
    const ranges = model.initializers.map(({ dims, external }) => [dims[0], external?.["offset"]]);
    expect(ranges).toEqual([
      [2048, "100"],
      [952, `${100 + 2048 * width * 2}`],
    ]);
  });

  it("of another shape are refused, naming both shapes", () => {
    const weights = bind(f32([1, 2], [2]));
    expect(() => lower({ y: p }, { target: "cpu", weights })).toThrow(
      expect.objectContaining({
        code: "VANS_WEIGHTS_SHAPE_MISMATCH",
        message: expect.stringMatching(/asked: \[2, 3\][\s\S]*found: \[2\][\s\S]*fix:/),
      }),
    );
  });
});
