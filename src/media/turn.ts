/**
 * Turning and mirroring pictures, as the metadata of videos asks for.
 * @module
 */
import type { RotationDegrees } from "./media-info.ts";
import type { RgbImage } from "./resize.ts";

/** Turns a picture clockwise, then mirrors it left to right if asked. */
export function turnImage(image: RgbImage, clockwise: RotationDegrees, isMirrored = false): RgbImage {
  if (clockwise === 0 && !isMirrored) return image;
  const swaps = clockwise === 90 || clockwise === 270;
  const height = swaps ? image.width : image.height;
  const width = swaps ? image.height : image.width;
  const rgb = new Uint8Array(image.rgb.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let column = 0; column < width; column++, at += 3) {
      const x = isMirrored ? width - 1 - column : column;
      const from = sourceIndex(image, clockwise, y, x) * 3;
      rgb[at] = image.rgb[from]!;
      rgb[at + 1] = image.rgb[from + 1]!;
      rgb[at + 2] = image.rgb[from + 2]!;
    }
  }
  return { height, width, rgb };
}

/** Where in the stored picture the pixel lies that is shown at row `y`, column `x`. */
function sourceIndex(image: RgbImage, clockwise: RotationDegrees, y: number, x: number): number {
  switch (clockwise) {
    case 0:
      return y * image.width + x;
    case 90:
      return (image.height - 1 - x) * image.width + y;
    case 180:
      return (image.height - 1 - y) * image.width + (image.width - 1 - x);
    case 270:
      return x * image.width + (image.width - 1 - y);
  }
}
