/**
 * Cheap measures of how usable a stretch of video is, from the same scan that finds the shots: half-second buckets with
 * light, contrast, sharpness, motion, text, and a small signature for telling duplicates.
 * @module
 */
import * as z from "zod";
import {
  type DetailPicture,
  THUMB_BYTES,
  THUMB_HEIGHT,
  THUMB_PIXELS,
  THUMB_WIDTH,
} from "../scan/thumbnail.ts";

/** Length of a bucket. */
export const BUCKET_SECS = 0.5;

/** Schema of the measures of a bucket. */
export const bucketSchema = z.object({
  /** Start of its first frame. */
  startSecs: z.number(),
  /** Mean luma, 16 (black) to 235 (white). */
  luma: z.number(),
  /** Mean spread of luma within a frame. */
  spread: z.number(),
  /** Share of the picture near white. */
  bright: z.number(),
  /** Mean of `sharpnessOf`. */
  sharpness: z.number(),
  /** Mean absolute change of luma from frame to frame. */
  motion: z.number(),
  /** Share of the picture that looks like text. */
  text: z.number(),
  /** 12 x 9 means of Y, Cb, Cr of the first frame, base64. */
  signature: z.string(),
});
export type Bucket = z.infer<typeof bucketSchema>;

const NEAR_WHITE = 230;
/** Decimals that are kept. */
const rounded = (value: number): number => Math.round(value * 1000) / 1000;

/** Collects frames into buckets. */
export class ClipMeter {
  readonly #buckets: Bucket[] = [];
  #previous: Uint8Array | undefined;
  #number = -1;
  #start = 0;
  #frames = 0;
  #steps = 0;
  #sums = { luma: 0, spread: 0, bright: 0, sharpness: 0, motion: 0 };
  #text = 0;
  #signature = "";

  /** @param thumb thumbnail of the frame @param detail its detail picture, where there is one */
  add(timeSecs: number, thumb: Uint8Array, sharpness: number, detail: DetailPicture | undefined): void {
    const number = Math.floor(timeSecs / BUCKET_SECS + 1e-6);
    if (number !== this.#number) {
      this.#close();
      this.#number = number;
      this.#start = timeSecs;
      this.#signature = signatureOf(thumb);
    }
    let sum = 0;
    let squares = 0;
    let bright = 0;
    let change = 0;
    const before = this.#previous;
    for (let i = 0; i < THUMB_PIXELS; i++) {
      const value = thumb[i]!;
      sum += value;
      squares += value * value;
      if (value >= NEAR_WHITE) bright++;
      if (before !== undefined) change += Math.abs(value - before[i]!);
    }
    const mean = sum / THUMB_PIXELS;
    this.#sums.luma += mean;
    this.#sums.spread += Math.sqrt(Math.max(0, squares / THUMB_PIXELS - mean * mean));
    this.#sums.bright += bright / THUMB_PIXELS;
    this.#sums.sharpness += sharpness;
    if (before !== undefined) {
      this.#sums.motion += change / THUMB_PIXELS;
      this.#steps++;
    }
    if (detail !== undefined) this.#text = Math.max(this.#text, textShare(detail));
    this.#frames++;
    this.#previous = thumb.slice(0, THUMB_BYTES);
  }

  finish(): Bucket[] {
    this.#close();
    return this.#buckets;
  }

  #close(): void {
    if (this.#frames === 0) return;
    const mean = (sum: number): number => rounded(sum / this.#frames);
    this.#buckets.push({
      startSecs: this.#start,
      luma: mean(this.#sums.luma),
      spread: mean(this.#sums.spread),
      bright: mean(this.#sums.bright),
      sharpness: mean(this.#sums.sharpness),
      motion: rounded(this.#sums.motion / Math.max(1, this.#steps)),
      text: rounded(this.#text),
      signature: this.#signature,
    });
    this.#frames = 0;
    this.#steps = 0;
    this.#text = 0;
    this.#sums = { luma: 0, spread: 0, bright: 0, sharpness: 0, motion: 0 };
  }
}

const SIGNATURE_WIDTH = 12;
const SIGNATURE_HEIGHT = 9;

function signatureOf(thumb: Uint8Array): string {
  const out = new Uint8Array(SIGNATURE_WIDTH * SIGNATURE_HEIGHT * 3);
  const [cellWidth, cellHeight] = [THUMB_WIDTH / SIGNATURE_WIDTH, THUMB_HEIGHT / SIGNATURE_HEIGHT];
  for (let plane = 0; plane < 3; plane++)
    for (let sy = 0; sy < SIGNATURE_HEIGHT; sy++)
      for (let sx = 0; sx < SIGNATURE_WIDTH; sx++) {
        let sum = 0;
        for (let y = 0; y < cellHeight; y++)
          for (let x = 0; x < cellWidth; x++)
            sum += thumb[plane * THUMB_PIXELS + (sy * cellHeight + y) * THUMB_WIDTH + sx * cellWidth + x]!;
        out[(plane * SIGNATURE_HEIGHT + sy) * SIGNATURE_WIDTH + sx] = Math.round(
          sum / (cellWidth * cellHeight),
        );
      }
  return Buffer.from(out).toString("base64");
}

/** Mean and largest difference of two signatures, in levels. */
export function signatureDistance(a: string, b: string): { readonly mean: number; readonly most: number } {
  const [one, other] = [Buffer.from(a, "base64"), Buffer.from(b, "base64")];
  let sum = 0;
  let most = 0;
  for (let i = 0; i < one.length; i++) {
    const difference = Math.abs(one[i]! - other[i]!);
    sum += difference;
    if (difference > most) most = difference;
  }
  return { mean: sum / Math.max(1, one.length), most };
}

/** Text cells are this wide and high, in detail pixels. */
const CELL_WIDTH = 16;
const CELL_HEIGHT = 8;
/** A change of luma from pixel to pixel that a stroke makes. */
const STROKE = 36;

/**
 * Share of the picture that looks like lettering: cells in which rows change strongly up and down several times, at
 * least three such cells side by side.
 */
export function textShare({ width, height, luma }: DetailPicture): number {
  const columns = Math.floor(width / CELL_WIDTH);
  const rows = Math.floor(height / CELL_HEIGHT);
  if (columns < 3 || rows < 1) return 0;
  let texty = 0;
  for (let cy = 0; cy < rows; cy++) {
    let run = 0;
    const closeRun = (): void => {
      if (run >= 3) texty += run;
      run = 0;
    };
    for (let cx = 0; cx < columns; cx++) {
      let lines = 0;
      for (let y = cy * CELL_HEIGHT; y < (cy + 1) * CELL_HEIGHT; y++) {
        let turns = 0;
        let last = 0;
        const row = y * width + cx * CELL_WIDTH;
        for (let x = 1; x < CELL_WIDTH; x++) {
          const change = luma[row + x]! - luma[row + x - 1]!;
          if (Math.abs(change) < STROKE) continue;
          if (last !== 0 && Math.sign(change) !== last) turns++;
          last = Math.sign(change);
        }
        if (turns >= 2) lines++;
      }
      if (lines >= 3) run++;
      else closeRun();
    }
    closeRun();
  }
  return texty / (columns * rows);
}
