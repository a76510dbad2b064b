/**
 * Runs on disk: every folder with a `log.jsonl`, however deep experiments put it, under names that are safe in an address.
 * @module
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

/** Folders in folders, at most; experiments need three. */
const MOST_DEPTH = 4;
/** Folders that are looked into, at most. */
const MOST_FOLDERS = 2000;
/** A run whose process cannot be seen counts as running for so long after its last line. */
const QUIET_MS = 180_000;
/** What separates folders in names: a slash would separate parts of an address. */
const SEPARATOR = "~";
/** Folder of logs whose runs are gone. */
const KEPT_LOGS = "logs";
const PART = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

/** States of a run. */
export const RUN_STATES = ["running", "done", "stopped"] as const;
export type RunState = (typeof RUN_STATES)[number];

/** A run's folder. */
export interface RunFolder {
  /** Its path in the folder of runs, with `~` for slashes. */
  readonly name: string;
  readonly path: string;
}

/** The path of a named folder; undefined for a name that could leave the folder. */
export function folderOfName(root: string, name: string): string | undefined {
  const parts = name.split(SEPARATOR);
  if (name.length > 400 || parts.length > MOST_DEPTH + 1 || !parts.every((part) => PART.test(part)))
    return undefined;
  return join(root, ...parts);
}

/** Folders below a folder that hold a file, by name. */
export async function foldersWith(root: string, file: string, depth = MOST_DEPTH): Promise<RunFolder[]> {
  const found: RunFolder[] = [];
  let left = MOST_FOLDERS;
  const look = async (parts: readonly string[]): Promise<void> => {
    if (left-- <= 0) return;
    const path = join(root, ...parts);
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
    if (parts.length > 0 && entries.some((entry) => entry.name === file && entry.isFile()))
      found.push({ name: parts.join(SEPARATOR), path });
    if (parts.length >= depth) return;
    for (const entry of entries)
      if (entry.isDirectory() && PART.test(entry.name) && entry.name !== "node_modules")
        await look([...parts, entry.name]);
  };
  await look([]);
  return found;
}

/** Runs below a folder: folders with a log, and logs that were kept alone in `logs/`. */
export async function findRuns(root: string): Promise<RunFolder[]> {
  const kept = await readdir(join(root, KEPT_LOGS)).catch(() => [] as string[]);
  return [
    ...(await foldersWith(root, "log.jsonl")),
    ...kept
      .filter((file) => file.endsWith(".jsonl") && PART.test(file))
      .map((file) => file.slice(0, -".jsonl".length))
      .map((name) => ({ name: `${KEPT_LOGS}${SEPARATOR}${name}`, path: join(root, KEPT_LOGS, name) })),
  ];
}

/** The log of a run: in its folder, or beside it. */
export async function logOfRun(path: string): Promise<string | undefined> {
  for (const file of [join(path, "log.jsonl"), `${path}.jsonl`])
    if ((await stat(file).catch(() => undefined))?.isFile()) return file;
  return undefined;
}

/** What a run's folder itself tells. */
export interface RunFacts {
  readonly updatedAt: string;
  readonly startedAt: string | null;
  readonly hasWeights: boolean;
  readonly hasCheckpoint: boolean;
  readonly sheets: readonly { readonly step: number; readonly file: string }[];
  /** Of the process that writes, where it is still there. */
  readonly pid: number | null;
}

/** Looks at a run's folder. */
export async function runFacts(path: string): Promise<RunFacts> {
  const [log, names, sheets] = await Promise.all([
    stat((await logOfRun(path)) ?? path).catch(() => undefined),
    readdir(path).catch(() => [] as string[]),
    readdir(join(path, "sheets")).catch(() => [] as string[]),
  ]);
  const boards = names
    .map((name) => /^events\.out\.tfevents\.(\d+)\.(\d+)\.vans$/.exec(name))
    .filter((match) => match !== null)
    .map((match) => ({ startedSecs: Number(match[1]), pid: Number(match[2]) }))
    .sort((a, b) => a.startedSecs - b.startedSecs);
  const last = boards.at(-1);
  return {
    updatedAt: new Date(log?.mtimeMs ?? 0).toISOString(),
    startedAt: boards[0] ? new Date(boards[0].startedSecs * 1000).toISOString() : null,
    hasWeights: names.includes("weights.safetensors"),
    hasCheckpoint: names.includes("checkpoint.safetensors"),
    sheets: sheets
      .map((file) => ({ step: Number.parseInt(file, 10), file }))
      .filter(({ step, file }) => Number.isFinite(step) && /^\d+\.png$/.test(file))
      .sort((a, b) => a.step - b.step),
    pid: last && (await isTraining(last.pid, last.startedSecs)) ? last.pid : null,
  };
}

/** Whether a run goes on: its process is there, or, where processes cannot be seen, it wrote lately. */
export function stateOf(
  facts: RunFacts,
  run: { readonly lastStep: number; readonly steps: number | null; readonly nowMs: number },
): RunState {
  // Weights are written at the end only; of a kept log nothing but the steps tells.
  const isComplete = run.steps === null ? facts.hasWeights : run.lastStep >= run.steps;
  // The process of an experiment goes on with its next training.
  if (isComplete && facts.hasWeights && run.steps !== null) return "done";
  if (facts.pid !== null) return "running";
  if (isComplete) return "done";
  // Without /proc nobody can be asked.
  if (process.platform !== "linux" && run.nowMs - Date.parse(facts.updatedAt) < QUIET_MS) return "running";
  return "stopped";
}

/** True where a process of Node lives that began before the run's first file: a number that was given again is another process. */
async function isTraining(pid: number, startedSecs: number): Promise<boolean> {
  const [command, facts] = await Promise.all([
    readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
    stat(`/proc/${pid}`).catch(() => undefined),
  ]);
  if (!facts || !/\bnode\b|tsx|vans/.test(command)) return false;
  return facts.ctimeMs / 1000 <= startedSecs + 60;
}

/** Processor time and memory of a process now; undefined where they cannot be seen. */
export async function processUse(
  pid: number,
): Promise<{ readonly cpuSecs: number; readonly memoryBytes: number } | undefined> {
  const [stats, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, "utf8").catch(() => ""),
    readFile(`/proc/${pid}/status`, "utf8").catch(() => ""),
  ]);
  // The name in brackets may hold spaces: fields are counted after it.
  const fields = stats.slice(stats.lastIndexOf(")") + 2).split(" ");
  const memory = /^VmRSS:\s+(\d+) kB$/m.exec(status);
  if (fields.length < 13 || !memory) return undefined;
  // User and system time in ticks of a hundredth of a second, as Linux gives them to programs.
  return { cpuSecs: (Number(fields[11]) + Number(fields[12])) / 100, memoryBytes: Number(memory[1]) * 1024 };
}
