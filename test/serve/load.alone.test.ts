/** Fifty clients at once: no answer is lost, none is mixed up, and the server stays awake. */

import { spawn } from "node:child_process";
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
/** The 99th percentile of a health check may take so long. */
const MOST_HEALTH_MS = 50;

/**
 * Asks in turn the server and one that does nothing, from a process of its own: the fifty clients in this one would be
 * measured too. Both lie between the same pairs of clock readings, so that what the machine does meets both.
 */
function startProbe(url: string): { stop(): Promise<{ healthMs: number[]; bareMs: number[] }> } {
  const code = `
    const http = require("node:http");
    const server = http.createServer((_, response) => response.end("ok"));
    if (process.argv[1] === "bare") server.listen(0, "127.0.0.1", () => process.send(server.address().port));
    else (async () => {
      const bare = require("node:child_process").spawn(process.execPath, ["-e", process.env.PROBE, "bare"], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
      const port = await new Promise((done) => bare.once("message", done));
      const times = { healthMs: [], bareMs: [] };
      let isOver = false;
      process.once("message", () => (isOver = true));
      const timed = async (into, url) => {
        const begun = performance.now();
        await (await fetch(url)).text();
        into.push(performance.now() - begun);
      };
      await fetch(process.argv[1]);
      while (!isOver) {
        await timed(times.healthMs, process.argv[1]);
        await timed(times.bareMs, "http://127.0.0.1:" + port);
        await new Promise((done) => setTimeout(done, 20));
      }
      bare.kill();
      process.send(times, () => process.exit());
    })();`;
  const child = spawn(process.execPath, ["-e", code, url], {
    env: { ...process.env, PROBE: code },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  return {
    stop: () =>
      new Promise((done, fail) => {
        child.once("message", (times) => done(times as { healthMs: number[]; bareMs: number[] }));
        child.once("exit", (status) => fail(new Error(`the probe ended with ${status}`)));
        child.send("stop");
      }),
  };
}

describe("fifty clients and two workers", () => {
  it("loses nothing, mixes up nothing, stays awake", async () => {
    const clips = ["example-gift", "example-candle", "example-plant"];
    const questions = ["what should i do next?", "what happens if someone blows at the candle?", "and now?"];
    const probe = startProbe(`${server.url}/healthz`);
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
    const { healthMs, bareMs } = await probe.stop();
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
    const [p99, bare] = [percentile99(healthMs), percentile99(bareMs)];
    if (process.env["VANS_SHOW_TIMES"])
      console.log(
        `health checks: ${healthMs.length}, p99 ${p99.toFixed(1)} ms; of a bare server beside it ${bare.toFixed(1)} ms`,
      );
    expect(healthMs.length).toBeGreaterThan(100);
    // Where the machine alone holds up a server that does nothing, ours may take twice that.
    expect(p99).toBeLessThan(Math.max(MOST_HEALTH_MS, 2 * bare));
  });
});
