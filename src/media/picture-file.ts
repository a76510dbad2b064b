/**
 * Pictures and animations in gif, png, jpeg, webp, avif and tiff, through sharp. Runs inside the codec process.
 * @module
 */
import sharp, { type Metadata, type SharpOptions } from "sharp";
import { isVansError } from "../base/errors.ts";
import { corrupt, formatUnknown, tooLarge } from "./media-errors.ts";
import { frameTimesFrom, type MediaInfo, type RotationDegrees, rateOf } from "./media-info.ts";
import type { OpenMedia, Progress, ReadSink } from "./open-media.ts";
import { pickFrames } from "./read-request.ts";
import type { RgbImage } from "./resize.ts";

/** Players show a GIF frame that asks for 10 ms or less for this long (also ffmpeg's gif demuxer). */
const DEFAULT_DELAY_MS = 100;
const SHORTEST_DELAY_MS = 20;
/** Frames of an animation are decoded together in stretches of at most this size. */
const STRETCH_BYTES = 64 * 2 ** 20;
const LIMIT_PIXELS = 2 ** 28;

/** EXIF orientation as the clockwise turn that undoes it (mirroring is applied, but not reported). */
const TURN_OF_ORIENTATION: Readonly<Record<number, RotationDegrees>> = {
  3: 180,
  4: 180,
  5: 90,
  6: 90,
  7: 270,
  8: 270,
};

const BASE: SharpOptions = { failOn: "truncated", limitInputPixels: LIMIT_PIXELS };

/** Opens a picture or an animation. */
export async function openPictureFile(path: string, progress: Progress): Promise<OpenMedia> {
  // One process serves many files: a cached older version of a file must not be shown for a newer one.
  sharp.cache(false);
  let metadata: Metadata;
  try {
    metadata = await sharp(path, { ...BASE, animated: true }).metadata();
  } catch (error) {
    if (error instanceof Error && /unsupported image format/i.test(error.message))
      throw formatUnknown(path, false, error);
    throw corrupt(path, error instanceof Error ? error.message : String(error), error);
  }
  const container = metadata.format === "heif" && metadata.compression === "av1" ? "avif" : metadata.format;
  const pages = isAnimation(metadata) ? (metadata.pages ?? 1) : 1;
  const storedHeight = metadata.pageHeight ?? metadata.height;
  const rotationDegrees = TURN_OF_ORIENTATION[metadata.orientation ?? 1] ?? 0;
  const turned = rotationDegrees === 90 || rotationDegrees === 270;
  const size = turned
    ? { height: metadata.width, width: storedHeight }
    : { height: storedHeight, width: metadata.width };

  const delays = Array.from({ length: pages }, (_, page) => {
    const delay = metadata.delay?.[page] ?? 0;
    return (delay < SHORTEST_DELAY_MS ? DEFAULT_DELAY_MS : delay) / 1000;
  });
  const starts = new Float64Array(pages);
  for (let page = 1; page < pages; page++) starts[page] = starts[page - 1]! + delays[page - 1]!;
  const times =
    pages === 1 ? { timesSecs: starts, durationSecs: 0 } : frameTimesFrom(starts, delays[pages - 1]!);
  const info: MediaInfo = {
    container,
    codec: container,
    ...size,
    rotationDegrees,
    durationSecs: times.durationSecs,
    ...rateOf(times),
    backend: "npm",
  };

  return {
    info,
    async read({ request, maxBytes }, send) {
      const picks = pickFrames(times, request);
      const wanted = [...new Set(picks.frames)].sort((a, b) => a - b);
      const bytes = wanted.length * size.height * size.width * 3;
      if (bytes > maxBytes)
        throw tooLarge(
          path,
          `${wanted.length} frames of ${size.width}x${size.height}: ${bytes} bytes`,
          maxBytes,
        );
      await send({ kind: "info", info, picks: { ...picks, timesSecs: times.timesSecs } });
      const pagesPerStretch = Math.max(1, Math.floor(STRETCH_BYTES / (size.height * size.width * 4)));
      for (let at = 0; at < wanted.length; ) {
        const first = wanted[at]!;
        let stop = at;
        while (stop < wanted.length && wanted[stop]! < first + pagesPerStretch) stop++;
        await readStretch(path, pages, size, wanted.slice(at, stop), picks.mayDropFrames, send);
        await progress();
        at = stop;
      }
    },
    async close() {},
  };
}

function isAnimation(metadata: Metadata): boolean {
  return metadata.format === "gif" || metadata.format === "webp";
}

/** Sends the wanted pages, which lie close together. Where they do not decode as a whole, one by one. */
async function readStretch(
  path: string,
  pages: number,
  size: { readonly height: number; readonly width: number },
  wanted: readonly number[],
  mayDropFrames: boolean,
  send: ReadSink,
): Promise<void> {
  const first = wanted[0]!;
  const count = wanted[wanted.length - 1]! - first + 1;
  try {
    const images = await decodePages(path, pages, size, first, count);
    for (const number of wanted)
      await send({ kind: "frame", number, shown: number, frame: images[number - first]! });
  } catch (error) {
    if (isVansError(error) || pages === 1) throw error;
    for (const number of wanted) {
      const shown = mayDropFrames ? number : undefined;
      const found = await nearestSoundPage(path, pages, size, number, shown);
      if (found === undefined) await send({ kind: "lost", number });
      else await send({ kind: "frame", number, shown: found.page, frame: found.image });
    }
  }
}

async function nearestSoundPage(
  path: string,
  pages: number,
  size: { readonly height: number; readonly width: number },
  page: number,
  only: number | undefined,
): Promise<{ page: number; image: RgbImage } | undefined> {
  for (let candidate = page; candidate >= 0; candidate--) {
    try {
      return { page: candidate, image: (await decodePages(path, pages, size, candidate, 1))[0]! };
    } catch {
      if (only !== undefined) return undefined;
    }
  }
  return undefined;
}

async function decodePages(
  path: string,
  pages: number,
  size: { readonly height: number; readonly width: number },
  first: number,
  count: number,
): Promise<RgbImage[]> {
  const options: SharpOptions = pages === 1 ? BASE : { ...BASE, page: first, pages: count };
  const pipeline = sharp(path, options);
  const { data, info } = await (pages === 1 ? pipeline.autoOrient() : pipeline)
    // Transparent parts are black, as video players and PIL's conversion show them.
    .flatten({ background: "black" })
    .toColourspace("srgb")
    .removeAlpha()
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true });
  const bytes = size.height * size.width * 3;
  if (info.channels !== 3 || data.length !== bytes * count) {
    throw corrupt(
      path,
      `decoded ${info.width}x${info.height}x${info.channels}, expected ${count} frames of ${size.width}x${size.height}x3`,
    );
  }
  return Array.from({ length: count }, (_, index) => ({
    ...size,
    rgb: new Uint8Array(data.buffer, data.byteOffset + index * bytes, bytes),
  }));
}
