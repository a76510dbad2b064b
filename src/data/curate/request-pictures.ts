/**
 * Frames of clips as pictures of a request.
 * @module
 */
import { readClip } from "../../media/decode.ts";
import { frameOf } from "../../media/resize.ts";
import type { RequestPicture } from "../providers/provider.ts";

/** Pictures are at most this wide: enough to judge, and a fixed price with most providers. */
const PICTURE_WIDTH = 448;
const JPEG_QUALITY = 80;

/** Frames at times of a file as JPEG, labelled `<name> 2.50 s`. */
export async function picturesAt(
  path: string,
  name: string,
  timesSecs: readonly number[],
  signal: AbortSignal | undefined,
): Promise<RequestPicture[]> {
  const clip = await readClip(path, {
    timesSecs,
    chroma: "repeat",
    ...(signal === undefined ? {} : { signal }),
  });
  const { default: sharp } = await import("sharp");
  return Promise.all(
    timesSecs.map(async (time, i) => {
      const { height, width, rgb } = frameOf(clip, i);
      const jpeg = await sharp(rgb, { raw: { height, width, channels: 3 } })
        .resize({ width: Math.min(width, PICTURE_WIDTH) })
        .jpeg({ quality: JPEG_QUALITY })
        .toBuffer();
      return { label: `${name}, ${time.toFixed(2)} s`, jpeg: new Uint8Array(jpeg) };
    }),
  );
}

/** `count` times spread over a window, its ends included but for one frame. */
export function spreadTimes(startSecs: number, endSecs: number, count: number): number[] {
  const last = Math.max(startSecs, endSecs - 0.05);
  return Array.from(
    { length: count },
    (_, i) => startSecs + ((last - startSecs) * i) / Math.max(1, count - 1),
  );
}
