/**
 * onnxruntime-web under the names of onnxruntime-node. Weights that the library leaves in their files are handed over from
 * memory; sessions are made and run one after the other, as the browser's runtime wants it.
 * @module
 */
import type { Env, InferenceSession as Sessions, Tensor as TensorType, TensorConstructor } from "onnxruntime-web";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import gpuWasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";
import { fileBytes, pathsBelow } from "../memory-files.ts";

/** What runs the models. */
export type Backend = "webgpu" | "wasm";

interface Runtime {
  readonly Tensor: TensorConstructor;
  readonly InferenceSession: { create(bytes: Uint8Array, options: Sessions.SessionOptions): Promise<Sessions> };
  readonly env: Env;
}

let runtime: Runtime;
let backend: Backend = "wasm";

/** Set by {@link startRuntime}; importers see the new value. */
export let Tensor: TensorConstructor;
export type Tensor = TensorType;
export let env: Env;

/** Fetches one of the two builds of the runtime. Must be done before models are opened, and once. */
export async function startRuntime(wanted: Backend, threads: number): Promise<void> {
  backend = wanted;
  runtime = (
    wanted === "webgpu" ? await import("onnxruntime-web/webgpu") : await import("onnxruntime-web/wasm")
  ) as Runtime;
  runtime.env.wasm.wasmPaths = { wasm: new URL(wanted === "webgpu" ? gpuWasmUrl : wasmUrl, self.location.href).href };
  runtime.env.wasm.numThreads = threads;
  runtime.env.logLevel = "error";
  ({ Tensor, env } = runtime);
}

let turn: Promise<unknown> = Promise.resolve();

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = turn.then(work);
  turn = mine.catch(() => undefined);
  return mine;
}

interface NodeSettings {
  readonly extra?: { readonly session?: Readonly<Record<string, string>> };
  readonly graphOptimizationLevel?: Sessions.SessionOptions["graphOptimizationLevel"];
}

export const InferenceSession = {
  async create(bytes: Uint8Array, settings: NodeSettings): Promise<Pick<Sessions, "run" | "endProfiling" | "release">> {
    const folder = settings.extra?.session?.["model_external_initializers_file_folder_path"];
    const externalData = folder
      ? pathsBelow(folder)
          .filter((path) => path.endsWith(".safetensors"))
          .map((path) => ({ path: path.slice(folder.length + 1), data: fileBytes(path)! }))
      : [];
    const session = await inTurn(() =>
      runtime.InferenceSession.create(bytes, {
        executionProviders: backend === "webgpu" ? ["webgpu", "wasm"] : ["wasm"],
        graphOptimizationLevel: settings.graphOptimizationLevel ?? "all",
        logSeverityLevel: 4,
        externalData,
      }),
    );
    return {
      run: ((feeds: Sessions.FeedsType, fetches: Sessions.FetchesType) =>
        inTurn(() => session.run(feeds, fetches))) as Sessions["run"],
      endProfiling: () => undefined,
      release: () => inTurn(() => session.release()),
    };
  },
};

export const listSupportedBackends = (): { readonly name: string }[] => [{ name: "wasm" }, { name: "webgpu" }];
