/**
 * The built studio, read once: nothing outside of its folder can be asked for.
 * @module
 */
import { readdir, readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** Where the build puts it: beside the compiled library, from sources and from the package alike. */
const FOLDERS = ["../studio/", "../../dist/studio/"].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  json: "application/json; charset=utf-8",
  png: "image/png",
};

/** One file. */
export interface StudioFile {
  readonly type: string;
  readonly bytes: Buffer;
  readonly gzip: Buffer;
  /** Its name has a hash of its content. */
  readonly isImmutable: boolean;
}

/** All files by path from `/`; empty where the studio was not built. */
export async function readStudio(): Promise<ReadonlyMap<string, StudioFile>> {
  for (const folder of FOLDERS) {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    const files = new Map<string, StudioFile>();
    for (const entry of entries) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const bytes = await readFile(path);
      files.set(`/${relative(folder, path).split(sep).join("/")}`, {
        type: TYPES[entry.name.split(".").at(-1)!] ?? "application/octet-stream",
        bytes,
        gzip: gzipSync(bytes),
        isImmutable: path.includes(`${sep}assets${sep}`),
      });
    }
    if (files.has("/index.html")) return files;
  }
  return new Map();
}
