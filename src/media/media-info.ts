/**
 * What is known about a media file before its pixels are needed.
 * @module
 */

/** The two ways to read and write media: libraries that npm installs, or the `ffmpeg` programs on the PATH. */
export const MEDIA_BACKENDS = ["npm", "ffmpeg"] as const;
export type MediaBackend = (typeof MEDIA_BACKENDS)[number];

/** Clockwise quarter turns that a player applies to the stored frames. */
export type RotationDegrees = 0 | 90 | 180 | 270;

/** Facts about a video or picture file. */
export interface MediaInfo {
  /** `mp4`, `mov`, `mkv`, `webm`, `gif`, `png`, `jpeg`, `webp`, …; ffmpeg's name for anything rarer. */
  readonly container: string;
  /** `h264`, `hevc`, `vp8`, `vp9`, `av1`, or the picture format; ffmpeg's name for anything rarer. */
  readonly codec: string;
  /** Pixels, after rotation. */
  readonly height: number;
  /** Pixels, after rotation. */
  readonly width: number;
  /** The clockwise turn that the file asks for. Frames that {@link readClip} returns are already turned. */
  readonly rotationDegrees: RotationDegrees;
  /** From the first frame's start to the last frame's end; 0 for a still picture. */
  readonly durationSecs: number;
  /** Frames that are shown, counted in the file's index. */
  readonly frameCount: number;
  /** The average: frames divided by duration; 1 for a still picture. */
  readonly frameRateHz: number;
  /** True where the distance between frames varies by more than a container's rounding. */
  readonly isVariableFrameRate: boolean;
  /** Which backend read it. */
  readonly backend: MediaBackend;
}

/** When each frame is shown. */
export interface FrameTimes {
  /** Seconds from the first frame, in presentation order; the first is 0. */
  readonly timesSecs: Float64Array;
  readonly durationSecs: number;
}

/** Containers round times: Matroska to 1 ms, GIF to 10 ms steps that authors alternate on purpose. */
const RATE_TOLERANCE_SECS = 0.0015;

/** Times of frames from raw timestamps (any order, any origin) and the last frame's own duration. */
export function frameTimesFrom(timestampsSecs: Float64Array, lastDurationSecs: number): FrameTimes {
  const sorted = timestampsSecs.slice().sort();
  const origin = sorted[0] ?? 0;
  const timesSecs = sorted.map((time) => time - origin);
  const count = timesSecs.length;
  const span = timesSecs[count - 1] ?? 0;
  const usual = count > 1 ? span / (count - 1) : 0;
  const last = lastDurationSecs > 0 && Number.isFinite(lastDurationSecs) ? lastDurationSecs : usual;
  return { timesSecs, durationSecs: span + last };
}

/** Frame count, average rate and whether it varies. */
export function rateOf({ timesSecs, durationSecs }: FrameTimes): {
  frameCount: number;
  frameRateHz: number;
  isVariableFrameRate: boolean;
} {
  const frameCount = timesSecs.length;
  const frameRateHz = frameCount > 0 && durationSecs > 0 ? frameCount / durationSecs : 1;
  const steps = timesSecs.slice(1).map((time, index) => time - timesSecs[index]!);
  const median = steps.slice().sort()[Math.floor(steps.length / 2)] ?? 0;
  const isVariableFrameRate = steps.some((step) => Math.abs(step - median) > RATE_TOLERANCE_SECS);
  return { frameCount, frameRateHz, isVariableFrameRate };
}

/** What the first bytes of a file say it is. `other` is left to ffmpeg. */
export type SniffedFormat = "isobmff" | "matroska" | "picture" | "other";

/** Bytes that {@link sniffFormat} needs. */
export const SNIFF_BYTES = 16;

const PICTURE_BRANDS = new Set(["avif", "avis"]);
const PICTURE_STARTS = ["GIF8", "\x89PNG", "\xff\xd8\xff", "II*\0", "MM\0*"];

/** Names a file's family from its first {@link SNIFF_BYTES} bytes, never from its name. */
export function sniffFormat(header: Uint8Array): SniffedFormat {
  const text = Array.from(header.subarray(0, SNIFF_BYTES), (byte) => String.fromCharCode(byte)).join("");
  if (PICTURE_STARTS.some((start) => text.startsWith(start))) return "picture";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "picture";
  if (text.startsWith("\x1aE\xdf\xa3")) return "matroska";
  const box = text.slice(4, 8);
  if (box === "ftyp" && PICTURE_BRANDS.has(text.slice(8, 12))) return "picture";
  if (["ftyp", "moov", "mdat", "free", "wide", "skip", "pnot", "styp"].includes(box)) return "isobmff";
  return "other";
}
