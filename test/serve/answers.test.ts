/** Upload, ask, follow, watch, go on, cancel, delete: the whole way of an answer over HTTP. @module */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { answer, finalReport } from "../../src/answer/index.ts";
import { readClip } from "../../src/media/index.ts";
import type { RunningServer } from "../../src/serve/index.ts";
import { type Client, exampleBytes, type TestAnswer, testFolder, testServer } from "./testing.ts";

// Minutes, for machines that do much else: a time limit is no result.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

let home: Awaited<ReturnType<typeof testFolder>>;
let server: RunningServer;
let client: Client;
const question = "what happens if the wind blows?";

beforeAll(async () => {
  home = await testFolder();
  ({ server, client } = await testServer(home));
});
afterAll(async () => {
  await server?.close();
  await home?.remove();
});

it("goes from an upload to a playing video, and tells everything on the way", async () => {
  const bytes = await exampleBytes("candle.mp4");
  const { status, body: upload } = await client.upload(bytes, "mein Clip ☃.mp4");
  expect(status).toBe(201);
  expect(upload).toMatchObject({
    name: "mein Clip ☃.mp4",
    mediaType: "video/mp4",
    width: 64,
    height: 64,
    isStill: false,
    bytes: bytes.length,
  });
  const poster = await client.fetch(`/uploads/${upload.id}/poster.png`);
  expect(poster.headers.get("content-type")).toBe("image/png");

  const asked = await client.post<TestAnswer>("/answers", { clip: upload.id, question, seed: 5 });
  expect(asked.status).toBe(202);
  const events = await client.events(asked.body.id);
  expect(events.map(({ id }) => id)).toEqual(events.map((_, index) => index + 1));
  const names = new Set(events.map(({ name }) => name));
  expect([...names]).toEqual(["state", "loaded", "input", "token", "caption", "step", "frames"]);
  expect(events[0]!.data["state"]).toMatch(/queued|running/);
  expect(events.at(-1)!.data).toMatchObject({ state: "done", id: asked.body.id });
  const step = events.find(({ name }) => name === "step")!.data as { preview: { url: string } };
  expect(step.preview.url).toMatch(/^data:image\/png;base64,iVBOR/);

  // Someone who comes back gets exactly the rest; who has all of it is told so.
  const rest = await client.events(asked.body.id, { after: 7 });
  expect(rest).toEqual(events.slice(7));
  const nothing = await client.fetch(`/answers/${asked.body.id}/events`, {
    headers: { "last-event-id": String(events.length) },
  });
  expect(nothing.status).toBe(204);

  const done = await client.get<TestAnswer>(`/answers/${asked.body.id}`);
  const [url] = done.result!.files.answer;
  const whole = new Uint8Array(await (await client.fetch(url!)).arrayBuffer());
  const range = await client.fetch(url!, { headers: { range: "bytes=100-199" } });
  expect(range.status).toBe(206);
  expect(range.headers.get("content-range")).toBe(`bytes 100-199/${whole.length}`);
  expect(new Uint8Array(await range.arrayBuffer())).toEqual(whole.slice(100, 200));
  const tail = await client.fetch(url!, { headers: { range: "bytes=-10" } });
  expect(new Uint8Array(await tail.arrayBuffer())).toEqual(whole.slice(-10));
  const past = await client.fetch(url!, { headers: { range: `bytes=${whole.length}-` } });
  expect(past.status).toBe(416);
  const several = await client.fetch(url!, { headers: { range: "bytes=0-1,-2" } });
  expect(several.status).toBe(206);
  const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(several.headers.get("content-type")!)![1]!;
  const parts = Buffer.from(await several.arrayBuffer());
  expect(parts.length).toBe(Number(several.headers.get("content-length")));
  expect(parts.toString("latin1").split(`--${boundary}`)).toHaveLength(4);
  expect(parts.includes(Buffer.concat([Buffer.from("\r\n\r\n"), whole.slice(-2)]))).toBe(true);
  const changed = await client.fetch(url!, { headers: { range: "bytes=0-1", "if-range": '"before"' } });
  expect([changed.status, (await changed.arrayBuffer()).byteLength]).toEqual([200, whole.length]);
  const head = await client.fetch(url!, { method: "HEAD" });
  expect(head.headers.get("content-length")).toBe(String(whole.length));
  const put = await client.fetch("/answers", { method: "PUT", body: "{}" });
  expect([put.status, put.headers.get("allow")]).toEqual([405, "POST, GET, HEAD"]);
  const again = await client.fetch(url!, {
    headers: { "if-none-match": range.headers.get("etag")!, range: "" },
  });
  expect(again.status).toBe(304);
  await range.body?.cancel().catch(() => undefined);
});

it("draws what the library draws", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vans-serve-same-"));
  const clip = join(folder, "clip.mp4");
  await writeFile(clip, await exampleBytes("candle.mp4"));
  const { body: upload } = await client.upload(await exampleBytes("candle.mp4"));
  const done = await client.answered({ clip: upload.id, question, seed: 9 });
  const here = await finalReport(answer({ clip, question, seed: 9, suite: home.suite }));
  const json = (await (await client.fetch(done.result!.files.json)).json()) as {
    samples: { framesSha256: string }[];
  };
  expect(json.samples[0]!.framesSha256).toBe(here.samples[0]!.framesSha256);
  await rm(folder, { recursive: true, force: true });
});

it("answers as cascade and as extension, for comparison", async () => {
  const all = await Promise.all(
    (["suite", "cascade", "extension"] as const).map((system) =>
      client.answered({ clip: "example-candle", question, seed: 3, system }),
    ),
  );
  const hashes = await Promise.all(
    all.map(async ({ result }) => {
      const { samples } = (await (await client.fetch(result!.files.json)).json()) as {
        samples: { framesSha256: string }[];
      };
      return samples[0]!.framesSha256;
    }),
  );
  expect(new Set(hashes).size).toBe(3);
  const [own, cascade, extension] = all.map(({ result }) => result!.caption);
  expect(cascade).toBe(own);
  expect(extension).toMatch(/no caption/);
});

it("looks at the chosen seconds only", async () => {
  const whole = await client.answered({ clip: "example-candle", question, seed: 3 });
  const trim = { startSecs: 1, endSecs: 1.5 };
  const part = await client.answered({ clip: "example-candle", question, seed: 3, trim });
  const input = async (answer: TestAnswer): Promise<Uint8Array> => {
    const response = await client.fetch(`/answers/${answer.id}/files/input.mp4`);
    const path = join(home.folder, `${answer.id}.mp4`);
    await writeFile(path, new Uint8Array(await response.arrayBuffer()));
    return (await readClip(path)).rgb;
  };
  expect(part.state).toBe("done");
  expect(await input(part)).not.toEqual(await input(whole));
  const empty = await client.post("/answers", {
    clip: "example-candle",
    question,
    trim: { startSecs: 2, endSecs: 1 },
  });
  expect(empty.status).toBe(400);
  // Beyond the end, the last frame is what there is.
  const late = await client.answered({
    clip: "example-candle",
    question,
    trim: { startSecs: 500, endSecs: 600 },
  });
  expect(late.state).toBe("done");
});

it("draws several futures, and goes on from one", async () => {
  const fan = await client.answered({ clip: "example-plant", question, samples: 2, group: "fan" });
  expect(fan.result!.files.answer).toHaveLength(2);
  const next = await client.answered({ clip: `answer:${fan.id}`, question: "and then?", group: "fan" });
  expect(next.parent).toBe(fan.id);
  expect(next.state).toBe("done");
  const { answers } = await client.get<{ answers: TestAnswer[] }>("/answers?group=fan&state=done");
  expect(answers.map(({ id }) => id)).toEqual([next.id, fan.id]);
  const { answers: older } = await client.get<{ answers: TestAnswer[] }>(
    `/answers?group=fan&before=${next.id}`,
  );
  expect(older.map(({ id }) => id)).toEqual([fan.id]);
});

it("cancels what runs and what waits, and keeps answering", async () => {
  const long = await client.post<TestAnswer>("/answers", {
    clip: "example-candle",
    question,
    steps: 200,
    samples: 8,
  });
  const waiting = await client.post<TestAnswer>("/answers", { clip: "example-candle", question });
  expect(waiting.body.position).toBe(0);
  await client.events(long.body.id, { until: ({ name }) => name === "step" });
  const notYet = await client.fetch(`/answers/${long.body.id}`, { method: "DELETE" });
  expect(notYet.status).toBe(409);
  const unfinished = await client.post("/answers", { clip: `answer:${long.body.id}`, question });
  expect(unfinished.status).toBe(409);
  expect((await client.post(`/answers/${waiting.body.id}/cancel`)).status).toBe(202);
  expect((await client.post(`/answers/${long.body.id}/cancel`)).status).toBe(202);
  const events = await client.events(long.body.id);
  expect(events.at(-1)!.data["state"]).toBe("cancelled");
  expect((await client.get<TestAnswer>(`/answers/${waiting.body.id}`)).state).toBe("cancelled");
  expect((await client.answered({ clip: "example-candle", question })).state).toBe("done");
  const gone = await client.fetch(`/answers/${long.body.id}`, { method: "DELETE" });
  expect(gone.status).toBe(204);
  expect((await client.fetch(`/answers/${long.body.id}`)).status).toBe(404);
});

it("takes a clip from a form", async () => {
  const form = new FormData();
  form.set("note", "first");
  form.set("file", new Blob([new Uint8Array(await exampleBytes("plant.png"))]), "plant.png");
  const response = await client.fetch("/uploads", { method: "POST", body: form });
  expect(response.status).toBe(201);
  expect(await response.json()).toMatchObject({ name: "plant.png", isStill: true, mediaType: "image/png" });
  const empty = new FormData();
  empty.set("note", "only");
  const refused = await client.fetch("/uploads", { method: "POST", body: empty });
  expect(refused.status).toBe(400);
});
