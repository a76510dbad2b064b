/**
 * Which settings and claims an experiment had when, so that a report can say what was fixed before a run.
 * @module
 */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Experiment } from "./experiment-file.ts";
import type { Plan } from "./plan.ts";
import { readRunState, settingsHash, writeJson } from "./run-state.ts";

/** One version of an experiment's settings and claims. */
export interface RecordedPlan {
  readonly hash: string;
  readonly claimsHash: string;
  /** When it was first run, ISO 8601; told, not used. */
  readonly firstRunAt: string;
  /** Runs that had begun by then. */
  readonly begun: readonly string[];
}

/** Writes down which settings and claims there were when, so that a report can say what was fixed before the run. */
export async function recordPlan(experiment: Experiment, plan: Plan, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "plans.json");
  const before = await recordedPlans(folder);
  const hash = settingsHash(experiment);
  if (before.some((one) => one.hash === hash)) return;
  const begun: string[] = [];
  for (const { id } of plan) {
    const { trainings, evaluation } = await readRunState(join(folder, id), id);
    if (trainings.length > 0 || evaluation) begun.push(id);
  }
  const now: RecordedPlan = {
    hash,
    claimsHash: settingsHash(experiment.claims),
    firstRunAt: new Date().toISOString(),
    begun,
  };
  await writeJson(path, [...before, now]);
  await writeJson(join(folder, "plans", `${hash.slice(0, 12)}.json`), experiment);
}

/** All versions that were run in a folder, the oldest first. */
export async function recordedPlans(folder: string): Promise<readonly RecordedPlan[]> {
  const text = await readFile(join(folder, "plans.json"), "utf8").catch(() => "[]");
  return JSON.parse(text) as RecordedPlan[];
}
