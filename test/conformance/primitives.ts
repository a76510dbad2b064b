/**
 * Golden case of small parts: norms at extreme scales, activations, softmax, time embedding, with gradients.
 * @module
 */
import { timeFeatures } from "../../src/models/wan/time-features.ts";
import { compile } from "../../src/runtime/index.ts";
import {
  channelNorm,
  f32,
  full,
  gelu,
  geluTanh,
  grad,
  input,
  layerNorm,
  logSoftmax,
  mul,
  type NdArray,
  quickGelu,
  rmsNorm,
  sigmoid,
  silu,
  slice,
  softmax,
  sum,
  type Tensor,
} from "../../src/tensor/index.ts";
import { type CaseHandler, type Check, type GoldenCase, relativeError } from "./case.ts";

/** A part under test: a function of x and, for norms, of gain and bias. */
type Part = (x: Tensor, weight: Tensor, bias: Tensor) => Tensor;

const ACTIVATIONS: Readonly<Record<string, Part>> = {
  gelu_tanh: geluTanh,
  gelu_erf: gelu,
  silu,
  quick_gelu: quickGelu,
  sigmoid,
};

/** The norm that a golden name speaks of, with the epsilon at its end; `hasGain` where a gain is learned. */
function normOfName(name: string, hasGain: boolean): Part | undefined {
  const epsilon = Number(/_(\d+(?:\.\d+)?e-?\d+)$/.exec(name)?.[1]);
  if (name.startsWith("vae_rms")) return (x, weight) => channelNorm(x, weight);
  if (Number.isNaN(epsilon)) return undefined;
  if (name.includes("layer_norm")) {
    return (x, weight, bias) =>
      hasGain
        ? layerNorm(x, weight, bias, epsilon)
        : layerNorm(x, full(weight.shape, 1), full(weight.shape, 0), epsilon);
  }
  return name.includes("rms") ? (x, weight) => rmsNorm(x, weight, epsilon) : undefined;
}

/** The largest relative error of any row of `width` elements. */
function rowError(actual: ArrayLike<number>, golden: ArrayLike<number>, width: number): number {
  if (actual.length !== golden.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let start = 0; start < golden.length; start += width) {
    const row = (data: ArrayLike<number>): number[] => Array.prototype.slice.call(data, start, start + width);
    const error = relativeError(row(actual), row(golden));
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

/** Rows of a matrix. */
const rowsOf = (matrix: NdArray, rows: readonly number[]): NdArray => {
  const width = matrix.shape[1]!;
  const data = rows.flatMap((row) => [...matrix.data.slice(row * width, (row + 1) * width)]);
  return f32(data, [rows.length, width]);
};

interface PartFeeds {
  readonly x: NdArray;
  readonly upstream: NdArray;
  readonly weight?: NdArray;
  readonly bias?: NdArray;
}

/** Runs a part forward and backward and compares what the case stores of it. */
async function checkPart(golden: GoldenCase, name: string, part: Part, feeds: PartFeeds): Promise<Check[]> {
  const { io } = golden;
  const tensors = Object.fromEntries(
    Object.entries(feeds).map(([key, array]) => [key, input(key, (array as NdArray).shape)]),
  ) as Record<keyof PartFeeds, Tensor>;
  const { x, upstream } = tensors;
  const weight = tensors.weight ?? full([1], 1);
  const y = part(x, weight, tensors.bias ?? full([1], 0));
  const outputs: Record<string, Tensor> = { y };
  const [dx, dweight] = grad(sum(mul(y, upstream)), [x, weight]) as [Tensor, Tensor];
  if (io.has(`${name}.dx`)) {
    // Where the first rows are left out, the gradient there is not defined.
    const rows = io.get(`${name}.dx`).shape[0]!;
    outputs["dx"] = slice(dx, 0, dx.size(0) - rows);
  }
  if (io.has(`${name}.dweight`)) outputs["dweight"] = dweight;
  const executable = await compile(outputs);
  const fed = Object.entries(feeds).filter(([key]) => executable.graph.inputs.has(key));
  const results = await executable.run(Object.fromEntries(fed) as Record<string, NdArray>);
  await executable.release();
  // The same without gradients is lowered to other kernels.
  const alone = await compile({ y });
  const inputs = fed.filter(([key]) => alone.graph.inputs.has(key));
  const plain = await alone.run(Object.fromEntries(inputs) as Record<string, NdArray>);
  await alone.release();
  results["y alone"] = plain["y"]!;
  return Object.entries(results).map(([key, actual]) => {
    const wanted = io.get(`${name}.${key.split(" ")[0]}`);
    return {
      name: `${name}.${key}`,
      maxError: rowError(actual.data, wanted.data, wanted.shape.at(-1)!),
      tolerance: golden.tolerance(key.startsWith("d") ? "gradients" : "relative_to_abs_max_per_row"),
    };
  });
}

const unknownPart = (name: string): Check => ({
  name: `${name} is a known part`,
  maxError: 1,
  tolerance: 0,
});

async function run(golden: GoldenCase): Promise<Check[]> {
  const { io } = golden;
  const parts = io.names().flatMap((name) => (name.endsWith(".y") ? [name.slice(0, -2)] : []));
  const checks: Check[] = [];
  for (const name of parts) {
    let part: Part | undefined;
    let feeds: PartFeeds;
    if (name.startsWith("act.")) {
      part = ACTIVATIONS[name.slice("act.".length)];
      feeds = { x: io.get("act.x"), upstream: io.get("act.upstream") };
    } else if (name.endsWith("softmax")) {
      const x = io.get("softmax.x");
      const all = Array.from({ length: x.shape[0]! }, (_, row) => row);
      const isLog = name === "log_softmax";
      // Masked entries have no logarithm worth comparing.
      const rows = isLog ? all.filter((row) => rowsOf(x, [row]).data.every((value) => value > -1e29)) : all;
      part = isLog ? logSoftmax : softmax;
      feeds = { x: rowsOf(x, rows), upstream: rowsOf(io.get("softmax.upstream"), rows) };
    } else {
      part = normOfName(name, io.has(`${name}.dweight`));
      feeds = {
        x: io.get("norm.x"),
        upstream: io.get("norm.upstream"),
        weight: io.get("norm.weight"),
        bias: io.get("norm.bias"),
      };
    }
    checks.push(...(part ? await checkPart(golden, name, part, feeds) : [unknownPart(name)]));
  }
  if (io.has("time.t")) checks.push(await timeCheck(golden));
  return checks;
}

async function timeCheck(golden: GoldenCase): Promise<Check> {
  const t = golden.io.get("time.t");
  const wanted = golden.io.get("time.embedding");
  const executable = await compile({ y: timeFeatures(input("t", t.shape), wanted.shape[1]!) });
  const { y } = await executable.run({ t });
  await executable.release();
  return {
    name: "time.embedding",
    maxError: rowError(y!.data, wanted.data, wanted.shape[1]!),
    tolerance: golden.tolerance("relative_to_abs_max_per_row"),
  };
}

/** Norms, activations, softmax, time embedding. */
export const primitives: CaseHandler = {
  title: "norms, activations, softmax, time embedding",
  recognises: (golden) => {
    const io = golden.files.get("io.safetensors");
    return ["norm.x", "norm.upstream", "act.x", "softmax.x"].every((name) => io?.has(name));
  },
  run,
};
