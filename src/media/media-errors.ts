/**
 * The errors that reading and writing media can give, each with its fix.
 * @module
 */
import { VansError } from "../base/errors.ts";

const INSTALL_FFMPEG =
  "install ffmpeg (for example `apt install ffmpeg` or `brew install ffmpeg`) so that it is on the PATH";

/** A codec or container that no available backend reads. */
export function codecUnsupported(
  path: string,
  container: string,
  codec: string,
  hasFfmpeg: boolean,
): VansError {
  return new VansError(
    "VANS_MEDIA_CODEC_UNSUPPORTED",
    `the codec ${codec} in ${container} cannot be decoded here`,
    {
      asked: path,
      found: `codec ${codec}, container ${container}`,
      why: "the decoders that npm installs read H.264, HEVC, VP8, VP9 and AV1 in mp4, mov, mkv and webm, and gif, png, jpeg, webp, avif and tiff",
      fix: hasFfmpeg
        ? "convert it first: ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p OUTPUT.mp4"
        : `${INSTALL_FFMPEG}, or convert the file to H.264 in mp4 elsewhere`,
      data: { path, codec, container },
    },
  );
}

/** Bytes that no backend recognises. */
export function formatUnknown(path: string, hasFfmpeg: boolean, cause?: unknown): VansError {
  return new VansError(
    "VANS_MEDIA_FORMAT_UNKNOWN",
    "the file is not a video or picture that can be read here",
    {
      asked: path,
      found: "its first bytes belong to none of mp4, mov, mkv, webm, gif, png, jpeg, webp, avif, tiff",
      fix: hasFfmpeg ? "check that it is a video: ffprobe FILE" : `if a player shows it, ${INSTALL_FFMPEG}`,
      cause,
      data: { path },
    },
  );
}

/** A file of a known kind from which nothing sound could be decoded. */
export function corrupt(path: string, found: string, cause?: unknown): VansError {
  return new VansError("VANS_MEDIA_CORRUPT", "nothing sound could be decoded from the file", {
    asked: path,
    found,
    why: "the file is damaged or was cut off, for example by an interrupted download",
    fix: "fetch the file again, or repair it: ffmpeg -i INPUT -c copy OUTPUT.mp4",
    cause,
    data: { path },
  });
}

/** An encoder that refuses. */
export function notEncoded(found: string): VansError {
  return new VansError("VANS_MEDIA_ENCODE_FAILED", "the video could not be encoded", {
    found,
    why: "H.264 encoders refuse pictures beyond their level, about 4096 pixels a side",
    fix: "write a smaller clip or a smaller scale",
  });
}

/** A media file without pictures. */
export function noVideo(path: string, found: string): VansError {
  return new VansError("VANS_MEDIA_NO_VIDEO", "the file has no video", {
    asked: path,
    found,
    fix: "choose a file with a video track, or a picture",
    data: { path },
  });
}

/** More pixels than the caller allows. */
export function tooLarge(path: string, found: string, maxBytes: number): VansError {
  return new VansError(
    "VANS_MEDIA_TOO_LARGE",
    "the frames asked for do not fit the memory allowed for them",
    {
      asked: `${path}, at most ${(maxBytes / 2 ** 20).toFixed(0)} MiB of frames (maxBytes)`,
      found,
      fix: "ask for fewer frames with maxFrames, frameCount or a window (startSecs, endSecs)",
      data: { path },
    },
  );
}

/** A decoder or demuxer that stopped answering. */
export function timedOut(what: string, silenceSecs: number): VansError {
  return new VansError("VANS_MEDIA_TIMEOUT", `${what} did not answer for ${silenceSecs} s and was stopped`, {
    why: "damaged files can send a decoder into an endless loop; a very slow disk or a busy machine also looks like this",
    fix: "try again with a larger silenceSecs, or repair the file: ffmpeg -i INPUT -c copy OUTPUT.mp4",
  });
}

/** A native decoder that took its process down. */
export function crashed(what: string, found: string): VansError {
  return new VansError("VANS_MEDIA_DECODER_CRASHED", `${what} ended unexpectedly`, {
    found,
    why: "damaged files can crash a native decoder; it runs in a process of its own, so nothing else is affected",
    fix: "repair the file: ffmpeg -i INPUT -c copy OUTPUT.mp4",
  });
}

/** No library for the codecs: an unusual platform, or an installation without optional packages. */
export function backendMissing(what: string, cause?: unknown): VansError {
  return new VansError("VANS_MEDIA_BACKEND_MISSING", `${what} needs a video library, and none is available`, {
    found: `${process.platform}-${process.arch}: node-webcodecs has no binary here, and no ffmpeg is on the PATH`,
    fix: INSTALL_FFMPEG,
    cause,
  });
}

/** Errors of the file system while reading, by their system code. */
export function unreadable(path: string, cause: unknown): VansError {
  const system = systemCode(cause);
  if (system === "ENOENT" || system === "ENOTDIR") {
    return new VansError("VANS_MEDIA_NOT_FOUND", "the file does not exist", {
      asked: path,
      fix: "check the path",
      data: { path },
    });
  }
  return new VansError("VANS_MEDIA_UNREADABLE", "the file cannot be read", {
    asked: path,
    found: system ?? String(cause),
    fix:
      system === "EACCES" || system === "EPERM"
        ? "check the file's permissions"
        : "check the disk and the path",
    cause,
    data: { path },
  });
}

/** Errors of the file system while writing, by their system code. */
export function unwritable(path: string, cause: unknown): VansError {
  const system = systemCode(cause);
  if (system === "ENOSPC" || system === "EDQUOT" || system === "EFBIG") {
    return new VansError("VANS_MEDIA_DISK_FULL", "the disk is full; nothing was written", {
      asked: path,
      found: system,
      fix: "free some space or write elsewhere",
      cause,
      data: { path },
    });
  }
  return new VansError("VANS_MEDIA_UNWRITABLE", "the file cannot be written; nothing was left behind", {
    asked: path,
    found: system ?? String(cause),
    fix: "check that the folder can be written to and that the path is not a folder",
    cause,
    data: { path },
  });
}

function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" ? code : undefined;
}
