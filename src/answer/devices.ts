/**
 * Which devices can run models here, tried for real.
 * @module
 */
import { spawn } from "node:child_process";
import { stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import type { Provider } from "../runtime/ort.ts";
import type { Suite } from "./suite.ts";

/** What a person may ask for. */
export const DEVICE_CHOICES = ["auto", "cpu", "webgpu", "cuda"] as const;
export type DeviceChoice = (typeof DEVICE_CHOICES)[number];

/** What `device-probe.ts` says. */
export type ProbeReply =
  | { readonly ok: true; readonly gigaflops: number }
  | { readonly ok: false; readonly found: string };

/** One device. */
export interface DeviceReport {
  readonly device: Provider;
  readonly isUsable: boolean;
  /** Speed of a matrix product in f32, in 10⁹ operations a second. */
  readonly gigaflops?: number;
  /** What went wrong. */
  readonly found?: string;
  readonly why?: string;
  readonly fix?: string;
}

/** A device that does not answer within this time does not work. */
const PROBE_SECS = 60;
/** Suites with smaller weights are faster on the CPU than a GPU is started. */
const WORTH_A_GPU_BYTES = 500e6;
/** A GPU that is not this much faster than the CPU is an imitation in software. */
const WORTH_A_GPU_SPEED = 2;

/** Tries a device in a process of its own. */
export async function probeDevice(
  device: Provider,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<DeviceReport> {
  throwIfAborted(options.signal);
  const reply = await runProbe(device, options.signal);
  if (reply.ok) return { device, isUsable: true, gigaflops: Math.round(reply.gigaflops * 10) / 10 };
  return { device, isUsable: false, found: reply.found, ...adviceFor(device, reply.found) };
}

/** Tries all devices, one after the other. */
export async function probeDevices(
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<DeviceReport[]> {
  const reports: DeviceReport[] = [];
  for (const device of ["cpu", "webgpu", "cuda"] as const) reports.push(await probeDevice(device, options));
  return reports;
}

function runProbe(device: Provider, signal: AbortSignal | undefined): Promise<ProbeReply> {
  const isSource = import.meta.url.endsWith(".ts");
  const entry = fileURLToPath(new URL(isSource ? "./device-probe.ts" : "./device-probe.js", import.meta.url));
  // From the sources (tests, tsx) the child needs the same loader; the built package does not.
  const loader = isSource
    ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href]
    : [];
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [...loader, entry, device], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    let out = "";
    let words = "";
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
    }, PROBE_SECS * 1000);
    const onAbort = (): void => void child.kill("SIGKILL");
    signal?.addEventListener("abort", onAbort);
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString("utf8");
    });
    child.stderr.on("data", (chunk: Buffer) => {
      words = (words + chunk.toString("utf8")).slice(-4000);
    });
    const settle = (reply: ProbeReply): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      try {
        throwIfAborted(signal);
        done(reply);
      } catch (error) {
        fail(error);
      }
    };
    child.on("error", (error) => settle({ ok: false, found: error.message }));
    child.on("close", (code, killed) => {
      const line = out.trim().split("\n").at(-1) ?? "";
      if (code === 0 && line.startsWith("{")) return settle(JSON.parse(line) as ProbeReply);
      if (isLate) {
        settle({ ok: false, found: `no answer within ${PROBE_SECS} s` });
        return;
      }
      const last = words.trim().split("\n").at(-1)?.slice(0, 300) ?? "";
      const how = killed === null ? `it ended with code ${code}` : `it was ended by ${killed}`;
      settle({
        ok: false,
        found: `the process that tried it: ${how}${last === "" ? "" : `; last words: ${last}`}`,
      });
    });
  });
}

/** Why a device usually does not work, and what to do. */
function adviceFor(device: Provider, found: string): { readonly why?: string; readonly fix?: string } {
  if (device === "cuda") {
    if (process.platform !== "linux" || process.arch !== "x64")
      return { why: "the runtime has CUDA for Linux on x64 only", fix: "use --device webgpu or cpu" };
    return {
      why: /load/i.test(found)
        ? "the CUDA libraries of the runtime are a download of their own, which vans leaves out"
        : "no NVIDIA driver that fits, or no NVIDIA GPU",
      fix: "with an NVIDIA GPU and driver: node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12",
    };
  }
  if (device === "webgpu")
    return {
      why: /adapter/i.test(found)
        ? "no GPU with a Vulkan (Linux), Metal (macOS) or Direct3D 12 (Windows) driver was found"
        : "the GPU or its driver did not do as it should",
      fix: "install the driver of your GPU (on Linux also its Vulkan part, see vulkaninfo), or use --device cpu",
    };
  return {
    why: "the runtime's own library could not be used",
    fix: "reinstall: npm install onnxruntime-node",
  };
}

/**
 * The device to run a suite on. A device that is asked for by name is tried first, so that a missing one is an error and
 * not a crash. `auto` is the CPU for small suites, else the fastest that works.
 *
 * @throws `VANS_DEVICE_UNUSABLE`
 */
export async function chooseDevice(choice: DeviceChoice, suite: Suite): Promise<Provider> {
  if (choice === "cpu") return "cpu";
  if (choice !== "auto") {
    const report = await probeDevice(choice);
    if (report.isUsable) return choice;
    throw new VansError("VANS_DEVICE_UNUSABLE", `the device ${choice} cannot be used here`, {
      found: report.found ?? "no reason given",
      ...(report.why !== undefined && { why: report.why }),
      ...(report.fix !== undefined && { fix: report.fix }),
      data: { device: choice },
    });
  }
  if ((await weightBytes(suite)) < WORTH_A_GPU_BYTES) return "cpu";
  const [cpu, ...others] = await probeDevices();
  const speed = (report: DeviceReport | undefined): number => report?.gigaflops ?? 0;
  const best = others.reduce<DeviceReport | undefined>(
    (fastest, one) => (speed(one) > speed(fastest) ? one : fastest),
    undefined,
  );
  return best && speed(best) > WORTH_A_GPU_SPEED * speed(cpu) ? best.device : "cpu";
}

/** Size of the files that the models of a suite are read from; folders count as large. */
async function weightBytes(suite: Suite): Promise<number> {
  const { vlm, vdm, vae, textEncoder } = suite;
  let total = 0;
  for (const path of [vlm, vdm, vae, textEncoder].flatMap((part) => part.weights)) {
    const found = await stat(path);
    total += found.isDirectory() ? WORTH_A_GPU_BYTES : found.size;
  }
  return total;
}
