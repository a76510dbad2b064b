/** What no client should send: each is refused with a reason, and nothing is left behind. */
import { readdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AnswerBody, TestServer } from "./testing.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start({ requestSecs: 2, maxUploadBytes: 3e6, maxClipSecs: 60 });
});
afterAll(() => server.close());

const codeOf = async (response: Response): Promise<string> =>
  ((await response.json()) as { error: { code: string } }).error.code;

describe("a hostile client", () => {
  it("finds no way out of the folders", async () => {
    const { id } = await server.json<AnswerBody>("POST", "/api/v1/answers", {
      clip: "example-gift",
      question: "?",
      steps: 1,
    });
    await server.ended(id);
    for (const path of [
      `/api/v1/answers/${id}/files/..%2f..%2f..%2fjobs.sqlite`,
      `/api/v1/answers/${id}/files/events.ndjson`,
      `/api/v1/answers/${id}/files/%2e%2e%2fserver.pid`,
      "/api/v1/answers/..%2f..%2fserver.pid/files/answer.mp4",
      "/api/v1/uploads/..%2f..%2fjobs.sqlite/content",
      "/assets/..%2f..%2f..%2fpackage.json",
      "/..%2fpackage.json",
      "/../../../../etc/passwd",
      "/ask/../../../etc/passwd",
    ]) {
      const { status, text } = await server.raw({ path });
      expect([404, 400, 200, 503]).toContain(status);
      expect(text).not.toMatch(/SQLite format|root:|"name": "vans"/);
      if (path.startsWith("/api")) expect(status).toBe(404);
    }
  });

  it("cannot fill the disk: a claim of 10 GB, a body that is longer than it says it may be", async () => {
    const claim = await server.raw({
      path: "/api/v1/uploads",
      method: "POST",
      headers: { "content-length": "10000000000" },
      send: new Uint8Array(1000),
    });
    expect(claim.status).toBe(413);
    const long = await server.upload(new Uint8Array(4e6)).catch(() => undefined);
    if (long) expect(long.status).toBe(413);
    expect(
      (await readdir(join(server.folder, "uploads")).catch((): string[] => [])).filter((name) =>
        name.endsWith(".part"),
      ),
    ).toEqual([]);
  });

  it("gets clear answers for files that are no clips, tiny, huge, or bombs", async () => {
    const empty = await server.upload(new Uint8Array(0));
    expect([empty.status, await codeOf(empty)]).toEqual([400, "VANS_SERVE_UPLOAD_EMPTY"]);
    const text = await server.upload(
      new TextEncoder().encode("<html><script>alert(1)</script></html>"),
      "page.mp4",
    );
    expect(text.status).toBe(415);
    const truncated = await server.upload(new Uint8Array(Buffer.from("0000001866747970", "hex")));
    expect(truncated.status).toBeGreaterThanOrEqual(400);
    expect(truncated.status).toBeLessThan(500);
    const blank = (width: number, height: number) =>
      sharp({ create: { width, height, channels: 3, background: "#fff" } })
        .png({ compressionLevel: 9 })
        .toBuffer();
    const huge = await server.upload(await blank(7680, 4320), "8k.png");
    expect([huge.status, await codeOf(huge)]).toEqual([413, "VANS_SERVE_FRAME_TOO_LARGE"]);
    const bomb = await server.upload(await blank(16000, 16000), "bomb.png");
    expect(bomb.status).toBe(413);
    const frames = Buffer.alloc(64 * 64 * 3 * 2000);
    for (let i = 0; i < frames.length; i += 4096) frames[i] = (i / 4096) % 251;
    const gif = await sharp(frames, { raw: { width: 64, height: 64 * 2000, channels: 3, pageHeight: 64 } })
      .gif({ delay: new Array(2000).fill(100) })
      .toBuffer();
    const many = await server.upload(gif, "frames.gif");
    expect([many.status, await codeOf(many)]).toEqual([413, "VANS_SERVE_CLIP_TOO_LONG"]);
    const dot = await server.upload(await blank(1, 1), "dot.png");
    expect(dot.status).toBe(201);
    const { id } = (await dot.json()) as { id: string };
    const { id: asked } = await server.json<AnswerBody>("POST", "/api/v1/answers", {
      clip: id,
      question: "?",
      steps: 1,
    });
    expect(["done", "failed"]).toContain((await server.ended(asked)).state);
    expect(
      (await readdir(join(server.folder, "uploads")).catch((): string[] => [])).filter((name) =>
        name.endsWith(".part"),
      ),
    ).toEqual([]);
  });

  it("cannot hold a connection by sending slowly", async () => {
    const { hostname, port } = new URL(server.url);
    const ended = await new Promise<boolean>((done) => {
      const socket = connect(Number(port), hostname, () => {
        socket.write(
          "POST /api/v1/answers HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        );
        const drip = setInterval(() => socket.write(" "), 500);
        socket.on("close", () => {
          clearInterval(drip);
          done(true);
        });
        socket.on("error", () => undefined);
        socket.resume();
      });
      setTimeout(() => done(false), 60_000).unref();
    });
    expect(ended).toBe(true);
  });

  it("is told what is wrong with a request", async () => {
    for (const [body, status] of [
      [{ clip: "example-gift" }, 400],
      [{ clip: "example-gift", question: "   " }, 400],
      [{ clip: "example-gift", question: "x".repeat(501) }, 400],
      [{ clip: "example-gift", question: "?", steps: 1e9 }, 400],
      [{ clip: "example-gift", question: "?", colour: "red" }, 400],
      [{ clip: "example-gift", question: "?", trim: { startSecs: 2, endSecs: 1 } }, 400],
      [{ clip: "example-gift", question: "?", suite: "../../etc" }, 422],
      [{ clip: "nothing", question: "?" }, 404],
      [{ clip: "answer:nothing", question: "?" }, 404],
    ] as const)
      expect([
        JSON.stringify(body).slice(0, 80),
        (await server.call("POST", "/api/v1/answers", body)).status,
      ]).toEqual([JSON.stringify(body).slice(0, 80), status]);
    const noJson = await fetch(`${server.url}/api/v1/answers`, {
      method: "POST",
      body: "{",
      headers: { "content-type": "application/json" },
    });
    expect(noJson.status).toBe(400);
    const plain = await fetch(`${server.url}/api/v1/answers`, { method: "POST", body: "clip=1" });
    expect(plain.status).toBe(415);
    const long = await fetch(`${server.url}/api/v1/answers`, {
      method: "POST",
      body: JSON.stringify({ clip: "a", question: "q".repeat(2e6) }),
      headers: { "content-type": "application/json" },
    });
    expect(long.status).toBe(413);
  });

  it("has its markup sent back as data, never as a page", async () => {
    const question = '<img src=x onerror="alert(1)"><script>alert(2)</script>';
    const { id } = await server.json<AnswerBody>("POST", "/api/v1/answers", {
      clip: "example-gift",
      question,
      steps: 1,
    });
    const answer = await server.ended(id);
    expect(answer.request.question).toBe(question);
    const response = await server.call("GET", `/api/v1/answers/${id}`);
    expect(response.headers.get("content-type")).toMatch(/^application\/json/);
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("content-security-policy")).toContain("default-src 'self'");
  });

  it("cannot reach in from another site", async () => {
    const rebound = await server.raw({ path: "/api/v1/answers", headers: { host: "evil.example" } });
    expect(rebound.status).toBe(403);
    const foreign = await server.raw({
      path: "/api/v1/uploads/x",
      method: "DELETE",
      headers: { origin: "https://evil.example" },
    });
    expect(foreign.status).toBe(403);
  });
});

describe("limits and tokens", () => {
  it("asks for a token, and counts clients apart", async () => {
    const [one, two] = ["a".repeat(24), "b".repeat(24)];
    const guarded = await TestServer.start({ tokens: [one, two], maxClientJobs: 2, maxWritesPerMinute: 8 });
    try {
      const as = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
      expect((await guarded.call("GET", "/api/v1/answers")).status).toBe(401);
      expect((await guarded.call("GET", "/api/v1/answers", undefined, as("c".repeat(24)))).status).toBe(401);
      expect((await guarded.call("GET", "/metrics")).status).toBe(401);
      expect((await guarded.call("GET", "/healthz")).status).toBe(200);
      const ask = (token: string) =>
        guarded.call(
          "POST",
          "/api/v1/answers",
          { clip: "example-gift", question: "?", steps: 150 },
          as(token),
        );
      const statuses = [
        (await ask(one)).status,
        (await ask(one)).status,
        (await ask(one)).status,
        (await ask(two)).status,
      ];
      expect(statuses).toEqual([202, 202, 429, 202]);
      for (let i = 0; i < 5; i++) await ask(one);
      const limited = await ask(one);
      expect(limited.status).toBe(429);
      expect(Number(limited.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(await codeOf(limited)).toBe("VANS_SERVE_TOO_MANY_REQUESTS");
    } finally {
      await guarded.close();
    }
  });
});
