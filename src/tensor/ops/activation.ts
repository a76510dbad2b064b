/**
 * Activations with fused kernels: SiLU, GELU (exact and tanh), quick GELU.
 * @module
 */
import { apply, type Tensor } from "../graph.ts";
import { defineOp, type OnnxEmitter, type OpDefinition, type Ops } from "../op.ts";
import { requireFloat } from "../shape.ts";
import { sizeOf } from "../types.ts";
import { erfValue } from "./elementwise.ts";

type NoAttrs = Record<string, never>;

function activation(
  name: string,
  rules: {
    readonly lower: (emit: OnnxEmitter, x: string) => string[];
    readonly value: (x: number) => number;
    readonly gradient: (x: Tensor, y: Tensor, g: Tensor, ops: Ops) => Tensor;
  },
): OpDefinition<NoAttrs> {
  return defineOp<NoAttrs>({
    name,
    infer: ([x]) => {
      requireFloat(name, [x]);
      return [{ dtype: "f32", shape: x!.shape }];
    },
    gradient: (node, [g], ops) => [
      g && rules.gradient(node.inputs[0]!, ops.outputTensor(node as never, 0), g, ops),
    ],
    lower: (emit, [x]) => rules.lower(emit, x!),
    evaluate: ([x]) => [{ shape: x!.shape, data: Float64Array.from(x!.data, rules.value) }],
    flops: (node) => 8 * sizeOf(node.types[0]!.shape),
  });
}

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

/** x·σ(αx), which is SiLU for α = 1 and quick GELU for α = 1.702; dy/dx = s + α·y·(1 - s). */
function swish(name: string, alpha: number): OpDefinition<NoAttrs> {
  return activation(name, {
    lower: (emit, x) => {
      if (!emit.forTraining)
        return emit.node("QuickGelu", [x], { alpha: { float: alpha } }, { domain: "com.microsoft" });
      const scaled = alpha === 1 ? x : emit.node("Mul", [x, emit.floats([alpha], [])])[0]!;
      return emit.node("Mul", [x, emit.node("Sigmoid", [scaled])[0]!]);
    },
    value: (x) => x * logistic(alpha * x),
    gradient: (x, y, g, o) => {
      const s = o.sigmoid(alpha === 1 ? x : o.mul(x, alpha));
      return o.mul(g, o.add(s, o.mul(alpha === 1 ? y : o.mul(y, alpha), o.sub(1, s))));
    },
  });
}

const siluOp = swish("silu", 1);
const quickGeluOp = swish("quickGelu", 1.702);

interface HardSigmoidAttrs {
  readonly alpha: number;
  readonly beta: number;
}

const hardSigmoidOp = defineOp<HardSigmoidAttrs>({
  name: "hardSigmoid",
  infer: ([x]) => {
    requireFloat("hardSigmoid", [x]);
    return [{ dtype: "f32", shape: x!.shape }];
  },
  gradient: (node, [g], o) => {
    if (!g) return [undefined];
    const y = o.outputTensor(node as never, 0);
    const belowOne = o.where(o.less(y, 1), o.mul(g, node.attrs.alpha), 0);
    return [o.where(o.greater(y, 0), belowOne, 0)];
  },
  lower: (emit, inputs, { attrs }) =>
    emit.node("HardSigmoid", inputs, { alpha: { float: attrs.alpha }, beta: { float: attrs.beta } }),
  evaluate: ([x], { attrs }) => [
    {
      shape: x!.shape,
      data: Float64Array.from(x!.data, (value) => Math.min(1, Math.max(0, attrs.alpha * value + attrs.beta))),
    },
  ],
  flops: (node) => 4 * sizeOf(node.types[0]!.shape),
});

// gelu_tanh(x) = 0.5x(1 + tanh(u)) = x·σ(2u) with u = √(2/π)(x + 0.044715x³), so 2u = x·(A + B·x²) = B·x·t with
// t = x² + A/B. A pass over a large tensor costs what memory costs, so both passes of training are written with as few
// as the runtime's kernels allow, most of them in place: dy/dx = s + (t - ⅔A/B)·(3B - 3B·s)·y.
const GELU_A = 2 * Math.sqrt(2 / Math.PI);
const GELU_B = GELU_A * 0.044715;

const geluTanhOp = activation("geluTanh", {
  lower: (emit, x) => {
    if (!emit.forTraining) return emit.node("Gelu", [x], { approximate: { text: "tanh" } });
    // The same nodes as the gradient's, so that both passes share them.
    const square = emit.node("Mul", [x, x])[0]!;
    const slope = emit.node("Add", [square, emit.floats([GELU_A / GELU_B], [])])[0]!;
    const inner = emit.node("Mul", [emit.node("Mul", [x, slope])[0]!, emit.floats([GELU_B], [])])[0]!;
    return emit.node("Mul", [x, emit.node("Sigmoid", [inner])[0]!]);
  },
  value: (x) => x * logistic(x * (GELU_A + GELU_B * x * x)),
  gradient: (x, y, g, o) => {
    const slope = o.add(o.mul(x, x), GELU_A / GELU_B);
    const s = o.sigmoid(o.mul(o.mul(x, slope), GELU_B));
    const rest = o.hardSigmoid(s, { alpha: -3 * GELU_B, beta: 3 * GELU_B });
    const bend = o.mul(o.mul(rest, y), o.sub(slope, (2 * GELU_A) / (3 * GELU_B)));
    return o.mul(o.add(bend, s), g);
  },
});

const geluErfOp = activation("gelu", {
  lower: (emit, x) => emit.node("Gelu", [x], { approximate: { text: "none" } }),
  value: (x) => 0.5 * x * (1 + erfValue(x / Math.SQRT2)),
  gradient: (x, _y, g, o) => {
    const cdf = o.hardSigmoid(o.erf(o.mul(x, Math.SQRT1_2)), { alpha: 0.5, beta: 0.5 });
    const density = o.mul(o.exp(o.mul(o.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return o.mul(g, o.add(cdf, o.mul(x, density)));
  },
});

/** min(1, max(0, alpha·x + beta)); the gradient beyond the bounds is 0. */
export const hardSigmoid = (x: Tensor, options: HardSigmoidAttrs): Tensor =>
  apply(hardSigmoidOp, [x], { alpha: options.alpha, beta: options.beta });
/** x·σ(x) */
export const silu = (x: Tensor): Tensor => apply(siluOp, [x], {});
/** x·σ(1.702x), CLIP's activation. */
export const quickGelu = (x: Tensor): Tensor => apply(quickGeluOp, [x], {});
/** GELU by the tanh formula (`gelu_new`). */
export const geluTanh = (x: Tensor): Tensor => apply(geluTanhOp, [x], {});
/** GELU by the error function. */
export const gelu = (x: Tensor): Tensor => apply(geluErfOp, [x], {});
