import { createHash } from "node:crypto";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cachedFiles, type HubSource, hubCacheFolder, RepoCache } from "./hub-cache.ts";
import { removeSources, verifySources } from "./hub-kept.ts";
import { type PullOptions, type PullProgress, pullSources } from "./hub-store.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const big = Buffer.alloc(300_000, 0).map((_, i) => (i * 31 + (i >> 8)) & 255);
const CONTENT: Record<string, Buffer> = {
  "model.safetensors": Buffer.from(big),
  "other/config.json": Buffer.from('{"a": 1}\n'),
  "third.bin": Buffer.from(big.subarray(0, 5000)),
};
const sha256 = (data: Buffer): string => createHash("sha256").update(data).digest("hex");
const gitHash = (data: Buffer): string =>
  createHash("sha1").update(`blob ${data.length}\0`).update(data).digest("hex");
const source: HubSource = { repo: "org/tiny", revision: "main", files: Object.keys(CONTENT) };

/** How the server treats one request for a file; undefined: as it should. */
type Misbehaviour = (request: IncomingMessage, response: ServerResponse, data: Buffer) => boolean;

let server: Server;
let endpoint: string;
let cache: string;
let requests: string[] = [];
let ranges: string[] = [];
let tokens: (string | undefined)[] = [];
let misbehave: Misbehaviour | undefined;
let commit = COMMIT;

function serve(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url!, "http://x");
  requests.push(`${request.method} ${url.pathname}`);
  tokens.push(request.headers.authorization);
  const json = (value: unknown): void => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(value));
  };
  if (url.pathname.startsWith("/api/models/org/tiny/paths-info/")) {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      const { paths } = JSON.parse(body) as { paths: string[] };
      json(
        paths
          .filter((path) => CONTENT[path])
          .map((path) => {
            const data = CONTENT[path]!;
            const plain = { type: "file", path, size: data.length, oid: gitHash(data) };
            // Large files are in LFS and have a SHA-256, small ones are git's.
            return path.endsWith(".json")
              ? plain
              : { ...plain, lfs: { oid: sha256(data), size: data.length, pointerSize: 130 } };
          }),
      );
    });
    return;
  }
  const asked = /^\/api\/models\/org\/tiny(?:\/revision\/(main|[0-9a-f]{40}))?$/.exec(url.pathname);
  if (asked) {
    json({
      _id: "1",
      id: "org/tiny",
      sha: asked[1] === undefined || asked[1] === "main" ? commit : asked[1],
      likes: 0,
      downloads: 0,
      lastModified: "2026-01-01",
      private: false,
    });
    return;
  }
  const path = url.pathname.split("/").slice(5).join("/");
  const data = CONTENT[path];
  if (!url.pathname.startsWith(`/org/tiny/resolve/${commit}/`) || !data) {
    response.statusCode = 404;
    response.end();
    return;
  }
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
  if (range) ranges.push(range[0]);
  if (misbehave?.(request, response, data)) return;
  const start = Number(range?.[1] ?? 0);
  if (range) {
    response.statusCode = 206;
    response.setHeader("Content-Range", `bytes ${start}-${data.length - 1}/${data.length}`);
  }
  response.end(data.subarray(start));
}

beforeAll(async () => {
  server = createServer(serve);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  return new Promise((done) => server.close(done));
});
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "vans-hub-"));
  requests = [];
  ranges = [];
  tokens = [];
  misbehave = undefined;
  commit = COMMIT;
});
afterEach(() => rm(cache, { recursive: true, force: true }));

const pull = (options: PullOptions = {}, of: HubSource = source): Promise<string[]> =>
  pullSources([of], { endpoint, cache, token: "", offline: false, backoffMs: 1, ...options });
const contentOf = (path: string): Promise<Buffer> =>
  readFile(new RepoCache("org/tiny", cache).filePath(COMMIT, path));
const expectAll = async (): Promise<void> => {
  for (const [path, data] of Object.entries(CONTENT)) expect(await contentOf(path)).toEqual(data);
};
/** Misbehaves on the first `times` requests only. */
const first = (times: number, how: Misbehaviour): Misbehaviour => {
  let left = times;
  return (...all) => left-- > 0 && how(...all);
};

describe("pull", () => {
  it("writes the layout that other hub clients share, and says how far it is", async () => {
    const seen: PullProgress[] = [];
    expect(await pull({ onProgress: (progress) => seen.push(progress) })).toEqual([COMMIT]);
    await expectAll();
    const folder = join(cache, "models--org--tiny");
    expect(await readFile(join(folder, "refs", "main"), "utf8")).toBe(COMMIT);
    const link = join(folder, "snapshots", COMMIT, "other", "config.json");
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect((await readdir(join(folder, "blobs"))).sort()).toEqual(
      [
        sha256(CONTENT["model.safetensors"]!),
        gitHash(CONTENT["other/config.json"]!),
        sha256(CONTENT["third.bin"]!),
      ].sort(),
    );
    const total = Object.values(CONTENT).reduce((sum, data) => sum + data.length, 0);
    expect(seen[0]).toMatchObject({ doneBytes: 0, totalBytes: total, totalFiles: 3 });
    expect(seen.at(-1)).toMatchObject({ doneBytes: total, totalBytes: total, doneFiles: 3 });
    expect((await cachedFiles(source, cache)).every((file) => file.isThere)).toBe(true);
  });

  it("fetches nothing that is there, and moves a branch only where told to", async () => {
    await pull();
    const files = (): number => requests.filter((line) => line.includes("/resolve/")).length;
    expect(files()).toBe(3);
    await pull();
    expect(files()).toBe(3);
    commit = "f".repeat(40);
    expect(await pull()).toEqual([COMMIT]);
    expect(await pull({ update: true })).toEqual([commit]);
    // The contents are the same, so their blobs are linked again.
    expect(files()).toBe(3);
    expect(await readFile(join(cache, "models--org--tiny/refs/main"), "utf8")).toBe(commit);
  });

  it("sends the token, and says what to do where the hub wants one", async () => {
    await pull({ token: "hf_secret" });
    expect(new Set(tokens)).toEqual(new Set(["Bearer hf_secret"]));
    await rm(join(cache, "models--org--tiny"), { recursive: true });
    misbehave = (_, response) => {
      response.statusCode = 401;
      response.end();
      return true;
    };
    await expect(pull()).rejects.toMatchObject({
      code: "VANS_STORE_DOWNLOAD",
      message: expect.stringContaining("HF_TOKEN"),
    });
  });

  it("names a file that the repository does not have", async () => {
    const wrong = { ...source, files: ["nowhere.bin"] };
    await expect(pull({}, wrong)).rejects.toMatchObject({
      code: "VANS_STORE_DOWNLOAD",
      message: expect.stringContaining("nowhere.bin"),
    });
  });

  it("makes no request offline: works with what is there, names what is not", async () => {
    await expect(pull({ offline: true })).rejects.toMatchObject({
      code: "VANS_STORE_OFFLINE",
      message: expect.stringContaining("model.safetensors"),
    });
    await pull();
    const before = requests.length;
    expect(await pull({ offline: true })).toEqual([COMMIT]);
    expect(requests.length).toBe(before);
  });

  it("stops when aborted and continues later", async () => {
    const controller = new AbortController();
    misbehave = (_, response, data) => {
      if (data.length < 100_000) return false;
      response.write(data.subarray(0, 100_000));
      // As soon as the part is on the disk; however busy the machine is.
      const part = `${new RepoCache("org/tiny", cache).blobPath(sha256(data))}.incomplete`;
      const look = setInterval(async () => {
        if ((await stat(part).catch(() => undefined))?.size !== 100_000) return;
        clearInterval(look);
        controller.abort();
      }, 5);
      return true;
    };
    await expect(pull({ signal: controller.signal })).rejects.toMatchObject({ code: "VANS_RUN_ABORTED" });
    misbehave = undefined;
    await pull();
    await expectAll();
    expect(ranges).toContain("bytes=100000-");
  });

  it("refuses paths and repositories that leave the cache", async () => {
    for (const of of [
      { ...source, files: ["../../evil"] },
      { ...source, repo: "../.." },
    ])
      await expect(cachedFiles(of, cache)).rejects.toMatchObject({ code: "VANS_STORE_SOURCE" });
  });
});

describe("a bad connection", () => {
  it("that breaks is continued where it stopped", async () => {
    misbehave = (request, response, data) => {
      const start = Number(/\d+/.exec(request.headers.range ?? "0")![0]);
      if (data.length - start < 60_000) return false;
      response.statusCode = start > 0 ? 206 : 200;
      if (start > 0) response.setHeader("Content-Range", `bytes ${start}-${data.length - 1}/${data.length}`);
      response.setHeader("Content-Length", data.length - start);
      // What the reader has not taken when a connection breaks is lost, so it gets a moment.
      response.write(data.subarray(start, start + 50_000), () => setTimeout(() => response.destroy(), 40));
      return true;
    };
    await pull();
    await expectAll();
    expect(ranges.length).toBeGreaterThanOrEqual(3);
    expect(ranges).toContain("bytes=50000-");
  });

  it("that never brings anything gives up with the way out", async () => {
    misbehave = (_, response) => {
      response.destroy();
      return true;
    };
    await expect(pull({ attempts: 2 })).rejects.toMatchObject({
      code: "VANS_STORE_DOWNLOAD",
      message: expect.stringContaining("continues where it stopped"),
    });
  });

  it("that stands still counts as broken", async () => {
    misbehave = first(1, (_, response, data) => {
      response.setHeader("Content-Length", data.length);
      response.write(data.subarray(0, 10));
      return true;
    });
    await pull({ stallMs: 150 });
    await expectAll();
  });

  it("whose look-up is never answered is given up", async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
    try {
      const at = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
      await expect(pull({ endpoint: at, stallMs: 50 })).rejects.toMatchObject({
        code: "VANS_STORE_DOWNLOAD",
      });
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });

  it("with a busy server is tried again", async () => {
    misbehave = first(2, (_, response) => {
      response.statusCode = 503;
      response.end();
      return true;
    });
    await pull();
    await expectAll();
  });
});

describe("a server that lies", () => {
  it("about the length, too short: the rest is asked for", async () => {
    misbehave = first(1, (_, response, data) => {
      response.setHeader("Content-Length", Math.floor(data.length / 2));
      response.end(data.subarray(0, Math.floor(data.length / 2)));
      return true;
    });
    await pull();
    await expectAll();
  });

  it("about the length, too long: nothing of it is kept", async () => {
    misbehave = (_, response, data) => {
      response.end(Buffer.concat([data, Buffer.from("more")]));
      return true;
    };
    await expect(pull({ attempts: 2 })).rejects.toMatchObject({ code: "VANS_STORE_DOWNLOAD" });
    misbehave = undefined;
    await pull();
    await expectAll();
  });

  it("about ranges: an answer from the start replaces the part", async () => {
    misbehave = first(1, (_, response, data) => {
      response.setHeader("Content-Length", data.length);
      response.write(data.subarray(0, 1000), () => response.destroy());
      return true;
    });
    const once = misbehave;
    misbehave = (request, response, data) => {
      if (once(request, response, data)) return true;
      response.end(data);
      return true;
    };
    await pull();
    await expectAll();
  });

  it("about the content: the file does not appear, and the error names both hashes", async () => {
    misbehave = (_, response, data) => {
      response.end(Buffer.from(data.map((byte) => byte ^ 1)));
      return true;
    };
    await expect(pull()).rejects.toMatchObject({
      code: "VANS_STORE_HASH",
      message: expect.stringMatching(/asked: [0-9a-f]{40,64}[\s\S]*found: [0-9a-f]{40,64}/),
    });
    expect((await cachedFiles(source, cache)).some((file) => file.isThere)).toBe(false);
  });

  it("in an earlier part only: the file is fetched again as a whole", async () => {
    const blobs = join(cache, "models--org--tiny", "blobs");
    await mkdir(blobs, { recursive: true });
    const part = join(blobs, `${sha256(CONTENT["model.safetensors"]!)}.incomplete`);
    await writeFile(part, Buffer.alloc(1234, 9));
    await pull();
    await expectAll();
  });
});

describe("verify and remove", () => {
  const states = async (): Promise<Record<string, string>> => {
    const found: Record<string, string> = {};
    for await (const { path, state } of verifySources([source], { cache })) found[path] = state;
    return found;
  };

  it("finds damaged and missing files", async () => {
    expect(new Set(Object.values(await states()))).toEqual(new Set(["missing"]));
    await pull();
    expect(new Set(Object.values(await states()))).toEqual(new Set(["sound"]));
    const blobs = join(cache, "models--org--tiny", "blobs");
    await writeFile(join(blobs, sha256(CONTENT["third.bin"]!)), "changed");
    await writeFile(join(blobs, gitHash(CONTENT["other/config.json"]!)), "changed");
    expect(await states()).toEqual({
      "model.safetensors": "sound",
      "other/config.json": "damaged",
      "third.bin": "damaged",
    });
  });

  it("holds a branch to the commit and the hashes of its first pull", async () => {
    await pull();
    const repo = new RepoCache("org/tiny", cache);
    const { main } = await repo.locked();
    expect(main).toEqual({
      commit: COMMIT,
      files: {
        "model.safetensors": sha256(CONTENT["model.safetensors"]!),
        "other/config.json": gitHash(CONTENT["other/config.json"]!),
        "third.bin": sha256(CONTENT["third.bin"]!),
      },
    });
    // Another tool fetches the branch anew: what was pulled stays what is used.
    await writeFile(repo.refPath("main"), "f".repeat(40));
    expect(await repo.commitOf("main")).toBe(COMMIT);
    expect(new Set(Object.values(await states()))).toEqual(new Set(["sound"]));
    // A snapshot that was put in its place is seen, though its own hash fits its name.
    const other = Buffer.from("another model");
    await writeFile(repo.blobPath(sha256(other)), other);
    await rm(repo.filePath(COMMIT, "third.bin"));
    await symlink(`../../blobs/${sha256(other)}`, repo.filePath(COMMIT, "third.bin"));
    expect((await states())["third.bin"]).toBe("damaged");
  });

  it("removes its files and leaves what others use", async () => {
    await pull();
    const folder = join(cache, "models--org--tiny");
    const other = join(folder, "snapshots", "e".repeat(40));
    await mkdir(other, { recursive: true });
    await symlink(`../../blobs/${sha256(CONTENT["third.bin"]!)}`, join(other, "third.bin"));
    const freed = await removeSources([source], { cache });
    expect(freed).toBe(CONTENT["model.safetensors"]!.length + CONTENT["other/config.json"]!.length);
    expect(await readdir(join(folder, "blobs"))).toEqual([sha256(CONTENT["third.bin"]!)]);
    expect((await stat(join(other, "third.bin"))).size).toBe(5000);
    await rm(other, { recursive: true });
    await pull();
    await removeSources([source], { cache });
    expect(await readdir(cache)).not.toContain("models--org--tiny");
  });
});

it("finds the cache where huggingface_hub does", () => {
  expect(hubCacheFolder({ HF_HUB_CACHE: "/a", HF_HOME: "/b" })).toBe("/a");
  expect(hubCacheFolder({ HF_HOME: "/b" })).toBe("/b/hub");
  expect(hubCacheFolder({ XDG_CACHE_HOME: "/c" })).toBe("/c/huggingface/hub");
});
