/** The worker gives the same answers, lets its caller breathe, stops, and hands errors over whole. @module */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { sampleForSeed } from "../world/index.ts";
import { answer, finalReport } from "./answer.ts";
import { writeRandomSuite } from "./testing/random-suite.ts";
import { type AnswerWorker, answerInWorker, openWorker } from "./worker.ts";

let root: string;
let suite: string;
let worker: AnswerWorker;
const clip = sampleForSeed(900_002).input;
const question = "What happens next?";

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "vans-worker-"));
  suite = await writeRandomSuite(join(root, "random"));
  worker = openWorker({ suite });
});
afterAll(async () => {
  await worker.close();
  await rm(root, { recursive: true, force: true });
});

it("answers as the same thread would, and leaves the caller free meanwhile", async () => {
  let beats = 0;
  const heart = setInterval(() => beats++, 5);
  const kinds = new Set<string>();
  const events = worker.answer({ clip, question, preview: "linear" });
  let next = await events.next();
  for (; !next.done; next = await events.next()) kinds.add(next.value.type);
  clearInterval(heart);
  const report = next.value;
  expect([...kinds]).toEqual(["loaded", "input", "token", "caption", "step", "frames", "done"]);
  expect(beats).toBeGreaterThan(5);
  const here = await finalReport(answer({ clip, question, suite }));
  expect(report.samples[0]!.framesSha256).toBe(here.samples[0]!.framesSha256);
  expect(report.samples[0]!.clip.rgb).toEqual(here.samples[0]!.clip.rgb);
});

it("stops within one step, and answers the next question", async () => {
  const stop = new AbortController();
  const seen: number[] = [];
  const run = async (): Promise<void> => {
    for await (const event of worker.answer({ clip, question, steps: 200, signal: stop.signal })) {
      if (event.type !== "step") continue;
      seen.push(event.step);
      if (event.step === 2) stop.abort();
    }
  };
  await expect(run()).rejects.toSatisfy((error) => isVansError(error, "VANS_RUN_ABORTED"));
  // The message takes its time; the steps do not run on.
  expect(seen.length).toBeLessThan(20);
  expect((await finalReport(worker.answer({ clip, question }))).samples).toHaveLength(1);
});

it("hands errors over with code and details", async () => {
  const error = await finalReport(worker.answer({ clip: join(root, "none.mp4"), question })).catch(
    (e: unknown) => e,
  );
  if (!isVansError(error, "VANS_MEDIA_NOT_FOUND")) throw error;
  expect(error.details).toMatchObject({ asked: join(root, "none.mp4"), fix: "check the path" });
  expect(error.message).toContain("fix:   check the path");
});

it("tells of a suite that cannot be opened", async () => {
  const run = finalReport(answerInWorker({ clip, question, suite: join(root, "nowhere") }));
  await expect(run).rejects.toSatisfy((error) => isVansError(error, "VANS_SUITE_NOT_FOUND"));
});

it("ends its stream when it is closed", async () => {
  const other = openWorker({ suite });
  const run = finalReport(other.answer({ clip, question, steps: 500 }));
  const closed = expect(run).rejects.toSatisfy((error) => isVansError(error, "VANS_WORKER_ENDED"));
  await other.close();
  await closed;
});
