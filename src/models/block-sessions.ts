/**
 * A model as a row of small graphs, one a block, whose weights stay mapped in their files: what is resident is the block
 * at work and its values.
 * @module
 */
import { type LoraOptions, Params } from "../nn/index.ts";
import { type CompileOptions, compile, type Executable, type Feeds } from "../runtime/index.ts";
import type { NdArray, Tensor } from "../tensor/index.ts";

/** How blocks are compiled. */
export interface BlockOptions extends Pick<CompileOptions, "device" | "threads" | "weights"> {
  readonly lora?: LoraOptions | undefined;
  /**
   * Keep each block's compiled graph for the next run. Costs what kernels keep of their weights: nothing for float
   * weights, a rearranged copy for quantised ones. Default true.
   */
  readonly keep?: boolean | undefined;
  /** Fed to every graph that asks for it: weights that are not bound. */
  readonly parameters?: Feeds | undefined;
}

/** Options of one run. */
export interface BlockRun {
  readonly signal?: AbortSignal | undefined;
  /** Arrays to write outputs into. */
  readonly into?: Readonly<Record<string, NdArray>>;
  /** Overrides {@link BlockOptions.keep}. */
  readonly keep?: boolean;
}

/** Compiled blocks by name. */
export class BlockSessions {
  readonly #options: BlockOptions;
  readonly #kept = new Map<string, Executable>();
  parameters: Feeds;

  constructor(options: BlockOptions) {
    this.#options = options;
    this.parameters = options.parameters ?? {};
  }

  /**
   * Runs the graph that `trace` builds.
   * @param name the same for equal graphs
   */
  async run(
    name: string,
    trace: (params: Params) => Record<string, Tensor>,
    feeds: Feeds,
    run: BlockRun = {},
  ): Promise<Record<string, NdArray>> {
    const { lora, device, threads, weights } = this.#options;
    const keep = run.keep ?? this.#options.keep ?? true;
    let block = this.#kept.get(name);
    if (!block) {
      block = await compile(trace(new Params({ lora })), {
        ...(device && { device }),
        threads,
        weights,
        mapped: true,
      });
      if (keep) this.#kept.set(name, block);
    }
    try {
      const fed: Record<string, NdArray> = {};
      for (const input of block.graph.inputs.keys()) {
        const value = feeds[input] ?? this.parameters[input];
        if (value) fed[input] = value;
      }
      return await block.run(fed, { signal: run.signal, into: run.into });
    } finally {
      if (!keep) await block.release();
    }
  }

  /** Gives back graphs whose name begins with `prefix`; all without one. */
  async release(prefix = ""): Promise<void> {
    for (const [name, block] of [...this.#kept]) {
      if (!name.startsWith(prefix)) continue;
      this.#kept.delete(name);
      await block.release();
    }
  }
}
