/**
 * Every op of the engine with random shapes and attributes. One table serves all suites: finite differences,
 * the runtime's CPU, the runtime's WebGPU. A new op without a row fails `gradients.test.ts`.
 * @module
 */
import fc from "fast-check";
import {
  abs,
  add,
  after,
  attention,
  broadcastTo,
  cast,
  channelNorm,
  concat,
  constant,
  conv,
  convInputGradient,
  convWeightGradient,
  cos,
  crossEntropy,
  div,
  equal,
  erf,
  exp,
  f32,
  floor,
  full,
  gather,
  gelu,
  geluTanh,
  greater,
  hardSigmoid,
  layerNorm,
  less,
  linear,
  log,
  logSoftmax,
  matmul,
  max,
  maximum,
  mean,
  minimum,
  mul,
  neg,
  padAll,
  putAlong,
  quickGelu,
  reciprocal,
  relu,
  repeatInterleave,
  reshape,
  rmsNorm,
  rope,
  type Shape,
  scatterRows,
  sigmoid,
  sign,
  silu,
  sin,
  sizeOf,
  slice,
  softmax,
  split,
  sqrt,
  stack,
  sub,
  sum,
  type Tensor,
  takeAlong,
  tanh,
  transpose,
  where,
} from "../../src/tensor/index.ts";
import { type Fed, type Instance, plain, type Values } from "./instance.ts";

type Make = fc.Arbitrary<Instance>;

const size = fc.integer({ min: 1, max: 4 });
const shapeOf = (minLength: number, maxLength: number): fc.Arbitrary<number[]> =>
  fc.array(size, { minLength, maxLength });
const anyShape = shapeOf(0, 4);
const flag = fc.boolean();
const away: Values = { kind: "betweenIntegers", high: 3 };

/** A shape that broadcasts to `shape`: some axes become 1, some leading ones vanish. */
const broadcastable = (shape: Shape): fc.Arbitrary<number[]> =>
  fc
    .tuple(
      fc.array(flag, { minLength: shape.length, maxLength: shape.length }),
      fc.integer({ min: 0, max: shape.length }),
    )
    .map(([ones, drop]) => shape.map((axis, i) => (ones[i] ? 1 : axis)).slice(drop));

function unary(op: (x: Tensor) => Tensor, values: Values = plain): Make {
  return anyShape.map((shape) => ({
    text: `x [${shape}]`,
    fed: { x: { shape, values } },
    differentiable: ["x"],
    build: ({ x }) => [op(x!)],
  }));
}

interface BinaryCase {
  readonly left?: Values;
  readonly right?: Values;
  readonly differentiable?: boolean;
}

function binary(op: (a: Tensor, b: Tensor) => Tensor, options: BinaryCase = {}): Make {
  return anyShape
    .chain((shape) => fc.tuple(broadcastable(shape), broadcastable(shape)))
    .map(([a, b]) => ({
      text: `a [${a}], b [${b}]`,
      fed: {
        a: { shape: a, values: options.left ?? plain },
        b: { shape: b, values: options.right ?? plain },
      },
      differentiable: (options.differentiable ?? true) ? ["a", "b"] : [],
      build: (leaf) => [op(leaf["a"]!, leaf["b"]!)],
    }));
}

const comparison = (op: (a: Tensor, b: Tensor) => Tensor, more: readonly Values[] = []): Make =>
  fc
    .constantFrom<Values>({ kind: "ties" }, { kind: "index", bound: 3 }, ...more)
    .chain((values) => binary(op, { left: values, right: values, differentiable: false }));

/** Elementwise choice between two values without ties within a difference step: b lies a third beside a's grid. */
const choice = (op: (a: Tensor, b: Tensor) => Tensor): Make =>
  shapeOf(0, 3).map((shape) => ({
    text: `[${shape}]`,
    fed: { a: { shape, values: { kind: "distinct" } }, b: { shape, values: { kind: "distinct" } } },
    differentiable: ["a", "b"],
    build: ({ a, b }) => [op(a!, add(b!, 1 / 30))],
  }));

function reduction(
  op: (x: Tensor, options: { axes: readonly number[]; keepDims: boolean }) => Tensor,
  values: Values,
): Make {
  return fc
    .tuple(
      shapeOf(1, 4).chain((shape) =>
        fc.tuple(fc.constant(shape), fc.subarray(shape.map((_, i) => i - (i % 2 ? shape.length : 0)))),
      ),
      flag,
    )
    .map(([[shape, axes], keepDims]) => ({
      text: `x [${shape}], axes [${axes}], keepDims ${keepDims}`,
      fed: { x: { shape, values } },
      differentiable: ["x"],
      build: ({ x }) => [op(x!, { axes, keepDims })],
    }));
}

/** Values of any type that a moving op must carry. */
const carried = fc.constantFrom<Values>(plain, plain, plain, { kind: "index", bound: 9 }, { kind: "coin" });
const gradientsOf = (values: Values, name = "x"): string[] => (values === plain ? [name] : []);

const matmulCase: Make = fc
  .record({
    batch: shapeOf(0, 2),
    rows: size,
    inner: size,
    columns: size,
    transposeA: flag,
    transposeB: flag,
    alpha: fc.constantFrom(1, 0.5, -2),
    bias: flag,
  })
  .chain((c) => fc.tuple(fc.constant(c), broadcastable(c.batch), broadcastable(c.batch)))
  .map(([c, batchA, batchB]) => {
    const isFlat = batchA.length === 0 && batchB.length === 0;
    const a = [...batchA, ...(c.transposeA ? [c.inner, c.rows] : [c.rows, c.inner])];
    const b = [...batchB, ...(c.transposeB ? [c.columns, c.inner] : [c.inner, c.columns])];
    const hasBias = c.bias && isFlat;
    const fed: Record<string, Fed> = { a: { shape: a, values: plain }, b: { shape: b, values: plain } };
    if (hasBias) fed["bias"] = { shape: [c.columns], values: plain };
    return {
      text: `a [${a}] ${c.transposeA}, b [${b}] ${c.transposeB}, alpha ${c.alpha}, bias ${hasBias}`,
      fed,
      differentiable: Object.keys(fed),
      build: (leaf) => [
        matmul(leaf["a"]!, leaf["b"]!, {
          transposeA: c.transposeA,
          transposeB: c.transposeB,
          alpha: c.alpha,
          bias: leaf["bias"],
        }),
      ],
    };
  });

const sliceCase: Make = fc.tuple(shapeOf(1, 4), carried).chain(([shape, values]) =>
  fc.integer({ min: 0, max: shape.length - 1 }).chain((axis) =>
    fc
      .tuple(
        fc.integer({ min: 0, max: shape[axis]! - 1 }),
        fc.integer({ min: 0, max: shape[axis]! }),
        fc.integer({ min: 1, max: 3 }),
      )
      .map(([start, extra, step]) => {
        const end = Math.min(shape[axis]!, start + 1 + extra);
        return {
          text: `x [${shape}], axis ${axis}, ${start}:${end}:${step}`,
          fed: { x: { shape, values } },
          differentiable: gradientsOf(values),
          build: ({ x }: Readonly<Record<string, Tensor>>) => [slice(x!, axis, start, end, step)],
        };
      }),
  ),
);

const concatCase: Make = fc
  .tuple(shapeOf(1, 4), fc.array(size, { minLength: 2, maxLength: 4 }), carried)
  .chain(([shape, sizes, values]) =>
    fc.integer({ min: 0, max: shape.length - 1 }).map((axis) => {
      const fed = Object.fromEntries(
        sizes.map((part, i): [string, Fed] => [
          `x${i}`,
          { shape: shape.map((s, j) => (j === axis ? part : s)), values },
        ]),
      );
      return {
        text: `[${shape}] with axis ${axis} of ${sizes}`,
        fed,
        differentiable: values === plain ? Object.keys(fed) : [],
        build: (leaf: Readonly<Record<string, Tensor>>) => [concat(Object.values(leaf), axis)],
      };
    }),
  );

const splitCase: Make = fc
  .tuple(shapeOf(1, 3), fc.array(size, { minLength: 2, maxLength: 4 }), carried, flag)
  .chain(([shape, sizes, values, dropsOne]) =>
    fc.integer({ min: 0, max: shape.length - 1 }).map((axis) => {
      const total = sizes.reduce((a, b) => a + b, 0);
      return {
        text: `[${shape}] axis ${axis} into ${sizes}${dropsOne ? ", last part unused" : ""}`,
        fed: { x: { shape: shape.map((s, j) => (j === axis ? total : s)), values } },
        differentiable: gradientsOf(values),
        build: ({ x }: Readonly<Record<string, Tensor>>) =>
          dropsOne ? split(x!, axis, sizes).slice(0, -1) : split(x!, axis, sizes),
      };
    }),
  );

const padCase: Make = fc.tuple(shapeOf(1, 4), carried).chain(([shape, values]) => {
  const pads = fc.array(fc.integer({ min: 0, max: 2 }), {
    minLength: shape.length,
    maxLength: shape.length,
  });
  return fc.tuple(pads, pads).map(([before, behind]) => ({
    text: `[${shape}] before ${before}, after ${behind}`,
    fed: { x: { shape, values } },
    differentiable: gradientsOf(values),
    build: ({ x }: Readonly<Record<string, Tensor>>) => [padAll(x!, before, behind)],
  }));
});

const gatherCase: Make = fc.tuple(shapeOf(1, 3), shapeOf(0, 2), carried).chain(([shape, at, values]) =>
  fc.integer({ min: 0, max: shape.length - 1 }).map((axis) => ({
    text: `x [${shape}], indices [${at}], axis ${axis}`,
    fed: { x: { shape, values }, at: { shape: at, values: { kind: "index", bound: shape[axis]! } } },
    differentiable: gradientsOf(values),
    build: (leaf: Readonly<Record<string, Tensor>>) => [gather(leaf["x"]!, leaf["at"]!, axis)],
  })),
);

const scatterCase: Make = fc
  .record({ count: fc.integer({ min: 1, max: 6 }), width: size, rows: size })
  .map(({ count, width, rows }) => ({
    text: `${count} rows of ${width} into ${rows}`,
    fed: {
      x: { shape: [count, width], values: plain },
      at: { shape: [count], values: { kind: "index", bound: rows } },
    },
    differentiable: ["x"],
    build: (leaf) => [scatterRows(leaf["x"]!, leaf["at"]!, rows)],
  }));

/** takeAlong and putAlong: a large and a small tensor that agree but along one axis. */
function along(op: (x: Tensor, at: Tensor, axis: number, large: Shape) => Tensor, feedsLarge: boolean): Make {
  return fc.tuple(shapeOf(1, 3), size).chain(([large, count]) =>
    fc.integer({ min: 0, max: large.length - 1 }).map((axis) => {
      const small = large.map((s, i) => (i === axis ? count : s));
      return {
        text: `large [${large}], small [${small}], axis ${axis}`,
        fed: {
          x: { shape: feedsLarge ? large : small, values: plain },
          at: { shape: small, values: { kind: "index", bound: large[axis]! } },
        },
        differentiable: ["x"],
        build: (leaf: Readonly<Record<string, Tensor>>) => [op(leaf["x"]!, leaf["at"]!, axis, large)],
      };
    }),
  );
}

/** A norm with a learned scale, or (the modulated norms of the DiT) with none. */
function norm(op: (x: Tensor, scale: Tensor, bias: Tensor) => Tensor, parts: readonly string[]): Make {
  return fc.tuple(shapeOf(0, 3), fc.integer({ min: 2, max: 6 }), flag).map(([lead, width, isPlain]) => {
    const fed: Record<string, Fed> = {
      x: { shape: [...lead, width], values: plain },
      scale: { shape: [width], values: plain },
      bias: { shape: [width], values: plain },
    };
    const names = ["x", ...parts].filter((name) => !(isPlain && name === "scale"));
    return {
      text: `x [${lead},${width}]${isPlain ? ", scale of ones" : ""}`,
      fed: Object.fromEntries(names.map((name) => [name, fed[name]!])),
      differentiable: names,
      build: (leaf) => [op(leaf["x"]!, leaf["scale"] ?? full([width], 1), leaf["bias"] ?? full([width], 0))],
    };
  });
}

const ropeCase: Make = fc
  .record({ batch: size, heads: size, length: size, half: size, interleaved: flag, shared: flag })
  .map(({ batch, heads, length, half, interleaved, shared }) => {
    const table = [shared ? 1 : batch, length, half];
    return {
      text: `x [${[batch, heads, length, 2 * half]}], tables [${table}], interleaved ${interleaved}`,
      fed: {
        x: { shape: [batch, heads, length, 2 * half], values: plain },
        angle: { shape: table, values: { kind: "between", low: -3, high: 3 } },
      },
      differentiable: ["x"],
      build: (leaf) => [rope(leaf["x"]!, cos(leaf["angle"]!), sin(leaf["angle"]!), { interleaved })],
    };
  });

const attentionCase: Make = fc
  .record({
    lead: fc.constantFrom("none", "heads", "grouped", "keys shared"),
    batch: size,
    heads: size,
    queries: size,
    keys: size,
    width: size,
    valueWidth: size,
    mask: fc.constantFrom("none", "matrix", "row", "full"),
    scale: fc.constantFrom(undefined, 1, 0.3),
  })
  .map((c) => {
    const leads = {
      none: [[], []],
      heads: [
        [c.batch, c.heads],
        [c.batch, c.heads],
      ],
      grouped: [
        [c.batch, 2, c.heads],
        [c.batch, 2, 1],
      ],
      "keys shared": [[c.batch, c.heads], []],
    } as const;
    const [leadQ, leadK] = leads[c.lead];
    const masks = {
      none: undefined,
      matrix: [c.queries, c.keys],
      row: [1, c.keys],
      full: [...leadQ, c.queries, c.keys],
    } as const;
    const mask = masks[c.mask];
    const fed: Record<string, Fed> = {
      q: { shape: [...leadQ, c.queries, c.width], values: plain },
      k: { shape: [...leadK, c.keys, c.width], values: plain },
      v: { shape: [...leadK, c.keys, c.valueWidth], values: plain },
    };
    if (mask) fed["mask"] = { shape: mask, values: plain };
    return {
      text: `q [${fed["q"]!.shape}], k [${fed["k"]!.shape}], v [${fed["v"]!.shape}], mask [${mask}], scale ${c.scale}`,
      fed,
      differentiable: Object.keys(fed),
      build: (leaf) => [
        attention(leaf["q"]!, leaf["k"]!, leaf["v"]!, {
          mask: leaf["mask"],
          ...(c.scale === undefined ? {} : { scale: c.scale }),
        }),
      ],
    };
  });

interface ConvSetting {
  readonly n: number;
  readonly c: number;
  readonly o: number;
  readonly spatial: number[];
  readonly kernel: number[];
  readonly strides: number[];
  readonly padsBefore: number[];
  readonly padsAfter: number[];
  readonly out: number[];
}

/** Convolutions over 1 to 3 axes with any strides and pads that leave at least one position. */
const convSetting: fc.Arbitrary<ConvSetting> = fc
  .tuple(
    fc.integer({ min: 1, max: 2 }),
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 3 }),
    fc.array(
      fc.record({
        size: fc.integer({ min: 1, max: 5 }),
        kernel: fc.integer({ min: 1, max: 3 }),
        stride: fc.integer({ min: 1, max: 3 }),
        before: fc.integer({ min: 0, max: 2 }),
        behind: fc.integer({ min: 0, max: 2 }),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  )
  .filter(([, , , axes]) => axes.every((a) => a.size + a.before + a.behind >= a.kernel))
  .map(([n, c, o, axes]) => ({
    n,
    c,
    o,
    spatial: axes.map((a) => a.size),
    kernel: axes.map((a) => a.kernel),
    strides: axes.map((a) => a.stride),
    padsBefore: axes.map((a) => a.before),
    padsAfter: axes.map((a) => a.behind),
    out: axes.map((a) => Math.floor((a.size + a.before + a.behind - a.kernel) / a.stride) + 1),
  }));

function convCase(
  parts: (s: ConvSetting) => Record<string, number[]>,
  build: (leaf: Readonly<Record<string, Tensor>>, s: ConvSetting) => Tensor,
): Make {
  return convSetting.map((s) => {
    const fed = Object.fromEntries(
      Object.entries(parts(s)).map(([name, shape]): [string, Fed] => [name, { shape, values: plain }]),
    );
    return {
      text: `[${s.n},${s.c},${s.spatial}] kernel [${s.kernel}] to ${s.o} channels, strides ${s.strides}, pads ${s.padsBefore} and ${s.padsAfter}`,
      fed,
      differentiable: Object.keys(fed),
      build: (leaf) => [build(leaf, s)],
    };
  });
}

const castCase: Make = fc
  .tuple(
    anyShape,
    fc.constantFrom<readonly [Values, "f32" | "i32" | "bool"]>(
      [away, "i32"],
      [{ kind: "ties" }, "bool"],
      [{ kind: "index", bound: 5 }, "f32"],
      [{ kind: "index", bound: 3 }, "bool"],
      [{ kind: "coin" }, "f32"],
      [{ kind: "coin" }, "i32"],
    ),
  )
  .map(([shape, [values, to]]) => ({
    text: `${values.kind} [${shape}] to ${to}`,
    fed: { x: { shape, values } },
    differentiable: [],
    build: ({ x }) => [cast(x!, to)],
  }));

const whereCase: Make = anyShape
  .chain((shape) => fc.tuple(broadcastable(shape), broadcastable(shape), broadcastable(shape), carried))
  .map(([c, a, b, values]) => ({
    text: `condition [${c}], a [${a}], b [${b}]`,
    fed: {
      c: { shape: c, values: { kind: "coin" } },
      a: { shape: a, values },
      b: { shape: b, values },
    },
    differentiable: values === plain ? ["a", "b"] : [],
    build: (leaf) => [where(leaf["c"]!, leaf["a"]!, leaf["b"]!)],
  }));

const lastAxis = (op: (x: Tensor) => Tensor): Make =>
  shapeOf(1, 4).map((shape) => ({
    text: `x [${shape}]`,
    fed: { x: { shape, values: { kind: "between", low: -4, high: 4 } } },
    differentiable: ["x"],
    build: ({ x }) => [op(x!)],
  }));

/** One row an op, under the op's name. */
export const OP_CASES: Readonly<Record<string, Make>> = {
  // Leaves
  input: unary((x) => x),
  parameter: anyShape.map((shape) => ({
    text: `[${shape}]`,
    fed: { p: { shape, values: plain, isParameter: true } },
    differentiable: ["p"],
    build: ({ p }) => [p!],
  })),
  constant: anyShape.map((shape) => ({
    text: `[${shape}]`,
    fed: { x: { shape, values: plain } },
    differentiable: ["x"],
    build: ({ x }) => {
      const array = f32(
        Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i)),
        shape,
      );
      return [constant(array), mul(x!, constant(array))];
    },
  })),
  after: fc.tuple(anyShape, anyShape).map(([shape, token]) => ({
    text: `x [${shape}], token [${token}]`,
    fed: { x: { shape, values: plain }, token: { shape: token, values: plain } },
    differentiable: ["x"],
    build: (leaf) => [after(leaf["x"]!, leaf["token"]!)],
  })),
  // One variable
  abs: unary(abs, away),
  cos: unary(cos),
  erf: unary(erf),
  exp: unary(exp),
  floor: unary(floor, away),
  gelu: unary(gelu, { kind: "between", low: -5, high: 5 }),
  hardSigmoid: unary((x) => hardSigmoid(x, { alpha: 0.3, beta: 0.4 }), {
    kind: "between",
    low: -1,
    high: 1.5,
  }),
  geluTanh: unary(geluTanh, { kind: "between", low: -5, high: 5 }),
  log: unary(log, { kind: "between", low: 0.2, high: 4 }),
  neg: unary(neg),
  quickGelu: unary(quickGelu, { kind: "between", low: -5, high: 5 }),
  reciprocal: unary(reciprocal, { kind: "between", low: 0.3, high: 3 }),
  relu: unary(relu, away),
  sigmoid: unary(sigmoid, { kind: "between", low: -6, high: 6 }),
  sign: unary(sign, away),
  silu: unary(silu, { kind: "between", low: -6, high: 6 }),
  sin: unary(sin),
  sqrt: unary(sqrt, { kind: "between", low: 0.2, high: 4 }),
  tanh: unary(tanh),
  // Two and three
  add: binary(add),
  sub: binary(sub),
  mul: binary(mul),
  div: binary(div, { right: { kind: "between", low: 0.3, high: 3 } }),
  maximum: choice(maximum),
  minimum: choice(minimum),
  less: comparison(less),
  greater: comparison(greater),
  equal: comparison(equal, [{ kind: "coin" }]),
  where: whereCase,
  cast: castCase,
  // Over axes
  sum: reduction(sum, plain),
  max: reduction(max, { kind: "distinct" }),
  softmax: lastAxis(softmax),
  logSoftmax: lastAxis(logSoftmax),
  layerNorm: norm((x, scale, bias) => layerNorm(x, scale, bias, 1e-3), ["scale", "bias"]),
  rmsNorm: norm((x, scale) => rmsNorm(x, scale, 1e-3), ["scale"]),
  // Products
  matmul: matmulCase,
  attention: attentionCase,
  conv: convCase(
    (s) => ({ x: [s.n, s.c, ...s.spatial], w: [s.o, s.c, ...s.kernel], bias: [s.o] }),
    ({ x, w, bias }, s) => conv(x!, w!, { ...geometry(s), bias }),
  ),
  convInputGradient: convCase(
    (s) => ({ g: [s.n, s.o, ...s.out], w: [s.o, s.c, ...s.kernel] }),
    ({ g, w }, s) => convInputGradient(g!, w!, { ...geometry(s), spatial: s.spatial }),
  ),
  convWeightGradient: convCase(
    (s) => ({ x: [s.n, s.c, ...s.spatial], g: [s.n, s.o, ...s.out] }),
    ({ x, g }, s) => convWeightGradient(x!, g!, { ...geometry(s), kernel: s.kernel }),
  ),
  rope: ropeCase,
  // Moving values
  reshape: fc.tuple(shapeOf(1, 4), carried).chain(([shape, values]) =>
    fc
      .constantFrom<(s: number[]) => number[]>(
        (s) => [...s].reverse(),
        () => [-1],
        (s) => [1, ...s],
        (s) => [s[0]!, -1],
      )
      .map((to) => ({
        text: `[${shape}] to [${to(shape)}]`,
        fed: { x: { shape, values } },
        differentiable: gradientsOf(values),
        build: ({ x }: Readonly<Record<string, Tensor>>) => [reshape(x!, to(shape))],
      })),
  ),
  transpose: fc.tuple(shapeOf(1, 4), carried).chain(([shape, values]) =>
    fc
      .shuffledSubarray(
        shape.map((_, i) => i),
        { minLength: shape.length },
      )
      .map((permutation) => ({
        text: `[${shape}] by ${permutation}`,
        fed: { x: { shape, values } },
        differentiable: gradientsOf(values),
        build: ({ x }: Readonly<Record<string, Tensor>>) => [transpose(x!, permutation)],
      })),
  ),
  broadcast: fc.tuple(anyShape, carried).chain(([shape, values]) =>
    broadcastable(shape).map((from) => ({
      text: `[${from}] to [${shape}]`,
      fed: { x: { shape: from, values } },
      differentiable: gradientsOf(values),
      build: ({ x }: Readonly<Record<string, Tensor>>) => [broadcastTo(x!, shape)],
    })),
  ),
  slice: sliceCase,
  concat: concatCase,
  split: splitCase,
  pad: padCase,
  gather: gatherCase,
  scatterRows: scatterCase,
  takeAlong: along((x, at, axis) => takeAlong(x, at, axis), true),
  putAlong: along((x, at, axis, large) => putAlong(x, at, axis, large), false),
};

const geometry = ({ strides, padsBefore, padsAfter }: ConvSetting) => ({ strides, padsBefore, padsAfter });

/** Functions that are made of ops: the combinations that models use. */
export const COMPOSITE_CASES: Readonly<Record<string, Make>> = {
  mean: reduction(mean, plain),
  "sum of squares": reduction((x, options) => sum(mul(x, x), options), plain),
  "sum of all squares": unary((x) => sum(mul(x, x))),
  linear: fc.tuple(shapeOf(0, 3), size, size, flag).map(([lead, width, out, hasBias]) => {
    const fed: Record<string, Fed> = {
      x: { shape: [...lead, width], values: plain },
      w: { shape: [out, width], values: plain },
    };
    if (hasBias) fed["b"] = { shape: [out], values: plain };
    return {
      text: `x [${lead},${width}] to ${out}`,
      fed,
      differentiable: Object.keys(fed),
      build: ({ x, w, b }) => [linear(x!, w!, b)],
    };
  }),
  crossEntropy: fc.tuple(shapeOf(0, 2), fc.integer({ min: 2, max: 5 })).map(([lead, classes]) => ({
    text: `[${lead}] of ${classes}`,
    fed: {
      x: { shape: [...lead, classes], values: plain },
      at: { shape: lead, values: { kind: "index", bound: classes } },
    },
    differentiable: ["x"],
    build: (leaf) => [crossEntropy(leaf["x"]!, leaf["at"]!)],
  })),
  channelNorm: fc.tuple(shapeOf(0, 3), fc.integer({ min: 2, max: 4 })).map(([rest, channels]) => ({
    text: `[2,${channels},${rest}]`,
    fed: { x: { shape: [2, channels, ...rest], values: plain }, gamma: { shape: [channels], values: plain } },
    differentiable: ["x", "gamma"],
    build: (leaf) => [channelNorm(leaf["x"]!, leaf["gamma"]!)],
  })),
  repeatInterleave: fc.tuple(shapeOf(1, 3), fc.integer({ min: 1, max: 3 })).chain(([shape, times]) =>
    fc.integer({ min: 0, max: shape.length - 1 }).map((axis) => ({
      text: `[${shape}] axis ${axis} times ${times}`,
      fed: { x: { shape, values: plain } },
      differentiable: ["x"],
      build: ({ x }: Readonly<Record<string, Tensor>>) => [repeatInterleave(x!, axis, times)],
    })),
  ),
  stack: fc.tuple(shapeOf(0, 3), flag).map(([shape, isLast]) => ({
    text: `[${shape}] ${isLast ? "last" : "first"}`,
    fed: { a: { shape, values: plain }, b: { shape, values: plain } },
    differentiable: ["a", "b"],
    build: (leaf) => [stack([leaf["a"]!, leaf["b"]!], isLast ? -1 : 0)],
  })),
};

/** All rows. */
export const ALL_CASES: Readonly<Record<string, Make>> = { ...OP_CASES, ...COMPOSITE_CASES };
