/** A whole grid with very short trainings, from nothing to the report. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseExperiment } from "./experiment-file.ts";
import type { ExperimentReport } from "./report-data.ts";
import { type ExperimentEvent, runExperiment } from "./run-experiment.ts";

const EXPERIMENT = parseExperiment(
  `
name: tiny
about: A grid of very short trainings.
baseSuite: playroom-sft
seeds: [3]
evaluation: { procedural: 2, predictive: 2 }
baseRow: sft
metrics: [rougeL, bleu4, captionEventAccuracy, videoEventAccuracy, clipVReward, motionEnergy]
curves: { joint-grpo-1: [reward, kl], joint-grpo-2: [reward, kl], vlm: [loss] }
shownSamples: 2
rows:
  - { name: sft, title: SFT, evaluation: { parts: [caption, video, extension] } }
  - { name: extension, title: Extension, of: sft, system: extension }
  - name: stage-1
    title: Stage 1 only
    seeds: [3, 4]
    trains:
      - recipe: playroom-joint-grpo-1
        overrides:
          { steps: 2, batch: 2, checkpointEvery: 1, sheetEvery: 1000,
            settings: { group: 3, rewards: { clip-video: 0 }, loraRank: 2, heldOut: 0 } }
  - name: joint
    title: Two stages
    uses: { vlm: stage-1 }
    trains:
      - recipe: playroom-joint-grpo-2
        overrides:
          { steps: 1, batch: 1, checkpointEvery: 1, sheetEvery: 1000,
            settings: { group: 2, rows: 2, rolloutSteps: 3, window: { size: 1, below: 1 }, loraRank: 2, loraAlpha: 4, heldOut: 0, anchorRougeL: 0 } }
  - name: sft-continued
    title: SFT continued
    trains:
      - { recipe: playroom-vlm-2-sft, cpuBudgetCoreHours: { sameAs: stage-1 }, overrides: { batch: 2, logEvery: 1, sheetEvery: 100000 } }
claims:
  - { text: Stage 2 leaves captions alone, metric: rougeL, row: joint, than: stage-1, expect: same }
`,
  "tiny.yaml",
);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-grid-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("trains, evaluates and reports; a second call only reports", async () => {
  const all: ExperimentEvent[] = [];
  for await (const event of runExperiment(EXPERIMENT, { folder })) all.push(event);
  const report = JSON.parse(await readFile(join(folder, "report.json"), "utf8")) as ExperimentReport;
  expect(report.missing).toEqual([]);
  expect(report.rows.map(({ name }) => name)).toEqual([
    "sft",
    "extension",
    "stage-1",
    "joint",
    "sft-continued",
  ]);
  const row = (name: string) => report.rows.find((one) => one.name === name)!;
  expect(row("stage-1").metrics.all.rougeL!.bySeed).toHaveLength(2);
  expect(row("stage-1").differences.all.rougeL!.n).toBe(4);
  expect(row("joint").chainCpuSecs).toBeGreaterThan(row("joint").trainingCpuSecs);
  expect(row("sft-continued").runs[0]!.trainings[0]!.done).toBeGreaterThan(0);
  // One seed of stage 1 has no second stage, so the claim compares what there is.
  expect(report.claims[0]!.verdict).not.toBe("not run");
  const html = await readFile(join(folder, "report.html"), "utf8");
  expect(html.match(/<svg class="chart"/g)!.length).toBeGreaterThanOrEqual(4);
  expect(html.match(/data:image\/png;base64/g)).toHaveLength(2);
  expect(html).not.toMatch(/src="(?!data:)/);

  const again: ExperimentEvent[] = [];
  for await (const event of runExperiment(EXPERIMENT, { folder })) again.push(event);
  expect(again.map((event) => (event.type === "run" ? event.state : event.type))).toEqual([
    ...Array.from({ length: 5 }, () => "before"),
    "report",
  ]);
});
