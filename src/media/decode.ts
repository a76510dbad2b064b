/**
 * Reading videos and pictures: the exact frames at chosen times, and facts about the file.
 * @module
 */
import { stat } from "node:fs/promises";
import { isVansError, VansError } from "../base/errors.ts";
import type { Clip } from "./clip.ts";
import { runCodecTask } from "./codec-host.ts";
import type { CodecReply, CodecTask, ReadWish, SentFrame, SentPicks } from "./codec-protocol.ts";
import { findFfmpeg } from "./ffmpeg.ts";
import { codecUnsupported, corrupt, formatUnknown, tooLarge, unreadable } from "./media-errors.ts";
import { MEDIA_BACKENDS, type MediaBackend, type MediaInfo } from "./media-info.ts";
import { checkFrameRequest, type FrameRequest } from "./read-request.ts";
import type { ChromaMode } from "./yuv.ts";

/** Options of {@link probe}. */
export interface ProbeOptions {
  /**
   * Which backends may be used, in this order. Default: `["npm", "ffmpeg"]`, or what the environment variable
   * `VANS_MEDIA_BACKENDS` lists.
   */
  readonly backends?: readonly MediaBackend[];
  /** Seconds without a sign of life from a decoder after which it is stopped. Default 60. */
  readonly silenceSecs?: number;
  readonly signal?: AbortSignal;
}

/** Options of {@link readClip}: which frames ({@link FrameRequest}) and how. */
export interface ReadClipOptions extends FrameRequest, ProbeOptions {
  /** Refuse to hold more bytes of frames than this. Default 1 GiB. */
  readonly maxBytes?: number;
  /**
   * How the half-size colour of video is brought to full size. `guided` (default) follows the luma and is nearer to
   * the original (1 to 11 dB on real footage, 13 dB on flat drawings); `repeat` gives ffmpeg's pixels.
   */
  readonly chroma?: ChromaMode;
}

/** A clip read from a file. */
export interface DecodedClip extends Clip {
  /** Start of each frame of the clip in the file, in seconds from the file's first frame. */
  readonly timesSecs: readonly number[];
  /** The file it came from. */
  readonly source: MediaInfo;
  /** Asked-for frames that could not be decoded: left out, or replaced by a neighbour where a number was asked for. */
  readonly lostFrames: number;
}

const DEFAULT_SILENCE_SECS = 60;
const DEFAULT_MAX_BYTES = 2 ** 30;

/** Errors of the npm backend that ffmpeg may know how to avoid. */
const WORTH_A_SECOND_TRY = new Set([
  "VANS_MEDIA_CODEC_UNSUPPORTED",
  "VANS_MEDIA_FORMAT_UNKNOWN",
  "VANS_MEDIA_BACKEND_MISSING",
  "VANS_MEDIA_DECODER_CRASHED",
  "VANS_MEDIA_TIMEOUT",
  "VANS_MEDIA_CORRUPT",
]);

/**
 * Facts about a video or picture file. Reads the index, not the pixels.
 *
 * @throws VANS_MEDIA_NOT_FOUND, VANS_MEDIA_NOT_A_FILE, VANS_MEDIA_EMPTY, VANS_MEDIA_UNREADABLE,
 * VANS_MEDIA_FORMAT_UNKNOWN, VANS_MEDIA_CODEC_UNSUPPORTED, VANS_MEDIA_NO_VIDEO, VANS_MEDIA_CORRUPT,
 * VANS_MEDIA_TIMEOUT, VANS_MEDIA_DECODER_CRASHED, VANS_RUN_ABORTED
 */
export async function probe(path: string, options: ProbeOptions = {}): Promise<MediaInfo> {
  await checkReadable(path);
  return withBackends(path, options, {
    npm: async () => {
      let info: MediaInfo | undefined;
      await runTask({ kind: "probe", path }, options, (reply) => {
        if (reply.kind === "info") info = reply.info;
      });
      return info!;
    },
    ffmpeg: async (programs) =>
      (await import("./ffmpeg-decode.ts")).probeWithFfmpeg(programs, path, timing(options)),
  });
}

/**
 * Reads a clip: the frames of a video at chosen times, or a picture as a clip of one frame.
 *
 * Frames are turned as the file's metadata asks, in RGB, at the file's own size. Only the frames asked for are held,
 * so a few frames of a long video need little memory. Broken files give what is sound in them.
 *
 * @throws as {@link probe}, and VANS_MEDIA_REQUEST_INVALID, VANS_MEDIA_TOO_LARGE
 *
 * @example
 * ```ts
 * import { mkdtemp } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { readClip, writeMp4 } from "vans/media";
 * const path = join(await mkdtemp(join(tmpdir(), "vans-")), "grey.mp4");
 * const rgb = new Uint8Array(4 * 16 * 16 * 3).fill(128);
 * await writeMp4(path, { frameCount: 4, height: 16, width: 16, frameRateHz: 8, rgb });
 * const clip = await readClip(path, { timesSecs: [0, 0.3] });
 * clip.timesSecs; // => [0, 0.25]
 * ```
 */
export async function readClip(path: string, options: ReadClipOptions = {}): Promise<DecodedClip> {
  checkFrameRequest(options);
  await checkReadable(path);
  const wish: ReadWish = {
    request: requestOf(options),
    maxBytes: options.maxBytes ?? DEFAULT_MAX_BYTES,
    chroma: options.chroma ?? "guided",
  };
  return withBackends(path, options, {
    npm: async () => {
      const assembly = new ClipAssembly(path, wish.maxBytes);
      await runTask({ kind: "read", path, ...wish }, options, (reply) => assembly.take(reply));
      return assembly.finish();
    },
    ffmpeg: async (programs) => {
      const { readWithFfmpeg } = await import("./ffmpeg-decode.ts");
      const assembly = new ClipAssembly(path, wish.maxBytes);
      await readWithFfmpeg(programs, path, {
        ...timing(options),
        ...wish,
        onReply: (reply) => assembly.take(reply),
      });
      return assembly.finish();
    },
  });
}

function requestOf(options: ReadClipOptions): FrameRequest {
  const { timesSecs, frameCount, frameRateHz, startSecs, endSecs, maxFrames } = options;
  return { timesSecs, frameCount, frameRateHz, startSecs, endSecs, maxFrames } as FrameRequest;
}

function timing(options: ProbeOptions): { silenceSecs: number; signal: AbortSignal | undefined } {
  return { silenceSecs: options.silenceSecs ?? DEFAULT_SILENCE_SECS, signal: options.signal };
}

function runTask(
  task: CodecTask,
  options: ProbeOptions,
  onReply: (reply: CodecReply) => void,
): Promise<void> {
  return runCodecTask(task, { ...timing(options), onReply });
}

/** The backends that may be used: the option, else `VANS_MEDIA_BACKENDS`, else all. */
export function allowedBackends(option: readonly MediaBackend[] | undefined): readonly MediaBackend[] {
  if (option !== undefined) return option;
  const listed = process.env["VANS_MEDIA_BACKENDS"];
  if (listed === undefined || listed.trim() === "") return MEDIA_BACKENDS;
  const names = listed.split(",").map((name) => name.trim());
  const wrong = names.find((name) => !(MEDIA_BACKENDS as readonly string[]).includes(name));
  if (wrong !== undefined) {
    throw new VansError("VANS_MEDIA_REQUEST_INVALID", `VANS_MEDIA_BACKENDS names an unknown backend`, {
      found: wrong,
      fix: `use a list of: ${MEDIA_BACKENDS.join(", ")}`,
    });
  }
  return names as MediaBackend[];
}

interface BackendWork<T> {
  npm(): Promise<T>;
  ffmpeg(programs: { readonly ffmpeg: string; readonly ffprobe: string }): Promise<T>;
}

async function withBackends<T>(path: string, options: ProbeOptions, work: BackendWork<T>): Promise<T> {
  const allowed = allowedBackends(options.backends);
  const programs = allowed.includes("ffmpeg") ? await findFfmpeg() : undefined;
  let first: unknown;
  for (const backend of allowed) {
    if (backend === "ffmpeg" && programs === undefined) continue;
    try {
      return backend === "npm" ? await work.npm() : await work.ffmpeg(programs!);
    } catch (error) {
      if (!isVansError(error) || !WORTH_A_SECOND_TRY.has(error.code)) throw error;
      first ??= error;
    }
  }
  if (first === undefined) {
    throw new VansError("VANS_MEDIA_BACKEND_MISSING", "no allowed backend can read this file", {
      asked: `${path} with ${allowed.join(", ") || "no backend"}`,
      found: "no ffmpeg and ffprobe on the PATH",
      fix: "allow the npm backend, or install ffmpeg",
    });
  }
  throw withFixFor(path, first, programs !== undefined);
}

/** The fix depends on whether ffmpeg was there and failed too. */
function withFixFor(path: string, error: unknown, hasFfmpeg: boolean): unknown {
  if (!isVansError(error) || !hasFfmpeg) return error;
  if (error.code === "VANS_MEDIA_FORMAT_UNKNOWN") return formatUnknown(path, true, error);
  if (error.code === "VANS_MEDIA_CODEC_UNSUPPORTED") {
    const { container, codec } = error.details.data as { container: string; codec: string };
    return codecUnsupported(path, container, codec, true);
  }
  return error;
}

async function checkReadable(path: string): Promise<void> {
  let found: Awaited<ReturnType<typeof stat>>;
  try {
    found = await stat(path);
  } catch (error) {
    throw unreadable(path, error);
  }
  if (!found.isFile()) {
    throw new VansError(
      "VANS_MEDIA_NOT_A_FILE",
      found.isDirectory() ? "the path is a folder" : "the path is not a regular file",
      {
        asked: path,
        fix: "give the path of a video or picture file",
        data: { path },
      },
    );
  }
  if (found.size === 0) {
    throw new VansError("VANS_MEDIA_EMPTY", "the file is empty", {
      asked: path,
      why: "a download or a recording was interrupted",
      fix: "fetch the file again",
      data: { path },
    });
  }
}

/** Puts a clip together from the replies of a backend. */
class ClipAssembly {
  readonly #path: string;
  readonly #maxBytes: number;
  #info: MediaInfo | undefined;
  #picks: SentPicks | undefined;
  readonly #frames = new Map<number, { shown: number; frame: SentFrame }>();

  constructor(path: string, maxBytes: number) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  take(reply: CodecReply): void {
    if (reply.kind === "info") {
      this.#info = reply.info;
      this.#picks = reply.picks;
    } else if (reply.kind === "frame") this.#frames.set(reply.number, reply);
    else if (reply.kind === "lost") this.#frames.delete(reply.number);
  }

  finish(): DecodedClip {
    const info = this.#info!;
    const picks = this.#picks!;
    const found = picks.frames.map((number) => this.#frames.get(number));
    if (this.#frames.size === 0) {
      throw corrupt(
        this.#path,
        `${info.codec} in ${info.container}: none of ${picks.frames.length} frames can be decoded`,
      );
    }
    const chosen = picks.mayDropFrames
      ? found.filter((entry) => entry !== undefined)
      : found.map((entry, position) => entry ?? nearestFound(found, position)!);
    const lostFrames = picks.frames.filter((number) => this.#frames.get(number)?.shown !== number).length;
    const { height, width } = chosen[0]!.frame;
    const bytes = height * width * 3;
    // Times that are asked for again and again repeat the same few decoded frames.
    if (bytes * chosen.length > this.#maxBytes) {
      const wanted = `${chosen.length} frames of ${width}x${height}: ${bytes * chosen.length} bytes`;
      throw tooLarge(this.#path, wanted, this.#maxBytes);
    }
    const rgb = new Uint8Array(bytes * chosen.length);
    chosen.forEach(({ frame }, position) => {
      rgb.set(frame.rgb, position * bytes);
    });
    return {
      frameCount: chosen.length,
      height,
      width,
      frameRateHz: picks.frameRateHz,
      rgb,
      timesSecs: chosen.map(({ shown }) => picks.timesSecs[shown] ?? 0),
      source: { ...info, height, width },
      lostFrames,
    };
  }
}

/** The nearest earlier found frame, else the nearest later one. */
function nearestFound<T>(found: readonly (T | undefined)[], position: number): T | undefined {
  return (
    found.slice(0, position).findLast((entry) => entry !== undefined) ??
    found.slice(position).find((entry) => entry !== undefined)
  );
}
