/**
 * Executables with state: parameters and optimizer state that a run reads and replaces.
 * Two sets of tensors take turns as input and output, so nothing is copied and nothing is allocated.
 * @module
 */
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import type { NdArray, Tensor } from "../tensor/index.ts";
import { type CompileOptions, compile, type Executable } from "./executable.ts";
import type { Feeds } from "./interpreter.ts";
import { type DeviceTensor, fromDevice, toDevice } from "./ort.ts";

/** State by the name of the graph input that reads it. */
export type State = Readonly<Record<string, NdArray>>;

/** A graph whose outputs named like its inputs are the next state. */
export class StatefulExecutable {
  private readonly executable: Executable;
  private readonly onDevice: boolean;
  private current: Record<string, DeviceTensor> = {};
  private next: Record<string, DeviceTensor> = {};

  constructor(executable: Executable, onDevice: boolean) {
    this.executable = executable;
    this.onDevice = onDevice;
  }

  /** Names of the state. */
  get stateNames(): string[] {
    return [...this.executable.graph.outputs.keys()].filter((name) => this.executable.graph.inputs.has(name));
  }

  get graph(): Executable["graph"] {
    return this.executable.graph;
  }

  /** Sets the state (copied). Names that are not given keep their value. */
  load(state: State): void {
    for (const name of this.stateNames) {
      const given = state[name];
      if (!given) {
        if (this.current[name]) continue;
        throw new VansError("VANS_RUNTIME_FEED_MISSING", `the state "${name}" has no first value`);
      }
      this.executable.checkFeed(name, given);
      this.current[name] = toDevice({ ...given, data: given.data.slice() });
      if (!this.onDevice) this.next[name] = toDevice({ ...given, data: given.data.slice() });
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
    const out: Record<string, NdArray> = {};
    for (const [name, tensor] of Object.entries(this.current)) {
      const array = tensor.location === "cpu" ? fromDevice(tensor) : await this.download(tensor);
      out[name] = { ...array, data: array.data.slice() };
    }
    return out;
  }

  /** Reads a device tensor back through a graph whose output is on the CPU: reading it directly aborts the process in Node. */
  private async download(tensor: DeviceTensor): Promise<NdArray> {
    const { add, input, mul } = await import("../tensor/index.ts");
    const x = input("x", tensor.dims);
    const copy = await compile({ y: add(mul(x, input("one", [])), input("zero", [])) }, { device: "webgpu" });
    const scalar = (value: number): DeviceTensor =>
      toDevice({ dtype: "f32", shape: [], data: Float32Array.of(value) });
    const { y } = await copy.runTensors({ x: tensor, one: scalar(1), zero: scalar(0) }, {});
    return fromDevice(y!);
  }

  async release(): Promise<void> {
    if (this.onDevice) for (const tensor of Object.values(this.current)) tensor.dispose();
    this.current = {};
    this.next = {};
    await this.executable.release();
  }
}

/** Compiles a graph with state: every output that has the name of an input replaces that input after each run. */
export async function compileStateful(
  outputs: Readonly<Record<string, Tensor>>,
  state: State,
  options: CompileOptions = {},
): Promise<StatefulExecutable> {
  const onDevice = (options.device ?? "cpu") !== "cpu";
  const names = Object.keys(outputs).filter((name) => name in state);
  const executable = await compile(outputs, { ...options, keepOnDevice: onDevice ? names : undefined });
  const stateful = new StatefulExecutable(executable, onDevice);
  stateful.load(state);
  return stateful;
}
