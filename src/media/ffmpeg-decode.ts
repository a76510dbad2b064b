/**
 * The second backend: `ffprobe` for facts, `ffmpeg` for pixels. Gives the same frames as the first, because it hands
 * over the stored planes and leaves colour and rotation to the same code.
 * @module
 */
import type { CodecReply, ReadWish } from "./codec-protocol.ts";
import { type FfmpegPrograms, runProgram } from "./ffmpeg.ts";
import { FrameSplitter } from "./frame-splitter.ts";
import { corrupt, formatUnknown, noVideo, tooLarge } from "./media-errors.ts";
import {
  type FrameTimes,
  frameTimesFrom,
  type MediaInfo,
  type RotationDegrees,
  rateOf,
} from "./media-info.ts";
import { pickFrames } from "./read-request.ts";
import { cropTopLeft, type ImageSize, type RgbImage } from "./resize.ts";
import { eightBits } from "./stored-planes.ts";
import { turnImage } from "./turn.ts";
import { pictureSizeFrom } from "./writer-tag.ts";
import {
  type ChromaMode,
  rgbFromYuv,
  type YuvColour,
  type YuvLayout,
  yuvByteCount,
  yuvMatrixFrom,
} from "./yuv.ts";

interface Timing {
  readonly silenceSecs: number;
  readonly signal: AbortSignal | undefined;
}

/** Options of {@link readWithFfmpeg}. */
export interface FfmpegReadOptions extends Timing, ReadWish {
  readonly onReply: (reply: CodecReply) => void;
}

/** Containers that hold video of their own, no playlists: those could name other files or addresses. */
const DEMUXERS =
  "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpegts,mpeg,mpegvideo,ogg,asf,asf_o,gif,apng,h264,hevc,ivf,m4v,mjpeg,mxf,nut,rm,wtv,dv,av1,obu,y4m,yuv4mpegpipe,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,dnxhd,vc1,swf,roq,nsv,bink,gxf,lmlm4,cavsvideo,dirac,evc,vvc,avs,amv";
const SAFE_INPUT = ["-protocol_whitelist", "file", "-format_whitelist", DEMUXERS];

/** Planes that we convert ourselves; everything else is converted by ffmpeg. */
interface Planar {
  readonly layout: YuvLayout;
  readonly depth: number;
}

/** By ffmpeg's pixel format. */
function planarOf(pixelFormat: string): Planar | undefined {
  const found = /^yuvj?(420|422|444)p(?:(10|12)le)?$/.exec(pixelFormat);
  return found ? { layout: `I${found[1]!}` as YuvLayout, depth: Number(found[2] ?? 8) } : undefined;
}

/** Frames further apart than this are sought one by one rather than decoded through. */
const SEEK_GAP_SECS = 8;
/** Filter times are the table's times up to printing. */
const TIME_EPSILON_SECS = 1e-4;

interface ProbedFile {
  readonly info: MediaInfo;
  readonly times: FrameTimes;
  /** False where the file has no times: frames are counted, at the average rate. */
  readonly isTimed: boolean;
  /** Container time of the first frame. */
  readonly originSecs: number;
  readonly codedHeight: number;
  readonly codedWidth: number;
  /** The part of the stored frame that is picture. */
  readonly picture: ImageSize;
  readonly pixelFormat: string;
  readonly colour: YuvColour;
}

/** As `probe`, with ffprobe. */
export async function probeWithFfmpeg(
  programs: FfmpegPrograms,
  path: string,
  timing: Timing,
): Promise<MediaInfo> {
  return (await describe(programs, path, timing)).info;
}

/** As the codec process's `read` task: sends `info`, then `frame` or `lost` for every picked frame. */
export async function readWithFfmpeg(
  programs: FfmpegPrograms,
  path: string,
  options: FfmpegReadOptions,
): Promise<void> {
  const file = await describe(programs, path, options);
  const { info, times } = file;
  const picks = pickFrames(times, options.request);
  const wanted = [...new Set(picks.frames)].sort((a, b) => a - b);
  const bytes = wanted.length * info.height * info.width * 3;
  if (bytes > options.maxBytes)
    throw tooLarge(
      path,
      `${wanted.length} frames of ${info.width}x${info.height}: ${bytes} bytes`,
      options.maxBytes,
    );
  options.onReply({ kind: "info", info, picks: { ...picks, timesSecs: times.timesSecs } });
  for (const run of splitAtGaps(wanted, times)) {
    const found = await decodeRun(programs, path, file, run, options);
    for (const number of run) {
      const frame = found.get(number);
      if (frame !== undefined) options.onReply({ kind: "frame", number, shown: number, frame });
      else options.onReply({ kind: "lost", number });
    }
  }
}

function splitAtGaps(wanted: readonly number[], { timesSecs }: FrameTimes): number[][] {
  const runs: number[][] = [];
  for (const number of wanted) {
    const run = runs.at(-1);
    const previous = run?.at(-1);
    if (
      run === undefined ||
      previous === undefined ||
      timesSecs[number]! - timesSecs[previous]! > SEEK_GAP_SECS
    )
      runs.push([number]);
    else run.push(number);
  }
  return runs;
}

async function decodeRun(
  programs: FfmpegPrograms,
  path: string,
  file: ProbedFile,
  run: readonly number[],
  options: Timing & { readonly chroma: ChromaMode },
): Promise<Map<number, RgbImage>> {
  const at = (number: number): number => file.originSecs + file.times.timesSecs[number]!;
  const isFar = file.times.timesSecs[run[0]!]! > SEEK_GAP_SECS;
  const seekTo = isFar && file.isTimed ? at(run[0]!) - TIME_EPSILON_SECS : undefined;
  const planar = planarOf(file.pixelFormat);
  const terms = contiguous(run).map(([first, last]) =>
    file.isTimed
      ? `between(t,${(at(first) - TIME_EPSILON_SECS).toFixed(6)},${(at(last) + TIME_EPSILON_SECS).toFixed(6)})`
      : `between(n,${first},${last})`,
  );
  const images: RgbImage[] = [];
  const frames = new FrameSplitter(frameBytes(file, planar), (bytes) =>
    images.push(imageFrom(file, planar, options.chroma, bytes)),
  );
  const { stderr } = await runProgram(
    programs.ffmpeg,
    [
      ...["-hide_banner", "-nostdin", "-loglevel", "info", "-copyts", "-noautorotate"],
      ...(seekTo === undefined ? [] : ["-ss", seekTo.toFixed(6)]),
      ...[...SAFE_INPUT, "-i", `file:${path}`, "-map", "0:v:0", "-an", "-sn", "-dn"],
      // After the choice, frames are renumbered at a constant rate, so that the writer neither drops nor repeats any. The unit of
      // time is set first: an avi or apng of 5 Hz has one of 1/5 s, too coarse for it.
      ...["-vf", `select='${terms.join("+")}',showinfo,settb=1/25,setpts=N,fps=25`, "-r", "25"],
      ...["-frames:v", String(run.length), "-pix_fmt", planar === undefined ? "rgb24" : file.pixelFormat],
      ...["-f", "rawvideo", "pipe:1"],
    ],
    { silenceSecs: options.silenceSecs, signal: options.signal, onOutput: (chunk) => frames.push(chunk) },
  );
  const times = [...stderr.matchAll(/Parsed_showinfo[^\n]*\bpts_time:\s*(-?[\d.]+)/g)].map((match) =>
    Number(match[1]),
  );
  const found = new Map<number, RgbImage>();
  images.forEach((image, position) => {
    const time = times[position];
    const number = file.isTimed
      ? run.find((candidate) => Math.abs(at(candidate) - (time ?? Number.NaN)) < 2 * TIME_EPSILON_SECS)
      : run[position];
    if (number !== undefined) found.set(number, image);
  });
  return found;
}

/** Ascending numbers as ranges `[first, last]`. */
function contiguous(numbers: readonly number[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const number of numbers) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === number - 1) range[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
}

function frameBytes(file: ProbedFile, planar: Planar | undefined): number {
  if (planar === undefined) return file.codedHeight * file.codedWidth * 3;
  return yuvByteCount(planar.layout, file.codedHeight, file.codedWidth) * (planar.depth > 8 ? 2 : 1);
}

function imageFrom(
  file: ProbedFile,
  planar: Planar | undefined,
  chroma: ChromaMode,
  bytes: Uint8Array,
): RgbImage {
  const size = { height: file.codedHeight, width: file.codedWidth };
  const planes = planar !== undefined && planar.depth > 8 ? eightBits(bytes, planar.depth) : bytes;
  const image =
    planar === undefined
      ? { ...size, rgb: bytes }
      : rgbFromYuv(planes, { ...size, layout: planar.layout }, file.colour, chroma);
  return turnImage(cropTopLeft(image, file.picture), file.info.rotationDegrees);
}

interface ProbeJson {
  readonly format?: { readonly format_name?: string; readonly tags?: { readonly encoder?: string } };
  readonly streams?: readonly {
    readonly codec_name?: string;
    readonly width?: number;
    readonly height?: number;
    readonly pix_fmt?: string;
    readonly color_space?: string;
    readonly color_range?: string;
    readonly time_base?: string;
    readonly avg_frame_rate?: string;
    readonly tags?: { readonly rotate?: string };
    readonly side_data_list?: readonly { readonly rotation?: number }[];
  }[];
}

async function describe(programs: FfmpegPrograms, path: string, timing: Timing): Promise<ProbedFile> {
  const entries =
    "format=format_name:format_tags=encoder:stream=codec_name,width,height,pix_fmt,color_space,color_range,time_base,avg_frame_rate:stream_tags=rotate:stream_side_data=rotation";
  const json = await ffprobe(
    programs,
    path,
    ["-select_streams", "v:0", "-show_entries", entries, "-of", "json"],
    timing,
  );
  if (json.exitCode !== 0) throw formatUnknown(path, true, new Error(json.stderr.trim().split("\n").at(-1)));
  const { format, streams } = JSON.parse(json.stdout) as ProbeJson;
  const container = containerName(format?.format_name ?? "unknown", path);
  const stream = streams?.[0];
  if (stream?.width === undefined || stream.height === undefined || stream.codec_name === undefined)
    throw noVideo(path, `no video stream in ${container}`);
  // VP8 hides packets, which ffprobe's list does not tell.
  const packetsTell = stream.codec_name !== "vp8";
  const units = { unitSecs: ratioOf(stream.time_base), rateHz: ratioOf(stream.avg_frame_rate) };
  const { frames: timestamps, isTimed } = await readTimestamps(programs, path, units, packetsTell, timing);
  if (timestamps.length === 0)
    throw corrupt(path, `${stream.codec_name} in ${container}, but no readable frame`);
  const starts = Float64Array.from(timestamps, ({ startSecs }) => startSecs);
  const last = timestamps.reduce((a, b) => (b.startSecs > a.startSecs ? b : a));
  const isStill = timestamps.length === 1 && container.endsWith("_pipe");
  const times = isStill
    ? { timesSecs: Float64Array.of(0), durationSecs: 0 }
    : frameTimesFrom(starts, last.durationSecs);
  const rotationDegrees = rotationOf(stream);
  const picture = pictureSizeFrom(format?.tags?.encoder, { height: stream.height, width: stream.width });
  const turned = rotationDegrees === 90 || rotationDegrees === 270;
  const pixelFormat = stream.pix_fmt ?? "";
  return {
    info: {
      container,
      codec: stream.codec_name,
      height: turned ? picture.width : picture.height,
      width: turned ? picture.height : picture.width,
      rotationDegrees,
      durationSecs: times.durationSecs,
      ...rateOf(times),
      backend: "ffmpeg",
    },
    times,
    isTimed,
    originSecs: starts.reduce((a, b) => Math.min(a, b)),
    codedHeight: stream.height,
    codedWidth: stream.width,
    picture,
    pixelFormat,
    colour: {
      matrix: yuvMatrixFrom(stream.color_space),
      isFullRange: stream.color_range === "pc" || pixelFormat.startsWith("yuvj"),
    },
  };
}

/** ffmpeg lists all names of a demuxer; the file's own kind is told by its ending. */
function containerName(names: string, path: string): string {
  const all = names.split(",");
  const ending = path.split(".").at(-1)?.toLowerCase() ?? "";
  if (all.includes("matroska")) return ending === "webm" ? "webm" : "mkv";
  if (all.includes(ending)) return ending;
  return all.includes("mp4") ? "mp4" : all[0]!;
}

function rotationOf(stream: NonNullable<ProbeJson["streams"]>[number]): RotationDegrees {
  const counterclockwise = stream.side_data_list?.find((data) => data.rotation !== undefined)?.rotation;
  const clockwise = counterclockwise === undefined ? Number(stream.tags?.rotate ?? 0) : -counterclockwise;
  const quarter = (((Math.round(clockwise / 90) % 4) + 4) % 4) * 90;
  return quarter as RotationDegrees;
}

/** A fraction as ffprobe writes it; 1 where it makes no sense. */
function ratioOf(text: string | undefined): number {
  const [numerator, denominator] = (text ?? "1/1").split("/").map(Number);
  const ratio = numerator! / denominator!;
  return ratio > 0 && Number.isFinite(ratio) ? ratio : 1;
}

interface FrameStart {
  readonly startSecs: number;
  readonly durationSecs: number;
}

/**
 * When frames are shown: from the packets where they say so, else from decoding everything. Raw streams and H.264 in avi
 * have no times; their frames are counted.
 */
async function readTimestamps(
  programs: FfmpegPrograms,
  path: string,
  { unitSecs, rateHz }: { readonly unitSecs: number; readonly rateHz: number },
  packetsTell: boolean,
  timing: Timing,
): Promise<{ readonly frames: readonly FrameStart[]; readonly isTimed: boolean }> {
  if (packetsTell) {
    const packets = await ffprobe(
      programs,
      path,
      ["-select_streams", "v:0", "-show_entries", "packet=pts,duration,flags", "-of", "csv=p=0"],
      timing,
    );
    const fromPackets = parseRows(packets.stdout, unitSecs, (flags) => !flags.includes("D"));
    if (fromPackets !== undefined) return { frames: fromPackets, isTimed: true };
  }
  const frames = await ffprobe(
    programs,
    path,
    ["-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp", "-of", "csv=p=0"],
    timing,
  );
  const fromFrames = parseRows(frames.stdout, unitSecs, () => true);
  if (fromFrames !== undefined) return { frames: fromFrames, isTimed: true };
  const count = frames.stdout.split("\n").filter((line) => line.trim() !== "").length;
  const counted = Array.from({ length: count }, (_, k) => ({
    startSecs: k / rateHz,
    durationSecs: 1 / rateHz,
  }));
  return { frames: counted, isTimed: false };
}

/** Rows `start,duration,flags`; undefined if a start is missing. */
function parseRows(
  text: string,
  unitSecs: number,
  isShown: (flags: string) => boolean,
): FrameStart[] | undefined {
  const rows: FrameStart[] = [];
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const [start, duration, flags] = line.split(",");
    if (!isShown(flags ?? "")) continue;
    const startSecs = Number(start) * unitSecs;
    if (start === "" || !Number.isFinite(startSecs)) return undefined;
    const durationSecs = Number(duration ?? 0) * unitSecs;
    rows.push({ startSecs, durationSecs: Number.isFinite(durationSecs) ? durationSecs : 0 });
  }
  return rows;
}

async function ffprobe(programs: FfmpegPrograms, path: string, args: readonly string[], timing: Timing) {
  const pieces: Buffer[] = [];
  const result = await runProgram(
    programs.ffprobe,
    ["-v", "error", ...SAFE_INPUT, ...args, "-i", `file:${path}`],
    {
      ...timing,
      onOutput: (chunk) => pieces.push(chunk),
    },
  );
  return { ...result, stdout: Buffer.concat(pieces).toString("utf8") };
}
