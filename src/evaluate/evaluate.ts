/**
 * Evaluating a suite on a folder of playroom samples: from `vans world make` to `report.json`.
 * @module
 */
import { mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import {
  type AnswerSettings,
  answerVersions,
  chooseDevice,
  type DeviceChoice,
  hashFile,
  loadSuite,
  readInputFrames,
  type Suite,
  suiteHashes,
} from "../answer/index.ts";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { MANIFEST_NAME, type ManifestRow, readManifest } from "../data/index.ts";
import { EVALUATION_SEED_START, sampleForSeed, worldVersion } from "../world/index.ts";
import { Journal } from "./journal.ts";
import {
  EVALUATION_PARTS,
  type EvaluationPart,
  MEASURES_VERSION,
  METRICS,
  withNeededParts,
} from "./metric-table.ts";
import type { PartRow } from "./part-row.ts";
import { isPictureName, PICTURES_FOLDER } from "./pictures.ts";
import { removeFiles } from "./remove-files.ts";
import { type ReportFiles, writeReport } from "./report-files.ts";
import { type EvaluationReport, reportSchema } from "./report-schema.ts";
import { type ChangedSettings, changedSettings, checkWorldSized } from "./suite-models.ts";
import { confusions, summarise, targetResults } from "./summary.ts";
import type { WorkerItem } from "./worker-protocol.ts";
import { runWorkers } from "./workers.ts";

/** What to evaluate. */
export interface EvaluateOptions extends ChangedSettings {
  /** Name of a bundled suite, or path of a folder with a `suite.json`. Default `playroom`. */
  readonly suite?: string | undefined;
  /** A folder that `vans world make` made. */
  readonly data: string;
  /** Folder of the report; results of an earlier run in it are gone on with. */
  readonly out: string;
  /** Default all. `video` and `no-references` need `caption`, which is added. */
  readonly parts?: readonly EvaluationPart[] | undefined;
  /** Only the first samples of the folder. */
  readonly limit?: number | undefined;
  /** How many threads compute, each on a sample of its own. Default one a core. */
  readonly threads?: number | undefined;
  /** Default `auto`. */
  readonly device?: DeviceChoice | undefined;
  /** Forget results of an earlier run. */
  readonly fresh?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What an evaluation tells while it goes. */
export type EvaluationEvent =
  | {
      readonly type: "opened";
      readonly suite: string;
      readonly version: string;
      readonly device: string;
      readonly samples: number;
      readonly parts: readonly EvaluationPart[];
      readonly workers: number;
      /** Parts of samples that are there from an earlier run, and that there are in all. */
      readonly done: number;
      readonly total: number;
    }
  /** A part of a sample is judged and in the journal. */
  | {
      readonly type: "part";
      readonly row: PartRow;
      readonly done: number;
      readonly total: number;
      readonly secsLeft: number;
    }
  | { readonly type: "report"; readonly report: EvaluationReport; readonly files: ReportFiles };

/** A sample with the parts that are still to do. */
interface Task {
  readonly row: ManifestRow;
  readonly parts: readonly EvaluationPart[];
}

/**
 * Evaluates a suite. Every finished part is in the journal (`samples.jsonl`), so that the same call goes on after a stop.
 * The noise and tokens of a sample are those of `vans answer --seed <the sample's seed>`; results do not depend on the
 * number of threads.
 *
 * @throws `VANS_EVALUATE_REQUEST`, `VANS_EVALUATE_DATA`, `VANS_EVALUATE_SUITE`, `VANS_EVALUATE_OTHER_RUN`, what loading
 * suite and data throws, `VANS_RUN_ABORTED` within one step of the signal
 */
export async function* evaluate(options: EvaluateOptions): AsyncGenerator<EvaluationEvent, EvaluationReport> {
  const started = performance.now();
  const { signal } = options;
  const parts = withNeededParts(options.parts ?? EVALUATION_PARTS);
  const workers = workerCount(options);
  const suite = await loadSuite(options.suite);
  checkWorldSized(suite);
  const settings = changedSettings(suite, options);
  const manifest = await readManifest(options.data);
  const rows = chosenRows(manifest, options);
  const hashes = await suiteHashes(suite);
  const manifestSha256 = await hashFile(join(options.data, MANIFEST_NAME));
  const device = await chooseDevice(options.device ?? "auto", suite);
  throwIfAborted(signal);
  const journal = await Journal.open(options.out, {
    of: {
      suite: hashes,
      settings,
      data: manifestSha256,
      world: worldVersion,
      measures: MEASURES_VERSION,
      vans: answerVersions().vans,
    },
    fresh: options.fresh ?? false,
  });
  const pictures = join(options.out, PICTURES_FOLDER);
  if (options.fresh) await removeFiles(pictures, isPictureName);
  await mkdir(pictures, { recursive: true });
  const tasks = rows
    .map((row): Task => ({ row, parts: parts.filter((part) => !journal.row(row.seed, part)) }))
    .filter((task) => task.parts.length > 0);
  const total = rows.length * parts.length;
  const before = total - tasks.reduce((sum, task) => sum + task.parts.length, 0);
  const { name, version } = suite.manifest;
  const samples = rows.length;
  // On a GPU all workers would wait for the same device.
  const used = Math.max(1, Math.min(device === "cpu" ? workers : 1, tasks.length));
  const opened = { suite: name, version, device, samples, parts, workers: used, done: before, total };
  yield { type: "opened", ...opened };
  let done = before;
  const outcomes = runWorkers({
    start: { suite: suite.folder, settings, device, threads: 1, pictures: resolve(pictures) },
    workers: used,
    tasks,
    prepare: (task) => prepareTask(task, { suite, settings, journal, data: options.data, signal }),
    signal,
  });
  for await (const outcome of outcomes) {
    const row: PartRow = { ...outcome, workers: used };
    await journal.add(row);
    done++;
    const secs = (performance.now() - started) / 1000;
    yield { type: "part", row, done, total, secsLeft: (secs / (done - before)) * (total - done) };
  }
  throwIfAborted(signal);
  const seeds = rows.map((row) => row.seed);
  const found = journal.rowsOf(seeds);
  const summary = summarise(found);
  const report = reportSchema.parse({
    schemaVersion: 1,
    suite: { name, version, folder: suite.folder, hashes },
    data: {
      folder: resolve(options.data),
      manifestSha256,
      count: manifest.length,
      evaluated: rows.length,
      firstSeed: Math.min(...seeds),
      lastSeed: Math.max(...seeds),
      worldVersion,
      isHeldOut: seeds.every((seed) => seed >= EVALUATION_SEED_START),
    },
    settings,
    device,
    parts: Object.fromEntries(
      EVALUATION_PARTS.map((part) => [
        part,
        { done: found.filter((row) => row.part === part).length, of: rows.length },
      ]),
    ),
    ...summary,
    targets: targetResults(summary),
    confusions: confusions(found),
    timings: {
      stagesSecs: stageSecs(found),
      wallSecs: (performance.now() - started) / 1000,
      computed: done - before,
      workers: Math.max(...found.map((row) => row.workers)),
    },
    versions: answerVersions(),
    definitions: Object.fromEntries(Object.entries(METRICS).map(([metric, { about }]) => [metric, about])),
  });
  const files = await writeReport(options.out, report, found);
  yield { type: "report", report, files };
  return report;
}

function workerCount({ threads = availableParallelism() }: EvaluateOptions): number {
  if (Number.isInteger(threads) && threads >= 1 && threads <= 256) return threads;
  throw new VansError("VANS_EVALUATE_REQUEST", "the number of threads cannot be used", {
    asked: `threads ${threads}`,
    fix: "give a whole number from 1 to 256",
  });
}

/** The rows to evaluate, checked against the world. */
function chosenRows(
  manifest: readonly ManifestRow[],
  { data, limit }: EvaluateOptions,
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

interface TaskContext {
  readonly suite: Suite;
  readonly settings: AnswerSettings;
  readonly journal: Journal;
  readonly data: string;
  readonly signal: AbortSignal | undefined;
}

/** Reads the clip of a task as an answer would. */
async function prepareTask({ row, parts }: Task, context: TaskContext): Promise<WorkerItem> {
  const { suite, settings, journal, data, signal } = context;
  const { seed } = row;
  if (parts.every((part) => part === "reconstruction")) return { seed, parts };
  const { patchSize, mergeSize } = suite.vlm.config.vision;
  const vlmCell = patchSize * mergeSize;
  const { frames, vlmFrames } = await readInputFrames(join(data, row.input), { settings, vlmCell, signal });
  const caption = journal.row(seed, "caption")?.texts["caption"];
  return { seed, parts, input: { frames, vlmFrames }, ...(caption !== undefined && { caption }) };
}

function stageSecs(rows: readonly PartRow[]): Record<string, number> {
  const out: Record<string, number> = {};
  for (const { secs } of rows)
    for (const [stage, value] of Object.entries(secs)) out[stage] = (out[stage] ?? 0) + value;
  return Object.fromEntries(
    Object.entries(out).map(([stage, value]) => [stage, Math.round(value * 1000) / 1000]),
  );
}
