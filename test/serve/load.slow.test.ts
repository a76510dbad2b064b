/** Fifty clients at once: no answer is lost, none is mixed up, and the server stays awake. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Client, percentile99, serverProcess, type TestAnswer } from "./testing.ts";

let folder: string;
let server: Awaited<ReturnType<typeof serverProcess>>;
let client: Client;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-load-"));
  server = await serverProcess(["--workers", "2", "--data", folder, "--max-jobs", "1000"]);
  client = new Client(server.url);
});
afterAll(async () => {
  server?.child.kill("SIGTERM");
  await server?.ended();
  await rm(folder, { recursive: true, force: true });
});

const CLIENTS = 50;

describe("fifty clients and two workers", () => {
  it("loses nothing, mixes up nothing, stays awake", async () => {
    const clips = ["example-gift", "example-candle", "example-plant"];
    const questions = ["what should i do next?", "what happens if someone blows at the candle?", "and now?"];
    let isOver = false;
    const healthMs: number[] = [];
    const watching = (async () => {
      while (!isOver) {
        const started = performance.now();
        await (await fetch(`${server.url}/healthz`)).text();
        healthMs.push(performance.now() - started);
        await new Promise((done) => setTimeout(done, 20));
      }
    })();
    const clients = Array.from({ length: CLIENTS }, async (_, number) => {
      const asked = {
        clip: clips[number % 3]!,
        question: questions[number % 3]!,
        seed: 1000 + number,
        steps: 1,
      };
      const { id } = (await client.post<TestAnswer>("/answers", asked)).body;
      const events = await client.events(id);
      const last = events.at(-1)!.data as unknown as TestAnswer;
      return { asked, id, last, events };
    });
    const results = await Promise.all(clients);
    isOver = true;
    await watching;
    expect(new Set(results.map(({ id }) => id)).size).toBe(CLIENTS);
    for (const { asked, id, last, events } of results) {
      expect(last.id).toBe(id);
      expect(last.state).toBe("done");
      expect(last.request).toMatchObject(asked);
      expect(last.result!.settings.seed).toBe(asked.seed);
      expect(events.map(({ id }) => id)).toEqual(events.map((_, i) => i + 1));
      const json = await client.get<{ question: string; seed: number }>(last.result!.files.json);
      expect(json.question).toBe(asked.question);
      expect(json.seed).toBe(asked.seed);
    }
    // The same clip and question always read the same, whoever asked.
    for (const clip of clips)
      expect(
        new Set(results.filter(({ asked }) => asked.clip === clip).map(({ last }) => last.result!.caption))
          .size,
      ).toBe(1);
    const p99 = percentile99(healthMs);
    if (process.env["VANS_SHOW_TIMES"])
      console.log(`health checks: ${healthMs.length}, p99 ${p99.toFixed(1)} ms`);
    expect(healthMs.length).toBeGreaterThan(100);
  });
});
