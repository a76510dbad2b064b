/**
 * What an evaluation is asked for, checked before anything is computed.
 * @module
 */
import { availableParallelism } from "node:os";
import { VansError } from "../base/errors.ts";
import type { ManifestRow } from "../data/index.ts";
import { EVALUATION_SEED_START, sampleForSeed, worldVersion } from "../world/index.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { DEFAULT_PARTS, type EvaluationPart, withNeededParts } from "./metric-table.ts";
import { SYSTEMS } from "./systems.ts";

/** The parts that are asked for, with those that they need. @throws `VANS_EVALUATE_REQUEST` */
export function chosenParts({
  parts,
  systems,
  answers = 1,
}: Pick<EvaluateOptions, "parts" | "systems" | "answers">): readonly EvaluationPart[] {
  if (!(Number.isInteger(answers) && answers >= 1 && answers <= 64)) {
    throw new VansError("VANS_EVALUATE_REQUEST", "so many answers cannot be picked from", {
      asked: `answers ${answers}`,
      fix: "give a whole number from 1 to 64",
    });
  }
  if (parts && systems) {
    throw new VansError(
      "VANS_EVALUATE_REQUEST",
      "systems are made of parts, so only one of both can be chosen",
      {
        asked: `parts ${parts.join(", ")} and systems ${systems.join(", ")}`,
        fix: "give parts or systems",
      },
    );
  }
  const wanted =
    parts ??
    systems?.flatMap((system): EvaluationPart[] => {
      const { caption, video } = SYSTEMS[system];
      return caption ? [caption, video] : [video];
    }) ??
    DEFAULT_PARTS;
  const all = withNeededParts(answers > 1 ? [...wanted, "best-of"] : wanted);
  if (all.includes("best-of") && answers === 1) {
    throw new VansError("VANS_EVALUATE_REQUEST", "the best of one answer is that answer", {
      asked: "best-of with 1 answer",
      fix: "give a number of answers (--samples 4)",
    });
  }
  return all;
}

/** How many samples are worked on at a time. @throws `VANS_EVALUATE_REQUEST` */
export function workerCount({ threads = availableParallelism() }: Pick<EvaluateOptions, "threads">): number {
  if (Number.isInteger(threads) && threads >= 1 && threads <= 256) return threads;
  throw new VansError("VANS_EVALUATE_REQUEST", "the number of threads cannot be used", {
    asked: `threads ${threads}`,
    fix: "give a whole number from 1 to 256",
  });
}

/** The rows to evaluate, checked against the world. @throws `VANS_EVALUATE_REQUEST`, `VANS_EVALUATE_DATA` */
export function chosenRows(
  manifest: readonly ManifestRow[],
  { data, limit }: Pick<EvaluateOptions, "data" | "limit">,
): readonly ManifestRow[] {
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1)) {
    throw new VansError("VANS_EVALUATE_REQUEST", "the number of samples cannot be used", {
      asked: `limit ${limit}`,
      fix: "give a whole number from 1 on",
    });
  }
  const rows = manifest.slice(0, limit);
  const fix = `make the folder again: vans world make --seed ${EVALUATION_SEED_START} --count 400 --out ${data}`;
  if (rows.length === 0)
    throw new VansError("VANS_EVALUATE_DATA", `there are no samples in ${data}`, { fix });
  for (const row of rows) {
    if (row.world_version === worldVersion && sampleForSeed(row.seed).id === row.id) continue;
    throw new VansError("VANS_EVALUATE_DATA", "a sample is not of the world that this version simulates", {
      asked: `world version ${worldVersion}`,
      found: `${row.id} of world version ${row.world_version}`,
      why: "truth and wrong events are drawn again from the seed, so the world must be the same",
      fix,
    });
  }
  return rows;
}
