/**
 * The tag of the writing program in our own files. It carries the true size of pictures that had to be padded.
 * @module
 */
import type { ImageSize } from "./resize.ts";

const PROGRAM = "vans";

/** `vans`, or `vans WIDTHxHEIGHT` where the stored frames are larger than the picture. */
export function writerTag(picture: ImageSize, stored: ImageSize): string {
  const isPadded = picture.height !== stored.height || picture.width !== stored.width;
  return isPadded ? `${PROGRAM} ${picture.width}x${picture.height}` : PROGRAM;
}

/** The size of the picture inside the stored frames; `stored` for files of other programs. */
export function pictureSizeFrom(tag: unknown, stored: ImageSize): ImageSize {
  const match = typeof tag === "string" ? /^vans (\d+)x(\d+)$/.exec(tag) : null;
  const size = { height: Number(match?.[2]), width: Number(match?.[1]) };
  const fits =
    size.height >= 1 && size.width >= 1 && size.height <= stored.height && size.width <= stored.width;
  return fits ? size : stored;
}
