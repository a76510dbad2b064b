/**
 * Frames side by side as a PNG: what training looks at while it goes.
 * @module
 */
import type { Clip } from "../media/clip.ts";

/** One row of a sheet: frames of clips, left to right. */
export type SheetRow = readonly { readonly clip: Clip; readonly frame: number }[];

/** Rows of frames of one size, `scale` times enlarged without smoothing. */
export async function frameSheet(rows: readonly SheetRow[], scale = 2): Promise<Uint8Array> {
  const { default: sharp } = await import("sharp");
  const { height, width } = rows[0]![0]!.clip;
  const columns = Math.max(...rows.map((row) => row.length));
  const sheetWidth = columns * (width + 1);
  const sheetHeight = rows.length * (height + 1);
  const pixels = new Uint8Array(sheetWidth * sheetHeight * 3).fill(255);
  rows.forEach((row, r) => {
    row.forEach(({ clip, frame }, c) => {
      for (let y = 0; y < height; y++) {
        const from = (frame * height + y) * width * 3;
        pixels.set(
          clip.rgb.subarray(from, from + width * 3),
          ((r * (height + 1) + y) * sheetWidth + c * (width + 1)) * 3,
        );
      }
    });
  });
  const image = sharp(pixels, { raw: { width: sheetWidth, height: sheetHeight, channels: 3 } });
  return image
    .resize(sheetWidth * scale, sheetHeight * scale, { kernel: "nearest" })
    .png()
    .toBuffer();
}
