/**
 * Small pictures of video frames: what shot detection and the cheap measures look at. Block means in YCbCr (the
 * coded values), so that noise, compression and small motion average out and a frame costs half a millisecond.
 * @module
 */
import type { RgbImage } from "../../media/resize.ts";

/** Thumbnails are this wide whatever the video's shape. */
export const THUMB_WIDTH = 48;
/** Thumbnails are this high. */
export const THUMB_HEIGHT = 27;
/** Pixels of one plane of a thumbnail. */
export const THUMB_PIXELS = THUMB_WIDTH * THUMB_HEIGHT;
/** Bytes of a thumbnail: planes Y, Cb, Cr. */
export const THUMB_BYTES = THUMB_PIXELS * 3;

/** Luma pictures for the measures that need detail are at most this wide. */
export const DETAIL_WIDTH = 320;

/** One plane of 8-bit samples. */
export interface Plane {
  readonly data: Uint8Array;
  /** Index of the first sample. */
  readonly offset: number;
  readonly width: number;
  readonly height: number;
}

/** Writes the block means of a plane into `out` at `at`. Large planes are read in every second row. */
export function shrinkPlane(plane: Plane, out: Uint8Array, at: number): void {
  const { data, offset, width, height } = plane;
  const rowStep = height >= 4 * THUMB_HEIGHT ? 2 : 1;
  const starts = columnStarts(width);
  for (let ty = 0; ty < THUMB_HEIGHT; ty++) {
    const top = Math.floor((ty * height) / THUMB_HEIGHT);
    const bottom = Math.max(top + 1, Math.floor(((ty + 1) * height) / THUMB_HEIGHT));
    const sums = new Float64Array(THUMB_WIDTH);
    let rows = 0;
    for (let y = top; y < bottom && y < height; y += rowStep) {
      rows++;
      const row = offset + y * width;
      for (let tx = 0; tx < THUMB_WIDTH; tx++) {
        const end = row + starts[tx * 2 + 1]!;
        let sum = 0;
        for (let i = row + starts[tx * 2]!; i < end; i++) sum += data[i]!;
        sums[tx] = sums[tx]! + sum;
      }
    }
    for (let tx = 0; tx < THUMB_WIDTH; tx++) {
      const columns = starts[tx * 2 + 1]! - starts[tx * 2]!;
      out[at + ty * THUMB_WIDTH + tx] = Math.round(sums[tx]! / (columns * Math.max(1, rows)));
    }
  }
}

const knownStarts = new Map<number, Uint32Array>();

/** Column ranges of the blocks: start and end, in pairs. */
function columnStarts(width: number): Uint32Array {
  let starts = knownStarts.get(width);
  if (starts !== undefined) return starts;
  starts = new Uint32Array(THUMB_WIDTH * 2);
  for (let tx = 0; tx < THUMB_WIDTH; tx++) {
    const left = Math.min(width - 1, Math.floor((tx * width) / THUMB_WIDTH));
    starts[tx * 2] = left;
    starts[tx * 2 + 1] = Math.min(width, Math.max(left + 1, Math.floor(((tx + 1) * width) / THUMB_WIDTH)));
  }
  knownStarts.set(width, starts);
  return starts;
}

/** The thumbnail of an RGB picture; BT.601 limited range, as the coded planes of most video. */
export function thumbnailOfRgb(image: RgbImage): Uint8Array {
  const { width, height } = image;
  const planes = yuvOfRgb(image);
  const out = new Uint8Array(THUMB_BYTES);
  for (let plane = 0; plane < 3; plane++)
    shrinkPlane({ data: planes, offset: plane * width * height, width, height }, out, plane * THUMB_PIXELS);
  return out;
}

/** Planes Y, Cb, Cr at full size; ITU-R BT.601, limited range. */
export function yuvOfRgb({ rgb, width, height }: RgbImage): Uint8Array {
  const count = width * height;
  const planes = new Uint8Array(count * 3);
  for (let i = 0; i < count; i++) {
    const r = rgb[i * 3]!;
    const g = rgb[i * 3 + 1]!;
    const b = rgb[i * 3 + 2]!;
    planes[i] = 16.5 + 0.25679 * r + 0.50413 * g + 0.09791 * b;
    planes[count + i] = 128.5 - 0.14822 * r - 0.29099 * g + 0.43922 * b;
    planes[2 * count + i] = 128.5 + 0.43922 * r - 0.36779 * g - 0.07143 * b;
  }
  return planes;
}

/** A luma picture for the measures of detail. */
export interface DetailPicture {
  readonly width: number;
  readonly height: number;
  readonly luma: Uint8Array;
}

/** Luma at most {@link DETAIL_WIDTH} wide, block means over a whole number of pixels. */
export function detailOf(plane: Plane): DetailPicture {
  const step = Math.max(1, Math.ceil(plane.width / DETAIL_WIDTH));
  const width = Math.floor(plane.width / step);
  const height = Math.floor(plane.height / step);
  const luma = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let dy = 0; dy < step; dy++) {
        const row = plane.offset + (y * step + dy) * plane.width + x * step;
        for (let dx = 0; dx < step; dx++) sum += plane.data[row + dx]!;
      }
      luma[y * width + x] = Math.round(sum / (step * step));
    }
  }
  return { width, height, luma };
}

/**
 * How sharp a frame is: mean square of the horizontal second difference over every fourth row, in levels squared.
 * Blur lowers it; grain and detail raise it.
 */
export function sharpnessOf({ data, offset, width, height }: Plane): number {
  let sum = 0;
  let count = 0;
  for (let y = 1; y < height - 1; y += 4) {
    const row = offset + y * width;
    for (let x = 1; x < width - 1; x += 1) {
      const second = data[row + x - 1]! - 2 * data[row + x]! + data[row + x + 1]!;
      sum += second * second;
      count++;
    }
  }
  return count === 0 ? 0 : sum / count;
}
