/**
 * Where files from the Hugging Face hub lie on this machine: the cache layout of huggingface_hub, shared with its other
 * users. `models--<org>--<name>/blobs/<hash>` holds contents, `snapshots/<commit>/<path>` links to them, `refs/<revision>`
 * names the commit that a branch meant when it was fetched.
 * @module
 */
import { lstat, readFile, realpath, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { VansError } from "../base/errors.ts";

/** A set of files of one hub repository. */
export interface HubSource {
  /** `organisation/name` */
  readonly repo: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** Paths inside the repository. */
  readonly files: readonly string[];
}

/** What a revision was when it was pulled. */
export interface LockedSource {
  readonly commit: string;
  /** Hashes of its files, by path. */
  readonly files: Readonly<Record<string, string>>;
}

/** The variables that say where the cache is, as huggingface_hub reads them. */
export type HubEnvironment = Readonly<Record<string, string | undefined>>;

/** The folder of the cache: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`, or `~/.cache/huggingface/hub`. */
export function hubCacheFolder(env: HubEnvironment = process.env): string {
  const given = env["HF_HUB_CACHE"] ?? env["HUGGINGFACE_HUB_CACHE"];
  if (given) return resolve(given);
  const home = env["HF_HOME"] ?? join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "huggingface");
  return resolve(home, "hub");
}

const COMMIT = /^[0-9a-f]{40}$/;

/** True for a full commit, which never changes what it means. */
export const isCommit = (revision: string): boolean => COMMIT.test(revision);

/** Paths of one repository inside the cache. */
export class RepoCache {
  readonly folder: string;
  readonly #locks: string;

  constructor(repo: string, cache: string = hubCacheFolder()) {
    if (!/^[\w.-]+\/[\w.-]+$/.test(repo) || repo.includes(".."))
      throw new VansError("VANS_STORE_SOURCE", `"${repo}" is no repository of the hub`, {
        asked: "organisation/name",
        fix: "correct the repo in the suite's sources",
      });
    const name = `models--${repo.replace("/", "--")}`;
    this.folder = join(cache, name);
    this.#locks = join(cache, ".locks", name);
  }

  /**
   * The commit that a revision means here: the one noted when it was pulled, whatever other tools have fetched since; else
   * what the cache's own note says.
   */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const locked = (await this.locked())[revision];
    if (locked) return locked.commit;
    const text = await readFile(this.refPath(revision), "utf8").catch(() => "");
    const commit = text.trim();
    return /^[\w.-]+$/.test(commit) ? commit : undefined;
  }

  /** What was pulled here, by revision; empty where nothing was, or where the note cannot be read. */
  async locked(): Promise<Readonly<Record<string, LockedSource>>> {
    const text = await readFile(this.lockFile, "utf8").catch(() => "{}");
    try {
      const found = JSON.parse(text) as Record<string, LockedSource>;
      return Object.fromEntries(
        Object.entries(found).filter(([, one]) => isCommit(one.commit) && typeof one.files === "object"),
      );
    } catch {
      return {};
    }
  }

  /** The note of what was pulled; other users of the cache pass over it. */
  get lockFile(): string {
    return join(this.folder, "vans.lock.json");
  }

  refPath(revision: string): string {
    return this.#inside("refs", revision);
  }

  blobPath(hash: string): string {
    return this.#inside("blobs", hash);
  }

  /** Where a file of a commit is linked. */
  filePath(commit: string, path: string): string {
    return this.#inside(join("snapshots", commit), path);
  }

  lockPath(hash: string): string {
    return join(this.#locks, `${hash}.lock`);
  }

  #inside(room: string, path: string): string {
    const root = join(this.folder, room);
    const found = resolve(root, path);
    const below = relative(root, found);
    if (below === "" || below.startsWith("..") || isAbsolute(below))
      throw new VansError("VANS_STORE_SOURCE", `the path "${path}" leaves its repository`, {
        fix: "use paths inside the repository",
      });
    return found;
  }
}

/** A file of a source on this machine. */
export interface CachedFile {
  readonly path: string;
  /** Where it lies, or would lie. */
  readonly file: string;
  readonly isThere: boolean;
  readonly byteLength: number;
}

/** Which files of a source are on this machine; makes no requests. */
export async function cachedFiles(
  source: HubSource,
  cache: string = hubCacheFolder(),
): Promise<CachedFile[]> {
  const repo = new RepoCache(source.repo, cache);
  const commit = (await repo.commitOf(source.revision)) ?? source.revision;
  return Promise.all(
    source.files.map(async (path): Promise<CachedFile> => {
      const file = repo.filePath(commit, path);
      const found = await stat(file).catch(() => undefined);
      return { path, file, isThere: found?.isFile() ?? false, byteLength: found?.size ?? 0 };
    }),
  );
}

/** The hash that a cached file was checked against when it was fetched: the name of its blob. */
export async function blobHash(file: string): Promise<string | undefined> {
  const link = await lstat(file).catch(() => undefined);
  if (!link) return undefined;
  const blob = await realpath(file).catch(() => undefined);
  if (blob === undefined || basename(dirname(blob)) !== "blobs") return undefined;
  const name = basename(blob);
  return /^([0-9a-f]{64}|[0-9a-f]{40})$/.test(name) ? name : undefined;
}
