/**
 * Graphs compiled for a device. Equal graphs share one compiled session.
 * @module
 */
import { createHash } from "node:crypto";
import { realpathSync, statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import {
  type FileRange,
  type FileWeight,
  formatShape,
  isQuantized,
  type LoweredGraph,
  lower,
  type NdArray,
  type QuantizedWeight,
  reachableNodes,
  sameShape,
  type Tensor,
  type WeightBinding,
} from "../tensor/index.ts";
import type { Feeds } from "./interpreter.ts";
import {
  commonFolder,
  createSession,
  type DeviceTensor,
  fromDevice,
  type Provider,
  type Session,
  toDevice,
} from "./ort.ts";

/** How a graph is compiled. */
export interface CompileOptions {
  /** Default `cpu`. */
  readonly device?: Provider;
  /** Weights bound into the compiled graph; parameters without one are fed at every run. */
  readonly weights?: WeightBinding | undefined;
  /**
   * Threads inside one op; default one a core. On the CPU results do not depend on it (tests hold operators and training
   * to the same bits on one thread and on two); GPUs add in any order, so last bits may differ from run to run there.
   */
  readonly threads?: number | undefined;
  /** Lower as training graphs are, also without gradients. */
  readonly forTraining?: boolean | undefined;
  /** Outputs that stay on the device between runs (no effect on the CPU). */
  readonly keepOnDevice?: readonly string[] | undefined;
  readonly profilePrefix?: string | undefined;
  /**
   * Leave weights as they lie in their files: mapped, widened where they are used, nothing kept of them or of a run's
   * values between runs. For models larger than memory; smaller ones run faster without. Default false.
   */
  readonly mapped?: boolean | undefined;
}

interface CachedSession {
  readonly session: Promise<Session>;
  users: number;
}

const sessions = new Map<string, CachedSession>();

/** The ranges of files that a weight lies in. */
function rangesOf(weight: FileWeight | QuantizedWeight | NdArray | undefined): readonly FileRange[] {
  if (weight === undefined || "data" in weight) return [];
  return isQuantized(weight) ? [weight.packed, weight.scales] : [weight];
}

/** Where a file really lies: the runtime refuses weights behind a link that leaves the folder of the others. */
function realPath(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    // Not there: told by whoever looks at it next.
    return absolute;
  }
}

/** Real paths of all weight files that a graph binds, with the number of bytes it needs of each. */
function boundFiles(
  outputs: Readonly<Record<string, Tensor>>,
  weights: WeightBinding | undefined,
): Map<string, number> {
  const needed = new Map<string, number>();
  if (!weights) return needed;
  for (const node of reachableNodes(Object.values(outputs))) {
    if (node.op.name !== "parameter") continue;
    for (const range of rangesOf(weights.weight((node.attrs as { name: string }).name))) {
      const path = realPath(range.path);
      needed.set(path, Math.max(needed.get(path) ?? 0, range.byteOffset + range.byteLength));
    }
  }
  return needed;
}

/**
 * What identifies the content of the weight files for the cache: a file that was written anew under its old name is
 * another weight. The runtime maps the files, so a short one has to be refused before.
 */
function fileStamps(needed: ReadonlyMap<string, number>): unknown[] {
  return [...needed].map(([path, bytes]) => {
    const found = statSync(path, { throwIfNoEntry: false });
    if (!found?.isFile()) {
      throw new VansError("VANS_WEIGHTS_NOT_FOUND", "a weight file is not there", {
        fix: "check the path, or fetch the weights again",
        found: path,
      });
    }
    if (found.size < bytes) {
      throw new VansError("VANS_WEIGHTS_TRUNCATED", "a weight file is shorter than its header says", {
        asked: `${bytes} bytes`,
        found: `${found.size} bytes in ${path}`,
        why: "a download or a copy was cut off",
        fix: "fetch the file again",
      });
    }
    return [path, found.size, found.mtimeMs, found.ino];
  });
}

/** A compiled graph. Release it when done; the session goes when its last user does. */
export class Executable {
  readonly graph: LoweredGraph;
  private readonly key: string;
  private readonly session: Session;
  private released = false;

  constructor(graph: LoweredGraph, key: string, session: Session) {
    this.graph = graph;
    this.key = key;
    this.session = session;
  }

  /**
   * Runs the graph.
   * @throws `VANS_RUNTIME_FEED_MISSING`, `VANS_RUNTIME_FEED_SHAPE`, `VANS_RUNTIME_RUN`, `VANS_RUNTIME_RELEASED`,
   *   `VANS_RUN_ABORTED`.
   */
  async run(
    feeds: Feeds,
    options: {
      readonly signal?: AbortSignal | undefined;
      /** Arrays that outputs are written into, by output; of the right shape. Only on the CPU. */
      readonly into?: Readonly<Record<string, NdArray>> | undefined;
    } = {},
  ): Promise<Record<string, NdArray>> {
    throwIfAborted(options.signal);
    const tensors: Record<string, DeviceTensor> = {};
    for (const name of this.graph.inputs.keys()) tensors[name] = toDevice(this.checkFeed(name, feeds[name]));
    const into = Object.fromEntries(
      Object.entries(options.into ?? {}).map(([name, array]) => [name, toDevice(array)]),
    );
    const results = await this.runTensors(tensors, into);
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, fromDevice(tensor)]));
  }

  /** The feed for a name, checked against the graph. */
  checkFeed(name: string, feed: NdArray | undefined): NdArray {
    const wanted = this.graph.inputs.get(name);
    if (!wanted) {
      throw new VansError("VANS_RUNTIME_FEED_UNKNOWN", `the graph has no input "${name}"`, {
        found: `inputs: ${[...this.graph.inputs.keys()].slice(0, 20).join(", ")}`,
      });
    }
    if (!feed) {
      throw new VansError("VANS_RUNTIME_FEED_MISSING", `nothing was fed for "${name}"`, {
        asked: `${wanted.dtype}${formatShape(wanted.shape)}`,
      });
    }
    if (feed.dtype !== wanted.dtype || !sameShape(feed.shape, wanted.shape)) {
      throw new VansError(
        "VANS_RUNTIME_FEED_SHAPE",
        `"${name}" was fed something else than the graph was traced for`,
        {
          asked: `${wanted.dtype}${formatShape(wanted.shape)}`,
          found: `${feed.dtype}${formatShape(feed.shape)}`,
          fix: "trace and compile the graph for this shape; equal graphs are compiled once",
        },
      );
    }
    return feed;
  }

  /** Runs on runtime tensors; `into` names outputs whose memory is given. For state that lives across runs. */
  async runTensors(
    tensors: Readonly<Record<string, DeviceTensor>>,
    into: Readonly<Record<string, DeviceTensor>>,
  ): Promise<Record<string, DeviceTensor>> {
    if (this.released) {
      throw new VansError("VANS_RUNTIME_RELEASED", "a released graph cannot run", {
        fix: "compile it again, or release it later",
      });
    }
    const fetches: Record<string, DeviceTensor | null> = {};
    for (const name of this.graph.outputs.keys()) fetches[`out:${name}`] = into[name] ?? null;
    const results = await this.session.run(tensors, fetches);
    return Object.fromEntries([...this.graph.outputs.keys()].map((name) => [name, results[`out:${name}`]!]));
  }

  /** Writes the runtime's profile, where compiled with `profilePrefix`. */
  endProfiling(): void {
    this.session.endProfiling();
  }

  /** Gives the compiled session back. */
  async release(): Promise<void> {
    if (this.released) return;
    this.released = true;
    const cached = sessions.get(this.key);
    if (!cached) return;
    cached.users--;
    if (cached.users > 0) return;
    sessions.delete(this.key);
    await this.session.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/**
 * Compiles named outputs. A graph with the same content (ops, shapes, bound weights) for the same device is compiled once.
 *
 * @example
 * ```ts
 * import { add, f32, input } from "vans/tensor";
 * import { compile } from "vans/runtime";
 * const sum = await compile({ y: add(input("a", [2]), 1) });
 * const { y } = await sum.run({ a: f32([1, 2]) });
 * [...y!.data]; // => [2, 3]
 * await sum.release();
 * ```
 * @throws `VANS_TENSOR_INVALID`, `VANS_WEIGHTS_SHAPE_MISMATCH`, `VANS_WEIGHTS_NOT_FOUND`, `VANS_WEIGHTS_TRUNCATED`,
 *   `VANS_RUNTIME_SESSION`.
 */
export async function compile(
  outputs: Readonly<Record<string, Tensor>>,
  options: CompileOptions = {},
): Promise<Executable> {
  const provider = options.device ?? "cpu";
  const files = boundFiles(outputs, options.weights);
  const stamps = fileStamps(files);
  const folder = commonFolder([...files.keys()]);
  const graph = lower(outputs, {
    target: provider,
    weights: options.weights,
    forTraining: options.forTraining,
    keepWeightsSmall: options.mapped,
    locate: folder === undefined ? undefined : (path) => relative(folder, realPath(path)),
  });
  const keepOnDevice = options.keepOnDevice?.map((name) => `out:${name}`);
  const hash = createHash("sha256").update(graph.bytes);
  const key = hash
    .update(
      JSON.stringify([
        provider,
        options.threads,
        keepOnDevice,
        folder,
        stamps,
        options.profilePrefix,
        options.mapped,
      ]),
    )
    .digest("hex");
  let cached = sessions.get(key);
  if (!cached) {
    const session = createSession(graph.bytes, {
      provider,
      threads: options.threads,
      keepOnDevice,
      weightFolder: folder,
      profilePrefix: options.profilePrefix,
      keepWeightsSmall: options.mapped,
      packWeights: graph.hasQuantizedWeights,
    });
    cached = { session, users: 0 };
    sessions.set(key, cached);
  }
  cached.users++;
  try {
    return new Executable(graph, key, await cached.session);
  } catch (error) {
    if (sessions.get(key) === cached) sessions.delete(key);
    throw error;
  }
}

/** Number of live compiled sessions; tests use it to find leaks. */
export function liveSessions(): number {
  return sessions.size;
}
