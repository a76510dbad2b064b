/**
 * The few parts of the mp4 container that we look at ourselves (ISO/IEC 14496-12).
 * @module
 */
import { type FileHandle, open } from "node:fs/promises";

/** Boxes that hold boxes, on the way to the headers and the sample tables. */
const PARENTS = new Set(["moov", "trak", "mdia", "minf", "stbl"]);
/** Headers with creation and modification time after version and flags. */
const TIMED_HEADERS = new Set(["mvhd", "tkhd", "mdhd"]);

interface Box {
  readonly type: string;
  /** Where the content starts, after size and type. */
  readonly start: number;
  readonly end: number;
}

/** The boxes of a part of `bytes`, parents before what they hold. Stops at the first impossible size. */
function* boxesIn(bytes: Uint8Array, start = 0, end = bytes.length): Generator<Box> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = start; at + 8 <= end; ) {
    const size = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    // Size 1 (64-bit) and 0 (to the end) occur for media data only, which comes after the headers.
    if (size < 8) return;
    const box = { type, start: at + 8, end: Math.min(at + size, end) };
    yield box;
    if (PARENTS.has(type)) yield* boxesIn(bytes, box.start, box.end);
    at += size;
  }
}

/** Sets all creation and modification times to 0 in place, so that equal videos are equal files. */
export function withoutClockTimes(bytes: Uint8Array): Uint8Array {
  for (const { type, start } of boxesIn(bytes))
    if (TIMED_HEADERS.has(type)) bytes.fill(0, start + 4, start + 4 + (bytes[start] === 1 ? 16 : 8));
  return bytes;
}

/** A longer index (an hour of video has some 5 MB) is not looked at. */
const LONGEST_INDEX = 2 ** 28;

/**
 * Looks for claims in a video's index that its file cannot hold: more frames than bytes. Readers that believe them
 * run for minutes.
 *
 * @returns what is claimed, or undefined if nothing is wrong
 */
export async function impossibleClaim(path: string): Promise<string | undefined> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const index = await readIndex(file, size);
    return index === undefined ? undefined : claimIn(index, size);
  } finally {
    await file.close();
  }
}

/** The bytes of the `moov` box. */
async function readIndex(file: FileHandle, fileBytes: number): Promise<Uint8Array | undefined> {
  const header = new DataView(new ArrayBuffer(16));
  for (let at = 0; at + 8 <= fileBytes; ) {
    const { bytesRead } = await file.read(header, 0, 16, at);
    if (bytesRead < 8) return undefined;
    const short = header.getUint32(0);
    const isLong = short === 1 && bytesRead === 16;
    const size = isLong ? Number(header.getBigUint64(8)) : short;
    const isIndex = header.getUint32(4) === 0x6d6f6f76;
    if (isIndex && !isLong) {
      const length = Math.min(size === 0 ? fileBytes : size, fileBytes - at);
      if (length > LONGEST_INDEX) return undefined;
      const bytes = new Uint8Array(length);
      await file.read(bytes, 0, length, at);
      return bytes;
    }
    if (size < 8) return undefined;
    at += size;
  }
  return undefined;
}

function claimIn(index: Uint8Array, fileBytes: number): string | undefined {
  const view = new DataView(index.buffer, index.byteOffset, index.byteLength);
  for (const { type, start, end } of boxesIn(index)) {
    if (end - start < 8) continue;
    if (type === "stts" || type === "ctts") {
      const entries = view.getUint32(start + 4);
      if (entries * 8 > fileBytes) return `${type} of ${entries} entries in a file of ${fileBytes} bytes`;
      let samples = 0;
      for (let at = start + 8; at + 8 <= end; at += 8) samples += view.getUint32(at);
      if (samples > fileBytes) return `${type} for ${samples} frames in a file of ${fileBytes} bytes`;
    }
    if (type === "stsz" && end - start >= 12) {
      const samples = view.getUint32(start + 8);
      if (samples > fileBytes) return `stsz for ${samples} frames in a file of ${fileBytes} bytes`;
    }
    if (["stsc", "stco", "co64", "stss"].includes(type)) {
      const entries = view.getUint32(start + 4);
      if (entries * 4 > fileBytes) return `${type} of ${entries} entries in a file of ${fileBytes} bytes`;
    }
  }
  return undefined;
}
