/**
 * What the cache holds of the hub's models: checked against the hashes it was fetched under, and removed.
 * @module
 */
import { readdir, readlink, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { blobHash, cachedFiles, type HubSource, hubCacheFolder, RepoCache } from "./hub-cache.ts";
import { hashLike } from "./hub-download.ts";
import { lockSource, type StoreOptions } from "./hub-store.ts";

/** What checking a file gave. */
export interface VerifiedFile {
  readonly repo: string;
  readonly path: string;
  readonly state: "sound" | "missing" | "damaged" | "unknown";
}

/**
 * Reads every file of the sources and compares it with the hash it was fetched under; makes no requests. `unknown`: the
 * file is there but was not put there by a hub client, so its hash is not known. A source that was pulled is held to the
 * commit and the hashes that were noted then.
 */
export async function* verifySources(
  sources: readonly HubSource[],
  options: Pick<StoreOptions, "cache" | "signal"> = {},
): AsyncGenerator<VerifiedFile, void> {
  for (const source of sources) {
    const locked = (await new RepoCache(source.repo, options.cache).locked())[source.revision];
    for (const { path, file, isThere, byteLength } of await cachedFiles(source, options.cache)) {
      // What was noted when it was pulled counts before what the file is called now.
      const hash = isThere ? (locked?.files[path] ?? (await blobHash(file))) : undefined;
      const checked =
        hash === undefined ? undefined : await hashLike(file, { url: "", byteLength, hash }, options.signal);
      const state = !isThere
        ? "missing"
        : hash === undefined
          ? "unknown"
          : checked === hash
            ? "sound"
            : "damaged";
      yield { repo: source.repo, path, state };
    }
  }
}

/**
 * Removes the files of the sources from the cache. Contents that another snapshot links to stay.
 * @returns bytes that were freed
 */
export async function removeSources(
  sources: readonly HubSource[],
  options: Pick<StoreOptions, "cache"> = {},
): Promise<number> {
  const cache = options.cache ?? hubCacheFolder();
  let freed = 0;
  for (const source of sources) {
    const repo = new RepoCache(source.repo, cache);
    const blobs = new Set<string>();
    for (const { file, isThere } of await cachedFiles(source, cache)) {
      const target = await readlink(file).catch(() => undefined);
      if (target !== undefined) blobs.add(resolve(dirname(file), target));
      else if (isThere) freed += (await stat(file)).size;
      await rm(file, { force: true });
      await pruneEmpty(dirname(file), repo.folder);
    }
    const used = await linkedBlobs(join(repo.folder, "snapshots"));
    for (const blob of blobs) {
      if (used.has(blob) || basename(dirname(blob)) !== "blobs") continue;
      freed += (await stat(blob).catch(() => undefined))?.size ?? 0;
      await rm(blob, { force: true });
    }
    await lockSource(repo, source.revision, undefined);
    // Parts of broken downloads belong to nobody else.
    for (const entry of await readdir(join(repo.folder, "blobs")).catch(() => [])) {
      if (!entry.endsWith(".incomplete")) continue;
      const part = join(repo.folder, "blobs", entry);
      freed += (await stat(part)).size;
      await rm(part, { force: true });
    }
    if (used.size === 0 && !(await hasEntries(join(repo.folder, "snapshots"))))
      await rm(repo.folder, { recursive: true, force: true });
  }
  return freed;
}

async function linkedBlobs(snapshots: string): Promise<Set<string>> {
  const entries = await readdir(snapshots, { recursive: true, withFileTypes: true }).catch(() => []);
  const used = new Set<string>();
  for (const entry of entries) {
    if (!entry.isSymbolicLink()) continue;
    used.add(resolve(entry.parentPath, await readlink(join(entry.parentPath, entry.name))));
  }
  return used;
}

const hasEntries = async (folder: string): Promise<boolean> =>
  (await readdir(folder).catch(() => [])).length > 0;

async function pruneEmpty(folder: string, root: string): Promise<void> {
  for (let at = folder; at !== root && at.startsWith(root); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch {
      return;
    }
  }
}
