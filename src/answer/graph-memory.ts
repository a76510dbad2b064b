/**
 * What a graph needs in memory when it runs without an arena: every value lives from the node that makes it to the last
 * node that reads it. Walks the traced graph; nothing is compiled and no weight is read.
 * @module
 */
import { type Node, reachableNodes, sizeOf, type Tensor } from "../tensor/index.ts";
import { isWidenedInParts, widenedElements } from "../tensor/onnx/weight-product.ts";

/** How a weight is stored, as far as memory goes. */
export type StoredAs = "f32" | "half" | "quantized";

/** Bytes of one graph. */
export interface GraphMemory {
  /** Highest sum of values that live at the same time, outputs included, inputs and mapped weights not. */
  readonly peakBytes: number;
  readonly outputBytes: number;
  /** The same as `peakBytes`, of values up to {@link HEAP_VALUE_BYTES} alone. */
  readonly heapPeakBytes: number;
  /** Floating-point operations of one run. */
  readonly flops: number;
}

/**
 * Larger blocks go back to the system when they are freed; smaller ones stay in the C library's heap. The first line of
 * `cli/main.ts` sets this (glibc's MALLOC_MMAP_THRESHOLD_); left alone, glibc raises it to 32 MB as it goes, and holes between
 * values of some 20 MB keep up to 60 % more than is in use (docs/performance.md).
 */
export const HEAP_VALUE_BYTES = 2 ** 20;

/** What glibc's heap keeps at most of small values that were freed. */
const HEAP_KEPT_BYTES = 64 * 2 ** 20;

/** What a graph takes, with what the heap keeps of its small values: they come and go, and those of another graph fit badly. */
export const heldBytes = ({
  peakBytes,
  heapPeakBytes,
}: Pick<GraphMemory, "peakBytes" | "heapPeakBytes">): number =>
  peakBytes + Math.min(HEAP_KEPT_BYTES, heapPeakBytes);

/** True where the output is the first input, if under another shape. */
const isAlias = ({ op }: Node): boolean =>
  op.passesThrough === true || ["reshape", "after"].includes(op.name);
/** Nodes that may write over an input that nobody reads later. */
const IN_PLACE = new Set(["add", "sub", "mul", "div", "maximum", "neg"]);
/** As in the lowering of attention. */
const FLAT_SCORE_ELEMENTS = 4_000_000;
/** Rows from which on MatMulNBits multiplies in f32. */
const QUANTIZED_ROWS = 16;

const bytesOf = (tensor: Tensor): number => sizeOf(tensor.shape) * (tensor.dtype === "bool" ? 1 : 4);

/** What a node reads when it runs. */
const readBy = (node: Node): readonly Tensor[] =>
  node.op.passesThrough ? node.inputs.slice(0, 1) : node.inputs;

/** Memory of the graph of these outputs. */
export function graphMemory(
  outputs: Readonly<Record<string, Tensor>>,
  storedAs: (name: string) => StoredAs,
): GraphMemory {
  const roots = Object.values(outputs);
  const nodes = reachableNodes(roots);
  const owner = new Map<Node, Node>();
  const ownerOf = (node: Node): Node => owner.get(node) ?? node;
  const readers = new Map<Node, number>();
  const isOutput = new Set(roots.map((tensor) => tensor.node));
  const isGiven = (node: Node): boolean => ["input", "parameter", "constant"].includes(node.op.name);
  for (const node of nodes) {
    const [first] = node.inputs;
    if (isAlias(node) && first && !isGiven(first.node)) owner.set(node, ownerOf(first.node));
    for (const one of new Set(readBy(node).map((input) => ownerOf(input.node))))
      readers.set(one, (readers.get(one) ?? 0) + 1);
    if (isOutput.has(node)) readers.set(ownerOf(node), Number.POSITIVE_INFINITY);
  }
  const size = new Map<Node, number>();
  const onHeap = (bytes: number): number => (bytes <= HEAP_VALUE_BYTES ? bytes : 0);
  // Half-typed weights that are not widened in parts are widened before the first node that needs them, and stay to the last.
  const isWidenedFor = (node: Node, { node: weight }: Tensor): boolean =>
    weight.op.name === "parameter" &&
    storedAs((weight.attrs as { name: string }).name) === "half" &&
    !isWidenedInParts(node);
  const needing = new Map<Node, number>();
  for (const node of nodes)
    for (const input of node.inputs)
      if (isWidenedFor(node, input)) needing.set(input.node, (needing.get(input.node) ?? 0) + 1);
  let live = 0;
  let peak = 0;
  let heapLive = 0;
  let heapPeak = 0;
  const widened = new Set<Node>();
  const widen = ({ node: weight, shape }: Tensor): void => {
    if (widened.has(weight)) return;
    widened.add(weight);
    live += sizeOf(shape) * 4;
    heapLive += onHeap(sizeOf(shape) * 4);
  };
  const letGo = ({ node: weight, shape }: Tensor): void => {
    const left = needing.get(weight)! - 1;
    needing.set(weight, left);
    if (left > 0) return;
    live -= sizeOf(shape) * 4;
    heapLive -= onHeap(sizeOf(shape) * 4);
  };
  let flops = 0;
  for (const node of nodes) {
    flops += node.op.flops(node);
    if (isGiven(node)) continue;
    const wide = node.inputs.filter((input) => isWidenedFor(node, input));
    for (const input of wide) widen(input);
    const inputs = [...new Set(readBy(node).map((input) => ownerOf(input.node)))];
    if (!owner.has(node)) {
      const own = node.types.reduce((total, type, i) => {
        // Second outputs are statistics of norms, which forward graphs leave out.
        return i === 0 ? total + sizeOf(type.shape) * (type.dtype === "bool" ? 1 : 4) : total;
      }, 0);
      const reused = IN_PLACE.has(node.op.name)
        ? inputs.find((one) => size.get(one) === own && readers.get(one) === 1)
        : undefined;
      if (reused) size.set(reused, 0);
      else {
        live += own;
        heapLive += onHeap(own);
      }
      size.set(node, own);
      const beside = workspace(node, storedAs);
      peak = Math.max(peak, live + beside);
      heapPeak = Math.max(heapPeak, heapLive + onHeap(beside));
    }
    for (const input of wide) letGo(input);
    for (const one of inputs) {
      const left = (readers.get(one) ?? 0) - 1;
      readers.set(one, left);
      if (left === 0) {
        live -= size.get(one) ?? 0;
        heapLive -= onHeap(size.get(one) ?? 0);
        size.set(one, 0);
      }
    }
  }
  const outputBytes = roots.reduce((total, tensor) => total + bytesOf(tensor), 0);
  return { peakBytes: peak, heapPeakBytes: heapPeak, outputBytes, flops };
}

/** What a node holds beside its inputs and outputs while it runs. */
function workspace(node: Node, storedAs: (name: string) => StoredAs): number {
  const { name } = node.op;
  if (name === "matmul") {
    const [x, w] = node.inputs as [Tensor, Tensor];
    const stored = storedWeight(w.node);
    if (stored === undefined) return 0;
    const kind = storedAs(stored);
    const out = sizeOf(node.types[0]!.shape) * 4;
    if (kind === "f32") return 0;
    const whole = bytesOf(w);
    // For more than a few rows the kernels widen the whole matrix; for few they quantise the rows.
    if (kind === "quantized") return x.size(-2) > QUANTIZED_ROWS ? whole : bytesOf(x) / 2;
    if (!isWidenedInParts(node)) return 0;
    // The parts' results stand beside their concatenation.
    const atOnce = widenedElements(x.size(0)) * 4;
    return Number.isFinite(atOnce) ? atOnce + out : whole;
  }
  if (name === "conv") return gathered(node);
  if (name === "attention") {
    const [q, k, v, mask] = node.inputs as [Tensor, Tensor, Tensor, Tensor | undefined];
    const scores = sizeOf(node.types[0]!.shape.slice(0, -1)) * k.size(-2);
    const isFlat = q.rank === 4 && !mask && q.size(1) === k.size(1) && scores > FLAT_SCORE_ELEMENTS;
    if (isFlat) return bytesOf(q) + bytesOf(k) + bytesOf(v) + bytesOf(q);
    return 2 * scores * 4;
  }
  return 0;
}

/**
 * What a convolution gathers of its input before it multiplies: all values under all filters where there are more filters than
 * places, else a piece of 128 x 128 for each thread (onnxruntime core/mlas/lib/convolve.cpp, MlasConvPrepare).
 */
function gathered(node: Node): number {
  const [x, w] = node.inputs as [Tensor, Tensor];
  const filter = sizeOf(w.shape.slice(1));
  const places = sizeOf(node.types[0]!.shape.slice(2));
  if (filter === w.size(1) && places === sizeOf(x.shape.slice(2))) return 0;
  return w.size(0) > places ? 4 * filter * places : 2 * 4 * 128 * 128;
}

/** The parameter behind a weight, through reshapes. */
function storedWeight(node: Node): string | undefined {
  if (node.op.name === "parameter") return (node.attrs as { name: string }).name;
  return isAlias(node) ? storedWeight(node.inputs[0]!.node) : undefined;
}
