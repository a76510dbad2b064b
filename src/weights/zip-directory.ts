/**
 * The directory of a zip file, as far as torch files need it: stored (uncompressed) entries, zip64 included.
 *
 * Format: PKWARE APPNOTE 6.3, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (ends).
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import { VansError } from "../base/errors.ts";
import { readBytes } from "./safetensors.ts";

/** A stored file inside a zip. */
export interface ZipEntry {
  readonly name: string;
  /** Absolute position of the first byte of the content. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

const END_SIGNATURE = 0x06054b50;
const END64_LOCATOR_SIGNATURE = 0x07064b50;
const END64_SIGNATURE = 0x06064b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_BYTES = 22;
const LOCAL_BYTES = 30;
const MAX_DIRECTORY_BYTES = 256 * 2 ** 20;
const MAX_16 = 0xffff;
const MAX_32 = 0xffffffff;

/**
 * Lists the entries of a zip, in directory order.
 *
 * @throws `VANS_WEIGHTS_ZIP_INVALID` for anything but a sound zip of stored entries; `VANS_WEIGHTS_TRUNCATED` if the
 *   end of the zip is missing
 */
export async function readZipDirectory(file: FileHandle, path: string): Promise<Map<string, ZipEntry>> {
  const fileBytes = (await file.stat()).size;
  const place = await findDirectory(file, path, fileBytes);
  if (place.byteLength > MAX_DIRECTORY_BYTES || place.byteOffset + place.byteLength > fileBytes) {
    throw invalidZip(
      path,
      `its directory claims ${place.byteLength} bytes at ${place.byteOffset} of ${fileBytes}`,
    );
  }
  const view = new DataView(await readBytes(file, path, place.byteOffset, place.byteLength));
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let index = 0; index < place.count; index++) {
    if (at + 46 > view.byteLength || view.getUint32(at, true) !== ENTRY_SIGNATURE) {
      throw invalidZip(path, `entry ${index} of its directory is damaged`);
    }
    const nameBytes = view.getUint16(at + 28, true);
    const extraBytes = view.getUint16(at + 30, true);
    const next = at + 46 + nameBytes + extraBytes + view.getUint16(at + 32, true);
    if (next > view.byteLength) throw invalidZip(path, `entry ${index} of its directory is cut short`);
    const name = new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, nameBytes));
    const method = view.getUint16(at + 10, true);
    const flags = view.getUint16(at + 8, true);
    if (method !== 0 || (flags & 1) !== 0)
      throw invalidZip(path, `its entry ${name} is compressed or encrypted`);
    const sizes = sizesOf(view, at, nameBytes, extraBytes);
    if (sizes === undefined || sizes.stored !== sizes.size)
      throw invalidZip(path, `its entry ${name} has no sound size`);
    if (entries.has(name)) throw invalidZip(path, `it has two entries ${name}`);
    entries.set(name, { name, byteOffset: sizes.headerAt, byteLength: sizes.size });
    at = next;
  }
  // The content begins after the local header, whose extra field (torch pads there) may differ from the directory's.
  for (const [name, entry] of entries) {
    const header = new DataView(await readBytes(file, path, entry.byteOffset, LOCAL_BYTES));
    if (header.getUint32(0, true) !== LOCAL_SIGNATURE)
      throw invalidZip(path, `its entry ${name} is not where it should be`);
    const byteOffset =
      entry.byteOffset + LOCAL_BYTES + header.getUint16(26, true) + header.getUint16(28, true);
    if (byteOffset + entry.byteLength > fileBytes)
      throw invalidZip(path, `its entry ${name} ends behind the file`);
    entries.set(name, { ...entry, byteOffset });
  }
  return entries;
}

async function findDirectory(
  file: FileHandle,
  path: string,
  fileBytes: number,
): Promise<{ count: number; byteOffset: number; byteLength: number }> {
  const tailBytes = Math.min(fileBytes, END_BYTES + MAX_16);
  const tailAt = fileBytes - tailBytes;
  const tail = new DataView(await readBytes(file, path, tailAt, tailBytes));
  let at = tailBytes - END_BYTES;
  while (
    at >= 0 &&
    !(
      tail.getUint32(at, true) === END_SIGNATURE &&
      at + END_BYTES + tail.getUint16(at + 20, true) === tailBytes
    )
  )
    at--;
  if (at < 0) {
    throw new VansError("VANS_WEIGHTS_TRUNCATED", `the weight file ${path} has no zip directory at its end`, {
      why: "an interrupted download, or a file that is not a torch zip (torch before 1.6 wrote another format)",
      fix: "fetch the file again, or save it again with a current torch",
    });
  }
  const plain = {
    count: tail.getUint16(at + 10, true),
    byteLength: tail.getUint32(at + 12, true),
    byteOffset: tail.getUint32(at + 16, true),
  };
  const isZip64 = plain.count === MAX_16 || plain.byteLength === MAX_32 || plain.byteOffset === MAX_32;
  const locatorAt = at - 20;
  if (!isZip64 || locatorAt < 0 || tail.getUint32(locatorAt, true) !== END64_LOCATOR_SIGNATURE) return plain;
  const endAt = number64(tail, locatorAt + 8);
  if (endAt + 56 > fileBytes) throw invalidZip(path, "its zip64 end record lies behind the file");
  const end = new DataView(await readBytes(file, path, endAt, 56));
  if (end.getUint32(0, true) !== END64_SIGNATURE) throw invalidZip(path, "its zip64 end record is damaged");
  return { count: number64(end, 32), byteLength: number64(end, 40), byteOffset: number64(end, 48) };
}

/** Sizes and place of a directory entry; the zip64 extra field (id 1) replaces what does not fit 32 bits. */
function sizesOf(
  view: DataView,
  at: number,
  nameBytes: number,
  extraBytes: number,
): { size: number; stored: number; headerAt: number } | undefined {
  let stored = view.getUint32(at + 20, true);
  let size = view.getUint32(at + 24, true);
  let headerAt = view.getUint32(at + 42, true);
  if (stored !== MAX_32 && size !== MAX_32 && headerAt !== MAX_32) return { size, stored, headerAt };
  let field = at + 46 + nameBytes;
  const extraEnd = field + extraBytes;
  while (field + 4 <= extraEnd) {
    const fieldEnd = field + 4 + view.getUint16(field + 2, true);
    if (view.getUint16(field, true) === 1 && fieldEnd <= extraEnd) {
      let value = field + 4;
      const take = (current: number): number => {
        if (current !== MAX_32 || value + 8 > fieldEnd) return current;
        value += 8;
        return number64(view, value - 8);
      };
      size = take(size);
      stored = take(stored);
      headerAt = take(headerAt);
      return { size, stored, headerAt };
    }
    field = fieldEnd;
  }
  return undefined;
}

/** A 64-bit unsigned number; beyond 2^53 it is rounded, which no real file reaches and every bound check refuses. */
function number64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

function invalidZip(path: string, problem: string): VansError {
  return new VansError("VANS_WEIGHTS_ZIP_INVALID", `${path} is not a sound torch zip file: ${problem}`, {
    why: "the file is damaged, or was not written by torch.save",
    fix: "fetch it again, or use the safetensors version of the checkpoint",
  });
}
