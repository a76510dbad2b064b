/**
 * Errors of shape rules teach: they name both sides with their shapes and say what to do.
 * @module
 */
import { describe, expect, it } from "vitest";
import { isVansError, type VansError } from "../base/errors.ts";
import {
  add,
  attention,
  broadcastTo,
  cast,
  chunk,
  concat,
  conv,
  convInputGradient,
  convWeightGradient,
  exp,
  gather,
  grad,
  input,
  layerNorm,
  less,
  logSoftmax,
  matmul,
  max,
  maximum,
  padAll,
  putAlong,
  reshape,
  rmsNorm,
  rope,
  scatterRows,
  select,
  silu,
  slice,
  softmax,
  split,
  stack,
  sum,
  type Tensor,
  takeAlong,
  transpose,
  where,
} from "./index.ts";

const t = (...shape: number[]): Tensor => input(`x${shape.join("x")}`, shape);
const ints = (...shape: number[]): Tensor => input(`i${shape.join("x")}`, shape, "i32");
const truth = (...shape: number[]): Tensor => input(`b${shape.join("x")}`, shape, "bool");
const flat = { strides: [1], padsBefore: [0], padsAfter: [0] };

function errorOf(build: () => unknown): VansError {
  try {
    build();
  } catch (error) {
    if (isVansError(error)) return error;
    throw error;
  }
  throw new Error("no error was thrown");
}

/** A wrong call and what its message must say. */
const WRONG: Readonly<Record<string, readonly [build: () => unknown, ...says: string[]]>> = {
  "add: sizes": [() => add(t(2, 3), t(4, 3)), "[2, 3]", "[4, 3]", "axis -2 has 2 against 4"],
  "add: types": [() => add(t(2), ints(2)), "f32", "i32"],
  "add: integers": [() => add(ints(2), ints(2)), "i32"],
  "maximum: sizes": [() => maximum(t(5), t(2)), "[5]", "[2]"],
  "less: truth values": [() => less(truth(2), truth(2)), "bool"],
  "exp: type": [() => exp(ints(2)), "i32"],
  "silu: type": [() => silu(ints(2)), "i32"],
  "where: condition": [() => where(t(2), t(2), t(2)), "bool", "f32"],
  "where: types": [() => where(truth(2), t(2), ints(2)), "f32", "i32"],
  "where: sizes": [() => where(truth(3), t(2), t(2)), "[3]", "[2]"],
  "reshape: count": [() => reshape(t(2, 3), [4]), "[2, 3] (6)", "[4] (4)"],
  "reshape: open axis": [() => reshape(t(2, 3), [4, -1]), "[2, 3]", "[4, -1]"],
  "reshape: two open axes": [() => reshape(t(2, 3), [-1, -1]), "[2, 3]", "[-1, -1]"],
  transpose: [() => transpose(t(2, 3), [0, 0]), "[2, 3]", "[0, 0]"],
  "broadcast: smaller": [() => broadcastTo(t(2, 3), [3]), "[2, 3]", "[3]"],
  "broadcast: sizes": [() => broadcastTo(t(2), [3]), "[2]", "[3]"],
  slice: [() => slice(t(2, 3), 1, 2, 5), "[2, 3]", "2 … 5"],
  "slice: axis": [() => slice(t(2, 3), 2, 0, 1), "axis 2", "2 axes"],
  "select: index": [() => select(t(2, 3), 0, 7), "[2, 3]", "7"],
  "concat: sizes": [() => concat([t(2, 3), t(3, 3)], 1), "[2, 3]", "[3, 3]", "axis 1"],
  "concat: ranks": [() => concat([t(2, 3), t(3)], 0), "[2, 3]", "[3]"],
  "concat: types": [() => concat([t(2), ints(2)], 0), "f32[2]", "i32[2]"],
  "concat: nothing": [() => concat([], 0), "at least one"],
  stack: [() => stack([t(2), t(3)], 0), "[1, 2]", "[1, 3]"],
  split: [() => split(t(2, 5), 1, [2, 2]), "[2, 5]", "[2, 2]", "4"],
  chunk: [() => chunk(t(2, 5), 1, 2), "[2, 5]", "2.5"],
  pad: [() => padAll(t(2, 5), [1], [1, 1]), "[2, 5]", "before [1]", "after [1, 1]"],
  "sum: type": [() => sum(ints(2)), "i32"],
  "sum: axis": [() => sum(t(2), { axes: [1] }), "axis 1", "1 axes"],
  "max: axis twice": [() => max(t(2, 2), { axes: [0, -2] }), "axis 0"],
  "softmax: scalar": [() => softmax(t()), "scalar"],
  "logSoftmax: type": [() => logSoftmax(ints(2)), "i32"],
  "gather: type": [() => gather(t(4, 2), t(3)), "i32", "f32"],
  scatterRows: [() => scatterRows(t(3, 2), ints(4), 5), "[3, 2]", "[4]"],
  takeAlong: [() => takeAlong(t(3, 2), ints(4, 2), 1), "[3, 2]", "[4, 2]"],
  "putAlong: updates": [() => putAlong(t(3, 2), ints(3, 1), 1, [3, 5]), "[3, 2]", "[3, 1]"],
  "putAlong: target": [() => putAlong(t(3, 2), ints(3, 2), 1, [4, 5]), "[3, 2]", "[4, 5]"],
  "matmul: inner": [() => matmul(t(2, 3), t(4, 5)), "[2, 3]", "[4, 5]", "3 against 4"],
  "matmul: transposed": [() => matmul(t(2, 3), t(5, 4), { transposeB: true }), "[5, 4] transposed"],
  "matmul: batch": [() => matmul(t(2, 3, 4), t(5, 4, 3)), "[2]", "[5]"],
  "matmul: rank": [() => matmul(t(3), t(3, 2)), "[3]", "[3, 2]"],
  "matmul: bias": [() => matmul(t(2, 3), t(3, 4), { bias: t(3) }), "[2, 3]", "[3, 4]", "bias [3]"],
  "matmul: type": [() => matmul(ints(2, 3), t(3, 4)), "i32", "f32"],
  "conv: channels": [() => conv(t(1, 2, 5), t(4, 3, 3), flat), "[1, 2, 5]", "[4, 3, 3]"],
  "conv: kernel": [() => conv(t(1, 2, 2), t(4, 2, 3), flat), "axis 2", "kernel 3"],
  "conv: axes": [() => conv(t(1, 2, 5, 5), t(4, 2, 3), flat), "[1, 2, 5, 5]", "[4, 2, 3]"],
  "conv: bias": [() => conv(t(1, 2, 5), t(4, 2, 3), { ...flat, bias: t(3) }), "[3]", "[4, 2, 3]"],
  "conv: type": [() => conv(ints(1, 2, 5), t(4, 2, 3), flat), "i32"],
  convInputGradient: [
    () => convInputGradient(t(1, 4, 9), t(4, 2, 3), { ...flat, spatial: [5] }),
    "[1, 4, 9]",
    "[1, 4, 3]",
  ],
  convWeightGradient: [
    () => convWeightGradient(t(1, 2, 5), t(1, 4, 9), { ...flat, kernel: [3] }),
    "[1, 4, 9]",
    "[1, 4, 3]",
  ],
  layerNorm: [() => layerNorm(t(2, 4), t(3), t(4), 1e-5), "[2, 4]", "[3]"],
  "layerNorm: type": [() => layerNorm(ints(2, 4), t(4), t(4), 1e-5), "i32"],
  rmsNorm: [() => rmsNorm(t(2, 4), t(3), 1e-5), "[2, 4]", "[3]"],
  rope: [
    () => rope(t(1, 2, 3, 8), t(1, 3, 8), t(1, 3, 8), { interleaved: true }),
    "[1, 2, 3, 8]",
    "[1, 3, 8]",
  ],
  "attention: width": [() => attention(t(2, 5, 8), t(2, 5, 4), t(2, 5, 8)), "[2, 5, 8]", "[2, 5, 4]"],
  "attention: keys": [() => attention(t(5, 8), t(5, 8), t(6, 8)), "[5, 8]", "[6, 8]"],
  "attention: rank": [() => attention(t(8), t(5, 8), t(5, 8)), "[8]", "[5, 8]"],
  "attention: mask": [() => attention(t(5, 8), t(5, 8), t(5, 8), { mask: t(5, 4) }), "[5, 5]", "[5, 4]"],
  "attention: mask of more axes": [
    () => attention(t(5, 8), t(5, 8), t(5, 8), { mask: t(3, 5, 5) }),
    "[5, 5]",
    "[3, 5, 5]",
  ],
  "attention: mask of truth values": [
    () => attention(t(5, 8), t(5, 8), t(5, 8), { mask: truth(5, 5) }),
    "bool",
  ],
};

describe("shape rules", () => {
  it.each(Object.keys(WRONG))("%s", (name) => {
    const [build, ...says] = WRONG[name]!;
    const error = errorOf(build);
    expect(error.code).toBe("VANS_TENSOR_SHAPE");
    for (const text of says) expect(error.message).toContain(text);
    expect(error.details.fix, "every shape error says what to do").toBeTruthy();
  });

  it("read like this", () => {
    expect(errorOf(() => add(t(2, 3), t(4, 3))).message).toMatchInlineSnapshot(`
      "add: the shapes do not broadcast
        found: left [2, 3], right [4, 3]: axis -2 has 2 against 4
        why:   axes are aligned at the end, and sizes must agree or be 1
        fix:   reshape or transpose one side so that the axis agrees, or insert axes of size 1 where it should repeat"
    `);
    expect(errorOf(() => matmul(t(2, 3), t(5, 3))).message).toMatchInlineSnapshot(`
      "matmul: the inner sizes differ: 3 against 5
        found: left [2, 3], right [5, 3]
        why:   a weight of layout [out, in] is multiplied transposed
        fix:   set transposeB (or use linear(), which does), or transpose one side"
    `);
    expect(errorOf(() => attention(t(2, 5, 8), t(2, 5, 4), t(2, 5, 8))).message).toMatchInlineSnapshot(`
      "attention: queries, keys and values do not fit
        found: q [2, 5, 8], k [2, 5, 4], v [2, 5, 8]
        fix:   q [..., queries, width], k [..., keys, width], v [..., keys, value width]"
    `);
    expect(errorOf(() => conv(t(1, 2, 5), t(4, 3, 3), flat)).message).toMatchInlineSnapshot(`
      "conv: the channels differ: input 2, weight 3
        found: input [1, 2, 5], weight [4, 3, 3]
        fix:   the channel axis is axis 1 of both"
    `);
    expect(errorOf(() => chunk(t(2, 5), 1, 2)).message).toMatchInlineSnapshot(`
      "split: sizes must be whole and sum to the size of axis 1
        found: sizes [2.5, 2.5] sum to 5, shape [2, 5]
        fix:   give whole sizes that sum to 5; equal chunks must divide it"
    `);
  });
});

describe("other mistakes", () => {
  it("only a scalar has a gradient", () => {
    const error = errorOf(() => grad(t(2, 3), []));
    expect(error.code).toBe("VANS_TENSOR_GRADIENT");
    expect(error.message).toContain("[2, 3]");
    expect(error.details.fix).toContain("sum()");
  });

  it("shapes are whole numbers from the start", () => {
    for (const shape of [[2.5], [-1], [Number.NaN]]) {
      const error = errorOf(() => input("x", shape));
      expect(error.code).toBe("VANS_TENSOR_SHAPE");
      expect(error.details.fix).toBeTruthy();
    }
  });

  it("cast() to the same type adds nothing", () => {
    const x = t(2);
    expect(cast(x, "f32")).toBe(x);
  });
});
