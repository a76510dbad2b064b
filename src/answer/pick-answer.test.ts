/** The best of several answers, and the files that it gets. @module */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { answer } from "./answer.ts";
import type { AnswerReport } from "./answer-event.ts";
import { writeAnswer } from "./answer-files.ts";
import { pickAnswer } from "./pick-answer.ts";

const CLIP = fileURLToPath(new URL("../../examples/clips/gift.mp4", import.meta.url));

let folder: string;
let report: AnswerReport;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-pick-"));
  const request = { clip: CLIP, question: "what should i do next?", suite: "playroom", samples: 2, steps: 2 };
  for await (const event of answer(request)) if (event.type === "done") report = event.report;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("is the one that keeps the format, and does not depend on the order", async () => {
  const [first, second] = report.samples as [AnswerReport["samples"][0], AnswerReport["samples"][0]];
  const broken = { ...second, text: "it goes on somehow" };
  const pick = await pickAnswer({ ...report, samples: [broken, first] });
  expect(pick).toMatchObject({ by: "rewards", index: 1 });
  expect(pick.scores[1]).toBeGreaterThan(pick.scores[0]! + 0.5);
  expect((await pickAnswer({ ...report, samples: [first, broken] })).index).toBe(0);
});

it("is written beside the others, under the name of a single answer", async () => {
  const out = join(folder, "out");
  const files = await writeAnswer(report, out, { pick: { by: "rewards", index: 1, scores: [1, 2] } });
  expect(files.picked?.video).toBe(join(out, "answer.mp4"));
  expect((await readdir(out)).sort()).toEqual(
    [
      "answer-1.mp4",
      "answer-2.mp4",
      "answer.json",
      "answer.mp4",
      "sheet-1.png",
      "sheet-2.png",
      "sheet.png",
    ].sort(),
  );
  expect(await readFile(join(out, "answer.mp4"))).toEqual(await readFile(join(out, "answer-2.mp4")));
  const json = JSON.parse(await readFile(files.json, "utf8")) as Record<string, unknown>;
  expect(json["picked"]).toMatchObject({ video: "answer-2.mp4", by: "rewards", scores: [1, 2] });
});
