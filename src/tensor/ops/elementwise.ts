/**
 * Elementwise ops with numpy broadcasting: arithmetic, functions of one variable, comparison, choice, casts.
 * @module
 */
import { apply, type Node, type Tensor } from "../graph.ts";
import { defineOp, type OpDefinition, type Ops, type Value } from "../op.ts";
import { broadcastIndices, broadcastShapes, requireFloat, shapeError } from "../shape.ts";
import { type DType, formatShape, sameShape, sizeOf } from "../types.ts";
import { asTensor, type TensorLike } from "./leaf.ts";

type NoAttrs = Record<string, never>;
const none: NoAttrs = {};

interface UnaryRules {
  /** ONNX op type. */
  readonly onnx: string;
  readonly value: (x: number) => number;
  /** dL/dx from x, y = f(x) and g = dL/dy; undefined where the derivative is zero almost everywhere. */
  readonly gradient: (x: Tensor, y: Tensor, g: Tensor, ops: Ops) => Tensor | undefined;
}

function unary(name: string, rules: UnaryRules): OpDefinition<NoAttrs> {
  return defineOp<NoAttrs>({
    name,
    infer: ([x]) => {
      requireFloat(name, [x]);
      return [{ dtype: "f32", shape: x!.shape }];
    },
    gradient: (node, [g], ops) => [g && rules.gradient(node.inputs[0]!, outputOf(node, ops), g, ops)],
    lower: (emit, inputs) => emit.node(rules.onnx, inputs),
    evaluate: ([x]) => [{ shape: x!.shape, data: Float64Array.from(x!.data, rules.value) }],
    flops: (node) => sizeOf(node.types[0]!.shape),
  });
}

/** The tensor that a node with one output gave; gradients use it to share forward values. */
function outputOf(node: Node<NoAttrs>, ops: Ops): Tensor {
  return ops.outputTensor(node as Node, 0);
}

/** erf in f64 by its series (|x| < 3) and continued fraction (beyond), near machine precision. */
export function erfValue(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    let term = a;
    let sum = a;
    for (let n = 1; n < 200; n++) {
      term *= (-a * a) / n;
      const add = term / (2 * n + 1);
      sum += add;
      if (Math.abs(add) < 1e-17 * Math.abs(sum)) break;
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / ((a + fraction) * Math.sqrt(Math.PI)));
}

const sigmoidValue = (x: number): number =>
  x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));

const negOp = unary("neg", { onnx: "Neg", value: (x) => -x, gradient: (_x, _y, g, o) => o.neg(g) });
const expOp = unary("exp", { onnx: "Exp", value: Math.exp, gradient: (_x, y, g, o) => o.mul(g, y) });
const logOp = unary("log", { onnx: "Log", value: Math.log, gradient: (x, _y, g, o) => o.div(g, x) });
const sqrtOp = unary("sqrt", {
  onnx: "Sqrt",
  value: Math.sqrt,
  gradient: (_x, y, g, o) => o.div(o.mul(g, 0.5), y),
});
const reciprocalOp = unary("reciprocal", {
  onnx: "Reciprocal",
  value: (x) => 1 / x,
  gradient: (_x, y, g, o) => o.neg(o.mul(g, o.mul(y, y))),
});
const tanhOp = unary("tanh", {
  onnx: "Tanh",
  value: Math.tanh,
  gradient: (_x, y, g, o) => o.mul(g, o.sub(1, o.mul(y, y))),
});
const sigmoidOp = unary("sigmoid", {
  onnx: "Sigmoid",
  value: sigmoidValue,
  gradient: (_x, y, g, o) => o.mul(g, o.mul(y, o.sub(1, y))),
});
const erfOp = unary("erf", {
  onnx: "Erf",
  value: erfValue,
  gradient: (x, _y, g, o) => o.mul(g, o.mul(2 / Math.sqrt(Math.PI), o.exp(o.neg(o.mul(x, x))))),
});
const sinOp = unary("sin", { onnx: "Sin", value: Math.sin, gradient: (x, _y, g, o) => o.mul(g, o.cos(x)) });
const cosOp = unary("cos", {
  onnx: "Cos",
  value: Math.cos,
  gradient: (x, _y, g, o) => o.neg(o.mul(g, o.sin(x))),
});
const absOp = unary("abs", { onnx: "Abs", value: Math.abs, gradient: (x, _y, g, o) => o.mul(g, o.sign(x)) });
const signOp = unary("sign", { onnx: "Sign", value: Math.sign, gradient: () => undefined });
const floorOp = unary("floor", { onnx: "Floor", value: Math.floor, gradient: () => undefined });
const reluOp = unary("relu", {
  onnx: "Relu",
  value: (x) => Math.max(x, 0),
  gradient: (x, _y, g, o) => o.where(o.greater(x, 0), g, 0),
});

/** -x */
export const neg = (x: Tensor): Tensor => apply(negOp, [x], none);
/** eˣ */
export const exp = (x: Tensor): Tensor => apply(expOp, [x], none);
/** Natural logarithm. */
export const log = (x: Tensor): Tensor => apply(logOp, [x], none);
/** √x */
export const sqrt = (x: Tensor): Tensor => apply(sqrtOp, [x], none);
/** 1/x */
export const reciprocal = (x: Tensor): Tensor => apply(reciprocalOp, [x], none);
/** Hyperbolic tangent. */
export const tanh = (x: Tensor): Tensor => apply(tanhOp, [x], none);
/** 1 / (1 + e⁻ˣ) */
export const sigmoid = (x: Tensor): Tensor => apply(sigmoidOp, [x], none);
/** The error function. */
export const erf = (x: Tensor): Tensor => apply(erfOp, [x], none);
/** Sine of radians. */
export const sin = (x: Tensor): Tensor => apply(sinOp, [x], none);
/** Cosine of radians. */
export const cos = (x: Tensor): Tensor => apply(cosOp, [x], none);
/** |x|; the gradient at 0 is 0. */
export const abs = (x: Tensor): Tensor => apply(absOp, [x], none);
/** -1, 0 or 1; gradient 0. */
export const sign = (x: Tensor): Tensor => apply(signOp, [x], none);
/** Largest integer not above x; gradient 0. */
export const floor = (x: Tensor): Tensor => apply(floorOp, [x], none);
/** max(x, 0) */
export const relu = (x: Tensor): Tensor => apply(reluOp, [x], none);

interface BinaryRules {
  readonly onnx: string;
  readonly value: (a: number, b: number) => number;
  readonly result: "same" | "bool";
  /** True for comparisons that need an order, which truth values lack. */
  readonly isOrder?: boolean;
  readonly gradient?: (a: Tensor, b: Tensor, y: Tensor, g: Tensor, ops: Ops) => [Tensor, Tensor];
}

function binary(name: string, rules: BinaryRules): OpDefinition<NoAttrs> {
  return defineOp<NoAttrs>({
    name,
    infer: ([a, b]) => {
      if (a!.dtype !== b!.dtype)
        throw shapeError(name, `both sides need one type, got ${a!.dtype} and ${b!.dtype}`, {
          found: `left ${a!.dtype}${formatShape(a!.shape)}, right ${b!.dtype}${formatShape(b!.shape)}`,
          fix: "cast one side",
        });
      if (rules.gradient) requireFloat(name, [a, b]);
      else if (rules.isOrder && a!.dtype === "bool")
        throw shapeError(name, "truth values have no order, got bool on both sides", {
          found: `left ${formatShape(a!.shape)}, right ${formatShape(b!.shape)}`,
          fix: 'cast both sides to "i32", or use equal()',
        });
      return [
        {
          dtype: rules.result === "bool" ? "bool" : a!.dtype,
          shape: broadcastShapes(name, a!.shape, b!.shape),
        },
      ];
    },
    gradient: (node, [g], ops) => {
      if (!g || !rules.gradient) return [undefined, undefined];
      const [a, b] = node.inputs as [Tensor, Tensor];
      const [da, db] = rules.gradient(a, b, outputOf(node, ops), g, ops);
      return [ops.sumTo(da, a.shape), ops.sumTo(db, b.shape)];
    },
    lower: (emit, inputs) => emit.node(rules.onnx, inputs),
    evaluate: ([a, b], node) => {
      const { shape, dtype } = node.types[0]!;
      const ia = broadcastIndices(a!.shape, shape);
      const ib = broadcastIndices(b!.shape, shape);
      const data = allocate(dtype, ia.length);
      for (let i = 0; i < ia.length; i++) data[i] = Number(rules.value(a!.data[ia[i]!]!, b!.data[ib[i]!]!));
      return [{ shape, data }];
    },
    flops: (node) => sizeOf(node.types[0]!.shape),
  });
}

/** An array of the interpreter for a type. */
export function allocate(dtype: DType, size: number): Value["data"] {
  if (dtype === "f32") return new Float64Array(size);
  return dtype === "i32" ? new Int32Array(size) : new Uint8Array(size);
}

const addOp = binary("add", {
  onnx: "Add",
  result: "same",
  value: (a, b) => a + b,
  gradient: (_a, _b, _y, g) => [g, g],
});
const subOp = binary("sub", {
  onnx: "Sub",
  result: "same",
  value: (a, b) => a - b,
  gradient: (_a, _b, _y, g, o) => [g, o.neg(g)],
});
const mulOp = binary("mul", {
  onnx: "Mul",
  result: "same",
  value: (a, b) => a * b,
  gradient: (a, b, _y, g, o) => [o.mul(g, b), o.mul(g, a)],
});
const divOp = binary("div", {
  onnx: "Div",
  result: "same",
  value: (a, b) => a / b,
  gradient: (_a, b, y, g, o) => [o.div(g, b), o.neg(o.div(o.mul(g, y), b))],
});
// Where both sides are equal the gradient goes to the left one, as in a maximum over a list the first wins.
const maximumOp = binary("maximum", {
  onnx: "Max",
  result: "same",
  value: Math.max,
  gradient: (a, b, _y, g, o) => [o.where(o.less(a, b), 0, g), o.where(o.less(a, b), g, 0)],
});
const minimumOp = binary("minimum", {
  onnx: "Min",
  result: "same",
  value: Math.min,
  gradient: (a, b, _y, g, o) => [o.where(o.greater(a, b), 0, g), o.where(o.greater(a, b), g, 0)],
});
const lessOp = binary("less", {
  onnx: "Less",
  result: "bool",
  isOrder: true,
  value: (a, b) => Number(a < b),
});
const greaterOp = binary("greater", {
  onnx: "Greater",
  result: "bool",
  isOrder: true,
  value: (a, b) => Number(a > b),
});
const equalOp = binary("equal", { onnx: "Equal", result: "bool", value: (a, b) => Number(a === b) });

/** Forgets trivial work while tracing: x·1, x+0 and the like. */
const isNumber = (value: TensorLike, number: number): boolean => value === number;

/**
 * a + b with broadcasting.
 *
 * @example
 * ```ts
 * import { add, input } from "vans/tensor";
 * add(input("a", [4, 1]), input("b", [3])).shape; // => [4, 3]
 * ```
 */
export function add(a: TensorLike, b: TensorLike): Tensor {
  if (isNumber(b, 0) && typeof a !== "number") return a;
  if (isNumber(a, 0) && typeof b !== "number") return b;
  return apply(addOp, [asTensor(a), asTensor(b)], none);
}
/** a - b with broadcasting. */
export function sub(a: TensorLike, b: TensorLike): Tensor {
  if (isNumber(b, 0) && typeof a !== "number") return a;
  return apply(subOp, [asTensor(a), asTensor(b)], none);
}
/** a · b with broadcasting. */
export function mul(a: TensorLike, b: TensorLike): Tensor {
  if (isNumber(b, 1) && typeof a !== "number") return a;
  if (isNumber(a, 1) && typeof b !== "number") return b;
  return apply(mulOp, [asTensor(a), asTensor(b)], none);
}
/** a / b with broadcasting. */
export function div(a: TensorLike, b: TensorLike): Tensor {
  if (isNumber(b, 1) && typeof a !== "number") return a;
  return apply(divOp, [asTensor(a), asTensor(b)], none);
}
/** The larger of both, elementwise. */
export const maximum = (a: TensorLike, b: TensorLike): Tensor =>
  apply(maximumOp, [asTensor(a), asTensor(b)], none);
/** The smaller of both, elementwise. */
export const minimum = (a: TensorLike, b: TensorLike): Tensor =>
  apply(minimumOp, [asTensor(a), asTensor(b)], none);
/** a < b as bool. */
export const less = (a: TensorLike, b: TensorLike): Tensor => apply(lessOp, [asTensor(a), asTensor(b)], none);
/** a > b as bool. */
export const greater = (a: TensorLike, b: TensorLike): Tensor =>
  apply(greaterOp, [asTensor(a), asTensor(b)], none);
/** a = b as bool; also for integers. */
export const equal = (a: TensorLike, b: TensorLike): Tensor =>
  apply(equalOp, [asTensor(a), asTensor(b)], none);

const whereOp = defineOp<NoAttrs>({
  name: "where",
  infer: ([condition, a, b]) => {
    if (condition!.dtype !== "bool")
      throw shapeError("where", `the condition must be bool, got ${condition!.dtype}`, {
        found: `condition ${condition!.dtype}${formatShape(condition!.shape)}, choices ${a!.dtype} and ${b!.dtype}`,
        fix: 'compare first (greater(x, 0)) or cast(x, "bool")',
      });
    if (a!.dtype !== b!.dtype)
      throw shapeError("where", `both choices need one type, got ${a!.dtype} and ${b!.dtype}`, {
        found: `${formatShape(a!.shape)} and ${formatShape(b!.shape)}`,
        fix: "cast one of them",
      });
    const shape = broadcastShapes("where", condition!.shape, broadcastShapes("where", a!.shape, b!.shape));
    return [{ dtype: a!.dtype, shape }];
  },
  gradient: (node, [g], ops) => {
    const [condition, a, b] = node.inputs as [Tensor, Tensor, Tensor];
    if (!g || a.dtype !== "f32") return [undefined, undefined, undefined];
    return [
      undefined,
      ops.sumTo(ops.where(condition, g, 0), a.shape),
      ops.sumTo(ops.where(condition, 0, g), b.shape),
    ];
  },
  lower: (emit, inputs, node) => {
    if (node.types[0]!.dtype !== "bool") return emit.node("Where", inputs);
    // The runtime's Where knows no truth values.
    const [condition, a, b] = inputs as [string, string, string];
    const left = emit.node("And", [condition, a])[0]!;
    const right = emit.node("And", [emit.node("Not", [condition])[0]!, b])[0]!;
    return emit.node("Or", [left, right]);
  },
  evaluate: ([condition, a, b], node) => {
    const { shape, dtype } = node.types[0]!;
    const ic = broadcastIndices(condition!.shape, shape);
    const ia = broadcastIndices(a!.shape, shape);
    const ib = broadcastIndices(b!.shape, shape);
    const data = allocate(dtype, ic.length);
    for (let i = 0; i < ic.length; i++)
      data[i] = condition!.data[ic[i]!] ? a!.data[ia[i]!]! : b!.data[ib[i]!]!;
    return [{ shape, data }];
  },
  flops: (node) => sizeOf(node.types[0]!.shape),
});

/** `condition ? a : b`, elementwise with broadcasting. */
export const where = (condition: Tensor, a: TensorLike, b: TensorLike): Tensor =>
  apply(whereOp, [condition, asTensor(a), asTensor(b)], none);

const ONNX_TYPE = { f32: 1, i32: 6, bool: 9 } as const;

const castOp = defineOp<{ readonly to: DType }>({
  name: "cast",
  infer: ([x], attrs) => [{ dtype: attrs.to, shape: x!.shape }],
  // Integers and truth values do not vary continuously, so only f32 to f32 carries a gradient, and cast() skips that.
  gradient: () => [undefined],
  lower: (emit, inputs, node) => emit.node("Cast", inputs, { to: { int: ONNX_TYPE[node.attrs.to] } }),
  evaluate: ([x], node) => {
    const { to } = node.attrs;
    const data = allocate(to, x!.data.length);
    for (let i = 0; i < data.length; i++) {
      const value = x!.data[i]!;
      data[i] = to === "bool" ? Number(value !== 0) : to === "i32" ? Math.trunc(value) : value;
    }
    return [{ shape: x!.shape, data }];
  },
  flops: () => 0,
});

/** Changes the element type; f32 to i32 truncates toward 0. Carries no gradient. */
export const cast = (x: Tensor, to: DType): Tensor => (x.dtype === to ? x : apply(castOp, [x], { to }));

/** True where two tensors may be added without broadcasting. */
export const alike = (a: Tensor, b: Tensor): boolean => sameShape(a.shape, b.shape);
