/**
 * Makes playroom samples into a folder of mp4 clips with a manifest.
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { writeMp4 } from "../media/encode.ts";
import { writeFileAtomically } from "../weights/atomic-file.ts";
import {
  ANSWER_FRAMES,
  EVALUATION_SEED_START,
  INPUT_FRAMES,
  sampleForSeed,
  WORLD_FRAME_RATE_HZ,
  type WorldSample,
} from "../world/index.ts";
import { datasetCard } from "./format/dataset-card.ts";
import { datasetStats } from "./format/stats.ts";
import { type ManifestRow, sampleRowOf, writeManifest } from "./world-manifest.ts";

/** What to make. */
export interface WorldDatasetRequest {
  /** First seed. */
  readonly seed: number;
  /** Number of consecutive seeds. */
  readonly count: number;
  /** Folder, made if it does not exist; clips of the same names are overwritten. */
  readonly out: string;
  readonly signal?: AbortSignal;
}

/** One sample is written, or (at last) the manifest. */
export type WorldDatasetEvent =
  | { readonly type: "sample"; readonly done: number; readonly count: number; readonly row: ManifestRow }
  | { readonly type: "manifest"; readonly count: number; readonly folder: string };

const WORLD_ABOUT =
  "Simulated clips of 64x64 pixels with ground truth: the sample of a seed is the same on every machine. Each row also names " +
  "four events that do not come next.";

/** Folder of the clips inside the data set. */
const CLIPS = "clips";

/** The manifest row of a sample. */
export function manifestRow(sample: WorldSample): ManifestRow {
  return {
    id: sample.id,
    kind: sample.kind,
    family: sample.family,
    seed: sample.seed,
    world_version: sample.worldVersion,
    input: `${CLIPS}/${sample.id}-input.mp4`,
    output: `${CLIPS}/${sample.id}-output.mp4`,
    question: sample.question,
    reasoning: sample.reasoning,
    caption: sample.caption,
    paraphrases: [...sample.paraphrases],
    event: sample.event,
    wrong_events: sample.wrongEvents.map(({ event, caption, paraphrases }) => ({
      event,
      caption,
      paraphrases: [...paraphrases],
    })),
    split: sample.seed < EVALUATION_SEED_START ? "train" : "evaluation",
    source: "playroom",
    licence: "Apache-2.0",
  };
}

/**
 * Writes the samples of seeds `seed … seed + count - 1`: input and output clips as mp4, then `manifest.parquet`.
 * The manifest comes last, so a folder that has one is complete.
 *
 * @throws VansError `VANS_WORLD_REQUEST_INVALID` for a bad seed or count, `VANS_RUN_ABORTED` within one clip of the
 * signal.
 */
export async function* makeWorldDataset(request: WorldDatasetRequest): AsyncGenerator<WorldDatasetEvent> {
  const { seed, count, out, signal } = request;
  if (!Number.isSafeInteger(seed) || seed < 0 || !Number.isSafeInteger(count) || count < 1) {
    throw new VansError("VANS_WORLD_REQUEST_INVALID", "seed and count do not name any samples", {
      asked: `seed ${seed}, count ${count}`,
      fix: "give a seed from 0 on and a count of at least 1",
    });
  }
  await mkdir(join(out, CLIPS), { recursive: true });
  const rows: ManifestRow[] = [];
  for (let i = 0; i < count; i++) {
    throwIfAborted(signal);
    const sample = sampleForSeed(seed + i);
    const row = manifestRow(sample);
    const metadata = JSON.stringify({ source: row.source, seed: row.seed, worldVersion: row.world_version });
    await writeMp4(join(out, row.input), sample.input, { metadata, signal });
    await writeMp4(join(out, row.output), sample.output, { metadata, signal });
    rows.push(row);
    yield { type: "sample", done: i + 1, count, row };
  }
  throwIfAborted(signal);
  // All samples have the same lengths.
  const [inputSecs, outputSecs] = [INPUT_FRAMES / WORLD_FRAME_RATE_HZ, ANSWER_FRAMES / WORLD_FRAME_RATE_HZ];
  const stats = await datasetStats(rows.map(sampleRowOf), {
    clipSecs: async (path) => (path.endsWith("-input.mp4") ? inputSecs : outputSecs),
  });
  const card = datasetCard(stats, { name: "playroom", about: WORLD_ABOUT });
  await writeFileAtomically(join(out, "README.md"), async (file) => {
    await file.writeFile(card);
  });
  await writeManifest(out, rows);
  yield { type: "manifest", count, folder: out };
}
