/**
 * Scans a video: every frame once, as a thumbnail. The fast way decodes in a process of its own; what that way cannot
 * read (gif, rare formats, damaged streams) is read in windows through `readClip`.
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { throwIfAborted } from "../../base/abort.ts";
import { probe, readClip } from "../../media/decode.ts";
import { timedOut } from "../../media/media-errors.ts";
import type { MediaInfo } from "../../media/media-info.ts";
import { frameOf } from "../../media/resize.ts";
import type { ScanDetail, ScanFrames, ScanOrder, ScanReply } from "./scan-protocol.ts";
import { detailOf, sharpnessOf, THUMB_BYTES, thumbnailOfRgb, yuvOfRgb } from "./thumbnail.ts";

export type { ScanDetail, ScanFrames } from "./scan-protocol.ts";

/** Options of {@link scanVideo}. */
export interface ScanOptions {
  /** Seconds between detail pictures. Default 0.5. */
  readonly detailEverySecs?: number;
  /** Seconds without a sign of life after which the decoder is stopped. Default 60. */
  readonly silenceSecs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A scan's parts in order: `opened` (again after a restart, which forgets everything before), then frames. */
export type ScanEvent =
  | {
      readonly type: "opened";
      readonly info: MediaInfo;
      /** Start of every frame, in seconds from the first. */
      readonly timesSecs: Float64Array;
      readonly durationSecs: number;
    }
  | ({ readonly type: "frames" } & Omit<ScanFrames, "kind">);

const FAST_CONTAINERS: ReadonlySet<string> = new Set(["mp4", "mov", "mkv", "webm"]);
/** A process that holds more than this after a video is not used again: the codec libraries give back less than they take. */
const RESIDENT_BYTES = 640 * 2 ** 20;
/** Bytes of frames that a window of the slow way may hold. */
const WINDOW_BYTES = 96 * 2 ** 20;

/**
 * Every frame of a video once, in order, as thumbnails. Memory does not grow with the video's length but for 8 bytes a
 * frame.
 *
 * @throws as `probe` and `readClip` of `vans/media`
 */
export async function* scanVideo(path: string, options: ScanOptions = {}): AsyncGenerator<ScanEvent> {
  const info = await probe(path, options.signal === undefined ? {} : { signal: options.signal });
  if (info.backend === "npm" && FAST_CONTAINERS.has(info.container)) {
    const fast = scanInProcess(path, info, options);
    let isBroken = false;
    while (true) {
      const step = await fast.next().catch((error: unknown) => {
        throwIfAborted(options.signal);
        void error;
        isBroken = true;
        return { done: true as const, value: undefined };
      });
      if (step.done) break;
      yield step.value;
    }
    if (!isBroken) return;
  }
  yield* scanInWindows(path, info, options);
}

async function* scanInProcess(
  path: string,
  info: MediaInfo,
  options: ScanOptions,
): AsyncGenerator<ScanEvent> {
  const { silenceSecs = 60, detailEverySecs = 0.5, signal } = options;
  const child = takeProcess();
  let isSound = false;
  const queue: ScanReply[] = [];
  let wake: (() => void) | undefined;
  let ended: Error | undefined;
  let lastSign = performance.now();
  const awake = (): void => wake?.();
  const onMessage = (message: unknown): void => {
    lastSign = performance.now();
    queue.push(message as ScanReply);
    awake();
  };
  const onExit = (code: number | null): void => {
    ended ??= new Error(`the scanning process ended with ${code}`);
    awake();
  };
  const onError = (error: Error): void => {
    ended ??= error;
    awake();
  };
  child.on("message", onMessage);
  child.on("exit", onExit);
  child.on("error", onError);
  const watchdog = setInterval(() => {
    if (performance.now() - lastSign < silenceSecs * 1000) return;
    ended ??= timedOut("the video decoder", silenceSecs);
    awake();
  }, 1000);
  const onAbort = (): void => awake();
  signal?.addEventListener("abort", onAbort);
  try {
    const order: ScanOrder = { path, detailEverySecs };
    child.send(order);
    while (true) {
      throwIfAborted(signal);
      const reply = queue.shift();
      if (reply === undefined) {
        if (ended !== undefined) throw ended;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      if (reply.kind === "error") throw new Error(reply.message);
      if (reply.kind === "done") {
        isSound = reply.rssBytes <= RESIDENT_BYTES;
        return;
      }
      if (reply.kind === "times")
        yield { type: "opened", info, timesSecs: reply.timesSecs, durationSecs: reply.durationSecs };
      if (reply.kind === "frames") {
        const { kind: _, ...frames } = reply;
        yield { type: "frames", ...frames };
      }
    }
  } finally {
    clearInterval(watchdog);
    signal?.removeEventListener("abort", onAbort);
    child.off("message", onMessage);
    child.off("exit", onExit);
    child.off("error", onError);
    // A process that ended its work is kept for the next video: starting one costs more than a short video.
    if (isSound) keepProcess(child);
    else child.kill("SIGKILL");
  }
}

/** An idle process is kept this long. */
const IDLE_SECS = 20;
const idle: { readonly child: ChildProcess; readonly timer: NodeJS.Timeout }[] = [];

function takeProcess(): ChildProcess {
  for (let kept = idle.pop(); kept !== undefined; kept = idle.pop()) {
    clearTimeout(kept.timer);
    if (!kept.child.connected || kept.child.exitCode !== null) continue;
    kept.child.ref();
    kept.child.channel?.ref();
    return kept.child;
  }
  return startProcess();
}

function keepProcess(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
  const timer = setTimeout(() => {
    const index = idle.findIndex((kept) => kept.child === child);
    if (index >= 0) idle.splice(index, 1);
    child.kill("SIGKILL");
  }, IDLE_SECS * 1000);
  timer.unref();
  idle.push({ child, timer });
}

function startProcess(): ChildProcess {
  const isSource = import.meta.url.endsWith(".ts");
  const entry = fileURLToPath(new URL(isSource ? "./scan-process.ts" : "./scan-process.js", import.meta.url));
  const loader = (): string => pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  return fork(entry, [], {
    execArgv: [...(isSource ? ["--import", loader()] : []), "--max-old-space-size=1024"],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
}

async function* scanInWindows(
  path: string,
  info: MediaInfo,
  options: ScanOptions,
): AsyncGenerator<ScanEvent> {
  const { signal, detailEverySecs = 0.5 } = options;
  const common = signal === undefined ? {} : { signal };
  const frameBytes = info.width * info.height * 3;
  const perWindow = Math.max(8, Math.min(256, Math.floor(WINDOW_BYTES / frameBytes)));
  const windowSecs = perWindow / Math.max(0.1, info.frameRateHz);
  const timesSecs: number[] = [];
  const pending: { thumbs: Uint8Array; sharpness: Float32Array; details: ScanDetail[]; first: number }[] = [];
  let nextDetailSecs = 0;
  // The frames that can be decoded are known only at the end, so thumbnails wait; damaged files are short.
  for (let start = 0; start === 0 || start < info.durationSecs - 1e-6; start += windowSecs) {
    throwIfAborted(signal);
    const window = info.durationSecs <= 0 ? {} : { startSecs: start, endSecs: start + windowSecs };
    const clip = await readClip(path, { ...window, chroma: "repeat", maxFrames: perWindow * 8, ...common });
    const fresh: number[] = [];
    for (let i = 0; i < clip.frameCount; i++) {
      const time = clip.timesSecs[i]!;
      if (time > (timesSecs.at(-1) ?? -1) && fresh.every((k) => clip.timesSecs[k]! < time)) fresh.push(i);
    }
    const batch = {
      first: timesSecs.length,
      thumbs: new Uint8Array(fresh.length * THUMB_BYTES),
      sharpness: new Float32Array(fresh.length),
      details: [] as ScanDetail[],
    };
    fresh.forEach((index, position) => {
      const image = frameOf(clip, index);
      batch.thumbs.set(thumbnailOfRgb(image), position * THUMB_BYTES);
      const luma = { data: yuvOfRgb(image), offset: 0, width: image.width, height: image.height };
      batch.sharpness[position] = sharpnessOf(luma);
      const time = clip.timesSecs[index]!;
      if (time >= nextDetailSecs) {
        batch.details.push({ frame: timesSecs.length + position, ...detailOf(luma) });
        nextDetailSecs = time + detailEverySecs;
      }
    });
    timesSecs.push(...fresh.map((index) => clip.timesSecs[index]!));
    if (fresh.length > 0) pending.push(batch);
  }
  yield {
    type: "opened",
    info,
    timesSecs: Float64Array.from(timesSecs),
    durationSecs: Math.max(info.durationSecs, timesSecs.at(-1) ?? 0),
  };
  for (const batch of pending) yield { type: "frames", ...batch };
}
