/**
 * Finds something that WebGPU can run on: the machine's own adapter, else SwiftShader (a Vulkan driver on the CPU that
 * Chromium brings along). Call it before any other WebGPU session of the process.
 * @module
 */
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { isVansError } from "../src/base/index.ts";
import { compile } from "../src/runtime/index.ts";
import { add, f32, input } from "../src/tensor/index.ts";

/** Where packages of Chromium and Chrome put SwiftShader's driver manifest. */
const SWIFTSHADER = [
  "/usr/lib/chromium/vk_swiftshader_icd.json",
  "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
  "/usr/lib64/chromium-browser/vk_swiftshader_icd.json",
  "/opt/google/chrome/vk_swiftshader_icd.json",
] as const;

/** What was found: the name of the driver, or the reason why there is none. */
export interface Adapter {
  readonly name: string;
  /** Undefined where WebGPU works. */
  readonly missing: string | undefined;
}

/** Tries WebGPU on this machine. `VK_ICD_FILENAMES`, where set, decides alone. */
export async function findAdapter(): Promise<Adapter> {
  const manifest = process.env["VK_ICD_FILENAMES"] ?? SWIFTSHADER.find((path) => existsSync(path));
  // The Vulkan loader reads the variable when the first session asks for an adapter.
  if (manifest !== undefined) process.env["VK_ICD_FILENAMES"] = manifest;
  process.env["XDG_RUNTIME_DIR"] ??= tmpdir();
  try {
    const probe = await compile({ y: add(input("x", [1]), 1) }, { device: "webgpu" });
    const { y } = await probe.run({ x: f32([1]) });
    await probe.release();
    if (y?.data[0] !== 2) throw new Error(`1 + 1 gave ${y?.data[0]}`);
    return { name: manifest ?? "the machine's own adapter", missing: undefined };
  } catch (error) {
    const found = isVansError(error) ? error.details.found : String(error);
    return { name: "none", missing: `no WebGPU adapter (install chromium for SwiftShader): ${found}` };
  }
}
