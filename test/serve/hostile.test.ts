/** Requests that mean harm get a clear answer, and the server goes on. @module */

import { readdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { RunningServer } from "../../src/serve/index.ts";
import { type Client, exampleBytes, type TestAnswer, testFolder, testServer } from "./testing.ts";

// Minutes, for machines that do much else: a time limit is no result.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

let home: Awaited<ReturnType<typeof testFolder>>;
let server: RunningServer;
let client: Client;

beforeAll(async () => {
  home = await testFolder();
  ({ server, client } = await testServer({ ...home, maxUploadBytes: 2e6, maxClipSecs: 60 }));
});
afterAll(async () => {
  await server?.close();
  await home?.remove();
});

/** Bytes as they are, for what no client library would send. */
function raw(
  text: string,
  {
    pieces = 1,
    everyMs = 0,
    endsMs = 60_000,
    signal,
  }: { pieces?: number; everyMs?: number; endsMs?: number; signal?: AbortSignal } = {},
): Promise<string> {
  const { hostname, port } = new URL(server.url);
  return new Promise((done) => {
    const socket = connect(Number(port), hostname);
    let reply = "";
    const timer = setTimeout(() => socket.destroy(), endsMs);
    signal?.addEventListener("abort", () => socket.destroy());
    socket.setEncoding("utf8").on("data", (piece: string) => {
      reply += piece;
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(timer);
      done(reply);
    });
    const size = Math.ceil(text.length / pieces);
    const send = (at: number): void => {
      if (at >= text.length || socket.destroyed) return;
      socket.write(text.slice(at, at + size));
      setTimeout(() => send(at + size), everyMs);
    };
    send(0);
  });
}

const statusOf = (reply: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(reply)?.[1]);

async function isWell(): Promise<void> {
  expect((await client.fetch("/healthz")).status).toBe(200);
  const parts = (await readdir(join(home.folder, "data/uploads")).catch(() => [])).filter((name) =>
    name.endsWith(".part"),
  );
  expect(parts).toEqual([]);
}

it("serves nothing outside of its folders", async () => {
  const { body: upload } = await client.upload(
    await exampleBytes("candle.mp4"),
    "../../../etc/cron.d/evil.mp4",
  );
  expect(upload).toMatchObject({ name: "evil.mp4" });
  const done = await client.answered({ clip: upload.id, question: "what now?" });
  const tries = [
    "/../../../../etc/passwd",
    "/assets/../../package.json",
    "/ask/../../package.json",
    "/%2e%2e/%2e%2e/package.json",
    "/..%2f..%2fpackage.json",
    "/api/v1/uploads/..%2f..%2fjobs.sqlite/content",
    "/api/v1/uploads/%2e%2e/content",
    `/api/v1/answers/${done.id}/files/..%2fevents.ndjson`,
    `/api/v1/answers/${done.id}/files/events.ndjson`,
    `/api/v1/answers/${done.id}/files/%2e%2e%2f%2e%2e%2fjobs.sqlite`,
    `/api/v1/answers/${done.id}/files/answer.mp4%00.png`,
    "/api/v1/answers/..%2f..%2f/files/answer.json",
    "/api/v1/examples/..%2fdemo.json/content",
    "/api/v1/runs/..%2f..%2f/files/package.json",
    "/api/v1/reports/..%2f..%2f/files/package.json",
    "/api/v1/datasets/..%2f..%2f/samples",
    "/api/v1/answers/%E0%A4%A/events",
    "//etc/passwd",
    "/api/v1/uploads/a\\..\\..\\b/content",
  ];
  for (const path of tries) {
    const reply = await raw(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
    expect([400, 404], `${path}: ${reply.slice(0, 300)}`).toContain(statusOf(reply));
    expect(reply).not.toMatch(/root:|"dependencies"|SQLite format/);
  }
  await isWell();
});

it("refuses a claim of 10 GB before a byte of it, and stops one that claims nothing", async () => {
  const claimed = await raw(
    "POST /api/v1/uploads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000000\r\n\r\n",
  );
  expect(statusOf(claimed)).toBe(413);
  expect(claimed).toContain("VANS_SERVE_UPLOAD_TOO_LARGE");
  const endless = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
  });
  const response = await client
    .fetch("/uploads", { method: "POST", body: endless, duplex: "half" } as RequestInit)
    .catch(() => undefined);
  // The connection may be closed under the sender before it reads the answer.
  expect(response?.status ?? 413).toBe(413);
  const json = await client.fetch("/answers", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: `{"question":"${"a".repeat(2_000_000)}"}`,
  });
  expect(json.status).toBe(413);
  await isWell();
});

it("refuses bombs: pictures of endless size, animations of endless frames, hours in a few bytes", async () => {
  const huge = await sharp({ create: { width: 16_000, height: 16_000, channels: 3, background: "red" } })
    .png({ compressionLevel: 9 })
    .toBuffer();
  expect(huge.length).toBeLessThan(2e6);
  expect((await client.upload(huge, "bomb.png")).body.error?.code).toBe("VANS_SERVE_FRAME_TOO_LARGE");

  const eightK = await sharp({ create: { width: 7680, height: 4320, channels: 3, background: "blue" } })
    .jpeg({ quality: 30 })
    .toBuffer();
  const refused = await client.upload(eightK, "8k.jpg");
  expect(refused).toMatchObject({ status: 413, body: { error: { code: "VANS_SERVE_FRAME_TOO_LARGE" } } });

  // 4000 frames that say they last 10 s each.
  const bomb = gifOf(4000, 1000);
  expect(bomb.length).toBeLessThan(2e6);
  const long = await client.upload(bomb, "bomb.gif");
  expect(long).toMatchObject({ status: 413, body: { error: { code: "VANS_SERVE_CLIP_TOO_LONG" } } });
  await isWell();
});

it("answers about a picture of one pixel", async () => {
  const dot = await sharp({ create: { width: 1, height: 1, channels: 3, background: "green" } })
    .png()
    .toBuffer();
  const { status, body } = await client.upload(dot, "dot.png");
  expect(status).toBe(201);
  const done = await client.answered({ clip: body.id, question: "what is this?" });
  expect(done.state === "done" || done.error?.code.startsWith("VANS_")).toBe(true);
  await isWell();
});

it("refuses what is no clip, whatever it is called", async () => {
  const wrong: readonly (readonly [string, Uint8Array])[] = [
    ["page.mp4", Buffer.from("<!doctype html><script>alert(1)</script>")],
    [
      "drawing.png",
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    ],
    ["zip.mp4", Buffer.from("PK\u0003\u0004 not a clip at all".repeat(50))],
    ["noise.webm", Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256))],
    ["list.txt", Buffer.from("ffconcat version 1.0\nfile /etc/passwd\n")],
    ["play.m3u8", Buffer.from("#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")],
    ["half.mp4", (await exampleBytes("candle.mp4")).subarray(0, 500)],
  ];
  for (const [name, bytes] of wrong) {
    const { status, body } = await client.upload(bytes, name);
    expect([413, 415, 422], `${name}: ${JSON.stringify(body)}`).toContain(status);
    expect(body.error?.code).toMatch(/^VANS_/);
    expect(JSON.stringify(body)).not.toContain(home.folder);
  }
  expect((await client.upload(new Uint8Array(0))).status).toBe(400);
  await isWell();
});

it("is not held up by those who dawdle", async () => {
  const stop = new AbortController();
  let ended = 0;
  const slow = Array.from({ length: 100 }, () =>
    raw("POST /api/v1/answers HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n", {
      pieces: 80,
      everyMs: 1000,
      signal: stop.signal,
    }).then(() => ended++),
  );
  await isWell();
  // Others were answered while all of these were still at it.
  expect(ended).toBe(0);
  stop.abort();
  await Promise.all(slow);
  // One that never ends its head is cut off by the server itself.
  const cut = await testServer({ ...home, data: join(home.folder, "slow"), requestSecs: 1 });
  const { hostname, port } = new URL(cut.server.url);
  const began = performance.now();
  await new Promise<void>((done) => {
    const socket = connect(Number(port), hostname);
    socket.write("GET /healthz HTTP/1.1\r\nHo");
    socket.on("error", () => undefined);
    socket.on("close", () => done());
    socket.resume();
  });
  // What Node does by itself takes a minute.
  expect(performance.now() - began).toBeLessThan(50_000);
  await cut.server.close();
});

it("keeps HTML what it is: text", async () => {
  const question = '<script>alert("x")</script> & <img src=x onerror=alert(1)> \u202e #{7*7} {{7*7}}';
  const done = await client.answered({ clip: "example-candle", question });
  expect(done.request.question).toBe(question);
  const response = await client.fetch(`/answers/${done.id}`);
  expect(response.headers.get("content-type")).toMatch(/^application\/json/);
  expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  expect(response.headers.get("content-security-policy")).toContain("default-src 'self'");
  const unknown = await client.fetch("/api/v1/<script>alert(1)</script>");
  expect(unknown.headers.get("content-type")).toMatch(/^application\/json/);
});

it("answers to its own name only, and to no other site's pages", async () => {
  const foreign = await raw(
    "GET /api/v1/answers HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
  );
  expect(statusOf(foreign)).toBe(403);
  const crossSite = await client.fetch("/answers", {
    method: "POST",
    headers: { "content-type": "application/json", origin: "https://evil.example" },
    body: "{}",
  });
  expect(crossSite.status).toBe(403);
});

it("says what is wrong with a request", async () => {
  const clip = "example-candle";
  const cases: readonly (readonly [unknown, number])[] = [
    [{}, 400],
    [{ clip, question: "" }, 400],
    [{ clip, question: "   " }, 400],
    [{ clip, question: "a".repeat(501) }, 400],
    [{ clip, question: "a", steps: 1e9 }, 400],
    [{ clip, question: "a", samples: 100 }, 400],
    [{ clip, question: "a", seed: -1 }, 400],
    [{ clip, question: "a", unknown: 1 }, 400],
    [{ clip, question: "a", suite: "../../etc" }, 422],
    [{ clip: "../../etc/passwd", question: "a" }, 404],
    [{ clip: "answer:nothing", question: "a" }, 404],
    [[], 400],
    [null, 400],
  ];
  for (const [body, expected] of cases) {
    const { status, body: reply } = await client.post<TestAnswer>("/answers", body);
    expect(status, JSON.stringify(body)).toBe(expected);
    expect(reply.error?.code).toMatch(/^VANS_SERVE_/);
  }
  const text = await client.fetch("/answers", { method: "POST", body: "hello" });
  expect(text.status).toBe(415);
  const broken = await client.fetch("/answers", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"clip":',
  });
  expect(broken.status).toBe(400);
});

/** A GIF of 1 x 1 pixels with many frames, each shown for `delay` hundredths of a second. */
function gifOf(frames: number, delay: number): Buffer {
  const head = Buffer.from("474946383961010001008000000000000000ff", "hex");
  const colours = Buffer.from("ff", "hex");
  const control = Buffer.from([0x21, 0xf9, 4, 0, delay & 255, delay >> 8, 0, 0]);
  const picture = Buffer.from("2c00000000010001000002024401003b".slice(0, -2), "hex");
  const one = Buffer.concat([control, picture]);
  return Buffer.concat([
    head.subarray(0, 13),
    Buffer.from("000000ffffff", "hex"),
    ...Array.from({ length: frames }, () => one),
    Buffer.from([0x3b]),
    colours.subarray(1),
  ]);
}
