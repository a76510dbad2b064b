/**
 * Scaled dot-product attention and rotary position embedding.
 * @module
 */
import { apply, type Tensor } from "../graph.ts";
import { defineOp, type OnnxAttribute } from "../op.ts";
import { broadcastIndices, broadcastShapes, requireFloat, shapeError } from "../shape.ts";
import { formatShape, sameShape, sizeOf } from "../types.ts";

interface AttentionAttrs {
  readonly scale: number;
}

/** Score matrices larger than this many elements go through the runtime's memory-flat kernel when no gradient needs them. */
const FLAT_SCORE_ELEMENTS = 4_000_000;

const attentionOp = defineOp<AttentionAttrs>({
  name: "attention",
  infer: ([q, k, v, mask]) => {
    requireFloat("attention", [q, k, v, mask]);
    const batch = broadcastShapes(
      "attention",
      broadcastShapes("attention", q!.shape.slice(0, -2), k!.shape.slice(0, -2)),
      v!.shape.slice(0, -2),
    );
    const [queries, width] = q!.shape.slice(-2) as [number, number];
    const [keys, keyWidth] = k!.shape.slice(-2) as [number, number];
    const [values, valueWidth] = v!.shape.slice(-2) as [number, number];
    if (width !== keyWidth || keys !== values || [q, k, v].some((x) => x!.shape.length < 2)) {
      throw shapeError("attention", "queries, keys and values do not fit", {
        found: `q ${formatShape(q!.shape)}, k ${formatShape(k!.shape)}, v ${formatShape(v!.shape)}`,
        fix: "q [..., queries, width], k [..., keys, width], v [..., keys, value width]",
      });
    }
    if (mask) {
      const scores = [...batch, queries, keys];
      if (!sameShape(broadcastShapes("attention mask", scores, mask.shape), scores)) {
        throw shapeError("attention", "the mask is larger than the scores", {
          found: `scores ${formatShape(scores)}, mask ${formatShape(mask.shape)}`,
          fix: "the mask broadcasts to the scores; give q, k or v the axes that the mask has",
        });
      }
    }
    return [{ dtype: "f32", shape: [...batch, queries, valueWidth] }];
  },
  gradient: (node, [g], ops) => {
    if (!g) return node.inputs.map(() => undefined);
    const [q, k, v, mask] = node.inputs as [Tensor, Tensor, Tensor, Tensor | undefined];
    const { scale } = node.attrs;
    const product = ops.matmul(q, k, { transposeB: true, alpha: scale });
    const scores = mask ? ops.add(product, mask) : product;
    const p = ops.softmax(scores);
    const dv = ops.sumTo(ops.matmul(p, g, { transposeA: true }), v.shape);
    const dp = ops.matmul(g, v, { transposeB: true });
    // The row sums of p·dp are those of output·g, which has the width of a value and not the number of keys.
    const output = ops.outputTensor(node as never, 0);
    const ds = ops.mul(p, ops.sub(dp, ops.sum(ops.mul(output, g), { axes: [-1], keepDims: true })));
    const dq = ops.sumTo(ops.matmul(ds, k, { alpha: scale }), q.shape);
    const dk = ops.sumTo(ops.matmul(ds, q, { transposeA: true, alpha: scale }), k.shape);
    return mask ? [dq, dk, dv, ops.sumTo(ds, mask.shape)] : [dq, dk, dv];
  },
  lower: (emit, inputs, node) => {
    const [q, k, v, mask] = node.inputs as [Tensor, Tensor, Tensor, Tensor | undefined];
    const scoreElements = sizeOf(node.types[0]!.shape.slice(0, -1)) * k.size(-2);
    const isPlain =
      q.rank === 4 && k.rank === 4 && !mask && q.size(1) === k.size(1) && q.size(0) === k.size(0);
    if (!emit.forTraining && isPlain && emit.target === "cpu" && scoreElements > FLAT_SCORE_ELEMENTS) {
      const [batch, heads, queries] = q.shape as [number, number, number, number];
      const flatten = (name: string, tensor: Tensor): string => {
        const swapped = emit.node("Transpose", [name], { perm: { ints: [0, 2, 1, 3] } })[0]!;
        return emit.node("Reshape", [swapped, emit.ints([batch, tensor.size(2), heads * tensor.size(3)])], {
          allowzero: { int: 1 },
        })[0]!;
      };
      const flat = emit.node(
        "MultiHeadAttention",
        [flatten(inputs[0]!, q), flatten(inputs[1]!, k), flatten(inputs[2]!, v)],
        { num_heads: { int: heads }, scale: { float: node.attrs.scale } },
        { domain: "com.microsoft" },
      )[0]!;
      const unflat = emit.node("Reshape", [flat, emit.ints([batch, queries, heads, v.size(3)])], {
        allowzero: { int: 1 },
      })[0]!;
      return emit.node("Transpose", [unflat], { perm: { ints: [0, 2, 1, 3] } });
    }
    // The same nodes as the gradient's, so that both passes share the probabilities.
    const flags = { transA: { int: 0 }, transB: { int: 1 }, alpha: { float: node.attrs.scale } };
    let scores: string;
    if (q.rank === 2 && k.rank === 2) scores = emit.node("Gemm", [inputs[0]!, inputs[1]!], flags)[0]!;
    else if (emit.target === "cpu" || emit.target === "cuda") {
      scores = emit.node("FusedMatMul", [inputs[0]!, inputs[1]!], flags, { domain: "com.microsoft" })[0]!;
    } else {
      const perm = Array.from({ length: k.rank }, (_, i) => (i < k.rank - 2 ? i : 2 * k.rank - 3 - i));
      const turned = emit.node("Transpose", [inputs[1]!], { perm: { ints: perm } })[0]!;
      const product = emit.node("MatMul", [inputs[0]!, turned])[0]!;
      scores =
        node.attrs.scale === 1
          ? product
          : emit.node("Mul", [product, emit.floats([node.attrs.scale], [])])[0]!;
    }
    if (mask) scores = emit.node("Add", [scores, inputs[3]!])[0]!;
    const p = emit.node("Softmax", [scores], { axis: { int: -1 } })[0]!;
    return emit.node(q.rank === 2 && v.rank === 2 ? "Gemm" : "MatMul", [p, inputs[2]!]);
  },
  evaluate: ([q, k, v, mask], node) => {
    const { shape } = node.types[0]!;
    const batch = shape.slice(0, -2);
    const [queries, width] = q!.shape.slice(-2) as [number, number];
    const [keys, valueWidth] = v!.shape.slice(-2) as [number, number];
    const iq = broadcastIndices(q!.shape.slice(0, -2), batch);
    const ik = broadcastIndices(k!.shape.slice(0, -2), batch);
    const iv = broadcastIndices(v!.shape.slice(0, -2), batch);
    const im = mask ? broadcastIndices(mask.shape, [...batch, queries, keys]) : undefined;
    const data = new Float64Array(sizeOf(shape));
    const scores = new Float64Array(keys);
    for (let n = 0; n < iq.length; n++) {
      for (let i = 0; i < queries; i++) {
        let max = Number.NEGATIVE_INFINITY;
        for (let j = 0; j < keys; j++) {
          let dot = 0;
          for (let c = 0; c < width; c++)
            dot += q!.data[(iq[n]! * queries + i) * width + c]! * k!.data[(ik[n]! * keys + j) * width + c]!;
          scores[j] = dot * node.attrs.scale + (im ? mask!.data[im[(n * queries + i) * keys + j]!]! : 0);
          max = Math.max(max, scores[j]!);
        }
        let total = 0;
        for (let j = 0; j < keys; j++) {
          scores[j] = Math.exp(scores[j]! - max);
          total += scores[j]!;
        }
        for (let c = 0; c < valueWidth; c++) {
          let sum = 0;
          for (let j = 0; j < keys; j++) sum += scores[j]! * v!.data[(iv[n]! * keys + j) * valueWidth + c]!;
          data[(n * queries + i) * valueWidth + c] = sum / total;
        }
      }
    }
    return [{ shape, data }];
  },
  flops: (node) => {
    const [q, k] = node.inputs as [Tensor, Tensor];
    return 4 * sizeOf(node.types[0]!.shape.slice(0, -1)) * k.size(-2) * q.size(-1);
  },
});

/** Options of {@link attention}. */
export interface AttentionOptions {
  /** Added to the scores, broadcast to `[…, queries, keys]`; a large negative number hides a key. */
  readonly mask?: Tensor | undefined;
  /** Factor on the scores; default 1/√width. */
  readonly scale?: number;
}

/**
 * softmax(scale · q·kᵀ + mask) · v. Leading axes broadcast, which serves grouped heads:
 * q `[B, kvHeads, group, S, D]` with k, v `[B, kvHeads, 1, S, D]`.
 * @param q `[…, queries, width]`
 * @param k `[…, keys, width]`
 * @param v `[…, keys, valueWidth]`
 * @returns `[…, queries, valueWidth]`
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const scale = options.scale ?? 1 / Math.sqrt(q.size(-1));
  return apply(attentionOp, options.mask ? [q, k, v, options.mask] : [q, k, v], { scale });
}

interface RopeAttrs {
  readonly interleaved: boolean;
}

const ropeOp = defineOp<RopeAttrs>({
  name: "rope",
  infer: ([x, cos, sin]) => {
    const [batch, , length, width] = x!.shape;
    const table = cos!.shape;
    const fits =
      x!.shape.length === 4 &&
      table.length === 3 &&
      sin!.shape.join() === table.join() &&
      (table[0] === 1 || table[0] === batch) &&
      table[1] === length &&
      2 * table[2]! === width;
    if (!fits) {
      throw shapeError("rope", "the tables do not fit", {
        found: `x ${formatShape(x!.shape)}, cos ${formatShape(table)}, sin ${formatShape(sin!.shape)}`,
        fix: "x [B, heads, S, D], cos and sin [B or 1, S, D/2]",
      });
    }
    return [{ dtype: "f32", shape: x!.shape }];
  },
  // A rotation's gradient is the rotation back; the tables are functions of positions and not trained.
  gradient: (node, [g], ops) => [
    g && ops.rope(g, node.inputs[1]!, ops.neg(node.inputs[2]!), node.attrs),
    undefined,
    undefined,
  ],
  lower: (emit, [x, cos, sin], node) => {
    const [batch, heads, length, width] = node.inputs[0]!.shape as [number, number, number, number];
    const tables = node.inputs[1]!.size(0);
    const half = width / 2;
    const rows = (name: string): string =>
      emit.node("Reshape", [name, emit.ints([tables * length, half])], { allowzero: { int: 1 } })[0]!;
    const positions = Array.from({ length: batch * length }, (_, i) => (tables === 1 ? i % length : i));
    const rotate = (name: string, attributes: Readonly<Record<string, OnnxAttribute>> = {}): string =>
      emit.node(
        "RotaryEmbedding",
        [name, emit.ints(positions, [batch, length]), rows(cos!), rows(sin!)],
        { interleaved: { int: node.attrs.interleaved ? 1 : 0 }, ...attributes },
        { domain: "com.microsoft" },
      )[0]!;
    // Heads that were moved to the front only now are rotated where they lay, so that moving them back costs nothing.
    const headsLast = [0, 2, 1, 3];
    const before =
      emit.target === "cpu" && !emit.forTraining ? emit.beforeTranspose(x!, headsLast) : undefined;
    if (before === undefined) return [rotate(x!)];
    const reshaped = (name: string, shape: readonly number[]): string =>
      emit.node("Reshape", [name, emit.ints(shape)], { allowzero: { int: 1 } })[0]!;
    const flat = reshaped(before, [batch, length, heads * width]);
    const rotated = rotate(flat, { num_heads: { int: heads } });
    return emit.node("Transpose", [reshaped(rotated, [batch, length, heads, width])], {
      perm: { ints: headsLast },
    });
  },
  evaluate: ([x, cos, sin], node) => {
    const [batch, heads, length, width] = x!.shape as [number, number, number, number];
    const half = width / 2;
    const data = new Float64Array(x!.data.length);
    for (let b = 0; b < batch; b++) {
      const table = cos!.shape[0] === 1 ? 0 : b;
      for (let h = 0; h < heads; h++) {
        for (let s = 0; s < length; s++) {
          const start = ((b * heads + h) * length + s) * width;
          for (let j = 0; j < half; j++) {
            const c = cos!.data[(table * length + s) * half + j]!;
            const w = sin!.data[(table * length + s) * half + j]!;
            const first = start + (node.attrs.interleaved ? 2 * j : j);
            const second = node.attrs.interleaved ? first + 1 : first + half;
            data[first] = x!.data[first]! * c - x!.data[second]! * w;
            data[second] = x!.data[second]! * c + x!.data[first]! * w;
          }
        }
      }
    }
    return [{ shape: x!.shape, data }];
  },
  flops: (node) => 3 * sizeOf(node.types[0]!.shape),
});

/** Pairing of the rotated elements: neighbours (Wan) or first with second half (Qwen, `rotate_half`). */
export interface RopeOptions {
  readonly interleaved: boolean;
}

/**
 * Rotates pairs of elements by given angles. Tables carry no gradient.
 * @param x `[B, heads, S, D]`
 * @param cos `[B or 1, S, D/2]`
 * @param sin `[B or 1, S, D/2]`
 */
export const rope = (x: Tensor, cos: Tensor, sin: Tensor, options: RopeOptions): Tensor =>
  apply(ropeOp, [x, cos, sin], { interleaved: options.interleaved });
