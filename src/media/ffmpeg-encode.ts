/**
 * Writing mp4 with the `ffmpeg` program, for platforms without the encoder that npm installs.
 * @module
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VansError } from "../base/errors.ts";
import type { Clip } from "./clip.ts";
import type { SentFrame } from "./codec-protocol.ts";
import { type FfmpegPrograms, runProgram } from "./ffmpeg.ts";
import { unwritable } from "./media-errors.ts";
import { withoutClockTimes } from "./mp4-boxes.ts";
import { writerTag } from "./writer-tag.ts";
import { yuv420FromRgb } from "./yuv.ts";

/** Options of {@link encodeMp4WithFfmpeg}. */
export interface FfmpegEncodeOptions {
  readonly metadata?: string;
  readonly title?: string;
  readonly silenceSecs: number;
  readonly signal?: AbortSignal;
  readonly frames: Iterable<SentFrame>;
}

/** x264 where ffmpeg has it; else whatever encodes H.264 there, at a rate that is never short. */
const ENCODERS = [
  ["-c:v", "libx264", "-crf", "6", "-preset", "medium"],
  ["-c:v", "h264", "-b:v", "8M"],
];

/** The bytes of an mp4 file with the frames. */
export async function encodeMp4WithFfmpeg(
  programs: FfmpegPrograms,
  clip: Clip,
  options: FfmpegEncodeOptions,
): Promise<Uint8Array> {
  const frames = [...options.frames];
  const pictures = frames.map((frame) => yuv420FromRgb(frame));
  const { height, width } = pictures[0]!;
  const folder = await mkdtemp(join(tmpdir(), "vans-encode-"));
  const output = join(folder, "clip.mp4");
  const tags = join(folder, "tags.txt");
  try {
    await writeFile(
      tags,
      tagFile({
        comment: options.metadata,
        title: options.title,
        encoding_tool: writerTag(frames[0]!, { height, width }),
      }),
    );
    let last = "";
    for (const encoder of ENCODERS) {
      const { exitCode, stderr } = await runProgram(
        programs.ffmpeg,
        [
          ...["-hide_banner", "-y", "-loglevel", "error"],
          ...[
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-s",
            `${width}x${height}`,
            "-r",
            String(clip.frameRateHz),
          ],
          ...["-i", "pipe:0", "-f", "ffmetadata", "-i", tags, "-map", "0:v", "-map_metadata", "1"],
          ...encoder,
          ...["-pix_fmt", "yuv420p", "-color_primaries", "smpte170m", "-color_trc", "smpte170m"],
          ...["-colorspace", "smpte170m", "-color_range", "tv", "-bitexact", "-movflags", "+faststart"],
          ...["-f", "mp4", output],
        ],
        {
          silenceSecs: options.silenceSecs,
          signal: options.signal,
          onOutput: () => {},
          input: pictures.map(({ planes }) => planes),
        },
      );
      if (exitCode === 0) return withoutClockTimes(new Uint8Array(await readFile(output)));
      last = stderr.trim().split("\n").at(-1) ?? `exit code ${exitCode}`;
      if (/no space left/i.test(stderr))
        throw unwritable(output, Object.assign(new Error(last), { code: "ENOSPC" }));
    }
    throw new VansError("VANS_MEDIA_BACKEND_MISSING", "ffmpeg could not encode H.264", {
      found: last,
      fix: "install an ffmpeg with libx264 or another H.264 encoder",
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** ffmpeg's tag file, where `=`, `;`, `#`, backslash and newline are escaped. */
function tagFile(tags: Readonly<Record<string, string | undefined>>): string {
  const escaped = (text: string): string => text.replace(/[=;#\\\n]/g, (character) => `\\${character}`);
  const lines = Object.entries(tags).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${escaped(value)}`],
  );
  return [";FFMETADATA1", ...lines, ""].join("\n");
}
