/** The whole way: a made folder, a random suite, workers, journal, report. @module */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { finalReport, loadSuite, openAnswerer } from "../answer/index.ts";
import { writeRandomSuite } from "../answer/testing/random-suite.ts";
import { makeWorldDataset } from "../data/index.ts";
import { sampleForSeed } from "../world/index.ts";
import { compareReports } from "./compare-reports.ts";
import { comparisonMarkdown, writeComparison } from "./comparison-files.ts";
import { type EvaluateOptions, type EvaluationEvent, evaluate } from "./evaluate.ts";
import { METRIC_NAMES } from "./metric-table.ts";
import { readPicture } from "./pictures.ts";
import { type EvaluationReport, reportSchema } from "./report-schema.ts";
import { addRandomJudges } from "./testing/random-judges.ts";

let folder: string;
let suite: string;
/** Another suite, without judges of its own. */
let other: string;
let data: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-evaluate-"));
  const answer = { height: 64, width: 64, steps: 2, temperature: 0 };
  suite = await writeRandomSuite(join(folder, "suite"), { answer });
  await addRandomJudges(suite);
  other = await writeRandomSuite(join(folder, "other"), { answer, seed: 2 });
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
    "reconstructionSsim",
    "clipVCeiling",
    "clipVCeilingReward",
    "clipTCeiling",
    "clipTCeilingReward",
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
  expect(opened).toMatchObject({ done: 1, total: 32, workers: 2 });
  expect(computed).toBe(31);
  const json = reportSchema.parse(JSON.parse(await readFile(join(out, "report.json"), "utf8")));
  expect(json).toEqual(report);
  expect(Object.keys(report.metrics.all).sort()).toEqual([...METRIC_NAMES].sort());
  expect(report.metrics.all.fvd!.n).toBe(4);
  expect(report.judges.fvd).toMatchObject({ weights: "tiny", tap: "logits", divisor: "N-1" });
  expect(report.systems.map(({ name }) => name)).toEqual(["random", "extension", "cascade", "still"]);
  expect(report.comparisons.map(({ system, reference }) => [system, reference])).toEqual([
    ["extension", "random"],
    ["cascade", "random"],
    ["still", "random"],
  ]);
  expect(report.notes).toEqual([]);
  expect(report.metrics.procedural.templateRate).toMatchObject({ value: 1, n: 2 });
  expect(report.metrics.all.captionLengthWords).toMatchObject({ value: 5, n: 4 });
  expect(report.metrics.all.videoEventAccuracy!.n).toBe(4);
  expect(Object.values(report.families).every((family) => family.videoEventAccuracy?.n === 1)).toBe(true);
  expect(report.data).toMatchObject({ count: 4, evaluated: 4, firstSeed: 900_000, isHeldOut: true });
  expect(Object.keys(report.suite.hashes)).toContain("vdm/model.safetensors");

  const sheets = await readdir(join(out, "sheets"));
  expect(sheets).toHaveLength(5);
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

it("compares with another suite, a finished report and the best of several", {
  timeout: 600_000,
}, async () => {
  const out = join(folder, "compared");
  const seen: string[] = [];
  const report = await run(
    { out, systems: ["suite"], baselines: [other, join(folder, "report#extension")], answers: 2 },
    (event) => {
      if (event.type === "opened") seen.push(`${event.suite} ${event.parts.join()}`);
      if (event.type === "report") seen.push("report");
    },
  );
  expect(seen).toEqual(["random caption,video,best-of", "random caption,video", "report"]);
  expect(report.systems.map(({ name, suite: of }) => [name, of.folder])).toEqual([
    ["random", suite],
    ["best of 2", suite],
    ["random-2", other],
    ["extension", suite],
  ]);
  // The other suite has no judges of its own; all are judged by the first one's.
  expect(report.systems[2]!.metrics.all.fvd!.n).toBe(4);
  expect(report.comparisons.map(({ system, reference }) => [system, reference])).toEqual([
    ["random", "random-2"],
    ["best of 2", "random-2"],
    ["extension", "random-2"],
  ]);
  const nested = join(out, "baselines", "random-2");
  const alone = await compareReports(out, nested);
  expect(alone.samples).toBe(4);
  expect(alone.metrics).toEqual(report.comparisons[0]!.metrics);
  // The same answers as in the other report, made by other runs.
  const same = await compareReports(out, join(folder, "report"));
  expect(same.metrics.all.clipT).toMatchObject({ value: 0, low: 0, high: 0, n: 4 });
  expect(comparisonMarkdown(same)).toContain("| clipT | 0.000 [0.000, 0.000]");
  const files = await writeComparison(join(folder, "difference"), same);
  expect(JSON.parse(await readFile(files.json, "utf8"))).toEqual(JSON.parse(JSON.stringify(same)));

  // Another number of answers is drawn anew, the rest stays.
  const more = await run({ out, systems: ["suite"], answers: 3, limit: 1 });
  expect(more.timings.computed).toBe(1);
  const wrong = { code: "VANS_EVALUATE_COMPARE" };
  await expect(compareReports(out, join(folder, "nowhere"))).rejects.toMatchObject(wrong);
  await expect(compareReports(out, `${nested}#extension`)).rejects.toMatchObject(wrong);
  const own = join(folder, "own-judges");
  await run({ out: own, suite: other, limit: 1, parts: ["caption"] });
  await expect(compareReports(out, own)).rejects.toMatchObject(wrong);
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
  for (const wrong of [
    { limit: 0 },
    { threads: 0 },
    { steps: 0 },
    { guidanceScale: -1 },
    { answers: 0 },
    { parts: ["best-of"] },
    { parts: ["video"], systems: ["suite"] },
  ] as const)
    await expect(run({ ...wrong, out })).rejects.toMatchObject({ code: "VANS_EVALUATE_REQUEST" });
  await rm(join(data, "clips", "playroom-v2-900003-input.mp4"));
  const parts = ["caption"] as const;
  await expect(run({ parts, out })).rejects.toMatchObject({ code: expect.stringMatching(/^VANS_MEDIA_/) });
});
