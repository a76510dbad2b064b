/** The whole way: a made folder, a random suite, workers, journal, report. @module */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { finalReport, loadSuite, openAnswerer } from "../answer/index.ts";
import { writeRandomSuite } from "../answer/testing/random-suite.ts";
import { makeWorldDataset } from "../data/index.ts";
import { sampleForSeed } from "../world/index.ts";
import { type EvaluateOptions, type EvaluationEvent, evaluate } from "./evaluate.ts";
import { readPicture } from "./pictures.ts";
import { type EvaluationReport, reportSchema } from "./report-schema.ts";

let folder: string;
let suite: string;
let data: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-evaluate-"));
  const answer = { height: 64, width: 64, steps: 2, temperature: 0 };
  suite = await writeRandomSuite(join(folder, "suite"), { answer });
  data = join(folder, "data");
  for await (const _ of makeWorldDataset({ seed: 900_000, count: 4, out: data }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(
  options: Partial<EvaluateOptions>,
  onEvent: (event: EvaluationEvent) => void = () => undefined,
): Promise<EvaluationReport> {
  const events = evaluate({ suite, data, out: join(folder, "report"), threads: 2, ...options });
  for (;;) {
    const next = await events.next();
    if (next.done) return next.value;
    onEvent(next.value);
  }
}

it("evaluates in pieces, goes on after a stop, and reports all of it", { timeout: 600_000 }, async () => {
  const out = join(folder, "report");
  const stop = new AbortController();
  const stopped = run({ limit: 1, threads: 1, signal: stop.signal }, (event) => {
    if (event.type === "part") stop.abort();
  });
  await expect(stopped).rejects.toMatchObject({ code: "VANS_RUN_ABORTED" });
  expect(await readdir(out)).not.toContain("report.json");

  const alone = await run({ limit: 1, threads: 1, parts: ["reconstruction"] });
  expect(alone.timings.computed).toBe(0);
  expect(Object.keys(alone.metrics.all)).toEqual([
    "reconstructionEventAccuracy",
    "reconstructionEventAccuracySameVae",
    "reconstructionPsnrDb",
    "reconstructionMovingPsnrDb",
    "secsPerSample",
  ]);
  expect(alone.parts.video).toEqual({ done: 0, of: 1 });

  let opened: Extract<EvaluationEvent, { type: "opened" }> | undefined;
  let computed = 0;
  const report = await run({}, (event) => {
    if (event.type === "opened") opened = event;
    if (event.type === "part") computed++;
  });
  // What was finished before the stop is not computed again.
  expect(opened).toMatchObject({ done: 1, total: 20, workers: 2 });
  expect(computed).toBe(19);
  const json = reportSchema.parse(JSON.parse(await readFile(join(out, "report.json"), "utf8")));
  expect(json).toEqual(report);
  expect(Object.keys(report.metrics.all)).toHaveLength(18);
  expect(report.metrics.procedural.templateRate).toMatchObject({ value: 1, n: 2 });
  expect(report.metrics.all.captionLengthWords).toMatchObject({ value: 5, n: 4 });
  expect(report.metrics.all.videoEventAccuracy!.n).toBe(4);
  expect(Object.values(report.families).every((family) => family.videoEventAccuracy?.n === 1)).toBe(true);
  expect(report.data).toMatchObject({ count: 4, evaluated: 4, firstSeed: 900_000, isHeldOut: true });
  expect(Object.keys(report.suite.hashes)).toContain("vdm/model.safetensors");

  const sheets = await readdir(join(out, "sheets"));
  expect(sheets).toHaveLength(4);
  const html = await readFile(join(out, "report.html"), "utf8");
  expect(html.match(/data:image\/png;base64,/g)).toHaveLength(sheets.length);
  const markdown = await readFile(join(out, "report.md"), "utf8");
  for (const name of sheets) expect(markdown).toContain(`(sheets/${name})`);

  // Nothing is left to do, and other settings are another evaluation.
  const again = await run({});
  expect(again.timings.computed).toBe(0);
  expect(again.metrics).toEqual(report.metrics);
  await expect(run({ steps: 1 })).rejects.toMatchObject({ code: "VANS_EVALUATE_OTHER_RUN" });
});

it("draws what an answer with the sample's seed draws", { timeout: 600_000 }, async () => {
  const sample = sampleForSeed(900_001);
  const drawn = await readPicture(join(folder, "report", "videos"), sample.id, "video");
  await using answerer = await openAnswerer(await loadSuite(suite), { threads: 1, device: "cpu" });
  const clip = join(data, "clips", `${sample.id}-input.mp4`);
  const answered = await finalReport(answerer.answer({ clip, question: sample.question, seed: sample.seed }));
  expect(answered.samples[0]!.clip.rgb).toEqual(drawn!.rgb);
});

it("says what is wrong with suite, data and request", { timeout: 600_000 }, async () => {
  const small = await writeRandomSuite(join(folder, "small"));
  const out = join(folder, "none");
  await expect(run({ suite: small, out })).rejects.toMatchObject({ code: "VANS_EVALUATE_SUITE" });
  await expect(run({ data: join(folder, "no-data"), out })).rejects.toMatchObject({
    code: "VANS_DATA_MANIFEST_NOT_FOUND",
  });
  for (const wrong of [{ limit: 0 }, { threads: 0 }, { steps: 0 }, { guidanceScale: -1 }])
    await expect(run({ ...wrong, out })).rejects.toMatchObject({ code: "VANS_EVALUATE_REQUEST" });
  await rm(join(data, "clips", "playroom-v2-900003-input.mp4"));
  const parts = ["caption"] as const;
  await expect(run({ parts, out })).rejects.toMatchObject({ code: expect.stringMatching(/^VANS_MEDIA_/) });
});
