/**
 * Which backend runs the models: a real GPU through WebGPU, else the processor through WebAssembly.
 * @module
 */
import type { BackendChoice, Running } from "./messages.ts";

/** More threads than this gain nothing for models of this size. */
const MOST_THREADS = 4;

/** The adapter of a real GPU, in words. */
async function findGpu(): Promise<{ readonly isReal: boolean; readonly about: string }> {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return { isReal: false, about: "this browser offers no WebGPU device here" };
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
  const about = description || [vendor, architecture].filter(Boolean).join(" ") || "a GPU";
  // An imitation in software is slower than WebAssembly.
  const isSoftware = isFallbackAdapter || /swiftshader|llvmpipe|software/i.test(`${about} ${architecture}`);
  return { isReal: !isSoftware, about: isSoftware ? "WebGPU is only imitated in software here" : about };
}

/** What a choice means on this machine. Threads need a page that is isolated from other origins. */
export async function chooseBackend(choice: BackendChoice): Promise<Running> {
  const gpu = await findGpu();
  if (choice === "webgpu" || (choice === "auto" && gpu.isReal))
    return { backend: "webgpu", threads: 1, about: gpu.about };
  const threads = globalThis.crossOriginIsolated
    ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS)
    : 1;
  return { backend: "wasm", threads, about: choice === "wasm" ? "as chosen" : gpu.about };
}
