/**
 * Writing files so that a reader sees the old file or the whole new one, never a part.
 * @module
 */
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isRunning } from "../base/process-lock.ts";

let written = 0;

/**
 * Writes `path` through a temporary file beside it, forced to disk, then renamed over it. Missing folders are made.
 * If `write` throws (a full disk, for example) the temporary file is removed and `path` keeps its old content.
 */
export async function writeFileAtomically(
  path: string,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const temporary = join(folder, `.${basename(path)}.${process.pid}-${written++}.tmp`);
  try {
    const file = await open(temporary, "wx");
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  // The rename itself is durable only once the folder is on disk; some systems refuse to open folders.
  const handle = await open(folder, "r").catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

const TEMPORARY = /^\..+\.(\d+)-\d+\.tmp$/;
/** A process of another machine that shares the folder cannot be asked whether it lives; its files are young. */
const YOUNG_MS = 2000;

/** Removes temporary files of {@link writeFileAtomically} anywhere below `folder` whose process was killed over them. */
export async function removeAbandonedFiles(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const pid = TEMPORARY.exec(entry.name)?.[1];
    if (pid === undefined || !entry.isFile() || isRunning(Number(pid))) continue;
    const path = join(entry.parentPath, entry.name);
    const found = await stat(path).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > YOUNG_MS) await rm(path, { force: true });
  }
}
