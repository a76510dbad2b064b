/** Memory does not grow from answer to answer, nor from suite to suite. @module */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { liveSessions } from "../runtime/index.ts";
import { sampleForSeed } from "../world/index.ts";
import { answer, finalReport } from "./answer.ts";
import { openAnswerer } from "./answerer.ts";
import { writeRandomSuite } from "./testing/random-suite.ts";

let root: string;
let suite: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "vans-leak-"));
  suite = await writeRandomSuite(join(root, "random"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Growth of the process over the second half of `count` runs, in MiB. */
async function growth(count: number, run: (index: number) => Promise<unknown>): Promise<number> {
  let middle = 0;
  for (let i = 0; i < count; i++) {
    await run(i);
    globalThis.gc?.();
    if (i === Math.floor(count / 2)) middle = process.memoryUsage.rss();
  }
  return (process.memoryUsage.rss() - middle) / 2 ** 20;
}

it("answers 100 questions about other clips in one session", async () => {
  const answerer = await openAnswerer(suite);
  const grown = await growth(100, (i) => {
    const clip = sampleForSeed(900_000 + i).input;
    return finalReport(answerer.answer({ clip, question: `What happens next, number ${i}?`, seed: i }));
  });
  await answerer.release();
  expect(grown).toBeLessThan(40);
});

it("opens and closes 24 suites", async () => {
  const clip = sampleForSeed(900_000).input;
  const grown = await growth(24, () => finalReport(answer({ clip, question: "What next?", suite })));
  expect(liveSessions()).toBe(0);
  expect(grown).toBeLessThan(40);
});
