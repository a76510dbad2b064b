/**
 * From a graph to an ONNX model: every op writes its nodes, equal nodes are written once, weights are bound.
 * @module
 */
import { VansError } from "../../base/errors.ts";
import { type Node, reachableNodes, type Tensor } from "../graph.ts";
import type { OnnxAttribute, Target } from "../op.ts";
import type { DType, NdArray, Shape, StoredDType } from "../types.ts";
import { formatShape, sameShape } from "../types.ts";
import { verify } from "../verify.ts";
import {
  encodeModel,
  type InitializerProto,
  type NodeProto,
  type OnnxDType,
  type ValueProto,
} from "./protobuf.ts";
import {
  type FileRange,
  isQuantized,
  lowerWeightProduct,
  type QuantizedWeight,
  quantizedElsewhere,
  type RangeEmitter,
  type SmallWeight,
  weightOfProduct,
} from "./weight-product.ts";

/** A weight that lives in a file (safetensors); the runtime maps it into memory. */
export interface FileWeight {
  readonly path: string;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly dtype: StoredDType;
  readonly shape: Shape;
}

/** Where the weights of a graph come from. Parameters it does not know are fed at every run. */
export interface WeightBinding {
  weight(name: string): FileWeight | QuantizedWeight | NdArray | undefined;
}

/** What {@link lower} needs to know beside the graph. */
export interface LowerOptions {
  readonly target: Target;
  readonly weights?: WeightBinding | undefined;
  /** Lower for training even without gradients (a rollout that a training graph will replay). Default: as the graph says. */
  readonly forTraining?: boolean | undefined;
  /** Widen half-typed weights where they are used, a part at a time, instead of once as a whole. Default false. */
  readonly keepWeightsSmall?: boolean | undefined;
  /** The path of an external weight as the model file should name it. */
  readonly locate?: ((path: string) => string) | undefined;
}

/** A lowered graph. */
export interface LoweredGraph {
  readonly bytes: Uint8Array;
  /** What a run must be fed, by name. */
  readonly inputs: ReadonlyMap<string, { readonly dtype: DType; readonly shape: Shape }>;
  readonly outputs: ReadonlyMap<string, { readonly dtype: DType; readonly shape: Shape }>;
  readonly nodeCount: number;
  /** Some weights are stored in whole numbers. */
  readonly hasQuantizedWeights: boolean;
  /** Floating-point operations of one run, by the ops' own count. */
  readonly flops: number;
}

// Opset 21 has every op we write and is what all providers of the runtime register kernels for.
export const OPSETS = [
  { domain: "", version: 21 },
  { domain: "com.microsoft", version: 1 },
];
export const IR_VERSION = 10;

/** Values are named `%n` and constants `#n`, which no weight or input is called. */
class Emitter implements RangeEmitter {
  readonly nodes: NodeProto[] = [];
  readonly initializers: InitializerProto[] = [];
  private readonly known = new Map<string, string[]>();
  private readonly constants = new Map<string, string>();
  /** What transposes read, and by which axes, by what they write. */
  private readonly transposed = new Map<
    string,
    { readonly from: string; readonly perm: readonly number[] }
  >();
  private count = 0;

  readonly target: Target;
  readonly forTraining: boolean;
  private readonly names: ReadonlyMap<Node, readonly string[]>;
  private readonly locate: (path: string) => string;

  constructor(
    target: Target,
    forTraining: boolean,
    names: ReadonlyMap<Node, readonly string[]>,
    locate: (path: string) => string = (path) => path,
  ) {
    this.target = target;
    this.forTraining = forTraining;
    this.names = names;
    this.locate = locate;
  }

  range(dtype: OnnxDType, shape: Shape, { path, byteOffset, byteLength }: FileRange): string {
    const key = `${dtype}[${shape.join()}]@${byteOffset}:${path}`;
    const before = this.constants.get(key);
    if (before) return before;
    const name = `#${this.constants.size}`;
    this.constants.set(key, name);
    const data = { location: this.locate(path), byteOffset, byteLength };
    this.initializers.push({ name, dtype, shape, data });
    return name;
  }

  nameOf(tensor: Tensor): string {
    return this.names.get(tensor.node)![tensor.index]!;
  }

  node(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    options: { readonly domain?: string; readonly outputCount?: number } = {},
  ): string[] {
    const perm = type === "Transpose" ? permOf(attributes) : undefined;
    if (perm) {
      // Back to what it was: heads are moved to the front and back by lowerings that do not know of each other.
      const before = this.beforeTranspose(inputs[0]!, inverse(perm));
      if (before !== undefined) return [before];
    }
    const domain = options.domain ?? "";
    const outputCount = options.outputCount ?? 1;
    const key = JSON.stringify([
      domain,
      type,
      inputs,
      Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)),
      outputCount,
    ]);
    const before = this.known.get(key);
    if (before) return before;
    const outputs = Array.from({ length: outputCount }, () => `%${this.count++}`);
    this.nodes.push({ type, domain, inputs, outputs, attributes });
    this.known.set(key, outputs);
    if (perm) this.transposed.set(outputs[0]!, { from: inputs[0]!, perm });
    return outputs;
  }

  beforeTranspose(name: string, perm: readonly number[]): string | undefined {
    const made = this.transposed.get(name);
    return made && made.perm.join() === perm.join() ? made.from : undefined;
  }

  ints(values: readonly number[], shape: Shape = [values.length]): string {
    const data = BigInt64Array.from(values, (value) => BigInt(value));
    return this.constant("i64", shape, new Uint8Array(data.buffer));
  }

  floats(values: ArrayLike<number>, shape: Shape = [values.length]): string {
    return this.constant("f32", shape, new Uint8Array(Float32Array.from(values).buffer));
  }

  constant(dtype: OnnxDType, shape: Shape, data: Uint8Array): string {
    // Latin-1 text of the bytes is an exact key, and cheap at the sizes of constants.
    const key = `${dtype}[${shape.join()}]${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("latin1")}`;
    const before = this.constants.get(key);
    if (before) return before;
    const name = `#${this.constants.size}`;
    this.constants.set(key, name);
    this.initializers.push({ name, dtype, shape, data });
    return name;
  }
}

function permOf({ perm }: Readonly<Record<string, OnnxAttribute>>): readonly number[] | undefined {
  return perm && "ints" in perm ? perm.ints : undefined;
}

const inverse = (perm: readonly number[]): number[] => perm.map((_, axis) => perm.indexOf(axis));

function bytesOf(array: NdArray): Uint8Array {
  return new Uint8Array(array.data.buffer, array.data.byteOffset, array.data.byteLength);
}

function bindWeight(
  emitter: Emitter,
  name: string,
  node: Node,
  weight: FileWeight | NdArray,
  options: LowerOptions,
): string {
  const { shape } = node.types[0]!;
  checkShape(name, shape, weight.shape);
  if ("data" in weight) {
    emitter.initializers.push({ name, dtype: weight.dtype, shape, data: bytesOf(weight) });
    return name;
  }
  const location = options.locate ? options.locate(weight.path) : weight.path;
  const data = { location, byteOffset: weight.byteOffset, byteLength: weight.byteLength };
  emitter.initializers.push({ name, dtype: weight.dtype, shape, data });
  return weight.dtype === "f32" ? name : emitter.node("Cast", [name], { to: { int: 1 } })[0]!;
}

function checkShape(name: string, shape: Shape, found: Shape): void {
  if (!sameShape(shape, found)) {
    throw new VansError(
      "VANS_WEIGHTS_SHAPE_MISMATCH",
      `the weight "${name}" has another shape than the model`,
      {
        asked: formatShape(shape),
        found: formatShape(found),
        why: "the configuration and the weights belong to different models",
        fix: "use the config.json that came with the weights",
      },
    );
  }
}

/** The nodes that the outputs need, in order, with values renamed. Fused lowerings leave nodes that nobody reads. */
function withoutUnused(
  nodes: readonly NodeProto[],
  outputs: readonly string[],
  renamed: ReadonlyMap<string, string>,
): NodeProto[] {
  const current = (name: string): string => renamed.get(name) ?? name;
  const needed = new Set(outputs);
  const kept: NodeProto[] = [];
  for (const node of [...nodes].reverse()) {
    const written = node.outputs.map(current);
    if (!written.some((name) => needed.has(name))) continue;
    const read = node.inputs.map(current);
    for (const name of read) needed.add(name);
    kept.push({ ...node, inputs: read, outputs: written });
  }
  return kept.reverse();
}

/**
 * Casts of constants before all other nodes. The runtime walks back from the outputs and, of a node's inputs, comes first to
 * the one that stands last: so a weight that stands first is widened right before its use. In the order of writing all
 * weights would be widened before anything else, and stand beside each other.
 */
function wideningFirst(nodes: readonly NodeProto[], initializers: readonly InitializerProto[]): NodeProto[] {
  const constants = new Set(initializers.map(({ name }) => name));
  const isWidening = ({ type, inputs }: NodeProto): boolean => type === "Cast" && constants.has(inputs[0]!);
  return [...nodes.filter(isWidening), ...nodes.filter((node) => !isWidening(node))];
}

/**
 * Lowers the graph of named outputs to ONNX.
 * @throws `VANS_TENSOR_INVALID` where the verifier refuses the graph, `VANS_WEIGHTS_SHAPE_MISMATCH` for wrong weights.
 */
export function lower(outputs: Readonly<Record<string, Tensor>>, options: LowerOptions): LoweredGraph {
  const roots = Object.values(outputs);
  verify(roots);
  const nodes = reachableNodes(roots);
  const forTraining = options.forTraining ?? nodes.some((node) => node.isGradient);
  const names = new Map<Node, readonly string[]>();
  const emitter = new Emitter(options.target, forTraining, names, options.locate);
  // Weights that are bound where they are used, for that decides in which form.
  const small = new Map<Node, SmallWeight>();
  const bindSmall = (node: Node): string => {
    const weight = small.get(node)!;
    const { name } = node.attrs as { name: string };
    if (isQuantized(weight)) throw quantizedElsewhere(name, weight.shape);
    const bound = bindWeight(emitter, name, node, weight, options);
    names.set(node, [bound]);
    small.delete(node);
    return bound;
  };
  const inputs = new Map<string, { dtype: DType; shape: Shape }>();
  let hasQuantizedWeights = false;
  let flops = 0;
  for (const node of nodes) {
    flops += node.op.flops(node);
    if (node.op.name === "constant") {
      const { array } = node.attrs as { array: NdArray };
      names.set(node, [emitter.constant(array.dtype, array.shape, bytesOf(array))]);
    } else if (node.op.name === "input" || node.op.name === "parameter") {
      const { name } = node.attrs as { name: string };
      const weight = node.op.name === "parameter" ? options.weights?.weight(name) : undefined;
      if (!weight) inputs.set(name, node.types[0]!);
      if (weight && (isQuantized(weight) || (options.keepWeightsSmall && !("data" in weight)))) {
        checkShape(name, node.types[0]!.shape, weight.shape);
        small.set(node, weight);
        hasQuantizedWeights ||= isQuantized(weight);
        continue;
      }
      names.set(node, [weight ? bindWeight(emitter, name, node, weight, options) : name]);
    } else {
      const product = weightOfProduct(node, small);
      const given = node.inputs.map((input, i) => {
        if (product && i === 1) return "";
        return names.get(input.node)?.[input.index] ?? bindSmall(input.node);
      });
      if (product) {
        names.set(node, [lowerWeightProduct(emitter, given[0]!, given[2], product, node.inputs[0]!.size(0))]);
        continue;
      }
      names.set(node, node.op.lower(emitter, given, node));
    }
  }
  const results: ValueProto[] = [];
  const outputTypes = new Map<string, { dtype: DType; shape: Shape }>();
  const producers = new Set(emitter.nodes.flatMap((node) => node.outputs));
  const renamed = new Map<string, string>();
  for (const [name, tensor] of Object.entries(outputs)) {
    const source = names.get(tensor.node)![tensor.index]!;
    // A name of its own for every output. The node that computes it writes it there directly; only a second output
    // of one value, or an input or constant that is passed through, needs a copy.
    const outputName = `out:${name}`;
    if (producers.has(source) && !renamed.has(source)) renamed.set(source, outputName);
    else {
      const copied = renamed.get(source) ?? source;
      emitter.nodes.push({
        type: "Identity",
        domain: "",
        inputs: [copied],
        outputs: [outputName],
        attributes: {},
      });
    }
    results.push({ name: outputName, dtype: tensor.dtype, shape: tensor.shape });
    outputTypes.set(name, { dtype: tensor.dtype, shape: tensor.shape });
  }
  const written = withoutUnused(
    emitter.nodes,
    results.map((result) => result.name),
    renamed,
  );
  const bytes = encodeModel({
    nodes: wideningFirst(written, emitter.initializers),
    initializers: emitter.initializers,
    inputs: [...inputs].map(([name, type]) => ({ name, ...type })),
    outputs: results,
    opsets: OPSETS,
    irVersion: IR_VERSION,
  });
  return { bytes, inputs, outputs: outputTypes, nodeCount: written.length, hasQuantizedWeights, flops };
}
