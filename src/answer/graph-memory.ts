/**
 * What a graph needs in memory when it runs without an arena: every value lives from the node that makes it to the last
 * node that reads it. Walks the traced graph; nothing is compiled and no weight is read.
 * @module
 */
import { type Node, reachableNodes, sizeOf, type Tensor } from "../tensor/index.ts";

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
 * The C library gives larger blocks back to the system when they are freed, and keeps smaller ones in its heap (glibc's
 * largest M_MMAP_THRESHOLD).
 */
export const HEAP_VALUE_BYTES = 32 * 2 ** 20;

/** glibc's heap gives freed memory back once twice its largest block, at most 64 MB, lies free at the top (M_TRIM_THRESHOLD). */
const HEAP_KEPT_BYTES = 2 * HEAP_VALUE_BYTES;

/** What a graph takes, with what the heap keeps of its small values: they come and go, and those of another graph fit badly. */
export const heldBytes = ({
  peakBytes,
  heapPeakBytes,
}: Pick<GraphMemory, "peakBytes" | "heapPeakBytes">): number =>
  peakBytes + Math.min(HEAP_KEPT_BYTES, heapPeakBytes);

/** Nodes whose output is their input under another shape. */
const ALIASES = new Set(["reshape", "after"]);
/** Nodes that may write over an input that nobody reads later. */
const IN_PLACE = new Set(["add", "sub", "mul", "div", "maximum", "neg"]);
/** As in the lowering of attention and of products with half-typed weights. */
const FLAT_SCORE_ELEMENTS = 4_000_000;
const WIDENED_BYTES = 4 * 2 ** 20;
const FEW_ROWS = 2048;
/** Rows from which on MatMulNBits multiplies in f32. */
const QUANTIZED_ROWS = 16;

const bytesOf = (tensor: Tensor): number => sizeOf(tensor.shape) * (tensor.dtype === "bool" ? 1 : 4);

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
    if (ALIASES.has(node.op.name) && first && !isGiven(first.node)) owner.set(node, ownerOf(first.node));
    for (const one of new Set(node.inputs.map((input) => ownerOf(input.node))))
      readers.set(one, (readers.get(one) ?? 0) + 1);
    if (isOutput.has(node)) readers.set(ownerOf(node), Number.POSITIVE_INFINITY);
  }
  const size = new Map<Node, number>();
  const onHeap = (bytes: number): number => (bytes <= HEAP_VALUE_BYTES ? bytes : 0);
  // Half-typed weights that are not widened in parts: the runtime widens them before anything else, as they wait for nothing.
  for (const node of nodes)
    for (const { node: weight, shape } of node.inputs) {
      const isHalf =
        weight.op.name === "parameter" && storedAs((weight.attrs as { name: string }).name) === "half";
      if (isHalf && !isWidenedInParts(node)) size.set(weight, sizeOf(shape) * 4);
    }
  const widened = [...size.values()];
  let live = widened.reduce((total, bytes) => total + bytes, 0);
  let peak = live;
  let heapLive = widened.reduce((total, bytes) => total + onHeap(bytes), 0);
  let heapPeak = heapLive;
  let flops = 0;
  for (const node of nodes) {
    flops += node.op.flops(node);
    if (isGiven(node)) continue;
    const inputs = [...new Set(node.inputs.map((input) => ownerOf(input.node)))];
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
    // The parts' results stand beside their concatenation; half-typed bytes are cut out of the file before they are widened.
    return x.size(0) <= FEW_ROWS ? WIDENED_BYTES * 1.5 + out : whole * 1.5;
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

/** As `weightOfProduct` of the lowering decides: x · Wᵀ over a weight that is worth it. Others get the whole weight in f32. */
function isWidenedInParts(node: Node): boolean {
  if (node.op.name !== "matmul") return false;
  const [x, w] = node.inputs as [Tensor, Tensor];
  const { transposeA, transposeB, alpha } = node.attrs as {
    transposeA: boolean;
    transposeB: boolean;
    alpha: number;
  };
  const isPlain = !transposeA && transposeB && alpha === 1 && x.rank === 2 && w.rank === 2;
  return isPlain && w.node.op.name === "parameter" && bytesOf(w) > WIDENED_BYTES;
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
  return ALIASES.has(node.op.name) ? storedWeight(node.inputs[0]!.node) : undefined;
}
