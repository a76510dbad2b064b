/**
 * Writing clips: mp4 that browsers play, animated previews, pictures.
 * @module
 */
import { isVansError, VansError } from "../base/errors.ts";
import { writeMediaFile } from "./atomic-write.ts";
import type { Clip } from "./clip.ts";
import { runCodecTask } from "./codec-host.ts";
import type { SentFrame } from "./codec-protocol.ts";
import { allowedBackends } from "./decode.ts";
import { findFfmpeg } from "./ffmpeg.ts";
import type { MediaBackend } from "./media-info.ts";
import { frameOf, resizeImage } from "./resize.ts";

/** Options of {@link writeMp4}. */
export interface WriteMp4Options {
  /** Any text, stored in the file's comment tag; see {@link readMp4Metadata}. */
  readonly metadata?: string;
  /** What players show as title. */
  readonly title?: string;
  /**
   * Whole-number enlargement by repeating pixels, so that small clips are looked at more easily. Default 1. At 2 and
   * above the colours also lose less (chroma is stored at half size).
   */
  readonly scale?: number;
  readonly backends?: readonly MediaBackend[];
  readonly silenceSecs?: number;
  readonly signal?: AbortSignal;
}

const DEFAULT_SILENCE_SECS = 60;

/** Errors of the npm backend that ffmpeg may not have. */
const WORTH_A_SECOND_TRY: ReadonlySet<string> = new Set([
  "VANS_MEDIA_BACKEND_MISSING",
  "VANS_MEDIA_ENCODE_FAILED",
]);

/**
 * Writes a clip as H.264 (yuv420p, BT.601, index first) in mp4. The same clip gives the same bytes on one machine and
 * version. Odd sides are padded by repeating the last row or column, as 4:2:0 video has even sides.
 *
 * The file appears whole or not at all; an older file of that name stays if anything fails.
 *
 * @throws VANS_MEDIA_REQUEST_INVALID, VANS_MEDIA_DISK_FULL, VANS_MEDIA_UNWRITABLE, VANS_MEDIA_BACKEND_MISSING,
 * VANS_RUN_ABORTED
 *
 * @example
 * ```ts
 * import { mkdtemp } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { readMp4Metadata, writeMp4 } from "vans/media";
 * const path = join(await mkdtemp(join(tmpdir(), "vans-")), "grey.mp4");
 * const rgb = new Uint8Array(2 * 16 * 16 * 3).fill(128);
 * await writeMp4(path, { frameCount: 2, height: 16, width: 16, frameRateHz: 8, rgb }, { metadata: '{"seed":1}' });
 * await readMp4Metadata(path); // => '{"seed":1}'
 * ```
 */
export async function writeMp4(path: string, clip: Clip, options: WriteMp4Options = {}): Promise<void> {
  checkClip(clip);
  const scale = options.scale ?? 1;
  if (!Number.isInteger(scale) || scale < 1 || scale > 64) {
    throw new VansError(
      "VANS_MEDIA_REQUEST_INVALID",
      `the scale ${scale} is not a whole number from 1 to 64`,
      {
        fix: "give 1 (off), 2, 3, …",
      },
    );
  }
  await writeMediaFile(path, await mp4Bytes(clip, scale, options));
}

/** The comment tag of an mp4 (mov, mkv, webm) file: the text given to {@link writeMp4}. */
export async function readMp4Metadata(
  path: string,
  options: { readonly signal?: AbortSignal; readonly silenceSecs?: number } = {},
): Promise<string | undefined> {
  let text: string | undefined;
  await runCodecTask(
    { kind: "metadata", path },
    {
      silenceSecs: options.silenceSecs ?? DEFAULT_SILENCE_SECS,
      signal: options.signal,
      onReply: (reply) => {
        if (reply.kind === "text") text = reply.text;
      },
    },
  );
  return text;
}

async function mp4Bytes(clip: Clip, scale: number, options: WriteMp4Options): Promise<Uint8Array> {
  const silenceSecs = options.silenceSecs ?? DEFAULT_SILENCE_SECS;
  const allowed = allowedBackends(options.backends);
  let missing: unknown;
  for (const backend of allowed) {
    if (backend === "ffmpeg") {
      const programs = await findFfmpeg();
      if (programs === undefined) continue;
      const { encodeMp4WithFfmpeg } = await import("./ffmpeg-encode.ts");
      return encodeMp4WithFfmpeg(programs, clip, { ...options, silenceSecs, frames: framesOf(clip, scale) });
    }
    try {
      return await encodeWithLibrary(clip, scale, options, silenceSecs);
    } catch (error) {
      if (!isVansError(error) || !WORTH_A_SECOND_TRY.has(error.code)) throw error;
      missing = error;
    }
  }
  throw (
    missing ??
    new VansError("VANS_MEDIA_BACKEND_MISSING", "no allowed backend can write an mp4", {
      asked: allowed.join(", ") || "no backend",
      fix: "allow the npm backend, or install ffmpeg",
    })
  );
}

/**
 * Bits per pixel and second that are more than openh264 uses at its finest quantiser (12) for anything but noise:
 * luma then is at 51 dB on flat 64x64 drawings.
 */
const BITS_PER_PIXEL = 4;
const LEAST_BITRATE = 2_000_000;
/**
 * openh264 fails on pictures that take more bytes than its buffer, which noise does at a fine quantiser. A lower rate
 * makes it coarser; pure noise at 64x64 passes at a fortieth of the rate.
 */
const BITRATE_SHARES = [1, 1 / 4, 1 / 16, 1 / 64, 1 / 256];

async function encodeWithLibrary(
  clip: Clip,
  scale: number,
  options: WriteMp4Options,
  silenceSecs: number,
): Promise<Uint8Array> {
  const pixelRate = clip.height * clip.width * scale * scale * clip.frameRateHz;
  const bitrate = Math.max(LEAST_BITRATE, pixelRate * BITS_PER_PIXEL);
  for (const share of BITRATE_SHARES.slice(0, -1)) {
    try {
      return await encodeAt(Math.round(bitrate * share), clip, scale, options, silenceSecs);
    } catch (error) {
      if (!isVansError(error, "VANS_MEDIA_ENCODE_FAILED")) throw error;
    }
  }
  return encodeAt(Math.round(bitrate * BITRATE_SHARES.at(-1)!), clip, scale, options, silenceSecs);
}

async function encodeAt(
  bitrate: number,
  clip: Clip,
  scale: number,
  options: WriteMp4Options,
  silenceSecs: number,
): Promise<Uint8Array> {
  const { frameCount, frameRateHz } = clip;
  let bytes: Uint8Array | undefined;
  await runCodecTask(
    { kind: "encode", frameCount, frameRateHz, bitrate, metadata: options.metadata, title: options.title },
    {
      silenceSecs,
      signal: options.signal,
      frames: framesOf(clip, scale),
      onReply: (reply) => {
        if (reply.kind === "bytes") bytes = reply.bytes;
      },
    },
  );
  return bytes!;
}

function* framesOf(clip: Clip, scale: number): Generator<SentFrame> {
  for (let index = 0; index < clip.frameCount; index++) {
    const frame = frameOf(clip, index);
    yield scale === 1
      ? frame
      : resizeImage(frame, { height: frame.height * scale, width: frame.width * scale }, "nearest");
  }
}

/** Options of {@link writeAnimatedWebp}. */
export interface WriteWebpOptions {
  /** Whole-number enlargement by repeating pixels. Default 1. */
  readonly scale?: number;
  /** 1 … 100, or `lossless` (the default: flat drawings stay small and sharp). */
  readonly quality?: number | "lossless";
}

/**
 * Writes a clip as an animated webp that loops: a preview for pages that show pictures only. Equal neighbours may
 * be stored as one longer frame; the total time is kept.
 *
 * @throws VANS_MEDIA_REQUEST_INVALID, VANS_MEDIA_DISK_FULL, VANS_MEDIA_UNWRITABLE
 */
export async function writeAnimatedWebp(
  path: string,
  clip: Clip,
  options: WriteWebpOptions = {},
): Promise<void> {
  checkClip(clip);
  const { default: sharp } = await import("sharp");
  const scale = options.scale ?? 1;
  const frames = [...framesOf(clip, scale)];
  const height = clip.height * scale;
  const width = clip.width * scale;
  const quality = options.quality ?? "lossless";
  const delays = frames.map((_, index) => delayMs(index, clip.frameRateHz));
  const bytes = await sharp(Buffer.concat(frames.map((frame) => frame.rgb)), {
    raw: { width, height: height * frames.length, channels: 3, pageHeight: height },
    limitInputPixels: false,
  })
    .webp({ loop: 0, delay: delays, ...(quality === "lossless" ? { lossless: true } : { quality }) })
    .toBuffer();
  await writeMediaFile(path, bytes);
}

/** Delays are whole milliseconds; rounding the starts rather than the delays keeps the total right. */
function delayMs(index: number, frameRateHz: number): number {
  const start = (frame: number): number => Math.round((frame * 1000) / frameRateHz);
  return start(index + 1) - start(index);
}

/** Writes one picture as png. @throws VANS_MEDIA_DISK_FULL, VANS_MEDIA_UNWRITABLE */
export async function writePng(path: string, image: SentFrame): Promise<void> {
  const { default: sharp } = await import("sharp");
  const { height, width, rgb } = image;
  await writeMediaFile(
    path,
    await sharp(rgb, { raw: { height, width, channels: 3 } })
      .png()
      .toBuffer(),
  );
}

function checkClip(clip: Clip): void {
  const { frameCount, height, width, frameRateHz, rgb } = clip;
  const isWhole = [frameCount, height, width].every((value) => Number.isInteger(value) && value >= 1);
  if (
    !isWhole ||
    !(frameRateHz > 0 && Number.isFinite(frameRateHz)) ||
    rgb.length !== frameCount * height * width * 3
  ) {
    throw new VansError("VANS_MEDIA_REQUEST_INVALID", "the clip's fields do not fit together", {
      asked: `[${frameCount}, ${height}, ${width}, 3] at ${frameRateHz} Hz`,
      found: `${rgb.length} bytes, expected ${frameCount * height * width * 3}`,
      fix: "give whole sides, a rate above 0 and frameCount * height * width * 3 bytes",
    });
  }
}
