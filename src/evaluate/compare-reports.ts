/**
 * Two finished reports, compared sample by sample: nothing is computed by models again.
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { VansError } from "../base/errors.ts";
import { hackingAlarms } from "./alarms.ts";
import { compareSystems } from "./compare-systems.ts";
import { Journal } from "./journal.ts";
import type { PartRow } from "./part-row.ts";
import { type Alarm, type EvaluationReport, reportSchema, type SystemComparison } from "./report-schema.ts";
import { SystemRows } from "./statistics.ts";
import { SYSTEM_NAMES, SYSTEMS, type SystemName } from "./systems.ts";

/** A finished report with the rows of one of its systems. */
export interface ComparedReport {
  readonly report: EvaluationReport;
  readonly rows: SystemRows;
  /** Where the report lies. */
  readonly folder: string;
  /** What the rows depend on. */
  readonly of: Readonly<Record<string, unknown>>;
}

/** What {@link compareReports} finds. */
export interface ReportComparison extends SystemComparison {
  readonly alarms: readonly Alarm[];
  /** Samples that both reports have. */
  readonly samples: number;
}

/** What a system is called as a column. */
export function columnName(suite: string, system: SystemName, answers: number): string {
  if (system === "suite") return suite;
  return system === "best-of" ? `best of ${answers}` : system;
}

/** Splits `FOLDER#SYSTEM`; without a system it is the suite itself. */
function parsed(path: string): { readonly folder: string; readonly system: string } {
  const at = path.lastIndexOf("#");
  return at === -1
    ? { folder: path, system: "suite" }
    : { folder: path.slice(0, at), system: path.slice(at + 1) };
}

/** True for the folder of a finished report, with or without `#SYSTEM`. */
export async function isReport(path: string): Promise<boolean> {
  const found = await stat(join(parsed(path).folder, "report.json")).catch(() => undefined);
  return found?.isFile() ?? false;
}

/**
 * Opens a finished report.
 *
 * @param path its folder; `FOLDER#extension` for another of its systems
 * @throws `VANS_EVALUATE_COMPARE` where it is none, is of another version, or lacks the system; `VANS_EVALUATE_JOURNAL`
 */
export async function openReport(path: string): Promise<ComparedReport> {
  const { folder, system } = parsed(path);
  const file = join(folder, "report.json");
  const fail = (message: string, found: string, cause?: unknown): VansError =>
    new VansError("VANS_EVALUATE_COMPARE", message, {
      found,
      fix: "give the folder of a report that vans evaluate finished with this version",
      cause,
    });
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw fail(`there is no report in ${folder}`, `no ${file}`, cause);
  });
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw fail(`${file} is no report`, "not JSON", cause);
  }
  const checked = reportSchema.safeParse(raw);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    throw fail(`${file} is no report of this version`, `${issue?.path.join(".")}: ${issue?.message}`);
  }
  const report = checked.data;
  const { of, rows } = await Journal.read(folder);
  const known = SYSTEM_NAMES.find((name) => name === system);
  if (!known || !rows.some(({ part }) => part === SYSTEMS[known].video || part === SYSTEMS[known].caption)) {
    const there = report.systems.map((one) => one.system).join(", ");
    throw fail(`the report in ${folder} has no system "${system}"`, `systems ${there}`);
  }
  const name = columnName(report.suite.name, known, answersOf(rows));
  return { report, folder, of, rows: new SystemRows(rows, { name, system: known, fvd: report.judges.fvd }) };
}

function answersOf(rows: readonly PartRow[]): number {
  return Number(rows.find(({ part }) => part === "best-of")?.texts["answers"] ?? 1);
}

/** What must be the same, so that two journals are about the same thing. */
const COMMON = ["data", "world", "measures", "judges"] as const;

/** @throws `VANS_EVALUATE_COMPARE` where two journals are about different samples, definitions or judges */
export function checkComparable(
  first: Readonly<Record<string, unknown>>,
  reference: Readonly<Record<string, unknown>>,
  names: readonly [string, string],
): void {
  const differing = COMMON.filter((name) => JSON.stringify(first[name]) !== JSON.stringify(reference[name]));
  if (differing.length === 0) return;
  throw new VansError("VANS_EVALUATE_COMPARE", "the two reports cannot be compared", {
    asked: names.join(" and "),
    found: `other ${differing.join(", ")}`,
    why: "values of different samples, definitions or judging models do not pair",
    fix: "evaluate one of them again with the same data and judges (--judges)",
    data: { differing },
  });
}

/**
 * First minus reference for every metric, by kind and family, with paired bootstrap 95 % intervals over the samples that both
 * reports have; and what is suspicious about it.
 *
 * @param first folder of a report, or `FOLDER#SYSTEM`
 * @param reference likewise
 * @throws `VANS_EVALUATE_COMPARE` where data, world, judges or definitions differ, or no sample is in both
 */
export async function compareReports(first: string, reference: string): Promise<ReportComparison> {
  const [a, b] = await Promise.all([openReport(first), openReport(reference)]);
  checkComparable(a.of, b.of, [first, reference]);
  const seeds = new Set(b.rows.rows.map(({ seed }) => seed));
  const samples = new Set(a.rows.rows.map(({ seed }) => seed).filter((seed) => seeds.has(seed))).size;
  if (samples === 0) {
    throw new VansError("VANS_EVALUATE_COMPARE", "the two reports have no sample in common", {
      asked: `${first} and ${reference}`,
      fix: "evaluate both on the same samples",
    });
  }
  const named = [
    a.rows,
    a.rows.name === b.rows.name ? renamed(b.rows, `${b.rows.name} (reference)`) : b.rows,
  ] as const;
  return { ...compareSystems(...named), alarms: hackingAlarms(...named), samples };
}

function renamed(rows: SystemRows, name: string): SystemRows {
  return new SystemRows(rows.rows, { name, system: rows.system, fvd: rows.fvd });
}
