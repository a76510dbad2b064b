/**
 * Executables with state: parameters and optimizer state that a run reads and replaces.
 * Two sets of tensors take turns as input and output, so nothing is copied and nothing is allocated.
 * @module
 */
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { input, type NdArray, type Tensor } from "../tensor/index.ts";
import { type CompileOptions, compile, type Executable } from "./executable.ts";
import type { Feeds } from "./interpreter.ts";
import { type DeviceTensor, fromDevice, type Provider, toDevice } from "./ort.ts";

/** State by the name of the graph input that reads it. */
export type State = Readonly<Record<string, NdArray>>;

/** A graph whose outputs named like its inputs are the next state. */
export class StatefulExecutable {
  private readonly executable: Executable;
  private readonly device: Provider;
  /** Gives device state back through outputs on the CPU; compiled when it is first needed. */
  private reader: Promise<Executable> | undefined;
  private current: Record<string, DeviceTensor> = {};
  private next: Record<string, DeviceTensor> = {};

  constructor(executable: Executable, device: Provider) {
    this.executable = executable;
    this.device = device;
  }

  private get onDevice(): boolean {
    return this.device !== "cpu";
  }

  /** Names of the state. */
  get stateNames(): string[] {
    return [...this.executable.graph.outputs.keys()].filter((name) => this.executable.graph.inputs.has(name));
  }

  get graph(): Executable["graph"] {
    return this.executable.graph;
  }

  /**
   * Sets the state. Names that are not given keep their value.
   * @param isOwned the arrays are given away: on the CPU they become the state itself instead of being copied
   */
  load(state: State, isOwned = false): void {
    for (const name of this.stateNames) {
      const given = state[name];
      if (!given) {
        if (this.current[name]) continue;
        throw new VansError("VANS_RUNTIME_FEED_MISSING", `the state "${name}" has no first value`);
      }
      this.executable.checkFeed(name, given);
      if (this.onDevice) this.current[name]?.dispose();
      const isTaken = isOwned && !this.onDevice;
      this.current[name] = toDevice(isTaken ? given : { ...given, data: given.data.slice() });
      if (!this.onDevice) this.next[name] ??= toDevice({ ...given, data: emptyLike(given) });
    }
  }

  /** One run: reads the state, replaces it, returns the other outputs. */
  async step(
    feeds: Feeds,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Record<string, NdArray>> {
    throwIfAborted(options.signal);
    const tensors: Record<string, DeviceTensor> = {};
    for (const name of this.executable.graph.inputs.keys()) {
      tensors[name] = this.current[name] ?? toDevice(this.executable.checkFeed(name, feeds[name]));
    }
    const results = await this.executable.runTensors(tensors, this.onDevice ? {} : this.next);
    const out: Record<string, NdArray> = {};
    const replaced: Record<string, DeviceTensor> = {};
    for (const [name, tensor] of Object.entries(results)) {
      if (name in this.current) replaced[name] = tensor;
      else out[name] = fromDevice(tensor);
    }
    if (this.onDevice) {
      for (const tensor of Object.values(this.current)) tensor.dispose();
      this.current = replaced;
    } else {
      [this.current, this.next] = [this.next, this.current];
    }
    return out;
  }

  /** The state as plain arrays. On the CPU a copy of what the next step will read. */
  async read(): Promise<Record<string, NdArray>> {
    // Before the first step the state is still where it was loaded.
    const isRemote = Object.values(this.current).some((tensor) => tensor.location !== "cpu");
    const tensors = isRemote ? await this.download() : this.current;
    return Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => {
        const array = fromDevice(tensor);
        return [name, isRemote ? array : { ...array, data: array.data.slice() }];
      }),
    );
  }

  /** Reads device tensors through a graph with outputs on the CPU: reading them directly aborts the process in Node. */
  private async download(): Promise<Record<string, DeviceTensor>> {
    this.reader ??= compile(
      Object.fromEntries(
        Object.keys(this.current).map((name) => {
          const { shape, dtype } = this.executable.graph.outputs.get(name)!;
          return [name, input(name, shape, dtype)];
        }),
      ),
      { device: this.device },
    );
    return (await this.reader).runTensors(this.current, {});
  }

  async release(): Promise<void> {
    if (this.onDevice) for (const tensor of Object.values(this.current)) tensor.dispose();
    this.current = {};
    this.next = {};
    await this.executable.release();
    await (await this.reader)?.release();
    this.reader = undefined;
  }
}

/** An array of the same type and length, whose memory is not touched yet. */
function emptyLike({ data }: NdArray): NdArray["data"] {
  if (data instanceof Float32Array) return new Float32Array(data.length);
  return data instanceof Int32Array ? new Int32Array(data.length) : new Uint8Array(data.length);
}

/** Compiles a graph with state: every output that has the name of an input replaces that input after each run. */
export async function compileStateful(
  outputs: Readonly<Record<string, Tensor>>,
  state: State,
  options: CompileOptions & {
    /** The state's arrays are given away: {@link StatefulExecutable.load}. */
    readonly ownsState?: boolean;
  } = {},
): Promise<StatefulExecutable> {
  const device = options.device ?? "cpu";
  const names = Object.keys(outputs).filter((name) => name in state);
  // State changes from run to run, so a binding that also knows its names must not freeze it into the graph.
  const { ownsState = false, ...rest } = options;
  const { weights } = rest;
  const frozen = weights && { weight: (name: string) => (name in state ? undefined : weights.weight(name)) };
  const executable = await compile(outputs, {
    ...rest,
    weights: frozen,
    keepOnDevice: device === "cpu" ? undefined : names,
  });
  const stateful = new StatefulExecutable(executable, device);
  stateful.load(state, ownsState);
  return stateful;
}
