/**
 * ONNX Runtime's CPU kernels against the interpreter, for every op: inference and training lowerings, gradients;
 * then a few ops at sizes where the runtime takes other paths (threads, tiles, memory-flat kernels).
 * @module
 */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { compile } from "../../src/runtime/index.ts";
import {
  add,
  attention,
  broadcastTo,
  concat,
  conv,
  crossEntropy,
  embedding,
  layerNorm,
  linear,
  logSoftmax,
  matmul,
  padAll,
  reshape,
  rmsNorm,
  slice,
  softmax,
  split,
  sum,
  transpose,
} from "../../src/tensor/index.ts";
import { agree, distance, PASSES, sampleCases } from "./agreement.ts";
import { ALL_CASES } from "./cases.ts";
import { type Fed, type Instance, plain, trace } from "./instance.ts";

/** f32 against f64 over sums of at most a few dozen terms. Measured: at most 1.5e-6 (backward of geluTanh), 3e-7 for the rest. */
const TOLERANCE = 3e-6;
const INSTANCES = 20;

describe.each(PASSES)("small shapes, %s", (pass) => {
  it.each(Object.keys(ALL_CASES))("%s", async (name) => {
    await agree(sampleCases(name, INSTANCES), pass, { tolerance: TOLERANCE, threads: 1 });
  });
});

const fedBy = (shapes: Readonly<Record<string, number[]>>): Record<string, Fed> =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape, values: plain }]));

/** Sums of hundreds of terms in f32: 2e-5 of 1 + the largest magnitude. */
const LARGE_TOLERANCE = 2e-5;

const LARGE: Readonly<Record<string, Instance>> = {
  "matmul with odd sizes": {
    text: "[3, 67, 129] · [129, 65]",
    fed: fedBy({ a: [3, 67, 129], b: [129, 65] }),
    differentiable: ["a", "b"],
    build: (leaf) => [matmul(leaf["a"]!, leaf["b"]!)],
  },
  "linear with a bias": {
    text: "[2, 50, 96] to 192",
    fed: fedBy({ x: [2, 50, 96], w: [192, 96], b: [192] }),
    differentiable: ["x", "w", "b"],
    build: ({ x, w, b }) => [linear(x!, w!, b)],
  },
  "attention of grouped heads": {
    text: "q [2, 2, 3, 60, 32], k and v [2, 2, 1, 60, 32]",
    fed: fedBy({ q: [2, 2, 3, 60, 32], k: [2, 2, 1, 60, 32], v: [2, 2, 1, 60, 32] }),
    differentiable: ["q", "k", "v"],
    build: (leaf) => [attention(leaf["q"]!, leaf["k"]!, leaf["v"]!)],
  },
  "causal convolution over three axes": {
    text: "[1, 8, 5, 12, 12] to 6 channels, kernel 3, strides 1, 2, 2",
    fed: fedBy({ x: [1, 8, 5, 12, 12], w: [6, 8, 3, 3, 3], b: [6] }),
    differentiable: ["x", "w", "b"],
    build: ({ x, w, b }) => [
      conv(x!, w!, { strides: [1, 2, 2], padsBefore: [2, 1, 1], padsAfter: [0, 1, 1], bias: b }),
    ],
  },
  "layer norm of wide rows": {
    text: "[40, 768]",
    fed: fedBy({ x: [40, 768], scale: [768], bias: [768] }),
    differentiable: ["x", "scale", "bias"],
    build: (leaf) => [layerNorm(leaf["x"]!, leaf["scale"]!, leaf["bias"]!, 1e-5)],
  },
  "softmax of wide rows": {
    text: "[30, 3000]",
    fed: fedBy({ x: [30, 3000] }),
    differentiable: ["x"],
    build: ({ x }) => [softmax(x!)],
  },
  "cross-entropy of a vocabulary that is looked up, not multiplied": {
    text: "[20] of 4000",
    fed: {
      ...fedBy({ x: [20, 4000] }),
      at: { shape: [20], values: { kind: "index", bound: 4000 } },
    },
    differentiable: ["x"],
    build: (leaf) => [crossEntropy(leaf["x"]!, leaf["at"]!)],
  },
  // A scatter over threads without locks loses rows here: hundreds fall on the same few.
  "embedding of a small table": lookup(20, 192, 1800),
  "embedding of a large table": lookup(300, 192, 1800),
};

function lookup(rows: number, width: number, count: number): Instance {
  return {
    text: `${count} ids of ${rows} rows`,
    fed: {
      ...fedBy({ table: [rows, width] }),
      ids: { shape: [count], values: { kind: "index", bound: rows } },
    },
    differentiable: ["table"],
    build: (leaf) => [embedding(leaf["table"]!, leaf["ids"]!)],
  };
}

describe("larger shapes", () => {
  it.each(Object.keys(LARGE))("%s", async (name) => {
    for (const pass of PASSES) await agree([LARGE[name]!], pass, { tolerance: LARGE_TOLERANCE });
  });

  it.each(Object.keys(LARGE))("%s: every run gives the same bits, on one thread and on two", async (name) => {
    const { feeds, gradients, outputs } = trace(LARGE[name]!);
    let first: string | undefined;
    for (const threads of [2, 1]) {
      const executable = await compile({ ...outputs, ...gradients }, { threads });
      for (let run = 0; run < (threads === 2 ? 25 : 1); run++) {
        const digest = createHash("sha256");
        for (const { data } of Object.values(await executable.run(feeds)))
          digest.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
        const bits = digest.digest("hex");
        first ??= bits;
        expect(bits, `run ${run} on ${threads} threads`).toBe(first);
      }
      await executable.release();
    }
  });

  it("attention over many tokens goes through another kernel with the same numbers", async () => {
    const long: Instance = {
      text: "2,050 tokens",
      fed: fedBy({ q: [1, 2, 2050, 8], k: [1, 2, 2050, 8], v: [1, 2, 2050, 8] }),
      differentiable: [],
      build: (leaf) => [attention(leaf["q"]!, leaf["k"]!, leaf["v"]!)],
    };
    const { outputs, feeds } = trace(long);
    const [flat, plainGraph] = await Promise.all([compile(outputs), compile(outputs, { forTraining: true })]);
    expect(Buffer.from(flat.graph.bytes).includes("MultiHeadAttention")).toBe(true);
    expect(Buffer.from(plainGraph.graph.bytes).includes("MultiHeadAttention")).toBe(false);
    const a = (await flat.run(feeds))["out0"]!;
    const b = (await plainGraph.run(feeds))["out0"]!;
    await flat.release();
    await plainGraph.release();
    expect(distance(a, { shape: b.shape, data: Float64Array.from(b.data) })).toBeLessThan(1e-6);
  });
});

/** Axes of size 0: an empty cache, nothing to look up, a batch without rows. */
const EMPTY: Readonly<Record<string, Instance>> = {
  "concat with an empty part": instance({ a: [2, 0, 3], b: [2, 4, 3] }, ({ a, b }) => [concat([a!, b!], 1)]),
  "empty slice": instance({ a: [2, 4, 3] }, ({ a }) => [slice(a!, 1, 2, 2)]),
  "empty part of a split": instance({ a: [2, 3] }, ({ a }) => split(a!, 1, [0, 3])),
  "product over nothing": instance({ a: [2, 0], b: [0, 3], bias: [3] }, ({ a, b, bias }) => [
    matmul(a!, b!),
    matmul(a!, b!, { bias: bias! }),
  ]),
  "batched product over nothing": instance({ a: [2, 2, 0], b: [2, 3, 0] }, ({ a, b }) => [
    matmul(a!, b!, { transposeB: true, alpha: 0.5 }),
  ]),
  "linear layer of no rows": instance({ x: [2, 0, 4], w: [3, 4], b: [3] }, ({ x, w, b }) => [
    linear(x!, w!, b),
  ]),
  "sum over nothing": instance({ a: [2, 0, 3] }, ({ a }) => [sum(a!, { axes: [1] }), sum(a!)]),
  "reshape, transpose, broadcast, add": instance({ a: [2, 0, 3], b: [1, 3] }, ({ a, b }) => [
    reshape(a!, [0, 6]),
    transpose(a!, [1, 0, 2]),
    broadcastTo(b!, [0, 3]),
    add(a!, b!),
  ]),
  "pad of nothing": instance({ a: [2, 0] }, ({ a }) => [padAll(a!, [0, 1], [0, 1])]),
  "norms and softmax of no rows": instance({ a: [0, 3], s: [3], b: [3] }, ({ a, s, b }) => [
    layerNorm(a!, s!, b!, 1e-5),
    rmsNorm(a!, s!, 1e-5),
    softmax(a!),
    logSoftmax(a!),
  ]),
  "attention without queries": instance(
    { q: [1, 2, 0, 4], k: [1, 2, 3, 4], v: [1, 2, 3, 4] },
    ({ q, k, v }) => [attention(q!, k!, v!)],
  ),
  "no row looked up": {
    ...instance({ table: [4, 3] }, (leaf) => [embedding(leaf["table"]!, leaf["ids"]!)]),
    fed: { ...fedBy({ table: [4, 3] }), ids: { shape: [0], values: { kind: "index", bound: 4 } } },
  },
};

function instance(shapes: Readonly<Record<string, number[]>>, build: Instance["build"]): Instance {
  return { text: JSON.stringify(shapes), fed: fedBy(shapes), differentiable: Object.keys(shapes), build };
}

describe("empty axes", () => {
  it.each(Object.keys(EMPTY))("%s", async (name) => {
    for (const pass of PASSES) await agree([EMPTY[name]!], pass, { tolerance: TOLERANCE, threads: 1 });
  });
});
