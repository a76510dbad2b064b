/**
 * The only file that imports onnxruntime: sessions and tensors in our terms.
 * @module
 */
import { dirname, isAbsolute, relative } from "node:path";
import * as ort from "onnxruntime-node";
import { VansError } from "../base/errors.ts";
import type { NdArray, Shape } from "../tensor/index.ts";

/** A tensor that the runtime holds (on the CPU it shares memory with a plain array). */
export type DeviceTensor = ort.Tensor;

/** Execution providers that a session can use. */
export type Provider = "cpu" | "webgpu" | "cuda";

/** How a session is made. */
export interface SessionOptions {
  readonly provider: Provider;
  /** Threads inside one op; 0 lets the runtime choose (one a core). */
  readonly threads?: number | undefined;
  /** Outputs that stay on the device, by their ONNX names. */
  readonly keepOnDevice?: readonly string[] | undefined;
  /** Folder that external weights are relative to. */
  readonly weightFolder?: string | undefined;
  /** Writes a profile of every run to this path prefix. */
  readonly profilePrefix?: string | undefined;
  /** Keep bf16/f16 weights as they are instead of folding them into f32 copies. */
  readonly keepWeightsSmall?: boolean | undefined;
  /** With `keepWeightsSmall`: let kernels keep rearranged copies of weights, as the integer ones need for their speed. */
  readonly packWeights?: boolean | undefined;
}

const ORT_TYPE = { f32: "float32", i32: "int32", bool: "bool" } as const;

/** A plain array as a runtime tensor, without a copy. */
export function toDevice(array: NdArray): DeviceTensor {
  return new ort.Tensor(ORT_TYPE[array.dtype], array.data as Float32Array, array.shape as number[]);
}

/** A runtime tensor on the CPU as a plain array, without a copy. */
export function fromDevice(tensor: DeviceTensor): NdArray {
  const shape = tensor.dims as Shape;
  const { data } = tensor;
  if (tensor.type === "float32") return { dtype: "f32", shape, data: data as Float32Array };
  if (tensor.type === "int32") return { dtype: "i32", shape, data: data as Int32Array };
  if (tensor.type === "bool") return { dtype: "bool", shape, data: data as Uint8Array };
  throw new VansError("VANS_INTERNAL_BUG", `internal: the runtime returned a tensor of type ${tensor.type}`);
}

/** A loaded model. `run` blocks its thread. */
export interface Session {
  run(
    feeds: Readonly<Record<string, DeviceTensor>>,
    fetches: Readonly<Record<string, DeviceTensor | null>>,
  ): Promise<Record<string, DeviceTensor>>;
  endProfiling(): void;
  release(): Promise<void>;
}

/** Loads model bytes. */
export async function createSession(bytes: Uint8Array, options: SessionOptions): Promise<Session> {
  const extra: Record<string, unknown> = {};
  const session: Record<string, unknown> = {};
  if (options.weightFolder !== undefined)
    session["model_external_initializers_file_folder_path"] = options.weightFolder;
  if (options.keepWeightsSmall && !options.packWeights) session["disable_prepacking"] = "1";
  // Else the threads of a session wait busily for some 30 ms after a run and take a core from the next session.
  session["force_spinning_stop"] = "1";
  extra["session"] = session;
  const settings: Record<string, unknown> = {
    executionProviders: options.provider === "cpu" ? ["cpu"] : [options.provider, "cpu"],
    graphOptimizationLevel: options.keepWeightsSmall ? "disabled" : "all",
    // An arena keeps what a run needed; beside many sessions that is many times the need of one.
    ...(options.keepWeightsSmall && { enableCpuMemArena: false, enableMemPattern: false }),
    // Errors are thrown with their message; the log would only say it twice, in raw form.
    logSeverityLevel: 4,
    extra,
  };
  if (options.threads) settings["intraOpNumThreads"] = options.threads;
  if (options.profilePrefix) {
    settings["enableProfiling"] = true;
    settings["profileFilePrefix"] = options.profilePrefix;
  }
  if (options.keepOnDevice && options.provider !== "cpu") {
    settings["preferredOutputLocation"] = Object.fromEntries(
      options.keepOnDevice.map((name) => [name, "gpu-buffer"]),
    );
  }
  let inner: ort.InferenceSession;
  try {
    inner = await ort.InferenceSession.create(bytes, settings as ort.InferenceSession.SessionOptions);
  } catch (cause) {
    throw new VansError("VANS_RUNTIME_SESSION", "the runtime refused a graph", {
      asked: `provider ${options.provider}`,
      found: cause instanceof Error ? cause.message.split("\n")[0]! : String(cause),
      fix: "vans devices shows which providers work on this machine",
      cause,
    });
  }
  return {
    run: async (feeds, fetches) => {
      try {
        return (await inner.run(feeds, fetches as ort.InferenceSession.FetchesType)) as Record<
          string,
          DeviceTensor
        >;
      } catch (cause) {
        throw new VansError("VANS_RUNTIME_RUN", "the runtime failed while it ran a graph", {
          asked: `provider ${options.provider}`,
          found: cause instanceof Error ? cause.message.split("\n")[0]! : String(cause),
          why: "an index outside of its axis, or too little memory",
          fix: "interpret() the same graph with the same feeds to find the op",
          cause,
        });
      }
    },
    endProfiling: () => inner.endProfiling(),
    release: () => inner.release(),
  };
}

/** Providers compiled into the installed runtime. A provider may still fail for lack of a device. */
export function listProviders(): readonly string[] {
  return ort.listSupportedBackends().map((backend) => backend.name);
}

/** Version of the runtime. */
export function runtimeVersion(): string {
  return ort.env.versions.node ?? ort.env.versions.common;
}

/** The folder above several files and each file relative to it; the runtime wants external weights that way. */
export function commonFolder(paths: readonly string[]): string | undefined {
  let folder: string | undefined;
  for (const path of paths) {
    if (folder === undefined) folder = dirname(path);
    while (relative(folder, path).startsWith("..") || isAbsolute(relative(folder, path)))
      folder = dirname(folder);
  }
  return folder;
}
