/**
 * The model's compiled graphs. They are made when a shape is first needed and kept, so that prompts of like length
 * share them.
 * @module
 */
import { VansError } from "../../base/errors.ts";
import { type LoraOptions, Params } from "../../nn/index.ts";
import {
  type CompileOptions,
  compile,
  compileStateful,
  type Executable,
  type Feeds,
  type StatefulExecutable,
} from "../../runtime/index.ts";
import { input, type NdArray, type Tensor, type WeightBinding } from "../../tensor/index.ts";
import { type DecodeSizes, decodeGraph, type PrefillSizes, prefillGraph } from "./cache.ts";
import type { QwenConfig } from "./config.ts";
import { type Decoding, type DecodingStart, decodeOnDevice, decodeOnHost, startCache } from "./decoding.ts";
import type { VisionGrid } from "./patches.ts";
import { visionFeatures } from "./vision.ts";

/** What a {@link QwenRunner} runs on. */
export interface RunnerOptions {
  /** Weights that do not change, under the names on disk (`model.…`, `visual.…`). */
  readonly weights: WeightBinding;
  /** Adapters; their weights are bound or fed as the others. */
  readonly lora?: LoraOptions | undefined;
  /** Parameters that `weights` does not know: fed at every run, so training may replace them. */
  readonly parameters?: Feeds | undefined;
  readonly device?: CompileOptions["device"];
  readonly threads?: number | undefined;
  /** Where the cache lives; default `host` on the CPU, `graph` (on the device) elsewhere. */
  readonly appends?: DecodeSizes["appends"] | undefined;
}

/** Compiled graphs of one model. Release it when done. */
export class QwenRunner {
  readonly config: QwenConfig;
  private readonly options: RunnerOptions;
  private parameters: Feeds;
  private readonly graphs = new Map<string, Promise<Executable>>();
  private readonly appends: DecodeSizes["appends"];
  /** Decode steps with state that no generation uses now. */
  private readonly idle = new Map<string, StatefulExecutable[]>();

  constructor(config: QwenConfig, options: RunnerOptions) {
    this.config = config;
    this.options = options;
    this.parameters = options.parameters ?? {};
    this.appends = options.appends ?? ((options.device ?? "cpu") === "cpu" ? "host" : "graph");
  }

  /** Replaces parameters that are fed at every run. Bound weights cannot be replaced. */
  setParameters(parameters: Feeds): void {
    this.parameters = { ...this.parameters, ...parameters };
  }

  /**
   * Features of images and videos, one row a merge cell. Keep them to ask several questions about one clip.
   * @param patches `[N, …]` of all grids, one after another
   * @returns `[tokens, C]`
   */
  async features(
    patches: NdArray,
    grids: readonly VisionGrid[],
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<NdArray> {
    const executable = await this.graph(`vision ${JSON.stringify(grids)}`, (params) => ({
      features: visionFeatures(params, this.config, input("patches", patches.shape), grids),
    }));
    const { features } = await executable.run({ patches, ...this.parameters }, options);
    return features!;
  }

  /** Reads prompts; see `prefillGraph` for the feeds. */
  async prefill(
    sizes: PrefillSizes,
    feeds: Feeds,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<{ readonly logits: NdArray; readonly cache: Feeds }> {
    const executable = await this.graph(`prefill ${JSON.stringify(sizes)}`, (params) =>
      prefillGraph(params, this.config, sizes),
    );
    const { logits, ...cache } = await executable.run({ ...feeds, ...this.parameters }, options);
    return { logits: logits!, cache };
  }

  /** Continues prompts that were read. End the decoding when done. */
  async decode(start: DecodingStart): Promise<Decoding> {
    const sizes = { rows: start.starts.length * start.samples, capacity: start.capacity };
    const key = JSON.stringify(sizes);
    if (this.appends === "host") {
      const graph = await this.graph(`decode ${key}`, (params) =>
        decodeGraph(params, this.config, { ...sizes, appends: "host" }),
      );
      return decodeOnHost(graph, start);
    }
    // A cache on the device is the state of its graph, which serves one generation at a time.
    const cache = startCache(start);
    let graph = this.idle.get(key)?.pop();
    if (graph) graph.load(cache);
    else {
      const params = new Params({ lora: this.options.lora });
      const outputs = decodeGraph(params, this.config, { ...sizes, appends: "graph" });
      graph = await compileStateful(outputs, cache, this.compileOptions);
    }
    const used = graph;
    return decodeOnDevice(used, start, () => {
      this.idle.set(key, [...(this.idle.get(key) ?? []), used]);
    });
  }

  /** What a run must be fed beside its inputs. */
  get fed(): Feeds {
    return this.parameters;
  }

  /** The graph that `trace` builds, compiled once for every `key`. */
  async graph(key: string, trace: (params: Params) => Record<string, Tensor>): Promise<Executable> {
    let compiled = this.graphs.get(key);
    if (!compiled) {
      compiled = compile(trace(new Params({ lora: this.options.lora })), this.compileOptions);
      this.graphs.set(key, compiled);
      compiled.catch(() => this.graphs.delete(key));
    }
    return compiled;
  }

  private get compileOptions(): CompileOptions {
    const { weights, device, threads } = this.options;
    return { weights, threads, ...(device ? { device } : {}) };
  }

  /** Gives all compiled graphs back, except those of a generation that still runs. */
  async release(): Promise<void> {
    const graphs = [...this.graphs.values()];
    const decoders = [...this.idle.values()].flat();
    this.graphs.clear();
    this.idle.clear();
    for (const graph of graphs) await (await graph).release();
    for (const decoder of decoders) await decoder.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** The smallest size for which graphs are made that holds `count`: steps of 32 to 256, of 64 to 1024, then of 256. */
export function bucketOf(count: number): number {
  const step = count <= 256 ? 32 : count <= 1024 ? 64 : 256;
  return Math.max(step, Math.ceil(count / step) * step);
}

/** @throws `VANS_MODEL_TOO_LONG` where a sequence would pass the model's last position. */
export function checkLength(config: QwenConfig, length: number): void {
  const { maxPositions } = config.text;
  if (length <= maxPositions) return;
  throw new VansError("VANS_MODEL_TOO_LONG", "prompt and answer are longer than the model can read", {
    asked: `${length} tokens`,
    found: `at most ${maxPositions}`,
    fix: "use fewer or smaller frames, or a shorter answer",
  });
}
