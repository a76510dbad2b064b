/**
 * Videos in mp4, mov, mkv and webm: the container is taken apart by mediabunny, the packets go to the native decoder.
 * Runs inside the codec process.
 * @module
 */
import { open, stat } from "node:fs/promises";
import {
  CustomSource,
  EncodedPacketSink,
  FilePathSource,
  Input,
  type InputVideoTrack,
  MATROSKA,
  MP4,
  QTFF,
  UnsupportedInputFormatError,
  type VideoCodec,
  WEBM,
} from "mediabunny";
import { type DecodeJob, decodeFrames } from "./decode-packets.ts";
import { applyMatroskaCut, findMatroskaCut } from "./matroska-cut.ts";
import { codecUnsupported, corrupt, formatUnknown, noVideo, tooLarge } from "./media-errors.ts";
import { frameTimesFrom, type MediaInfo, type RotationDegrees, rateOf } from "./media-info.ts";
import { impossibleClaim } from "./mp4-boxes.ts";
import type { OpenMedia, Progress } from "./open-media.ts";
import { readPacketTable } from "./packet-table.ts";
import { pickFrames } from "./read-request.ts";
import { pictureSizeFrom } from "./writer-tag.ts";
import { yuvMatrixFrom } from "./yuv.ts";

/** mediabunny's codec names and ours (ffmpeg's); only these go to the native decoder. */
const CODEC_NAMES: Readonly<Partial<Record<VideoCodec, string>>> = {
  avc: "h264",
  hevc: "hevc",
  vp8: "vp8",
  vp9: "vp9",
  av1: "av1",
};

const CONTAINER_NAMES: Readonly<Record<string, string>> = {
  MP4: "mp4",
  "QuickTime File Format": "mov",
  Matroska: "mkv",
  WebM: "webm",
};

async function openInput(path: string): Promise<Input> {
  const formats = [MP4, QTFF, MATROSKA, WEBM];
  const cut = await findMatroskaCut(path);
  if (cut === undefined) return new Input({ formats, source: new FilePathSource(path) });
  const file = await open(path, "r");
  const source = new CustomSource({
    getSize: () => cut.fileBytes,
    async read(start, end) {
      const bytes = new Uint8Array(end - start);
      await file.read(bytes, 0, bytes.length, start);
      applyMatroskaCut(cut, bytes, start);
      return bytes;
    },
    dispose: () => void file.close(),
    prefetchProfile: "fileSystem",
  });
  return new Input({ formats, source });
}

/** Opens a video; everything but the pixels is read at once. */
export async function openVideoFile(path: string, progress: Progress): Promise<OpenMedia> {
  const claim = await impossibleClaim(path);
  if (claim !== undefined) throw corrupt(path, `a damaged index: ${claim}`);
  const input = await openInput(path);
  try {
    return await describe(path, input, progress);
  } catch (error) {
    input.dispose();
    throw error instanceof UnsupportedInputFormatError ? formatUnknown(path, false, error) : error;
  }
}

async function describe(path: string, input: Input, progress: Progress): Promise<OpenMedia> {
  const formatName = (await input.getFormat()).name;
  const container = CONTAINER_NAMES[formatName] ?? formatName.toLowerCase();
  const track = await input.getPrimaryVideoTrack();
  if (track === null) {
    const others = (await input.getTracks()).map((other) => other.type);
    if (others.length === 0)
      throw corrupt(path, `${container} without any track: the index is missing or damaged`);
    throw noVideo(path, `${container} with ${others.join(", ")} only`);
  }
  const known = await track.getCodec();
  const codec = known === null ? undefined : CODEC_NAMES[known];
  const config = await track.getDecoderConfig();
  if (codec === undefined || config === null) {
    throw codecUnsupported(path, container, known ?? (await codecIdOf(track)), false);
  }

  const sink = new EncodedPacketSink(track);
  const { size: fileBytes } = await stat(path);
  const table = await readPacketTable(sink, { codec, fileBytes, progress });
  const shown = table.filter((packet) => packet.isShown);
  if (shown.length === 0) throw corrupt(path, `${container} with a ${codec} track, but no readable frame`);
  const timestamps = Float64Array.from(shown, (packet) => packet.timestampSecs);
  const last = shown.reduce((a, b) => (b.timestampSecs > a.timestampSecs ? b : a));
  const times = frameTimesFrom(timestamps, last.durationSecs);

  const rotationDegrees = (await track.getRotation()) as RotationDegrees;
  const turned = rotationDegrees === 90 || rotationDegrees === 270;
  const coded = { height: await track.getCodedHeight(), width: await track.getCodedWidth() };
  const tags = await input.getMetadataTags().catch(() => undefined);
  const picture = pictureSizeFrom(tags?.raw?.["©too"], coded);
  const info: MediaInfo = {
    container,
    codec,
    height: turned ? picture.width : picture.height,
    width: turned ? picture.height : picture.width,
    rotationDegrees,
    durationSecs: times.durationSecs,
    ...rateOf(times),
    backend: "npm",
  };
  const colour = await track.getColorSpace();
  const isRgb = colour.matrix === "rgb";
  const job: DecodeJob = {
    sink,
    table,
    decoder: {
      codec: config.codec,
      ...(config.codedWidth === undefined ? {} : { codedWidth: config.codedWidth }),
      ...(config.codedHeight === undefined ? {} : { codedHeight: config.codedHeight }),
      ...(config.description === undefined ? {} : { description: config.description as ArrayBufferView }),
    },
    colour: {
      matrix: yuvMatrixFrom(isRgb ? null : colour.matrix),
      isFullRange: !isRgb && colour.fullRange === true,
    },
    rotationDegrees,
    isMirrored: await track.getFlip(),
    isRgb,
    unsupported: () =>
      codecUnsupported(path, container, `${codec} in an unusual pixel format (${config.codec})`, false),
    picture: picture === coded ? undefined : picture,
  };

  return {
    info,
    async read({ request, maxBytes, chroma }, send) {
      const picks = pickFrames(times, request);
      const wanted = [...new Set(picks.frames)].sort((a, b) => a - b);
      const bytes = wanted.length * info.height * info.width * 3;
      if (bytes > maxBytes) {
        throw tooLarge(
          path,
          `${wanted.length} frames of ${info.width}x${info.height}: ${bytes} bytes`,
          maxBytes,
        );
      }
      await send({ kind: "info", info, picks: { ...picks, timesSecs: times.timesSecs } });
      await decodeFrames(job, wanted, { mayDropFrames: picks.mayDropFrames, chroma, send });
    },
    async close() {
      input.dispose();
    },
  };
}

async function codecIdOf(track: InputVideoTrack): Promise<string> {
  const id = await track.getInternalCodecId();
  return typeof id === "string"
    ? id.trim()
    : id instanceof Uint8Array
      ? Buffer.from(id).toString("latin1")
      : "unknown";
}

/** The comment tag of a video file. */
export async function readVideoComment(path: string): Promise<string | undefined> {
  const input = await openInput(path);
  try {
    return (await input.getMetadataTags()).comment;
  } catch (error) {
    throw error instanceof UnsupportedInputFormatError ? formatUnknown(path, false, error) : error;
  } finally {
    input.dispose();
  }
}
