/**
 * The thread that answers: fetches the suite, opens it with the library's own code, and passes the library's events on.
 * @module
 */
import "./stand-ins/globals.ts";
import suiteFiles from "virtual:suite-files";
import { type AnswerReport, answerMetadata, openAnswerer } from "../src/answer/index.ts";
import { isVansError } from "../src/base/errors.ts";
import { frameOf, resizeImage } from "../src/media/index.ts";
import { PACKAGE_ROOT, dropFile, putFile } from "./memory-files.ts";
import type { Ask, BackendChoice, Failure, Reply, Request, Running } from "./messages.ts";
import { saveVideo } from "./save-video.ts";
import { startRuntime } from "./stand-ins/onnxruntime.ts";

/** More threads than this gain nothing for models of this size. */
const MOST_THREADS = 4;
/** Saved videos show each pixel so many times along a side. */
const SAVED_SCALE = 4;

let answerer: Awaited<ReturnType<typeof openAnswerer>> | undefined;
let cancelling = new AbortController();
let report: AnswerReport | undefined;

const post = (reply: Reply): void => self.postMessage(reply);

function failureOf(error: unknown): Failure {
  if (!isVansError(error)) {
    const message = error instanceof Error ? error.message : String(error);
    return { code: "VANS_INTERNAL_BUG", message, fix: "reload the page; try the other backend" };
  }
  const { found, fix } = error.details;
  return {
    code: error.code,
    message: error.message.split("\n")[0]!,
    ...(found !== undefined && { found }),
    ...(fix !== undefined && { fix }),
  };
}

/** The adapter of a real GPU, in words. */
async function findGpu(): Promise<{ readonly isReal: boolean; readonly about: string }> {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return { isReal: false, about: "this browser offers no WebGPU device" };
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
  const about = description || [vendor, architecture].filter(Boolean).join(" ") || "a GPU";
  // An imitation in software is slower than WebAssembly.
  const isSoftware = isFallbackAdapter || /swiftshader|llvmpipe|software/i.test(`${about} ${architecture}`);
  return { isReal: !isSoftware, about: isSoftware ? `${about} imitates WebGPU in software` : about };
}

async function chooseBackend(choice: BackendChoice): Promise<Running> {
  const gpu = await findGpu();
  if (choice === "webgpu" || (choice === "auto" && gpu.isReal))
    return { backend: "webgpu", threads: 1, about: gpu.about };
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
  return { backend: "wasm", threads, about: choice === "wasm" ? "as chosen" : gpu.about };
}

async function fetchSuite(base: string): Promise<void> {
  const total = suiteFiles.reduce((sum, file) => sum + file.bytes, 0);
  let done = 0;
  await Promise.all(
    suiteFiles.map(async ({ path, bytes }) => {
      const url = new URL(path, base);
      const response = await fetch(url);
      if (!response.ok || !response.body) throw new Error(`${url.pathname}: status ${response.status}`);
      const whole = new Uint8Array(bytes);
      let at = 0;
      const reader = response.body.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        if (at + part.value.length > bytes) throw new Error(`${url.pathname} is longer than ${bytes} bytes`);
        whole.set(part.value, at);
        at += part.value.length;
        done += part.value.length;
        post({ type: "loading", done, total });
      }
      if (at !== bytes) throw new Error(`${url.pathname} has ${at} of ${bytes} bytes`);
      putFile(`${PACKAGE_ROOT}/${path}`, whole);
    }),
  );
}

async function start(choice: BackendChoice, base: string): Promise<void> {
  const running = await chooseBackend(choice);
  await Promise.all([fetchSuite(base), startRuntime(running.backend, running.threads)]);
  answerer = await openAnswerer("playroom", { device: running.backend === "webgpu" ? "webgpu" : "cpu" });
  post({ type: "ready", running });
}

/** Lets messages in: the runtime gives this thread back only between steps, and not to them. */
function breathe(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

async function ask({ clip, ...request }: Ask): Promise<void> {
  cancelling = new AbortController();
  const { signal } = cancelling;
  const path = `/clips/${clip.name.replace(/[^\w.-]/g, "_")}`;
  putFile(path, clip.bytes);
  try {
    for await (const event of answerer!.answer({ ...request, clip: path, preview: "linear", signal })) {
      if (event.type === "done") report = event.report;
      post({ type: "event", event });
      await breathe();
    }
  } finally {
    dropFile(path);
  }
}

async function save(): Promise<void> {
  const sample = report!.samples[0]!;
  const frames = Array.from({ length: sample.clip.frameCount }, (_, index) => {
    const frame = frameOf(sample.clip, index);
    const size = { height: frame.height * SAVED_SCALE, width: frame.width * SAVED_SCALE };
    return resizeImage(frame, size, "nearest");
  });
  const metadata = JSON.stringify(answerMetadata(report!, sample));
  const { frameRateHz } = sample.clip;
  const saved = await saveVideo(frames, { frameRateHz, metadata, title: sample.caption });
  post({ type: "saved", ...saved });
}

function attempt(stage: "start" | "ask" | "save", work: Promise<void>): void {
  work.catch((error: unknown) => {
    if (isVansError(error, "VANS_RUN_ABORTED")) post({ type: "cancelled" });
    else post({ type: "failed", stage, failure: failureOf(error) });
  });
}

self.onmessage = ({ data }: MessageEvent<Request>): void => {
  if (data.type === "start") attempt("start", start(data.backend, data.base));
  else if (data.type === "ask") attempt("ask", ask(data));
  else if (data.type === "save") attempt("save", save());
  else cancelling.abort();
};
