/**
 * Removing files of an earlier run, and nothing else that may lie in the folder.
 * @module
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/** Removes the files of a folder whose names are ours. A folder that does not exist is empty. */
export async function removeFiles(folder: string, isOurs: (name: string) => boolean): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) if (isOurs(name)) await rm(join(folder, name), { force: true });
}
