/** Running: what was stopped goes on, what is done stays done, what has changed is refused. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadSuite, openPart } from "../answer/index.ts";
import { isVansError } from "../base/errors.ts";
import { takeLock } from "../base/process-lock.ts";
import type { Recipe } from "../train/index.ts";
import { type Experiment, parseExperiment } from "./experiment-file.ts";
import { type ExperimentEvent, type RunExperimentOptions, runExperiment } from "./run-experiment.ts";
import { readRunState, writeJson } from "./run-state.ts";
import { writeTrainedSuite } from "./suite-folder.ts";
import { resultsOf } from "./task-results.ts";

const TEXT = `
name: tiny
baseSuite: playroom-sft
seeds: [3]
evaluation: { procedural: 2, predictive: 2 }
baseRow: sft
metrics: [rougeL]
rows:
  - { name: sft, title: SFT }
  - name: stage-1
    title: Stage 1
    trains:
      - recipe: playroom-joint-grpo-1
        overrides:
          { steps: 2, batch: 1, checkpointEvery: 1, sheetEvery: 1000,
            settings: { group: 2, rewards: { clip-video: 0 }, loraRank: 2, heldOut: 0 } }
`;
const tiny = (text = TEXT): Experiment => parseExperiment(text, "tiny.yaml");

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-experiment-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(experiment: Experiment, options: RunExperimentOptions = {}): Promise<ExperimentEvent[]> {
  const events: ExperimentEvent[] = [];
  for await (const event of runExperiment(experiment, { folder, until: "train", ...options }))
    events.push(event);
  return events;
}

const stages = (events: readonly ExperimentEvent[]): string[] =>
  events.flatMap((event) => (event.type === "run" ? [`${event.run} ${event.state}`] : []));

describe("an experiment", () => {
  const at = (): string => join(folder, "stage-1-s3");

  it("stops with a checkpoint and goes on where it was; its processor time adds up", async () => {
    const stop = new AbortController();
    const consume = async (): Promise<void> => {
      for await (const event of runExperiment(tiny(), { folder, until: "train", signal: stop.signal }))
        if (event.type === "training" && event.event.type === "checkpoint") stop.abort();
    };
    await expect(consume()).rejects.toSatisfy((error: unknown) => isVansError(error, "VANS_RUN_ABORTED"));
    const { trainings } = await readRunState(at(), "stage-1-s3");
    expect(trainings[0]).toMatchObject({
      step: 1,
      isDone: false,
      recipe: { seed: 3, settings: { suite: "suites/playroom-sft" } },
    });
    const events = await run(tiny());
    expect(stages(events)).toEqual(["sft-s3 before", "stage-1-s3 started", "stage-1-s3 done"]);
    const prepared = events.find((event) => event.type === "training" && event.event.type === "prepared");
    expect(prepared).toMatchObject({ event: { fromStep: 1 } });
    const after = await readRunState(at(), "stage-1-s3");
    expect(after.trainings[0]).toMatchObject({
      step: 2,
      isDone: true,
      weights: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(after.trainings[0]!.cost.cpuSecs).toBeGreaterThan(trainings[0]!.cost.cpuSecs);
  });

  it("does nothing twice, and records its settings once", async () => {
    const before = await readFile(join(folder, "plans.json"), "utf8");
    expect(stages(await run(tiny()))).toEqual(["sft-s3 before", "stage-1-s3 before"]);
    expect(await readFile(join(folder, "plans.json"), "utf8")).toBe(before);
    expect(JSON.parse(before)).toMatchObject([{ begun: [] }]);
    await run(tiny(TEXT.replace("metrics: [rougeL]", "metrics: [rougeL, clipV]")));
    expect(JSON.parse(await readFile(join(folder, "plans.json"), "utf8"))).toMatchObject([
      {},
      { begun: ["stage-1-s3"] },
    ]);
  });

  it("refuses to go on with other settings", async () => {
    const state = await readRunState(at(), "stage-1-s3");
    const [training] = state.trainings;
    await writeJson(join(at(), "state.json"), { ...state, trainings: [{ ...training, isDone: false }] });
    const changed = tiny(TEXT.replace("loraRank: 2", "loraRank: 4"));
    await expect(run(changed)).rejects.toSatisfy(
      (error: unknown) =>
        isVansError(error, "VANS_EXPERIMENT_CHANGED") &&
        error.details.found!.includes("settings.loraRank: was 2, is 4"),
    );
    await writeJson(join(at(), "state.json"), state);
  });

  it("leaves a row to the process that works on it, and looks again", async () => {
    const state = await readRunState(at(), "stage-1-s3");
    await rm(join(at(), "state.json"));
    const lock = await takeLock(join(folder, "locks"), "stage-1-s3");
    const seen: string[] = [];
    for await (const event of runExperiment(tiny(), { folder, until: "train" }))
      if (event.type === "run") {
        seen.push(`${event.run} ${event.state}`);
        // As the other process would leave it.
        if (event.state === "locked") {
          await writeJson(join(at(), "state.json"), state);
          await lock?.release();
        }
      }
    expect(seen).toEqual(["sft-s3 before", "stage-1-s3 locked", "stage-1-s3 before"]);
  });

  it("makes a suite of an adapter, as a reference to its base or as a whole", async () => {
    const base = await loadSuite("playroom-sft");
    const { trainings } = await readRunState(at(), "stage-1-s3");
    const { key, recipe } = trainings[0]!;
    const results = resultsOf(recipe as unknown as Recipe, join(at(), key, "weights.safetensors"));
    for (const whole of [false, true]) {
      const out = join(folder, whole ? "whole" : "extends");
      await writeTrainedSuite(out, base, results, {
        name: "tiny-stage-1",
        about: "Tiny.",
        answer: { steps: 3 },
        whole,
      });
      const suite = await loadSuite(out);
      expect(suite.manifest.answer).toEqual({ ...base.manifest.answer, steps: 3 });
      expect(suite.adapters).toMatchObject([{ part: "vlm", rank: 2, alpha: 32 }]);
      expect((await openPart(suite, "vlm")).lora).toMatchObject({ rank: 2, alpha: 32 });
      expect(suite.vdm.weights[0]!.startsWith(out)).toBe(whole);
    }
    await expect(
      writeTrainedSuite(join(folder, "twice"), await loadSuite(join(folder, "whole")), results, {
        name: "x",
        about: "",
      }),
    ).rejects.toSatisfy((error: unknown) => isVansError(error, "VANS_EXPERIMENT_BASE"));
  });
});
