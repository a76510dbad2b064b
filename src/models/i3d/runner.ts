/**
 * I3D compiled: features of clips as plain arrays.
 * @module
 */
import { Params } from "../../nn/index.ts";
import { type CompileOptions, compile, type Executable } from "../../runtime/index.ts";
import { input, type NdArray } from "../../tensor/index.ts";
import type { I3dConfig } from "./config.ts";
import { type I3dOutputs, i3d } from "./network.ts";

/** Which output stands for a clip; common repositories take `logits`. */
export type I3dTap = keyof I3dOutputs;

/** A compiled network. Release it when done. */
export class I3dRunner {
  readonly config: I3dConfig;
  private readonly options: CompileOptions;
  private readonly graphs = new Map<string, Promise<Executable>>();

  constructor(config: I3dConfig, options: CompileOptions) {
    this.config = config;
    this.options = options;
  }

  /**
   * Both taps of clips.
   * @param videos `[N, 3, T, H, W]` in [-1, 1]
   */
  async run(videos: NdArray): Promise<Record<I3dTap, NdArray>> {
    const key = videos.shape.join();
    let compiled = this.graphs.get(key);
    if (!compiled) {
      const outputs = i3d(new Params(), this.config, input("videos", videos.shape));
      compiled = compile({ ...outputs }, this.options);
      this.graphs.set(key, compiled);
      compiled.catch(() => this.graphs.delete(key));
    }
    const { pooled, logits } = await (await compiled).run({ videos });
    return { pooled: pooled!, logits: logits! };
  }

  /** Gives all compiled graphs back. */
  async release(): Promise<void> {
    const compiled = [...this.graphs.values()];
    this.graphs.clear();
    for (const graph of compiled) await (await graph).release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
