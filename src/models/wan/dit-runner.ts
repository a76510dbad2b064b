/**
 * The compiled video transformer: one text graph and one step graph for each set of shapes, and the text branch of each
 * context computed once.
 * @module
 */
import { type LoraOptions, Params } from "../../nn/index.ts";
import { type CompileOptions, compile, type Executable } from "../../runtime/index.ts";
import { input, type NdArray, type Tensor } from "../../tensor/index.ts";
import { ditText, ditTextInputs, ditTextOutputs, ditWithReferences } from "./dit.ts";
import type { DitConfig } from "./dit-config.ts";
import type { VelocityRequest } from "./sample.ts";

/** How the transformer is compiled; parameters that `weights` does not bind are given by {@link DitRunner.setParameters}. */
export interface DitRunnerOptions extends Omit<CompileOptions, "keepOnDevice" | "profilePrefix"> {
  readonly lora?: LoraOptions | undefined;
}

/** A compiled video transformer. `velocity` fits the sampler; release it when done. */
export class DitRunner {
  private readonly config: DitConfig;
  private readonly options: DitRunnerOptions;
  private readonly graphs = new Map<string, Promise<Executable>>();
  private parameters: Readonly<Record<string, NdArray>> = {};
  private texts = new WeakMap<NdArray, Promise<Record<string, NdArray>>>();

  constructor(config: DitConfig, options: DitRunnerOptions = {}) {
    this.config = config;
    this.options = options;
  }

  /** Values of the parameters that are not bound, from now on. Text branches are computed anew. */
  setParameters(parameters: Readonly<Record<string, NdArray>>): void {
    this.parameters = parameters;
    this.texts = new WeakMap();
  }

  /** Velocities of the noisy frames, `[B, C, F, h, w]`. */
  readonly velocity = async (
    request: VelocityRequest,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<NdArray> => {
    const text = await this.text(request.context);
    const { references, noisy, timestep, context } = request;
    const key = ["step", references, noisy, timestep, context]
      .map((part) => (typeof part === "string" ? part : part.shape.join()))
      .join(";");
    const graph = await this.graph(key, (params) => ({
      velocity: ditWithReferences(params, this.config, {
        references: input("references", references.shape),
        noisy: input("noisy", noisy.shape),
        timestep: input("timestep", timestep.shape),
        context: ditTextInputs(this.config, context.shape[0]!, context.shape[1]!),
      }),
    }));
    const results = await this.run(graph, { ...text, references, noisy, timestep }, options.signal);
    return results["velocity"]!;
  };

  private text(context: NdArray): Promise<Record<string, NdArray>> {
    const before = this.texts.get(context);
    if (before) return before;
    const computed = this.computeText(context);
    this.texts.set(context, computed);
    return computed;
  }

  private async computeText(context: NdArray): Promise<Record<string, NdArray>> {
    const graph = await this.graph(`text;${context.shape.join()}`, (params) =>
      ditTextOutputs(ditText(params, this.config, input("context", context.shape))),
    );
    return this.run(graph, { context });
  }

  private graph(key: string, trace: (params: Params) => Record<string, Tensor>): Promise<Executable> {
    const before = this.graphs.get(key);
    if (before) return before;
    const { lora, ...options } = this.options;
    const compiled = compile(trace(new Params({ lora })), options);
    this.graphs.set(key, compiled);
    return compiled;
  }

  private run(
    graph: Executable,
    feeds: Readonly<Record<string, NdArray>>,
    signal?: AbortSignal | undefined,
  ): Promise<Record<string, NdArray>> {
    const all: Record<string, NdArray> = {};
    for (const name of graph.graph.inputs.keys()) {
      const value = feeds[name] ?? this.parameters[name];
      if (value) all[name] = value;
    }
    return graph.run(all, { signal });
  }

  async release(): Promise<void> {
    const graphs = [...this.graphs.values()];
    this.graphs.clear();
    for (const graph of graphs) await (await graph).release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
