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

/**
 * Model output as a clip.
 * @param values `[3, T, H, W]` in [-1, 1] from element `offset`; clamped, rounded to 8 bits
 */
export function clipFromValues(
  values: Float32Array,
  frames: number,
  height: number,
  width: number,
  offset = 0,
  frameRateHz = 8,
): Clip {
  const plane = height * width;
  const rgb = new Uint8Array(frames * plane * 3);
  for (let t = 0; t < frames; t++) {
    for (let p = 0; p < plane; p++) {
      for (let c = 0; c < 3; c++) {
        const value = values[offset + (c * frames + t) * plane + p]!;
        rgb[(t * plane + p) * 3 + c] = Math.min(255, Math.max(0, Math.round((value + 1) * 127.5)));
      }
    }
  }
  return { frameCount: frames, height, width, frameRateHz, rgb };
}

/** Peak signal-to-noise ratio of 8-bit frames in dB. */
export function psnrDb(a: Uint8Array, b: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += (a[i]! - b[i]!) ** 2;
  return total === 0 ? 99 : 10 * Math.log10((255 * 255 * a.length) / total);
}
