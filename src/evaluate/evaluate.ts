/**
 * Evaluating a suite on a folder of playroom samples: from `vans world make` to `report.json`.
 * @module
 */
import { mkdir } from "node:fs/promises";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
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
import { MANIFEST_NAME, type ManifestRow, readManifest } from "../data/index.ts";
import type { FvdSettings } from "../metrics/index.ts";
import { EVALUATION_SEED_START, sampleForSeed, stillInput, worldVersion } from "../world/index.ts";
import { collapseAlarms, hackingAlarms } from "./alarms.ts";
import { type ComparedReport, checkComparable, columnName, isReport, openReport } from "./compare-reports.ts";
import { compareSystems } from "./compare-systems.ts";
import { drawingsFolder } from "./drawings.ts";
import { chosenParts, chosenRows, workerCount } from "./evaluation-request.ts";
import { Journal } from "./journal.ts";
import { type JudgeFacts, judgeFacts } from "./judges.ts";
import { EVALUATION_PARTS, type EvaluationPart, MEASURES_VERSION, METRICS } from "./metric-table.ts";
import type { PartRow } from "./part-row.ts";
import { isPictureName, PICTURES_FOLDER } from "./pictures.ts";
import { removeFiles } from "./remove-files.ts";
import { type ReportFiles, writeReport } from "./report-files.ts";
import { type EvaluationReport, type ReportSystem, reportSchema } from "./report-schema.ts";
import { SystemRows } from "./statistics.ts";
import { type ChangedSettings, changedSettings, checkWorldSized } from "./suite-models.ts";
import { confusions, summariseSystem, targetResults } from "./summary.ts";
import { SYSTEM_NAMES, SYSTEMS, type SystemName } from "./systems.ts";
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
  /** Default all but `best-of`. `video` and others need `caption`, which is added. */
  readonly parts?: readonly EvaluationPart[] | undefined;
  /** Only the parts that these systems are made of; instead of `parts`. */
  readonly systems?: readonly SystemName[] | undefined;
  /**
   * Other suites that answer the same samples: names or folders of suites, or folders of finished reports
   * (`FOLDER#SYSTEM` for another system than the suite itself). Differences are taken to the first of them.
   */
  readonly baselines?: readonly string[] | undefined;
  /** Suite whose CLIPs and I3D judge all systems. Default: the suite itself. */
  readonly judges?: string | undefined;
  /** Best of so many answers; more than 1 adds the part `best-of`. */
  readonly answers?: number | undefined;
  /** Only the first samples of the folder. */
  readonly limit?: number | undefined;
  /** How many threads compute, each on a sample of its own. Default one a core. */
  readonly threads?: number | undefined;
  /** Default `auto`. */
  readonly device?: DeviceChoice | undefined;
  /** Folder that keeps drawings of the world after the autoencoder, for other suites with the same one. Default: none. */
  readonly drawings?: string | undefined;
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
      /** Name of the suite that answered. */
      readonly suite: string;
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

/** Folder of the reports of other suites inside a report's folder. */
const BASELINES_FOLDER = "baselines";

/**
 * Evaluates a suite. Every finished part is in the journal (`samples.jsonl`), so that the same call goes on after a stop.
 * The noise and tokens of a sample are those of `vans answer --seed <the sample's seed>`; results do not depend on the
 * number of threads. Other suites are evaluated by themselves, each with a report of its own inside of this one's folder,
 * and then compared sample by sample.
 *
 * @throws `VANS_EVALUATE_REQUEST`, `VANS_EVALUATE_DATA`, `VANS_EVALUATE_SUITE`, `VANS_EVALUATE_OTHER_RUN`,
 * `VANS_EVALUATE_COMPARE`, what loading suite and data throws, `VANS_RUN_ABORTED` within one step of the signal
 */
export async function* evaluate(options: EvaluateOptions): AsyncGenerator<EvaluationEvent, EvaluationReport> {
  const started = performance.now();
  const { signal } = options;
  const parts = chosenParts(options);
  const workers = workerCount(options);
  const suite = await loadSuite(options.suite);
  checkWorldSized(suite);
  const settings = changedSettings(suite, options);
  const judging = options.judges === undefined ? suite : await loadSuite(options.judges);
  const judges = await judgeFacts(judging);
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
      judges,
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
  const answers = options.answers ?? 1;
  const isDone = (seed: number, part: EvaluationPart): boolean => {
    const found = journal.row(seed, part);
    return found !== undefined && (part !== "best-of" || found.texts["answers"] === String(answers));
  };
  const tasks = rows
    .map((row): Task => ({ row, parts: parts.filter((part) => !isDone(row.seed, part)) }))
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
    start: {
      suite: suite.folder,
      judges: judging.folder,
      settings,
      device,
      threads: 1,
      pictures: resolve(pictures),
      drawings: options.drawings && (await drawingsFolder(resolve(options.drawings), suite, device)),
    },
    workers: used,
    tasks,
    prepare: (task) => prepareTask(task, { suite, settings, journal, data: options.data, answers, signal }),
    signal,
  });
  for await (const outcome of outcomes) {
    const row: PartRow = { ...outcome, workers: used };
    await journal.add(row);
    done++;
    const secs = (performance.now() - started) / 1000;
    const secsLeft = (secs / (done - before)) * (total - done);
    yield { type: "part", suite: name, row, done, total, secsLeft };
  }
  throwIfAborted(signal);
  const seeds = rows.map((row) => row.seed);
  const found = journal.rowsOf(seeds);
  const own = ownSystems(found, { suite: name, answers, fvd: judges.fvd });
  const others: ComparedReport[] = [];
  const taken = new Set(own.map((one) => one.name));
  for (const baseline of options.baselines ?? []) {
    const opened = yield* baselineReport(baseline, { ...options, judges: judging.folder }, taken);
    checkComparable(opened.of, journal.of, [baseline, options.out]);
    others.push({ ...opened, rows: opened.rows.within(seeds, freeName(opened.rows.name, taken)) });
    taken.add(others.at(-1)!.rows.name);
  }
  const identity = { name, version, folder: toldPath(suite.folder) };
  const columns = [
    ...own.map((one) => columnOf(one, SYSTEMS[one.system].about, identity)),
    ...others.map((other) => columnOf(other.rows, SYSTEMS[other.rows.system].about, other.report.suite)),
  ];
  const systems = [...own, ...others.map((other) => other.rows)];
  const reference = systems[own.length] ?? systems[0]!;
  const compared = systems.filter((one) => one !== reference);
  const report = reportSchema.parse({
    schemaVersion: 2,
    suite: { ...identity, hashes },
    data: {
      folder: toldPath(resolve(options.data)),
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
    metrics: columns[0]!.metrics,
    families: columns[0]!.families,
    judges: { suite: toldPath(judging.folder), ...judges },
    systems: columns,
    comparisons: compared.map((one) => compareSystems(one, reference)),
    alarms: [...systems.flatMap(collapseAlarms), ...compared.flatMap((one) => hackingAlarms(one, reference))],
    notes: notesOf(judges, settings, others),
    targets: targetResults(columns[0]!),
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
  const pictured = [
    ...own.map((one) => ({ rows: one, folder: options.out })),
    ...others.map(({ rows: one, folder }) => ({ rows: one, folder })),
  ];
  const files = await writeReport(options.out, report, { rows: found, systems: pictured });
  yield { type: "report", report, files };
  return report;
}

/** The systems that the rows of one suite have videos or captions of. */
function ownSystems(
  rows: readonly PartRow[],
  { suite, answers, fvd }: { suite: string; answers: number; fvd: FvdSettings | null },
): SystemRows[] {
  return SYSTEM_NAMES.filter(
    (system) => system === "suite" || rows.some(({ part }) => part === SYSTEMS[system].video),
  ).map((system) => new SystemRows(rows, { name: columnName(suite, system, answers), system, fvd }));
}

function columnOf(
  rows: SystemRows,
  about: string,
  { name, version, folder }: ReportSystem["suite"],
): ReportSystem {
  const { system } = rows;
  return { name: rows.name, about, suite: { name, version, folder }, system, ...summariseSystem(rows) };
}

/** A finished report, or another suite that is evaluated now with a report of its own. */
async function* baselineReport(
  baseline: string,
  options: EvaluateOptions & { readonly judges: string },
  taken: ReadonlySet<string>,
): AsyncGenerator<EvaluationEvent, ComparedReport> {
  if (await isReport(baseline)) return openReport(baseline);
  const { manifest } = await loadSuite(baseline);
  const folder = join(options.out, BASELINES_FOLDER, freeName(manifest.name, taken));
  const run = evaluate({
    ...options,
    suite: baseline,
    out: folder,
    parts: ["caption", "video"],
    systems: undefined,
    baselines: undefined,
    answers: undefined,
  });
  for (;;) {
    const next = await run.next();
    if (next.done) return openReport(folder);
    if (next.value.type !== "report") yield next.value;
  }
}

/** A path as a report tells it: seen from where the command ran, unless it lies elsewhere. */
function toldPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near === "" || near.startsWith("..") || isAbsolute(near) ? path : near.split(sep).join("/");
}

function freeName(name: string, taken: ReadonlySet<string>): string {
  for (let i = 1; ; i++) {
    const free = i === 1 ? name : `${name}-${i}`;
    if (!taken.has(free)) return free;
  }
}

/** What a reader should know: what was not measured, and what the systems do not share. */
function notesOf(
  judges: JudgeFacts,
  settings: AnswerSettings,
  others: readonly ComparedReport[],
): readonly string[] {
  const notes: string[] = [];
  if (judges.clipEval === null)
    notes.push("The judging suite has no evaluation CLIP (clipEval): clipV, clipT and clipTOwn are missing.");
  if (judges.clipReward === null)
    notes.push("The judging suite has no reward CLIP (clip): clipVReward and its like are missing.");
  if (judges.fvd === null) notes.push("The judging suite has no I3D (i3d): Fréchet distances are missing.");
  for (const { report, rows } of others) {
    const differing = Object.keys(settings).filter(
      (name) =>
        JSON.stringify(settings[name as keyof AnswerSettings]) !== JSON.stringify(report.settings[name]),
    );
    if (differing.length > 0)
      notes.push(`${rows.name} answered with other settings: ${differing.join(", ")}.`);
  }
  return notes;
}

interface TaskContext {
  readonly suite: Suite;
  readonly settings: AnswerSettings;
  readonly journal: Journal;
  readonly data: string;
  readonly answers: number;
  readonly signal: AbortSignal | undefined;
}

/** Reads the clip of a task as an answer would. */
async function prepareTask({ row, parts }: Task, context: TaskContext): Promise<WorkerItem> {
  const { suite, settings, journal, data, answers, signal } = context;
  const { seed } = row;
  if (parts.every((part) => part === "reconstruction")) return { seed, parts };
  const { patchSize, mergeSize } = suite.vlm.config.vision;
  const vlmCell = patchSize * mergeSize;
  const { frames, vlmFrames } = await readInputFrames(join(data, row.input), { settings, vlmCell, signal });
  const caption = journal.row(seed, "caption")?.texts["caption"];
  const still = parts.includes("still")
    ? await readInputFrames(stillInput(sampleForSeed(seed)), { settings, vlmCell, signal })
    : undefined;
  return {
    seed,
    parts,
    answers,
    input: { frames, vlmFrames },
    ...(still && { still: { frames: still.frames, vlmFrames: still.vlmFrames } }),
    ...(caption !== undefined && { caption }),
  };
}

function stageSecs(rows: readonly PartRow[]): Record<string, number> {
  const out: Record<string, number> = {};
  for (const { secs } of rows)
    for (const [stage, value] of Object.entries(secs)) out[stage] = (out[stage] ?? 0) + value;
  return Object.fromEntries(
    Object.entries(out).map(([stage, value]) => [stage, Math.round(value * 1000) / 1000]),
  );
}
