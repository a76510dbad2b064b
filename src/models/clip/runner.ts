/**
 * CLIP compiled: embeddings of images and texts as plain arrays.
 * @module
 */
import { Params } from "../../nn/index.ts";
import { type CompileOptions, compile, type Executable } from "../../runtime/index.ts";
import { f32, input, type NdArray, type Tensor } from "../../tensor/index.ts";
import type { ClipConfig } from "./config.ts";
import { unitRows } from "./similarity.ts";
import { clipTextFeatures } from "./text.ts";
import { clipImageFeatures } from "./vision.ts";

/** Images or texts that run as one batch; longer lists go in several runs. */
const BATCH = 16;

/** Compiled towers of one model. Release it when done. */
export class ClipRunner {
  readonly config: ClipConfig;
  private readonly options: CompileOptions;
  private readonly graphs = new Map<string, Promise<Executable>>();

  constructor(config: ClipConfig, options: CompileOptions) {
    this.config = config;
    this.options = options;
  }

  /**
   * Unit embeddings of images.
   * @param images `[N, 3, imageSize, imageSize]`, normalised
   * @returns `[N, projectionSize]`
   */
  async embedImages(images: NdArray): Promise<NdArray> {
    return this.embed("images", images, (params, x) => clipImageFeatures(params, this.config, x));
  }

  /**
   * Unit embeddings of texts.
   * @param ids `[N, S]` i32
   * @returns `[N, projectionSize]`
   */
  async embedTexts(ids: NdArray): Promise<NdArray> {
    return this.embed("ids", ids, (params, x) => clipTextFeatures(params, this.config, x));
  }

  private async embed(
    name: string,
    rows: NdArray,
    features: (params: Params, x: Tensor) => Tensor,
  ): Promise<NdArray> {
    const [count, ...rest] = rows.shape as [number, ...number[]];
    const size = rest.reduce((product, axis) => product * axis, 1);
    const width = this.config.projectionSize;
    const out = new Float32Array(count * width);
    for (let start = 0; start < count; start += BATCH) {
      const end = Math.min(start + BATCH, count);
      const shape = [end - start, ...rest];
      const graph = await this.graph(`${name} ${shape.join()}`, () => ({
        embeddings: unitRows(features(new Params(), input(name, shape, rows.dtype))),
      }));
      const part = { ...rows, shape, data: rows.data.slice(start * size, end * size) };
      out.set((await graph.run({ [name]: part }))["embeddings"]!.data, start * width);
    }
    return f32(out, [count, width]);
  }

  private graph(key: string, trace: () => Record<string, Tensor>): Promise<Executable> {
    let compiled = this.graphs.get(key);
    if (!compiled) {
      compiled = compile(trace(), this.options);
      this.graphs.set(key, compiled);
      compiled.catch(() => this.graphs.delete(key));
    }
    return compiled;
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
