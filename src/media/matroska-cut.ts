/**
 * Matroska files that end in the middle of a cluster (an interrupted download): the demuxer drops such a cluster, which
 * holds up to five seconds, whole. Its header is presented shorter, so that it ends with its last complete block.
 * @module
 */
import { type FileHandle, open } from "node:fs/promises";

const EBML_HEADER = 0x1a45dfa3;
const SEGMENT = 0x18538067;
const CLUSTER = 0x1f43b675;

/** Where a file's last cluster is cut off, and the header bytes that make it end before. */
export interface MatroskaCut {
  /** The file is to be read as if it ended here. */
  readonly fileBytes: number;
  /** Bytes that replace those of the file from `patchStart` on. */
  readonly patch: Uint8Array;
  readonly patchStart: number;
}

interface Element {
  readonly id: number;
  /** Where the bytes of the size begin, and how many there are. */
  readonly sizeStart: number;
  readonly sizeLength: number;
  readonly dataStart: number;
  /** Undefined for elements of unknown size (live recordings). */
  readonly dataEnd: number | undefined;
}

/** Finds a cluster that reaches beyond the end of the file; undefined for complete (and for all other) files. */
export async function findMatroskaCut(path: string): Promise<MatroskaCut | undefined> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const header = await readElement(file, 0);
    if (header?.id !== EBML_HEADER || header.dataEnd === undefined) return undefined;
    const segment = await readElement(file, header.dataEnd);
    if (segment?.id !== SEGMENT) return undefined;
    for (let at = segment.dataStart; at < size; ) {
      const element = await readElement(file, at);
      if (element?.dataEnd === undefined) return undefined;
      if (element.dataEnd > size)
        return element.id === CLUSTER ? await cutCluster(file, element, size) : undefined;
      at = element.dataEnd;
    }
    return undefined;
  } finally {
    await file.close();
  }
}

async function cutCluster(
  file: FileHandle,
  cluster: Element,
  fileBytes: number,
): Promise<MatroskaCut | undefined> {
  let end = cluster.dataStart;
  for (;;) {
    const child = await readElement(file, end);
    if (child?.dataEnd === undefined || child.dataEnd > fileBytes) break;
    end = child.dataEnd;
  }
  if (end === cluster.dataStart) return undefined;
  const patch = new Uint8Array(cluster.sizeLength);
  let rest = end - cluster.dataStart;
  for (let i = patch.length - 1; i >= 0; i--) {
    patch[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  patch[0]! |= 0x80 >> (cluster.sizeLength - 1);
  return { fileBytes: end, patch, patchStart: cluster.sizeStart };
}

/** Reads an element's id and size (RFC 8794, sections 4 to 6). */
async function readElement(file: FileHandle, start: number): Promise<Element | undefined> {
  const bytes = new Uint8Array(12);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
  const idLength = Math.clz32(bytes[0]!) - 23;
  const sizeLength = Math.clz32(bytes[idLength] ?? 0) - 23;
  if (idLength > 4 || sizeLength > 8 || idLength + sizeLength > bytesRead) return undefined;
  let id = 0;
  for (let i = 0; i < idLength; i++) id = id * 256 + bytes[i]!;
  let size = bytes[idLength]! & (0xff >> sizeLength);
  let isUnknown = size === 0xff >> sizeLength;
  for (let i = 1; i < sizeLength; i++) {
    size = size * 256 + bytes[idLength + i]!;
    isUnknown &&= bytes[idLength + i] === 0xff;
  }
  const dataStart = start + idLength + sizeLength;
  return {
    id,
    sizeStart: start + idLength,
    sizeLength,
    dataStart,
    dataEnd: isUnknown ? undefined : dataStart + size,
  };
}

/** Applies a cut to bytes read from `start` on, in place. */
export function applyMatroskaCut(cut: MatroskaCut, bytes: Uint8Array, start: number): void {
  cut.patch.forEach((value, index) => {
    const at = cut.patchStart + index - start;
    if (at >= 0 && at < bytes.length) bytes[at] = value;
  });
}
