/**
 * Files that lie in memory under the paths that the library expects on a disk: the suite, and the clip of a question.
 * @module
 */

const files = new Map<string, Uint8Array<ArrayBuffer>>();

/** Where the package lies in this imagined file system. */
export const PACKAGE_ROOT = "/vans";

/** Files as they were fetched, where others took their place. */
const fetched = new Map<string, Uint8Array<ArrayBuffer>>();

/** Puts a file there, or another in its place. `original` is what its hash is taken of; default the bytes. */
export function putFile(
  path: string,
  bytes: Uint8Array<ArrayBuffer>,
  original: Uint8Array<ArrayBuffer> = bytes,
): void {
  files.set(path, bytes);
  if (original !== bytes) fetched.set(path, original);
}

/** The bytes that a file's hash is taken of. */
export function fetchedBytes(path: string): Uint8Array<ArrayBuffer> | undefined {
  return fetched.get(path) ?? files.get(path);
}

/** Forgets a file. */
export function dropFile(path: string): void {
  files.delete(path);
}

/** The bytes of a file, not copied. */
export function fileBytes(path: string): Uint8Array<ArrayBuffer> | undefined {
  return files.get(path);
}

/** Paths of all files below a folder. */
export function pathsBelow(folder: string): string[] {
  const prefix = folder.endsWith("/") ? folder : `${folder}/`;
  return [...files.keys()].filter((path) => path.startsWith(prefix));
}
