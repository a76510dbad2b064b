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
import type { Ask, Failure, Reply, Request, Running } from "./messages.ts";
import { saveVideo } from "./save-video.ts";
import { type Backend, startRuntime } from "./stand-ins/onnxruntime.ts";
import { widenWeights } from "./widen-weights.ts";

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

async function fetchSuite(base: string, backend: Backend): Promise<void> {
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
      const isWidened = backend === "webgpu" && path.endsWith(".safetensors");
      putFile(`${PACKAGE_ROOT}/${path}`, isWidened ? widenWeights(whole) : whole, whole);
    }),
  );
}

async function start(running: Running, base: string): Promise<void> {
  await Promise.all([fetchSuite(base, running.backend), startRuntime(running.backend, running.threads)]);
  answerer = await openAnswerer("playroom", { device: running.backend === "webgpu" ? "webgpu" : "cpu" });
  post({ type: "ready" });
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
  if (data.type === "start") attempt("start", start(data.running, data.base));
  else if (data.type === "ask") attempt("ask", ask(data));
  else if (data.type === "save") attempt("save", save());
  else cancelling.abort();
};
