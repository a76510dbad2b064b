/** Both models at once, on the playroom suite with two rollouts a group. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isVideoModelName, prepareJointGrpoAllInOne } from "./joint-grpo-all-in-one.ts";
import { parseRecipe } from "./recipe.ts";
import { readCheckpoint, runTraining, type TrainEvent } from "./run.ts";

const tiny = parseRecipe(
  `
name: tiny-all-in-one
task: joint-grpo-all-in-one
seed: 5
steps: 2
batch: 1
settings:
  group: 2
  rows: 2
  rolloutSteps: 3
  window: { size: 1, below: 1 }
  vlmLoraRank: 2
  loraRank: 2
  guidanceScale: 1
  clipEveryFrames: 8
  heldOut: 0
  replayCheckEvery: 1
optimizer: { rate: { peak: 0.001, warmupSteps: 0 }, emaDecay: 0.9 }
logEvery: 1
checkpointEvery: 1
sheetEvery: 1000
threads: 1
`,
  "tiny",
);

let folder: string;
const run = async (
  name: string,
  options: { resume?: boolean; untilStep?: number } = {},
): Promise<TrainEvent[]> => {
  const events: TrainEvent[] = [];
  const runFolder = join(folder, name);
  for await (const event of runTraining(tiny, prepareJointGrpoAllInOne, { runFolder, ...options }))
    events.push(event);
  return events;
};
let whole: TrainEvent[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-all-in-one-"));
  whole = await run("whole");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("starts on policy with all four rewards, and moves both models", async () => {
  const [first] = whole.flatMap((event) => (event.type === "step" ? [event.metrics] : []));
  for (const reward of ["format", "rouge-l", "clip-video", "clip-score"])
    expect(first).toHaveProperty([`rewards/${reward}/mean`], expect.any(Number));
  expect(first!["vlm/log_ratio/first_max"]).toBe(0);
  expect(first!["vdm/log_ratio/max"]).toBe(0);
  expect(first!["vlm/kl"]).toBe(0);
  expect(first!["vdm/kl"]).toBe(0);
  expect(first!["vlm/grad_norm"]).toBeGreaterThan(0);
  expect(first!["vdm/grad_norm"]).toBeGreaterThan(0);
  const { state } = await readCheckpoint(join(folder, "whole", "checkpoint.safetensors"));
  const moved = Object.entries(state).filter(
    ([name, { data }]) => /^[^:]*lora_B\.weight$/.test(name) && data.some((value) => value !== 0),
  );
  expect(moved.some(([name]) => isVideoModelName(name))).toBe(true);
  expect(moved.some(([name]) => !isVideoModelName(name))).toBe(true);
});

it("continues a stopped run to the same numbers, bit for bit", async () => {
  await run("parts", { untilStep: 1 });
  await run("parts", { resume: true });
  for (const file of ["weights.safetensors", "log.jsonl"])
    expect(
      (await readFile(join(folder, "parts", file))).equals(await readFile(join(folder, "whole", file))),
      file,
    ).toBe(true);
});
