/**
 * What the readable reports of an experiment say, as plain tables that Markdown and HTML then dress.
 * @module
 */
import type { MetricName } from "../evaluate/metric-table.ts";
import { REPORT_KINDS, type ReportKind } from "../evaluate/report-schema.ts";
import type { JudgedClaim } from "./claims.ts";
import type { ExperimentReport, ReportedRow } from "./report-data.ts";
import type { RowDifference, RowEstimate } from "./row-results.ts";

/** A cell: text, and what it means. */
export interface Cell {
  readonly text: string;
  /** Small print below. */
  readonly note?: string;
  readonly mark?: "better" | "worse" | "good" | "bad" | "open";
}

/** A table. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

const plain = (text: string | number): Cell => ({ text: String(text) });

/** A value with the digits that its size asks for. */
export function shown(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 2 ? 2 : 3);
}

/** What rounds to 0 has no sign of its own. */
function signed(value: number): string {
  const text = shown(Math.abs(value));
  return `${value >= 0 || Number(text) === 0 ? "+" : "−"}${text}`;
}

const hours = (secs: number): string => (secs / 3600).toFixed(2);

/** Rows by metrics for one kind of questions. */
export function resultTable(report: Pick<ExperimentReport, "metrics" | "rows">, group: ReportKind): Table {
  const found = report.metrics.filter(({ name }) => report.rows.some((row) => row.metrics[group][name]));
  const better = new Map(found.map((metric) => [metric.name, metric.better]));
  const arrows: Readonly<Record<string, string>> = { higher: " ↑", lower: " ↓" };
  return {
    head: ["", "samples", ...found.map(({ name, better: way }) => name + (arrows[way ?? ""] ?? ""))],
    // Rows without results are named once, above the tables.
    rows: report.rows.flatMap((row) => {
      const estimates = Object.values(row.metrics[group]) as RowEstimate[];
      if (estimates.length === 0) return [];
      const samples = Math.max(...estimates.map(({ n }) => n));
      const seeds = row.seeds.length > 1 ? `${row.seeds.length} seeds` : undefined;
      return [
        [
          { text: row.title, ...(seeds && { note: seeds }) },
          plain(samples),
          ...found.map(({ name }) => resultCell(row, { group, name, better: better.get(name) ?? null })),
        ],
      ];
    }),
  };
}

function resultCell(
  row: ReportedRow,
  { group, name, better }: { group: ReportKind; name: MetricName; better: string | null },
): Cell {
  const estimate = row.metrics[group][name];
  if (!estimate) return plain("");
  const difference = row.differences[group][name];
  const interval = `${shown(estimate.low)} … ${shown(estimate.high)}`;
  if (!difference) return { text: shown(estimate.value), note: interval };
  const mark = difference.excludesZero && better !== null ? markOf(difference, better) : undefined;
  return {
    text: shown(estimate.value),
    note: `${interval}\n${signed(difference.value)} (${signed(difference.low)} … ${signed(difference.high)})`,
    ...(mark && { mark }),
  };
}

function markOf(difference: RowDifference, better: string): "better" | "worse" {
  return difference.value > 0 === (better === "higher") ? "better" : "worse";
}

const VERDICT_MARKS = { held: "good", "not held": "bad", undecided: "open", "not run": "open" } as const;
const SOURCES = { paper: "the paper", bar: "bars of this project", beyond: "beyond the paper" } as const;

/** Claims with verdicts, by where they come from. */
export function claimTables(
  report: ExperimentReport,
): readonly { readonly title: string; readonly table: Table }[] {
  const titles = new Map(report.rows.map(({ name, title }) => [name, title]));
  return (["bar", "paper", "beyond"] as const).flatMap((source) => {
    const own = report.claims.filter(({ claim }) => claim.from === source);
    if (own.length === 0) return [];
    const head = ["claim", "verdict", "found", "asked", "by seed", "why"];
    const rows = own.map((judged) => claimRow(judged, titles));
    return [{ title: `Claims: ${SOURCES[source]}`, table: { head, rows } }];
  });
}

function claimRow(
  { claim, verdict, why, found, difference }: JudgedClaim,
  titles: ReadonlyMap<string, string>,
): Cell[] {
  const isShare = claim.marginOf !== "absolute";
  const of = { absolute: "", relative: " of its value", missing: " of what it lacks to 1" }[claim.marginOf];
  const number = (value: number): string =>
    isShare ? `${value >= 0 ? "+" : "−"}${(100 * Math.abs(value)).toFixed(1)} %` : signed(value);
  const margin = isShare ? `${(100 * claim.margin).toFixed(0)} %` : String(claim.margin);
  const asked =
    claim.expect === "same"
      ? `within ±${margin}${of}`
      : `${claim.expect}${claim.margin > 0 ? ` by ${margin}${of}` : ""}`;
  return [
    {
      text: claim.text,
      note: `${claim.metric}, ${claim.group}: ${titles.get(claim.row)} against ${titles.get(claim.than)}`,
    },
    { text: verdict, mark: VERDICT_MARKS[verdict] },
    found
      ? {
          text: number(found.value),
          note: `${number(found.low)} … ${number(found.high)}, ${difference!.n} samples`,
        }
      : plain(""),
    {
      text: asked,
      note: claim.by === "value" ? "by the value, interval without 0" : "by the whole interval",
    },
    plain(difference ? difference.bySeed.map(signed).join(", ") : ""),
    plain(why),
  ];
}

/** What was spent. */
export function costTable(report: ExperimentReport): Table {
  return {
    head: ["", "trainings", "with what it starts from", "evaluation", "steps", "seeds"],
    rows: [
      ...report.rows
        .filter(({ of }) => of === null)
        .map((row) => [
          plain(row.title),
          plain(hours(row.trainingCpuSecs)),
          plain(hours(row.chainCpuSecs)),
          plain(hours(row.evaluationCpuSecs)),
          plain(
            row.runs
              .flatMap(({ trainings }) => trainings.map(({ key, done, steps }) => `${key} ${done}/${steps}`))
              .join(", "),
          ),
          plain(row.seeds.join(", ")),
        ]),
      [
        plain("all"),
        plain(report.cpuCoreHours.training.toFixed(2)),
        plain(""),
        plain(report.cpuCoreHours.evaluation.toFixed(2)),
        plain(""),
        plain(""),
      ],
    ],
  };
}

/** Settings of every row: what differs from the recipes. */
export function settingsTable(report: ExperimentReport): Table {
  return {
    head: ["", "starts from", "recipe", "differs from its file"],
    rows: report.rows.flatMap((row): Cell[][] => {
      const [run] = row.runs;
      const answer = Object.entries(row.answer).map(
        ([name, value]) => `answer.${name} ${JSON.stringify(value)}`,
      );
      const from = row.of !== null ? `column ${row.system} of ${row.of}` : (run?.uses.join(", ") ?? "");
      const first = (text: string): Cell => ({ text: row.title, ...(text !== "" && { note: text }) });
      if (!run || run.trainings.length === 0)
        return [[first(row.about), plain(from || report.baseSuite), plain(""), plain(answer.join("; "))]];
      return run.trainings.map(({ recipe, changes }, i) => [
        i === 0 ? first(row.about) : plain(""),
        plain(i === 0 ? from || report.baseSuite : ""),
        plain(recipe),
        plain(
          [
            ...changes.map(({ field, was, is }) => `${field}: ${was ?? "–"} → ${is ?? "–"}`),
            ...(i === 0 ? answer : []),
          ].join("; "),
        ),
      ]);
    }),
  };
}

/** What a reader should know before the numbers. */
export function reportNotes(report: ExperimentReport): readonly string[] {
  const { evaluation, missing, plans, areClaimsFixed } = report;
  const first = plans[0];
  const notes = [
    `Every row is evaluated on the first ${evaluation.procedural} procedural and ${evaluation.predictive} predictive samples from seed ${evaluation.seeds} on, rows with fewer on the first of them; captions are decoded with the base suite's settings.`,
    `Numbers in brackets are 95 % bootstrap intervals over samples; differences are to the row “${report.rows.find(({ name }) => name === report.baseRow)?.title}”, paired sample by sample on those that both have. ▲ and ▼ mark differences whose interval excludes 0, for better and for worse. Fréchet distances depend on the number of samples: compare them by differences, not across rows with other numbers.`,
  ];
  if (first)
    notes.push(
      `Settings and claims were first recorded at ${first.firstRunAt} (SHA-256 ${first.hash.slice(0, 12)}), before any row was begun. ${
        areClaimsFixed
          ? "The claims have not changed since."
          : "The claims have changed since: see the recorded versions."
      }`,
    );
  if (plans.length > 1)
    notes.push(
      `The experiment file has changed ${plans.length - 1} times after the first run: ${plans
        .slice(1)
        .map(({ firstRunAt, begun }) => `${firstRunAt} (${begun.length} runs begun)`)
        .join("; ")}. Rows whose own settings changed are refused, so what is shown was run as it stands.`,
    );
  if (missing.length > 0) notes.push(`Not run yet: ${missing.join(", ")}.`);
  return notes;
}

/** Kinds of questions in the order of the report. */
export const SHOWN_GROUPS: readonly ReportKind[] = REPORT_KINDS;
