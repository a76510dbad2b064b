/**
 * One file from a server to disk: in parts if need be, from where the last attempt stopped, checked against its hash.
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { Silent, withinSilence } from "./silence.ts";

/** What is fetched, and what it must be. */
export interface RemoteFile {
  readonly url: string;
  readonly byteLength: number;
  /** 64 digits: SHA-256 of the content; 40 digits: git's hash of it. */
  readonly hash: string;
}

/** How it is fetched. */
export interface DownloadOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly fetch?: typeof fetch;
  readonly signal?: AbortSignal | undefined;
  /** Called with bytes as they arrive; negative where an attempt is thrown away. */
  readonly onBytes?: (bytes: number) => void;
  /** Attempts in a row that may bring nothing new; default 5. */
  readonly attempts?: number;
  /** Wait after the first failure, doubled after each further one; default 500 ms. */
  readonly backoffMs?: number;
  /** A connection that brings nothing for so long is broken; default 60 s. */
  readonly stallMs?: number;
}

/** A hash that knows git's way of hashing files. */
function hasherFor({ hash, byteLength }: RemoteFile): Hash {
  if (hash.length === 64) return createHash("sha256");
  return createHash("sha1").update(`blob ${byteLength}\0`);
}

/** The hash of a file on disk, of the same kind as `remote.hash`. */
export async function hashLike(path: string, remote: RemoteFile, signal?: AbortSignal): Promise<string> {
  const hash = hasherFor(remote);
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    throwIfAborted(signal);
    hash.update(chunk as Buffer);
  }
  return hash.digest("hex");
}

/** A failure that another attempt may mend. */
class Broken extends Error {}

/**
 * Fetches a file to `path`. An earlier attempt's part, `path.incomplete`, is continued. The file appears under its name
 * only when size and hash are right.
 *
 * @throws `VANS_STORE_DOWNLOAD` when attempts run out or the server refuses, `VANS_STORE_HASH` for wrong content,
 *   `VANS_RUN_ABORTED`
 */
export async function downloadFile(
  path: string,
  remote: RemoteFile,
  options: DownloadOptions = {},
): Promise<void> {
  const { attempts = 5, backoffMs = 500, signal } = options;
  const part = `${path}.incomplete`;
  await mkdir(dirname(path), { recursive: true });
  let failures = 0;
  let isSecondCopy = false;
  for (;;) {
    throwIfAborted(signal);
    const before = (await stat(part).catch(() => undefined))?.size ?? 0;
    try {
      await fetchRest(part, before, remote, options);
      const found = await hashLike(part, remote, signal);
      if (found === remote.hash) break;
      await rm(part, { force: true });
      options.onBytes?.(-remote.byteLength);
      // A part from an earlier, different copy may be to blame once; a fresh copy that is wrong is wrong.
      if (before === 0 || isSecondCopy) throw wrongContent(path, remote, found);
      isSecondCopy = true;
    } catch (error) {
      throwIfAborted(signal);
      if (!(error instanceof Broken)) throw error;
      const after = (await stat(part).catch(() => undefined))?.size ?? 0;
      failures = after > before ? 0 : failures + 1;
      if (failures >= attempts) throw gaveUp(remote, attempts, after, error);
      await pause(backoffMs * 2 ** Math.max(0, failures - 1), signal);
    }
  }
  await rename(part, path);
}

/** Appends what is missing of a part. */
async function fetchRest(
  part: string,
  start: number,
  remote: RemoteFile,
  options: DownloadOptions,
): Promise<void> {
  const { onBytes, stallMs = 60_000 } = options;
  if (start > remote.byteLength) {
    await rm(part, { force: true });
    onBytes?.(-start);
    throw new Broken("the part on disk is longer than the file");
  }
  if (start === remote.byteLength && start > 0) return;
  try {
    await withinSilence({ mostMs: stallMs, signal: options.signal }, (signal, alive) =>
      appendRest(part, start, remote, { ...options, signal }, alive),
    );
  } catch (error) {
    if (error instanceof VansError || error instanceof Broken) throw error;
    if (isDiskError(error)) throw error;
    throw new Broken(error instanceof Silent ? "the connection stood still" : reasonOf(error), {
      cause: error,
    });
  }
}

async function appendRest(
  part: string,
  start: number,
  remote: RemoteFile,
  { headers, signal, onBytes, fetch: ask = fetch }: DownloadOptions,
  alive: () => void,
): Promise<void> {
  const response = await ask(remote.url, {
    headers: {
      ...headers,
      "Accept-Encoding": "identity",
      ...(start > 0 && { Range: `bytes=${start}-` }),
    },
    ...(signal && { signal }),
  });
  alive();
  let position: number;
  try {
    position = positionOf(response, start, remote);
  } catch (error) {
    await response.body?.cancel().catch(() => undefined);
    throw error;
  }
  throwIfAborted(signal);
  const file = await open(part, position === 0 ? "w" : "a");
  if (position === 0 && start > 0) onBytes?.(-start);
  try {
    let length = position;
    for await (const chunk of response.body ?? []) {
      // An attempt that was given up must not write into the next one's part.
      throwIfAborted(signal);
      alive();
      length += chunk.length;
      if (length > remote.byteLength)
        throw new Broken(`the server sent more than the ${remote.byteLength} bytes of the file`);
      for (let done = 0; done < chunk.length; )
        done += (await file.write(chunk, done, chunk.length - done)).bytesWritten;
      onBytes?.(chunk.length);
    }
    await file.sync();
    if (length < remote.byteLength) throw new Broken(`the connection ended after ${length} bytes`);
  } catch (error) {
    // Bytes past the end mean that none can be trusted.
    if (error instanceof Broken && error.message.startsWith("the server sent more")) {
      const { size } = await file.stat();
      await file.truncate(0);
      onBytes?.(-size);
    }
    throw error;
  } finally {
    await file.close();
  }
}

/** Where the bytes of an answer belong. */
function positionOf(response: Response, start: number, remote: RemoteFile): number {
  const { status } = response;
  if (status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
    if (Number(range?.[1]) !== start) throw new Broken("the server sent another part than the one asked for");
    if (range![2] !== "*" && Number(range![2]) !== remote.byteLength)
      throw new Broken(
        `the server says that the file has ${range![2]} bytes instead of ${remote.byteLength}`,
      );
    return start;
  }
  if (status === 200) return 0;
  if (status === 408 || status === 416 || status === 429 || status >= 500)
    throw new Broken(`the server answered ${status}`);
  throw refused(remote.url, status);
}

/** A server that will not give a file, now or later. */
export function refused(url: string, status: number): VansError {
  const isLocked = status === 401 || status === 403;
  return new VansError("VANS_STORE_DOWNLOAD", `the hub refused ${new URL(url).pathname.slice(1)}`, {
    found: `status ${status}`,
    why: isLocked
      ? "the repository is private, or its licence has to be accepted first"
      : "no such file or revision",
    fix: isLocked
      ? "accept the licence on the model's page and set HF_TOKEN to a token that may read it"
      : "check repository, revision and path in suite.json",
    data: { status },
  });
}

function wrongContent(path: string, remote: RemoteFile, found: string): VansError {
  return new VansError("VANS_STORE_HASH", "a downloaded file is not what the hub says it is", {
    asked: remote.hash,
    found,
    why: "a faulty proxy or mirror changed it",
    fix: "try again, or another mirror (HF_ENDPOINT)",
    data: { path, url: remote.url },
  });
}

function gaveUp(remote: RemoteFile, attempts: number, bytes: number, last: Error): VansError {
  return new VansError("VANS_STORE_DOWNLOAD", `${new URL(remote.url).pathname.slice(1)} cannot be fetched`, {
    asked: `${remote.byteLength} bytes`,
    found: `${bytes} bytes; ${last.message}`,
    why: `${attempts} attempts in a row brought nothing new`,
    fix: "run the same command again later: it continues where it stopped",
    cause: last,
  });
}

const isDiskError = (error: unknown): boolean =>
  error instanceof Error &&
  /^(ENOSPC|EROFS|EACCES|EPERM|EDQUOT)$/.test(String((error as { code?: unknown }).code));

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((done) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", finish);
      done();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener("abort", finish);
  });
}
