/**
 * Matrix products: batched, transposed, scaled, with a bias for the two-dimensional case.
 * @module
 */
import { apply, type Tensor } from "../graph.ts";
import { defineOp } from "../op.ts";
import { broadcastIndices, broadcastShapes, requireFloat, shapeError, stridesOf } from "../shape.ts";
import { formatShape, type Shape, sizeOf, type TensorType } from "../types.ts";
import { reshape } from "./layout.ts";

interface MatmulAttrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Factor on the product. */
  readonly alpha: number;
}

/**
 * From this many elements on a bias is added after the product: the runtime's `Gemm` spreads it over the output on one
 * thread first (for 1408 x 160 it took 324 µs with a bias and 187 without, adding takes 60).
 */
const LARGE_PRODUCT = 65_536;

function dimensions(
  a: TensorType,
  b: TensorType,
  attrs: MatmulAttrs,
): { rows: number; inner: number; innerB: number; columns: number } {
  const [a0, a1] = a.shape.slice(-2) as [number, number];
  const [b0, b1] = b.shape.slice(-2) as [number, number];
  return {
    rows: attrs.transposeA ? a1 : a0,
    inner: attrs.transposeA ? a0 : a1,
    innerB: attrs.transposeB ? b1 : b0,
    columns: attrs.transposeB ? b0 : b1,
  };
}

const matmulOp = defineOp<MatmulAttrs>({
  name: "matmul",
  infer: ([a, b, bias], attrs) => {
    if (a!.shape.length < 2 || b!.shape.length < 2) {
      throw shapeError("matmul", "both sides need two axes or more", {
        found: `left ${formatShape(a!.shape)}, right ${formatShape(b!.shape)}`,
        fix: "reshape a vector to [1, n] or [n, 1]",
      });
    }
    requireFloat("matmul", [a, b]);
    const { rows, inner, innerB, columns } = dimensions(a!, b!, attrs);
    if (inner !== innerB) {
      throw shapeError("matmul", `the inner sizes differ: ${inner} against ${innerB}`, {
        found: `left ${formatShape(a!.shape)}${attrs.transposeA ? " transposed" : ""}, right ${formatShape(b!.shape)}${attrs.transposeB ? " transposed" : ""}`,
        why: "a weight of layout [out, in] is multiplied transposed",
        fix: "set transposeB (or use linear(), which does), or transpose one side",
      });
    }
    if (
      bias &&
      (a!.shape.length !== 2 || b!.shape.length !== 2 || bias.shape.length !== 1 || bias.shape[0] !== columns)
    ) {
      throw shapeError("matmul", "a bias needs two-dimensional sides and the size of the columns", {
        found: `left ${formatShape(a!.shape)}, right ${formatShape(b!.shape)}, bias ${formatShape(bias.shape)}, ${columns} columns`,
        fix: `give a bias of [${columns}], or add() it after a batched product`,
      });
    }
    const batch = broadcastShapes("matmul", a!.shape.slice(0, -2), b!.shape.slice(0, -2));
    return [{ dtype: "f32", shape: [...batch, rows, columns] }];
  },
  gradient: (node, [g], ops) => {
    if (!g) return node.inputs.map(() => undefined);
    const [a, b, bias] = node.inputs as [Tensor, Tensor, Tensor | undefined];
    const { transposeA, transposeB, alpha } = node.attrs;
    const da = transposeA
      ? ops.matmul(b, g, { transposeA: transposeB, transposeB: true, alpha })
      : ops.matmul(g, b, { transposeB: !transposeB, alpha });
    const db = transposeB
      ? ops.matmul(g, a, { transposeA: true, transposeB: transposeA, alpha })
      : ops.matmul(a, g, { transposeA: !transposeA, alpha });
    const out: (Tensor | undefined)[] = [ops.sumTo(da, a.shape), ops.sumTo(db, b.shape)];
    if (bias) out.push(ops.sum(g, { axes: [0] }));
    return out;
  },
  lower: (emit, inputs, node) => {
    const { transposeA, transposeB, alpha } = node.attrs;
    const flags = { transA: { int: transposeA ? 1 : 0 }, transB: { int: transposeB ? 1 : 0 } };
    // A product over nothing is zero; the runtime's fused kernel leaves its output unwritten then.
    if (dimensions(node.inputs[0]!, node.inputs[1]!, node.attrs).inner === 0) {
      const shape = emit.ints(node.types[0]!.shape);
      return emit.node("Expand", [inputs[2] ?? emit.floats([0], [1]), shape]);
    }
    const isFlat = node.inputs[0]!.rank === 2 && node.inputs[1]!.rank === 2;
    const isLarge = sizeOf(node.types[0]!.shape) >= LARGE_PRODUCT;
    if (isFlat && inputs[2] && isLarge && emit.forTraining && emit.target === "cpu") {
      const product = emit.node("Gemm", inputs.slice(0, 2), { ...flags, alpha: { float: alpha } })[0]!;
      return emit.node("Add", [product, inputs[2]]);
    }
    if (isFlat) return emit.node("Gemm", inputs, { ...flags, alpha: { float: alpha } });
    if (!transposeA && !transposeB && alpha === 1) return emit.node("MatMul", inputs);
    if (emit.target === "cpu" || emit.target === "cuda") {
      return emit.node(
        "FusedMatMul",
        inputs,
        { ...flags, alpha: { float: alpha } },
        { domain: "com.microsoft" },
      );
    }
    const flip = (name: string, rank: number): string => {
      const permutation = Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
      return emit.node("Transpose", [name], { perm: { ints: permutation } })[0]!;
    };
    const a = transposeA ? flip(inputs[0]!, node.inputs[0]!.rank) : inputs[0]!;
    const b = transposeB ? flip(inputs[1]!, node.inputs[1]!.rank) : inputs[1]!;
    const product = emit.node("MatMul", [a, b]);
    return alpha === 1 ? product : emit.node("Mul", [product[0]!, emit.floats([alpha], [])]);
  },
  evaluate: ([a, b, bias], node) => {
    const { shape } = node.types[0]!;
    const { transposeA, transposeB, alpha } = node.attrs;
    const { rows, inner, columns } = dimensions(node.inputs[0]!, node.inputs[1]!, node.attrs);
    const batch = shape.slice(0, -2);
    const ia = broadcastIndices(a!.shape.slice(0, -2), batch);
    const ib = broadcastIndices(b!.shape.slice(0, -2), batch);
    const sa = stridesOf(a!.shape.slice(-2));
    const sb = stridesOf(b!.shape.slice(-2));
    const [rowA, innerA] = transposeA ? [sa[1]!, sa[0]!] : [sa[0]!, sa[1]!];
    const [innerB, columnB] = transposeB ? [sb[1]!, sb[0]!] : [sb[0]!, sb[1]!];
    const data = new Float64Array(sizeOf(shape));
    for (let n = 0; n < ia.length; n++) {
      const offsetA = ia[n]! * rows * inner;
      const offsetB = ib[n]! * inner * columns;
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < columns; c++) {
          let total = 0;
          for (let k = 0; k < inner; k++)
            total += a!.data[offsetA + r * rowA + k * innerA]! * b!.data[offsetB + k * innerB + c * columnB]!;
          data[(n * rows + r) * columns + c] = alpha * total + (bias ? bias.data[c]! : 0);
        }
      }
    }
    return [{ shape, data }];
  },
  flops: (node) => {
    const { inner } = dimensions(node.inputs[0]!, node.inputs[1]!, node.attrs);
    return 2 * inner * sizeOf(node.types[0]!.shape);
  },
});

/** Options of {@link matmul}. */
export interface MatmulOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly alpha?: number;
  /** `[columns]`, only where both sides have two axes. */
  readonly bias?: Tensor | undefined;
}

/**
 * `alpha · op(a) · op(b)` over the last two axes; leading axes broadcast.
 *
 * @example
 * ```ts
 * import { input, matmul } from "vans/tensor";
 * matmul(input("q", [2, 4, 7, 8]), input("k", [2, 4, 9, 8]), { transposeB: true }).shape; // => [2, 4, 7, 9]
 * ```
 * @throws `VANS_TENSOR_SHAPE` where the inner sizes differ.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, alpha = 1, bias } = options;
  // A matrix on the right sees the leading axes of the left as rows: one large product instead of many small ones.
  if (b.rank === 2 && a.rank > 2 && !transposeA) {
    const flat = matmul(reshape(a, [-1, a.size(-1)]), b, options);
    return reshape(flat, [...a.shape.slice(0, -1), flat.size(-1)]);
  }
  return apply(matmulOp, bias ? [a, b, bias] : [a, b], { transposeA, transposeB, alpha });
}

/**
 * A linear layer in torch's layout: `x · Wᵀ + b`.
 * @param x `[…, in]`
 * @param weight `[out, in]`
 * @param bias `[out]`
 * @returns `[…, out]`
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const flat: Shape = [sizeOf(x.shape.slice(0, -1)), x.size(-1)];
  const y = matmul(reshape(x, flat), weight, { transposeB: true, bias });
  return reshape(y, [...x.shape.slice(0, -1), weight.size(0)]);
}
