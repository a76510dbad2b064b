/** `node:fs` and `node:fs/promises` over files in memory; nothing can be written. @module */
import { fetchedBytes, fileBytes, pathsBelow } from "../memory-files.ts";
import { fileURLToPath } from "./node-url.ts";
import { resolve } from "./node-path.ts";

interface Stats {
  readonly size: number;
  readonly mtimeMs: number;
  readonly ino: number;
  isFile(): boolean;
  isDirectory(): boolean;
}

const pathOf = (path: string | URL): string => resolve(typeof path === "string" ? path : fileURLToPath(path));

function absent(path: string): Error {
  return Object.assign(new Error(`ENOENT: no such file, '${path}'`), { code: "ENOENT" });
}

function refuse(): never {
  throw Object.assign(new Error("EROFS: there is no disk in a browser"), { code: "EROFS" });
}

export function statSync(
  path: string | URL,
  options: { readonly throwIfNoEntry?: boolean } = {},
): Stats | undefined {
  const at = pathOf(path);
  const bytes = fileBytes(at);
  const isFolder = bytes === undefined && pathsBelow(at).length > 0;
  if (bytes === undefined && !isFolder) {
    if (options.throwIfNoEntry === false) return undefined;
    throw absent(at);
  }
  return {
    size: bytes?.length ?? 0,
    mtimeMs: 0,
    ino: 0,
    isFile: () => !isFolder,
    isDirectory: () => isFolder,
  };
}

export function readFileSync(path: string | URL, encoding?: string): Uint8Array | string {
  const at = pathOf(path);
  const bytes = fileBytes(at);
  if (bytes === undefined) throw absent(at);
  return encoding === undefined ? bytes : new TextDecoder().decode(bytes);
}

/** Only hashes are taken of streams. */
export async function* createReadStream(path: string): AsyncGenerator<Uint8Array> {
  statSync(path);
  yield fetchedBytes(resolve(path))!;
}

/** Nothing is a link here. */
export const realpathSync = (path: string): string => path;

export const existsSync = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
export const constants = { R_OK: 4, W_OK: 2, X_OK: 1, F_OK: 0 } as const;

export const stat = async (path: string): Promise<Stats> => statSync(path)!;
export const lstat = stat;
export const access = async (path: string): Promise<void> => void statSync(path);
export const realpath = async (path: string): Promise<string> => resolve(path);
export const readFile = async (path: string, encoding?: string): Promise<Uint8Array | string> =>
  readFileSync(path, encoding);

export async function readdir(
  path: string,
  options: { readonly withFileTypes?: boolean; readonly recursive?: boolean } = {},
): Promise<unknown[]> {
  const below = pathsBelow(resolve(path)).map((file) => file.slice(resolve(path).length + 1).split("/"));
  const names = options.recursive
    ? below.map((parts) => ({ name: parts.at(-1)!, parentPath: resolve(path, ...parts.slice(0, -1)) }))
    : [...new Set(below.map(([first]) => first!))].map((name) => ({ name, parentPath: resolve(path) }));
  if (names.length === 0) throw absent(path);
  if (!options.withFileTypes) return names.map(({ name }) => name);
  return names.map(({ name, parentPath }) => {
    const stats = statSync(resolve(parentPath, name))!;
    return { name, parentPath, isFile: stats.isFile, isDirectory: stats.isDirectory };
  });
}

/** An open file; positions are always given. */
export interface FileHandle {
  stat(): Promise<Stats>;
  read(
    into: ArrayBufferView,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
  close(): Promise<void>;
}

export async function open(path: string): Promise<FileHandle> {
  const bytes = readFileSync(path) as Uint8Array;
  return {
    stat: () => stat(path),
    async read(into, offset, length, position) {
      const part = bytes.subarray(position, position + length);
      new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(part, offset);
      return { bytesRead: part.length };
    },
    async close() {},
  };
}

export const mkdir = async (): Promise<never> => refuse();
export const mkdtemp = async (): Promise<never> => refuse();
export const rename = async (): Promise<never> => refuse();
export const rm = async (): Promise<never> => refuse();
export const rmdir = async (): Promise<never> => refuse();
export const writeFile = async (): Promise<never> => refuse();
export const symlink = async (): Promise<never> => refuse();
export const unlink = async (): Promise<never> => refuse();
export const link = async (): Promise<never> => refuse();
export const readlink = async (): Promise<never> => refuse();
export const copyFile = async (): Promise<never> => refuse();
export const utimes = async (): Promise<never> => refuse();
export const statfs = async (): Promise<never> => refuse();
