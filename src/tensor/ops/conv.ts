/**
 * Convolution over one, two or three spatial axes, and its two gradients, which are ops of their own:
 * the three are each other's gradients, so the family is closed.
 * @module
 */
import { apply, type Node, type Tensor } from "../graph.ts";
import { defineOp, type OnnxEmitter } from "../op.ts";
import { convolvedSize, requireFloat, shapeError, stridesOf } from "../shape.ts";
import { formatShape, type Shape, sizeOf } from "../types.ts";
import {
  type ConvGeometry,
  type InputGradientAttrs,
  spatialOf,
  type WeightGradientAttrs,
} from "./conv-geometry.ts";
import { lowerWeightGradient } from "./conv-weight-gradient.ts";

export type { ConvGeometry } from "./conv-geometry.ts";

function outputSpatial(op: string, spatial: Shape, kernel: Shape, g: ConvGeometry): number[] {
  return spatial.map((size, i) =>
    convolvedSize(op, size, kernel[i]!, g.strides[i]!, g.padsBefore[i]!, g.padsAfter[i]!),
  );
}

function checkRanks(op: string, x: Shape, w: Shape, g: ConvGeometry): void {
  const axes = x.length - 2;
  if (
    axes < 1 ||
    w.length !== x.length ||
    g.strides.length !== axes ||
    g.padsBefore.length !== axes ||
    g.padsAfter.length !== axes
  ) {
    throw shapeError(op, "input, weight and geometry need the same spatial axes", {
      found: `input ${formatShape(x)}, weight ${formatShape(w)}, strides [${g.strides.join(", ")}]`,
      fix: "input [N, C, ...], weight [O, C, ...kernel], one stride and two pads a spatial axis",
    });
  }
}

/** Visits every (output position, input position, kernel position) triple of spatial indices inside the input. */
function eachTap(
  spatial: Shape,
  kernel: Shape,
  out: Shape,
  g: ConvGeometry,
  visit: (outAt: number, inAt: number, kernelAt: number) => void,
): void {
  const inStrides = stridesOf(spatial);
  const outStrides = stridesOf(out);
  const kernelStrides = stridesOf(kernel);
  const outSize = sizeOf(out);
  const kernelSize = sizeOf(kernel);
  for (let o = 0; o < outSize; o++) {
    for (let k = 0; k < kernelSize; k++) {
      let at = 0;
      let inside = true;
      for (let axis = 0; axis < out.length && inside; axis++) {
        const oi = Math.floor(o / outStrides[axis]!) % out[axis]!;
        const ki = Math.floor(k / kernelStrides[axis]!) % kernel[axis]!;
        const position = oi * g.strides[axis]! + ki - g.padsBefore[axis]!;
        inside = position >= 0 && position < spatial[axis]!;
        at += position * inStrides[axis]!;
      }
      if (inside) visit(o, at, k);
    }
  }
}

const convOp = defineOp<ConvGeometry>({
  name: "conv",
  infer: ([x, w, bias], attrs) => {
    requireFloat("conv", [x, w, bias]);
    checkRanks("conv", x!.shape, w!.shape, attrs);
    if (x!.shape[1] !== w!.shape[1]) {
      throw shapeError("conv", `the channels differ: input ${x!.shape[1]}, weight ${w!.shape[1]}`, {
        found: `input ${formatShape(x!.shape)}, weight ${formatShape(w!.shape)}`,
        fix: "the channel axis is axis 1 of both",
      });
    }
    if (bias && (bias.shape.length !== 1 || bias.shape[0] !== w!.shape[0])) {
      throw shapeError("conv", "the bias needs one value an output channel", {
        found: `bias ${formatShape(bias.shape)}, weight ${formatShape(w!.shape)}`,
        fix: `give a bias of [${w!.shape[0]}]`,
      });
    }
    const spatial = outputSpatial("conv", spatialOf(x!.shape), spatialOf(w!.shape), attrs);
    return [{ dtype: "f32", shape: [x!.shape[0]!, w!.shape[0]!, ...spatial] }];
  },
  gradient: (node, [g], ops) => {
    if (!g) return node.inputs.map(() => undefined);
    const [x, w, bias] = node.inputs as [Tensor, Tensor, Tensor | undefined];
    const out: (Tensor | undefined)[] = [
      ops.convInputGradient(g, w, { ...node.attrs, spatial: spatialOf(x.shape) }),
      ops.convWeightGradient(x, g, { ...node.attrs, kernel: spatialOf(w.shape) }),
    ];
    if (bias) out.push(ops.sum(g, { axes: g.shape.map((_, i) => i).filter((i) => i !== 1) }));
    return out;
  },
  lower: (emit, inputs, { attrs, inputs: tensors }) =>
    emit.node("Conv", inputs, {
      kernel_shape: { ints: spatialOf(tensors[1]!.shape) },
      strides: { ints: attrs.strides },
      pads: { ints: [...attrs.padsBefore, ...attrs.padsAfter] },
    }),
  evaluate: ([x, w, bias], node) => {
    const { shape } = node.types[0]!;
    const [batch, channels] = x!.shape as [number, number];
    const outChannels = w!.shape[0]!;
    const spatial = spatialOf(x!.shape);
    const kernel = spatialOf(w!.shape);
    const out = spatialOf(shape);
    const [inSize, kernelSize, outSize] = [sizeOf(spatial), sizeOf(kernel), sizeOf(out)];
    const data = new Float64Array(sizeOf(shape));
    if (bias)
      for (let i = 0; i < data.length; i++) data[i] = bias.data[Math.floor(i / outSize) % outChannels]!;
    eachTap(spatial, kernel, out, node.attrs, (o, at, k) => {
      for (let n = 0; n < batch; n++) {
        for (let c = 0; c < channels; c++) {
          const value = x!.data[(n * channels + c) * inSize + at]!;
          for (let f = 0; f < outChannels; f++)
            data[(n * outChannels + f) * outSize + o]! +=
              value * w!.data[(f * channels + c) * kernelSize + k]!;
        }
      }
    });
    return [{ shape, data }];
  },
  flops: (node) => 2 * sizeOf(node.types[0]!.shape) * sizeOf(node.inputs[1]!.shape.slice(1)),
});

/** Weight `[O, C, ...k]` as the weight of the transposed convolution: `[C, O, ...k]` with every spatial axis reversed. */
function flippedWeight(emit: OnnxEmitter, w: string, shape: Shape): string {
  const perm = shape.map((_, i) => (i === 0 ? 1 : i === 1 ? 0 : i));
  const swapped = emit.node("Transpose", [w], { perm: { ints: perm } })[0]!;
  const axes = spatialOf(shape).flatMap((size, i) => (size > 1 ? [i + 2] : []));
  if (axes.length === 0) return swapped;
  const repeat = (value: number): string => emit.ints(axes.map(() => value));
  return emit.node("Slice", [swapped, repeat(-1), repeat(-(2 ** 31)), emit.ints(axes), repeat(-1)])[0]!;
}

/**
 * The input gradient for any geometry: zeros between the positions of a strided gradient, then a plain convolution
 * with the flipped weight. `after`: positions of each axis behind the last window (negative: the window ends in padding).
 */
function lowerSpreadGradient(
  emit: OnnxEmitter,
  g: string,
  w: string,
  node: Node<InputGradientAttrs>,
  after: readonly number[],
): string[] {
  const { strides, padsBefore } = node.attrs;
  const shape = node.inputs[0]!.shape;
  const kernel = spatialOf(node.inputs[1]!.shape);
  const out = spatialOf(shape);
  const lead = shape.slice(0, 2);
  let spread = g;
  if (strides.some((s) => s > 1)) {
    const apart = [...lead, ...out.flatMap((size) => [size, 1])];
    const gaps = [0, 0, ...strides.flatMap((s) => [0, s - 1])];
    const reshaped = emit.node("Reshape", [g, emit.ints(apart)], { allowzero: { int: 1 } })[0]!;
    const padded = emit.node("Pad", [reshaped, emit.ints([...gaps.map(() => 0), ...gaps])])[0]!;
    const merged = [...lead, ...out.map((size, i) => size * strides[i]!)];
    spread = emit.node("Reshape", [padded, emit.ints(merged)], { allowzero: { int: 1 } })[0]!;
  }
  const before = kernel.map((k, i) => k - 1 - padsBefore[i]!);
  // The last position has its gap of zeros already.
  const behind = kernel.map((k, i) => k - 1 + after[i]! - (strides[i]! - 1));
  const grown = [0, 0, ...before.map((p) => Math.max(0, p)), 0, 0, ...behind.map((p) => Math.max(0, p))];
  if (grown.some((p) => p > 0)) spread = emit.node("Pad", [spread, emit.ints(grown)])[0]!;
  if ([...before, ...behind].some((p) => p < 0)) {
    const size = out.map((o, i) => o * strides[i]! + Math.max(0, before[i]!) + Math.max(0, behind[i]!));
    const starts = before.map((p) => Math.max(0, -p));
    const ends = behind.map((p, i) => size[i]! - Math.max(0, -p));
    const axes = kernel.map((_, i) => i + 2);
    spread = emit.node("Slice", [spread, emit.ints(starts), emit.ints(ends), emit.ints(axes)])[0]!;
  }
  return emit.node("Conv", [spread, flippedWeight(emit, w, node.inputs[1]!.shape)], {
    kernel_shape: { ints: kernel },
    strides: { ints: kernel.map(() => 1) },
    pads: { ints: [...kernel, ...kernel].map(() => 0) },
  });
}

const convInputGradientOp = defineOp<InputGradientAttrs>({
  name: "convInputGradient",
  infer: ([g, w], attrs) => {
    checkRanks("convInputGradient", g!.shape, w!.shape, attrs);
    const expected = [
      g!.shape[0]!,
      w!.shape[0]!,
      ...outputSpatial("convInputGradient", attrs.spatial, spatialOf(w!.shape), attrs),
    ];
    if (expected.join() !== g!.shape.join()) {
      throw shapeError("convInputGradient", "the arriving gradient does not fit", {
        found: `${formatShape(g!.shape)}, expected ${formatShape(expected)}`,
        fix: "give the geometry that the forward convolution had",
      });
    }
    return [{ dtype: "f32", shape: [g!.shape[0]!, w!.shape[1]!, ...attrs.spatial] }];
  },
  gradient: (node, [d], ops) => {
    if (!d) return [undefined, undefined];
    const [g, w] = node.inputs as [Tensor, Tensor];
    const { spatial: _, ...geometry } = node.attrs;
    return [
      ops.conv(d, w, geometry),
      ops.convWeightGradient(d, g, { ...geometry, kernel: spatialOf(w.shape) }),
    ];
  },
  lower: (emit, [g, w], node) => {
    const { strides, padsBefore, spatial } = node.attrs;
    const kernel = spatialOf(node.inputs[1]!.shape);
    const out = spatialOf(node.inputs[0]!.shape);
    // Positions of the input that the strided windows never reach get zeros at the end.
    const reach = out.map((size, i) => (size - 1) * strides[i]! + kernel[i]!);
    const after = spatial.map((size, i) => size + padsBefore[i]! - reach[i]!);
    if (strides.every((s) => s === 1)) {
      const before = kernel.map((k, i) => k - 1 - padsBefore[i]!);
      const behind = kernel.map((k, i) => k - 1 + after[i]!);
      if ([...before, ...behind].every((p) => p >= 0)) {
        return emit.node("Conv", [g!, flippedWeight(emit, w!, node.inputs[1]!.shape)], {
          kernel_shape: { ints: kernel },
          strides: { ints: strides },
          pads: { ints: [...before, ...behind] },
        });
      }
    }
    const pads = after.map((size) => Math.max(0, -size));
    // ConvTranspose wants at least one position, which windows over nothing but padding do not leave, and on
    // WebGPU it knows no three axes.
    const isFit = reach.every((size, i) => size - padsBefore[i]! - pads[i]! > 0);
    if (!isFit || (emit.target === "webgpu" && kernel.length > 2))
      return lowerSpreadGradient(emit, g!, w!, node, after);
    const extra = after.map((size) => Math.max(0, size));
    const full = emit.node("ConvTranspose", [g!, w!], {
      kernel_shape: { ints: kernel },
      strides: { ints: strides },
      pads: { ints: [...padsBefore, ...pads] },
    });
    if (extra.every((size) => size === 0)) return full;
    return emit.node("Pad", [full[0]!, emit.ints([0, 0, ...spatial.map(() => 0), 0, 0, ...extra])]);
  },
  evaluate: ([g, w], node) => {
    const { shape } = node.types[0]!;
    const [batch, outChannels] = g!.shape as [number, number];
    const channels = w!.shape[1]!;
    const kernel = spatialOf(w!.shape);
    const out = spatialOf(g!.shape);
    const { spatial } = node.attrs;
    const [inSize, kernelSize, outSize] = [sizeOf(spatial), sizeOf(kernel), sizeOf(out)];
    const data = new Float64Array(sizeOf(shape));
    eachTap(spatial, kernel, out, node.attrs, (o, at, k) => {
      for (let n = 0; n < batch; n++) {
        for (let f = 0; f < outChannels; f++) {
          const value = g!.data[(n * outChannels + f) * outSize + o]!;
          for (let c = 0; c < channels; c++)
            data[(n * channels + c) * inSize + at]! += value * w!.data[(f * channels + c) * kernelSize + k]!;
        }
      }
    });
    return [{ shape, data }];
  },
  flops: (node) => 2 * sizeOf(node.inputs[0]!.shape) * sizeOf(node.inputs[1]!.shape.slice(1)),
});

const convWeightGradientOp = defineOp<WeightGradientAttrs>({
  name: "convWeightGradient",
  infer: ([x, g], attrs) => {
    checkRanks("convWeightGradient", x!.shape, g!.shape, attrs);
    const expected = [
      x!.shape[0]!,
      g!.shape[1]!,
      ...outputSpatial("convWeightGradient", spatialOf(x!.shape), attrs.kernel, attrs),
    ];
    if (expected.join() !== g!.shape.join()) {
      throw shapeError("convWeightGradient", "the arriving gradient does not fit", {
        found: `${formatShape(g!.shape)}, expected ${formatShape(expected)}`,
        fix: "give the geometry that the forward convolution had",
      });
    }
    return [{ dtype: "f32", shape: [g!.shape[1]!, x!.shape[1]!, ...attrs.kernel] }];
  },
  gradient: (node, [d], ops) => {
    if (!d) return [undefined, undefined];
    const [x, g] = node.inputs as [Tensor, Tensor];
    const { kernel: _, ...geometry } = node.attrs;
    return [
      ops.convInputGradient(g, d, { ...geometry, spatial: spatialOf(x.shape) }),
      ops.conv(x, d, geometry),
    ];
  },
  lower: (emit, [x, g], node) =>
    lowerWeightGradient(emit, x!, g!, node.inputs[0]!.shape, node.inputs[1]!.shape, node.attrs),
  evaluate: ([x, g], node) => {
    const { shape } = node.types[0]!;
    const [batch, channels] = x!.shape as [number, number];
    const outChannels = g!.shape[1]!;
    const spatial = spatialOf(x!.shape);
    const { kernel } = node.attrs;
    const out = spatialOf(g!.shape);
    const [inSize, kernelSize, outSize] = [sizeOf(spatial), sizeOf(kernel), sizeOf(out)];
    const data = new Float64Array(sizeOf(shape));
    eachTap(spatial, kernel, out, node.attrs, (o, at, k) => {
      for (let n = 0; n < batch; n++) {
        for (let c = 0; c < channels; c++) {
          const value = x!.data[(n * channels + c) * inSize + at]!;
          for (let f = 0; f < outChannels; f++)
            data[(f * channels + c) * kernelSize + k]! +=
              value * g!.data[(n * outChannels + f) * outSize + o]!;
        }
      }
    });
    return [{ shape, data }];
  },
  flops: (node) => 2 * sizeOf(node.inputs[1]!.shape) * sizeOf(node.types[0]!.shape.slice(1)),
});

/** Options of {@link conv}: one entry a spatial axis. */
export interface ConvOptions extends ConvGeometry {
  /** `[O]` */
  readonly bias?: Tensor | undefined;
}

/**
 * Convolution (cross-correlation, as in torch) with zero pads.
 * @param x `[N, C, ...spatial]`
 * @param weight `[O, C, ...kernel]`
 * @returns `[N, O, ...]`
 * @throws `VANS_TENSOR_SHAPE` where channels or axes do not fit.
 */
export function conv(x: Tensor, weight: Tensor, options: ConvOptions): Tensor {
  const { strides, padsBefore, padsAfter, bias } = options;
  return apply(convOp, bias ? [x, weight, bias] : [x, weight], { strides, padsBefore, padsAfter });
}

/** Gradient of {@link conv} with respect to its input, which has the spatial shape `spatial`. */
export function convInputGradient(g: Tensor, weight: Tensor, attrs: InputGradientAttrs): Tensor {
  const { strides, padsBefore, padsAfter, spatial } = attrs;
  return apply(convInputGradientOp, [g, weight], { strides, padsBefore, padsAfter, spatial });
}

/** Gradient of {@link conv} with respect to its weight, which has the spatial shape `kernel`. */
export function convWeightGradient(x: Tensor, g: Tensor, attrs: WeightGradientAttrs): Tensor {
  const { strides, padsBefore, padsAfter, kernel } = attrs;
  return apply(convWeightGradientOp, [x, g], { strides, padsBefore, padsAfter, kernel });
}
