/**
 * Agreement of a device with the interpreter: forward as inference graphs are lowered, forward as training graphs
 * are, and backward.
 * @module
 */
import fc from "fast-check";
import { type CompileOptions, compile, type Executable, interpretExact } from "../../src/runtime/index.ts";
import { lower, type NdArray, type Tensor, type Value } from "../../src/tensor/index.ts";
import { ALL_CASES } from "./cases.ts";
import { type Instance, trace } from "./instance.ts";

/** The three graphs of an op that must agree. */
export const PASSES = ["inference", "training", "backward"] as const;
export type Pass = (typeof PASSES)[number];

/** How far a device may be from the interpreter: |difference| ≤ tolerance · (1 + the largest magnitude of the tensor). */
export interface AgreementOptions extends CompileOptions {
  readonly tolerance: number;
  /** Sees each executable after its run, before it is released. */
  readonly inspect?: (executable: Executable) => void;
}

/** Largest difference of two tensors, relative to 1 + the largest magnitude; NaN where one side has one that the other lacks. */
export function distance(found: NdArray, wanted: Value): number {
  if (found.data.length !== wanted.data.length) return Number.NaN;
  let difference = 0;
  let magnitude = 0;
  for (let i = 0; i < found.data.length; i++) {
    const [a, b] = [found.data[i]!, wanted.data[i]!];
    magnitude = Math.max(magnitude, Math.abs(b));
    if (Object.is(a, b) || a === b) continue;
    difference = Math.max(difference, Math.abs(a - b));
    if (Number.isNaN(a - b)) return Number.NaN;
  }
  return difference / (1 + magnitude);
}

/** Fixed random instances of a row. */
export function sampleCases(name: string, count: number): Instance[] {
  return fc.sample(ALL_CASES[name]!, { seed: 20260702, numRuns: count });
}

function outputsOf(traced: readonly ReturnType<typeof trace>[], pass: Pass): Record<string, Tensor> {
  const all: Record<string, Tensor> = {};
  for (const { outputs, gradients } of traced) {
    if (pass !== "backward") Object.assign(all, outputs);
    else for (const [name, tensor] of Object.entries(gradients)) all[`gradient of ${name}`] = tensor;
  }
  return all;
}

/** Runs instances in one graph and throws where the device is off. Returns the largest distance. */
export async function agree(
  instances: readonly Instance[],
  pass: Pass,
  options: AgreementOptions,
): Promise<number> {
  const { tolerance, inspect, ...compileOptions } = options;
  const traced = instances.map((instance, i) => trace(instance, `${i}.`));
  const outputs = outputsOf(traced, pass);
  if (Object.keys(outputs).length === 0) return 0;
  const { weights, device = "cpu" } = compileOptions;
  const bytes = (forTraining: boolean): Uint8Array =>
    lower(outputs, { target: device, weights, forTraining }).bytes;
  // Most ops are lowered to the same nodes either way.
  if (pass === "training" && Buffer.compare(bytes(true), bytes(false)) === 0) return 0;
  const feeds = Object.assign({}, ...traced.map((t) => t.feeds)) as Record<string, NdArray>;
  const wanted = interpretExact(outputs, feeds);
  const executable = await compile(outputs, {
    ...compileOptions,
    ...(pass === "backward" ? {} : { forTraining: pass === "training" }),
  });
  let worst = 0;
  try {
    const found = await executable.run(feeds);
    for (const name of Object.keys(outputs)) {
      const error = distance(found[name]!, wanted[name]!);
      if (!(error <= tolerance)) {
        const index = Number(/(\d+)\./.exec(name)![1]);
        throw new Error(
          `${pass}, ${name}: off by ${error}, ${instances[index]!.text}\n` +
            `found  [${found[name]!.shape}] ${found[name]!.data.slice(0, 8)}\n` +
            `wanted [${wanted[name]!.shape}] ${wanted[name]!.data.slice(0, 8)}`,
        );
      }
      worst = Math.max(worst, error);
    }
    inspect?.(executable);
  } finally {
    await executable.release();
  }
  return worst;
}
