/**
 * ONNX Runtime's WebGPU kernels against the interpreter, for every op; and which nodes fall back to the CPU.
 * @module
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { findAdapter } from "../webgpu-adapter.ts";
import { agree, PASSES, sampleCases } from "./agreement.ts";
import { ALL_CASES } from "./cases.ts";

const adapter = await findAdapter();

/** Measured on SwiftShader: at most 7e-7 (backward of geluTanh), 4e-7 for the rest. */
const TOLERANCE = 3e-6;
/** WGSL asks of sin and cos an absolute error of 2^-11 (4.9e-4) only; SwiftShader shows 1.1e-4. */
const ANGLE_TOLERANCE = 1e-3;
const WITH_ANGLES: readonly string[] = ["sin", "cos", "rope"];

/** ONNX ops that the provider leaves to the CPU, by the row that shows it. Everything else runs on the device. */
const ON_THE_CPU: Readonly<Record<string, readonly string[]>> = {
  abs: ["Sign"],
  sign: ["Sign"],
  // Of truth values; integers and floats are compared on the device.
  equal: ["Equal"],
  where: ["Or"],
  // The 64-bit indices of a scatter.
  gather: ["Reshape"],
  scatterRows: ["Reshape"],
};

const INSTANCES = 3;
const folder = mkdtempSync(join(tmpdir(), "vans-webgpu-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface ProfileEvent {
  readonly args?: { readonly provider?: string; readonly op_name?: string };
}

/** ONNX ops of a row's profiles that another provider than WebGPU ran. */
function fallbacks(name: string): string[] {
  const found = new Set<string>();
  for (const file of readdirSync(folder).filter((f) => f.startsWith(`${name}-`))) {
    for (const { args } of JSON.parse(readFileSync(join(folder, file), "utf8")) as ProfileEvent[])
      if (args?.provider && args.provider !== "WebGpuExecutionProvider") found.add(args.op_name!);
  }
  return [...found].sort();
}

if (adapter.missing !== undefined) console.warn(`WebGPU suite skipped: ${adapter.missing}`);

describe.skipIf(adapter.missing !== undefined)(`WebGPU on ${adapter.name}`, { timeout: 600_000 }, () => {
  it.each(Object.keys(ALL_CASES))("%s", async (name) => {
    const tolerance = WITH_ANGLES.includes(name) ? ANGLE_TOLERANCE : TOLERANCE;
    for (const pass of PASSES) {
      await agree(sampleCases(name, INSTANCES), pass, {
        device: "webgpu",
        tolerance,
        profilePrefix: join(folder, `${name}-${pass}`),
        inspect: (executable) => executable.endProfiling(),
      });
    }
    expect(fallbacks(name)).toEqual(ON_THE_CPU[name] ?? []);
  });
});
