/**
 * Opens a media file inside the codec process with the library that knows its format.
 * @module
 */
import { open } from "node:fs/promises";
import type { FrameSink, ReadWish } from "./codec-protocol.ts";
import { FOREIGN_BYTES, foreignFormat } from "./foreign-formats.ts";
import { codecUnsupported, formatUnknown, unreadable } from "./media-errors.ts";
import { type MediaInfo, sniffFormat } from "./media-info.ts";

/** An open file. */
export interface OpenMedia {
  readonly info: MediaInfo;
  /**
   * Sends `info` with the picks, then every picked frame once as `frame` or `lost`.
   *
   * @throws VANS_MEDIA_TOO_LARGE where the frames would take more than `maxBytes`
   */
  read(wish: ReadWish, sink: ReadSink): Promise<void>;
  close(): Promise<void>;
}

/** Where {@link OpenMedia.read} puts its answers. */
export type ReadSink = (
  reply:
    | Parameters<FrameSink>[0]
    | { readonly kind: "info"; readonly info: MediaInfo; readonly picks: PicksOfFile },
) => Promise<void>;

/** See `SentPicks` of the protocol. */
export interface PicksOfFile {
  readonly frames: readonly number[];
  readonly timesSecs: Float64Array;
  readonly frameRateHz: number;
  readonly mayDropFrames: boolean;
}

/** Called now and then by long loops, as a sign of life. */
export type Progress = () => Promise<void>;

/**
 * Opens a file by its content.
 *
 * @throws VANS_MEDIA_FORMAT_UNKNOWN, VANS_MEDIA_CODEC_UNSUPPORTED, VANS_MEDIA_NO_VIDEO, VANS_MEDIA_CORRUPT
 */
export async function openMedia(path: string, progress: Progress): Promise<OpenMedia> {
  const header = await firstBytes(path);
  switch (sniffFormat(header)) {
    case "picture": {
      // Of an animated png the picture library sees the first picture only.
      const foreign = foreignFormat(header);
      if (foreign) throw codecUnsupported(path, foreign.container, foreign.codec, false);
      return (await import("./picture-file.ts")).openPictureFile(path, progress);
    }
    case "isobmff":
    case "matroska":
      return (await import("./video-file.ts")).openVideoFile(path, progress);
    case "other": {
      const foreign = foreignFormat(header);
      throw foreign
        ? codecUnsupported(path, foreign.container, foreign.codec, false)
        : formatUnknown(path, false);
    }
  }
}

/** The text stored as comment of a video, if there is one. */
export async function readContainerMetadata(path: string): Promise<string | undefined> {
  const format = sniffFormat(await firstBytes(path));
  if (format !== "isobmff" && format !== "matroska") return undefined;
  return (await import("./video-file.ts")).readVideoComment(path);
}

async function firstBytes(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path, "r");
    try {
      const header = new Uint8Array(FOREIGN_BYTES);
      const { bytesRead } = await file.read(header, 0, FOREIGN_BYTES, 0);
      return header.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw unreadable(path, error);
  }
}
