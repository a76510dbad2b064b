/**
 * Models from the Hugging Face hub: fetched into the shared cache, checked, listed, removed.
 *
 * Which commit, sizes and hashes come from `@huggingface/hub`; the bytes are fetched here, because the client starts
 * broken downloads from the beginning. `HF_ENDPOINT` names a mirror, `HF_TOKEN` a token, `HF_HUB_OFFLINE=1` forbids requests.
 * @module
 */
import { mkdir, readFile, rename, rm, stat, statfs, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { isVansError, VansError } from "../base/errors.ts";
import { takeLock } from "../base/process-lock.ts";
import { cachedFiles, type HubSource, hubCacheFolder, type LockedSource, RepoCache } from "./hub-cache.ts";
import { type DownloadOptions, downloadFile, refused } from "./hub-download.ts";
import { withinSilence } from "./silence.ts";

/** How the store reaches hub and cache. Everything has its default from the environment. */
export interface StoreOptions {
  readonly cache?: string;
  /** Default `HF_ENDPOINT` or https://huggingface.co. */
  readonly endpoint?: string;
  /** Default `HF_TOKEN`, or the token that `hf auth login` left. */
  readonly token?: string;
  /** Default: whether `HF_HUB_OFFLINE` is set. */
  readonly offline?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** How far a pull is. */
export interface PullProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly doneFiles: number;
  readonly totalFiles: number;
  /** A file that has just been finished, `repo/path`. */
  readonly finished?: string;
}

/** Options of {@link pullSources}. */
export interface PullOptions
  extends StoreOptions,
    Pick<DownloadOptions, "attempts" | "backoffMs" | "stallMs"> {
  /** Files at the same time; default 4. */
  readonly parallel?: number;
  /** Take what a branch means now; default: the commit that it meant when it was first pulled. */
  readonly update?: boolean;
  readonly onProgress?: (progress: PullProgress) => void;
}

/** A file of a pull: what the hub says of it. */
interface Wanted {
  readonly repo: RepoCache;
  readonly source: HubSource;
  readonly commit: string;
  readonly path: string;
  readonly byteLength: number;
  readonly hash: string;
}

const isSet = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? "");

async function tokenOf(options: StoreOptions): Promise<string | undefined> {
  if (options.token !== undefined) return options.token || undefined;
  const { env } = process;
  const given = env["HF_TOKEN"] ?? env["HUGGING_FACE_HUB_TOKEN"];
  if (given) return given.trim();
  const home = env["HF_HOME"] ?? join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "huggingface");
  const stored = await readFile(env["HF_TOKEN_PATH"] ?? join(home, "token"), "utf8").catch(() => "");
  return stored.trim() || undefined;
}

/**
 * Fetches what is missing of several sources into the cache.
 *
 * @returns the commit of each source, in their order
 * @throws `VANS_STORE_OFFLINE`, `VANS_STORE_DOWNLOAD`, `VANS_STORE_HASH`, `VANS_STORE_NO_SPACE`, `VANS_RUN_ABORTED`
 */
export async function pullSources(
  sources: readonly HubSource[],
  options: PullOptions = {},
): Promise<string[]> {
  const cache = options.cache ?? hubCacheFolder();
  const offline = options.offline ?? isSet(process.env["HF_HUB_OFFLINE"]);
  if (offline) return Promise.all(sources.map((source) => offlineCommit(source, cache)));
  const endpoint = (options.endpoint ?? process.env["HF_ENDPOINT"] ?? "https://huggingface.co").replace(
    /\/+$/,
    "",
  );
  const token = await tokenOf(options);
  const listed = await Promise.all(
    sources.map((source) =>
      wantedOf(source, cache, {
        endpoint,
        token,
        signal: options.signal,
        update: options.update ?? false,
        stallMs: options.stallMs,
      }),
    ),
  );
  const missing: Wanted[] = [];
  for (const wanted of listed.flat())
    if (!(await stat(wanted.repo.filePath(wanted.commit, wanted.path)).catch(() => undefined)))
      missing.push(wanted);
  await checkSpace(missing, cache);
  let doneBytes = 0;
  let doneFiles = 0;
  const totalBytes = missing.reduce((total, { byteLength }) => total + byteLength, 0);
  const report = (finished?: string): void =>
    options.onProgress?.({
      doneBytes,
      totalBytes,
      doneFiles,
      totalFiles: missing.length,
      ...(finished !== undefined && { finished }),
    });
  report();
  const queue = [...missing];
  // The first failure stops the other downloads; their parts stay for the next pull.
  const stop = new AbortController();
  const { signal } = stop;
  const onAbort = (): void => stop.abort(options.signal?.reason);
  options.signal?.addEventListener("abort", onAbort, { once: true });
  if (options.signal?.aborted) onAbort();
  const worker = async (): Promise<void> => {
    for (let wanted = queue.shift(); wanted; wanted = queue.shift()) {
      const { repo, source, commit, path } = wanted;
      const url = `${endpoint}/${source.repo}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
      await fetchInto(wanted, url, {
        signal,
        headers: token ? { Authorization: `Bearer ${token}` } : {},
        onBytes: (bytes) => {
          doneBytes += bytes;
          report();
        },
        ...(options.attempts !== undefined && { attempts: options.attempts }),
        ...(options.backoffMs !== undefined && { backoffMs: options.backoffMs }),
        ...(options.stallMs !== undefined && { stallMs: options.stallMs }),
      });
      await link(repo.blobPath(wanted.hash), repo.filePath(commit, path));
      doneFiles++;
      report(`${source.repo}/${path}`);
    }
  };
  const results = await Promise.allSettled(
    Array.from({ length: Math.max(1, Math.min(options.parallel ?? 4, missing.length)) }, () =>
      worker().catch((error: unknown) => {
        stop.abort();
        throw error;
      }),
    ),
  );
  options.signal?.removeEventListener("abort", onAbort);
  const failures = results.flatMap((result) =>
    result.status === "rejected" ? [result.reason as unknown] : [],
  );
  throwIfAborted(options.signal);
  if (failures.length > 0)
    throw failures.find((error) => !isVansError(error, "VANS_RUN_ABORTED")) ?? failures[0];
  for (const [index, source] of sources.entries()) {
    const [first] = listed[index]!;
    if (!first) continue;
    await lockSource(first.repo, source.revision, {
      commit: first.commit,
      files: Object.fromEntries(listed[index]!.map(({ path, hash }) => [path, hash])),
    });
    if (first.commit !== source.revision) await writeText(first.repo.refPath(source.revision), first.commit);
  }
  return listed.map((wanted, index) => wanted[0]?.commit ?? sources[index]!.revision);
}

/** Notes what a revision was, beside what was noted before; undefined forgets it. */
export async function lockSource(
  repo: RepoCache,
  revision: string,
  locked: LockedSource | undefined,
): Promise<void> {
  const { [revision]: before, ...others } = await repo.locked();
  const files = { ...(before?.commit === locked?.commit ? before?.files : {}), ...locked?.files };
  const all = locked ? { ...others, [revision]: { ...locked, files } } : others;
  if (Object.keys(all).length === 0) await rm(repo.lockFile, { force: true });
  else await writeText(repo.lockFile, `${JSON.stringify(all, undefined, 1)}\n`);
}

async function offlineCommit(source: HubSource, cache: string): Promise<string> {
  const missing = (await cachedFiles(source, cache)).filter((file) => !file.isThere);
  if (missing.length > 0)
    throw new VansError("VANS_STORE_OFFLINE", `${source.repo} is not complete on this machine`, {
      asked: missing.map((file) => file.path).join(", "),
      why: "offline mode (HF_HUB_OFFLINE) forbids fetching it",
      fix: "unset HF_HUB_OFFLINE, or copy the cache from a machine that has the files",
    });
  return (await new RepoCache(source.repo, cache).commitOf(source.revision)) ?? source.revision;
}

/** What the hub says of a source's files. */
async function wantedOf(
  source: HubSource,
  cache: string,
  {
    endpoint,
    token,
    signal,
    update,
    stallMs = 60_000,
  }: {
    endpoint: string;
    token: string | undefined;
    signal: AbortSignal | undefined;
    update: boolean;
    stallMs?: number | undefined;
  },
): Promise<Wanted[]> {
  const { HubApiError, modelInfo, pathsInfo } = await import("@huggingface/hub");
  const repo = new RepoCache(source.repo, cache);
  const revision = (update ? undefined : (await repo.locked())[source.revision]?.commit) ?? source.revision;
  // Look-ups are small: a failure is tried again at once, a busy server a little later.
  const abortable: typeof fetch = async (input, init) => {
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await withinSilence({ mostMs: stallMs, signal }, (own) =>
          fetch(input, { ...init, signal: own }),
        );
        if (attempt === 3 || (response.status < 500 && response.status !== 429)) return response;
      } catch (error) {
        if (attempt === 3 || signal?.aborted) throw error;
      }
      await new Promise((done) => setTimeout(done, 200 * attempt));
    }
  };
  const common = { hubUrl: endpoint, fetch: abortable, ...(token && { accessToken: token }) };
  try {
    const { sha } = await modelInfo({
      name: source.repo,
      revision,
      additionalFields: ["sha"],
      ...common,
    });
    if (!isHash(sha, 40)) throw new TypeError(`the hub names no commit for ${revision}`);
    const paths = [...source.files];
    const found = await pathsInfo({ repo: source.repo, revision: sha, paths, ...common });
    return paths.map((path): Wanted => {
      const info = found.find((entry) => entry.path === path);
      const hash = info?.lfs?.oid.replace(/^sha256:/, "") ?? info?.oid;
      if (!info || hash === undefined) throw refused(`${endpoint}/${source.repo}/${path}`, 404);
      if (!isHash(hash, 40) && !isHash(hash, 64)) throw new TypeError(`the hub gives no hash of ${path}`);
      const byteLength = info.lfs?.size ?? info.size;
      if (!Number.isSafeInteger(byteLength) || byteLength < 0)
        throw new TypeError(`the hub gives no size of ${path}`);
      return { repo, source, commit: sha, path, byteLength, hash };
    });
  } catch (error) {
    throwIfAborted(signal);
    if (isVansError(error)) throw error;
    if (error instanceof HubApiError && error.statusCode < 500 && error.statusCode !== 429)
      throw refused(`${endpoint}/${source.repo}`, error.statusCode);
    throw new VansError("VANS_STORE_DOWNLOAD", `${source.repo} cannot be looked up`, {
      asked: endpoint,
      found: error instanceof Error ? error.message.split("\n")[0]! : String(error),
      fix: "check the network, or name a mirror in HF_ENDPOINT; files that are here already work with HF_HUB_OFFLINE=1",
      cause: error,
    });
  }
}

const isHash = (text: string | undefined, length: number): text is string =>
  text !== undefined && text.length === length && /^[0-9a-f]+$/.test(text);

/** Fetches a blob unless it is there; two processes do not fetch the same one at once. */
async function fetchInto(wanted: Wanted, url: string, options: DownloadOptions): Promise<void> {
  const { repo, hash, byteLength } = wanted;
  const blob = repo.blobPath(hash);
  const unlock = await lock(repo.lockPath(hash), options.signal);
  try {
    const there = await stat(blob).catch(() => undefined);
    const part = (await stat(`${blob}.incomplete`).catch(() => undefined))?.size ?? 0;
    options.onBytes?.(there ? byteLength : part);
    if (!there) await downloadFile(blob, { url, byteLength, hash }, options);
  } finally {
    await unlock();
  }
}

/** Waits for the lock of a blob. */
async function lock(path: string, signal: AbortSignal | undefined): Promise<() => Promise<void>> {
  for (;;) {
    throwIfAborted(signal);
    const held = await takeLock(dirname(path), basename(path));
    if (held) return () => held.release();
    await new Promise((done) => setTimeout(done, 200));
  }
}

async function checkSpace(missing: readonly Wanted[], cache: string): Promise<void> {
  if (missing.length === 0) return;
  await mkdir(cache, { recursive: true });
  let needed = 0;
  for (const { repo, hash, byteLength } of missing) {
    const blob = repo.blobPath(hash);
    if (await stat(blob).catch(() => undefined)) continue;
    needed +=
      byteLength - Math.min(byteLength, (await stat(`${blob}.incomplete`).catch(() => undefined))?.size ?? 0);
  }
  const { bavail, bsize } = await statfs(cache);
  if (needed <= bavail * bsize) return;
  throw new VansError("VANS_STORE_NO_SPACE", "the files do not fit on the disk of the cache", {
    asked: `${(needed / 1e9).toFixed(1)} GB in ${cache}`,
    found: `${((bavail * bsize) / 1e9).toFixed(1)} GB free`,
    fix: "make room, or move the cache with HF_HUB_CACHE",
  });
}

/** Links a snapshot's file to its blob; where links are not allowed the blob is moved. */
async function link(blob: string, file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await rm(file, { force: true });
  try {
    await symlink(relative(dirname(file), blob), file);
  } catch {
    await rename(blob, file);
  }
}

async function writeText(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.${process.pid}`, text);
  await rename(`${path}.${process.pid}`, path);
}
