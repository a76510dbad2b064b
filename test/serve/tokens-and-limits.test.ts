/** Who may ask, how much, and what those who run a server see of it. @module */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { RunningServer } from "../../src/serve/index.ts";
import { Client, exampleBytes, type TestAnswer, testFolder, testServer } from "./testing.ts";

// Minutes, for machines that do much else: a time limit is no result.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const TOKENS = ["first-token-of-this-test", "second-token-of-this-test"] as const;
const QUESTION = { clip: "example-candle", question: "what now?", steps: 1 } as const;

let home: Awaited<ReturnType<typeof testFolder>>;
let server: RunningServer;
let first: Client;
let second: Client;
let stranger: Client;

beforeAll(async () => {
  home = await testFolder();
  ({ server, client: first } = await testServer({
    ...home,
    tokens: TOKENS,
    maxClientJobs: 2,
    maxWritesPerMinute: 20,
  }));
  second = new Client(server.url, TOKENS[1]);
  stranger = new Client(server.url);
});
afterAll(async () => {
  await server?.close();
  await home?.remove();
});

it("tells strangers how they may come in, and nothing else", async () => {
  for (const path of ["/answers", "/uploads", "/suites", "/runs", "/studies", "/metrics"]) {
    const refused = await stranger.fetch(path);
    expect(refused.status, path).toBe(401);
    expect(refused.headers.get("www-authenticate")).toBe("Bearer");
  }
  expect((await new Client(server.url, "a-token-that-it-does-not-know").fetch("/answers")).status).toBe(401);
  for (const path of ["/healthz", "/openapi.json", "/docs", "/ask"])
    expect([200, 503], path).toContain((await stranger.fetch(path)).status);
  expect((await first.fetch("/answers")).status).toBe(200);
  const { security } = await stranger.get<{ security: unknown }>("/openapi.json");
  expect(security).toEqual([{ bearer: [] }, { session: [] }]);
});

it("lets browsers sign in: a cookie that scripts cannot read stands for the token", async () => {
  expect(await stranger.get("/session")).toEqual({ needsToken: true, isKnown: false });
  expect((await stranger.post("/session", { token: "guessed" }).catch(() => ({ status: 0 }))).status).toBe(
    401,
  );
  const signedIn = await stranger.fetch("/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token: TOKENS[0] }),
  });
  expect(signedIn.status).toBe(204);
  const cookie = signedIn.headers.get("set-cookie")!;
  expect(cookie).toMatch(/^vans_session=[0-9a-f]{64}; .*HttpOnly; SameSite=Strict/);
  expect(cookie).not.toContain(TOKENS[0]);
  const headers = { cookie: cookie.split(";")[0]! };
  expect((await stranger.fetch("/answers", { headers })).status).toBe(200);
  expect(await (await stranger.fetch("/session", { headers })).json()).toEqual({
    needsToken: true,
    isKnown: true,
  });
  const forged = { cookie: `vans_session=${"0".repeat(64)}` };
  expect((await stranger.fetch("/answers", { headers: forged })).status).toBe(401);
  const out = await stranger.fetch("/session", { method: "DELETE" });
  expect(out.headers.get("set-cookie")).toMatch(/^vans_session=; .*Max-Age=0/);
});

it("gives every client its own share of the queue", async () => {
  const long = { ...QUESTION, steps: 200, samples: 8 };
  const mine = [
    await first.post<TestAnswer>("/answers", long),
    await first.post<TestAnswer>("/answers", long),
    await first.post<TestAnswer & { error: { code: string } }>("/answers", long),
  ];
  expect(mine.map(({ status }) => status)).toEqual([202, 202, 429]);
  expect(mine[2]!.body.error?.code).toBe("VANS_SERVE_TOO_MANY_JOBS");
  const theirs = await second.post<TestAnswer>("/answers", QUESTION);
  expect(theirs.status).toBe(202);
  for (const { body } of mine.slice(0, 2)) await first.post(`/answers/${body.id}/cancel`);
  await second.events(theirs.body.id);
  expect((await second.get<TestAnswer>(`/answers/${theirs.body.id}`)).state).toBe("done");
});

it("tells Prometheus what was asked, what runs, and how long it takes", async () => {
  const response = await first.fetch("/metrics");
  expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).split("\n").filter((line) => line !== "");
  for (const line of lines)
    expect(line).toMatch(
      /^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? (-?[\d.]+(e[+-]?\d+)?|NaN|[+-]Inf))$/,
    );
  expect(lines).toContain('vans_jobs{kind="answer",state="done"} 1');
  expect(
    lines.some((line) => line.startsWith('vans_http_requests_total{method="POST",route="/api/v1/answers"')),
  ).toBe(true);
  expect(lines.some((line) => line.startsWith('vans_job_seconds_count{kind="answer",state="done"'))).toBe(
    true,
  );
  expect(lines.some((line) => line.startsWith("vans_event_loop_delay_p99_seconds "))).toBe(true);
});

it("stops those who write too often, and tells them when to come back", async () => {
  const statuses: number[] = [];
  let last: Response | undefined;
  for (let i = 0; i < 60 && statuses.at(-1) !== 429; i++) {
    last = await second.fetch(`/answers/nothing-${i}`, { method: "DELETE" });
    statuses.push(last.status);
  }
  expect(new Set(statuses.slice(0, -1))).toEqual(new Set([404]));
  expect(statuses.at(-1)).toBe(429);
  expect(Number(last!.headers.get("retry-after"))).toBeGreaterThan(0);
  // Looking is free, and so are the others.
  expect((await second.fetch("/answers")).status).toBe(200);
  expect((await first.fetch("/answers/nothing", { method: "DELETE" })).status).toBe(404);
});

it("refuses tokens that are no secrets", async () => {
  await expect(testServer({ ...home, tokens: ["short"] })).rejects.toMatchObject({
    code: "VANS_SERVE_CONFIG",
  });
});

it("serves uploads to those with a token only", async () => {
  const { body } = await first.upload(await exampleBytes("plant.png"), "plant.png");
  expect((await stranger.fetch(`/uploads/${body.id}/content`)).status).toBe(401);
  expect((await first.fetch(`/uploads/${body.id}/content`)).status).toBe(200);
});
