/**
 * What the readable reports say: headings and tables as plain data, which Markdown and HTML then dress.
 * @module
 */
import { describeFvd } from "../metrics/index.ts";
import { METRIC_NAMES, METRICS, type MetricDefinition, type MetricName } from "./metric-table.ts";
import {
  type EvaluationReport,
  type MetricDifference,
  type MetricEstimates,
  REPORT_KINDS,
  type ReportKind,
  type SystemComparison,
} from "./report-schema.ts";

/** A table; the first column is left-aligned. */
export interface ReportTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A section of the report. */
export interface ReportSection {
  readonly title: string;
  readonly text?: string;
  readonly table?: ReportTable;
}

/** Metrics that the table of families has. */
const FAMILY_METRICS: readonly MetricName[] = [
  "templateRate",
  "captionEventAccuracy",
  "reconstructionEventAccuracy",
  "reconstructionPsnrDb",
  "videoEventAccuracyFromTruth",
  "videoEventAccuracy",
  "identityAccuracy",
  "identityAccuracyNoReferences",
  "rougeL",
  "clipV",
  "clipT",
  "fvd",
  "multiFutureAccuracy",
];

const MOST_CONFUSIONS = 12;

const number = (value: number): string => (Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(3));

/** The sections of a report, from the most to the least asked for. */
export function reportSections(report: EvaluationReport): ReportSection[] {
  const sections: ReportSection[] = [
    alarmSection(report),
    { title: "Notes", table: { head: ["note"], rows: report.notes.map((note) => [note]) } },
    ...systemSections(report),
    ...(report.comparisons.length > 0 ? differenceSections(report.comparisons) : []),
    { title: "Targets", ...targets(report) },
    {
      title: `Metrics of ${report.suite.name}`,
      text: `Value and 95 % interval.${fvdSentence(report)}`,
      table: kindTable(report),
    },
    { title: "By family", text: "Value (samples).", table: familyTable(report) },
    ...confusionSections(report),
    { title: "What the metrics mean", table: definitionTable(report) },
    { title: "How it was made", table: factTable(report) },
  ];
  return sections.filter((section) => section.text !== undefined || (section.table?.rows.length ?? 0) > 0);
}

/** One sentence on what was evaluated. */
export function reportSummary(report: EvaluationReport): string {
  const { data, suite } = report;
  const seeds = `seeds ${data.firstSeed} to ${data.lastSeed}`;
  const held = data.isHeldOut ? "which training never sees" : "of which some are TRAINING seeds";
  return `Suite ${suite.name} ${suite.version} on ${data.evaluated} playroom samples (${seeds}, ${held}).`;
}

function alarmSection({ alarms }: EvaluationReport): ReportSection {
  if (alarms.length === 0) return { title: "Alarms", text: "None." };
  return {
    title: "Alarms",
    table: {
      head: ["alarm", "system", "group", "what", "value", "bound"],
      rows: alarms.map(({ alarm, system, group, text, value, bound }) => [
        alarm,
        system,
        group,
        text,
        number(value),
        number(bound),
      ]),
    },
  };
}

function fvdSentence({ judges }: EvaluationReport): string {
  return judges.fvd ? ` Fréchet video distances by ${describeFvd(judges.fvd)}; compare equal n only.` : "";
}

/** Metrics that a system has of its own. */
const isOwn = (name: MetricName): boolean =>
  METRICS[name].part === "caption" || METRICS[name].part === "video";

/** A table a kind: metrics down, systems across. */
function systemSections(report: EvaluationReport): ReportSection[] {
  const { systems } = report;
  if (systems.length < 2) return [];
  const about = systems.map(({ name, about: what, suite }) => `${name} (${suite.name}): ${what}`).join("; ");
  return REPORT_KINDS.filter((kind) => Object.keys(systems[0]!.metrics[kind]).length > 0).map((kind, i) => ({
    title: `Systems, ${kind}`,
    text: i === 0 ? `Value and 95 % interval. ${about}.${fvdSentence(report)}` : "Value and 95 % interval.",
    table: {
      head: ["metric", ...systems.map(({ name }) => name)],
      rows: METRIC_NAMES.filter(
        (name) => isOwn(name) && systems.some(({ metrics }) => metrics[kind][name]),
      ).map((name) => [name, ...systems.map(({ metrics }) => withInterval(metrics[kind], name, false))]),
    },
  }));
}

const sign = (value: number): string => `${value > 0 ? "+" : ""}${number(value)}`;

/** A difference in words; a star where its interval excludes 0. */
export function differenceText({ value, low, high, relative, excludesZero }: MetricDifference): string {
  const share = relative === null ? "" : `, ${relative > 0 ? "+" : ""}${(100 * relative).toFixed(1)} %`;
  return `${sign(value)} [${sign(low)}, ${sign(high)}]${share}${excludesZero ? " *" : ""}`;
}

/** A table a kind: metrics down, compared systems across. */
export function differenceSections(
  comparisons: readonly Pick<SystemComparison, "system" | "reference" | "metrics">[],
): ReportSection[] {
  const reference = comparisons[0]?.reference ?? "";
  const about = `Differences to ${reference} with paired bootstrap 95 % intervals; * where 0 is outside.`;
  return REPORT_KINDS.map((kind: ReportKind) => ({
    title: `Differences to ${reference}, ${kind}`,
    text: about,
    table: {
      head: ["metric", ...comparisons.map(({ system }) => system), "better", "n"],
      rows: METRIC_NAMES.filter((name) => comparisons.some(({ metrics }) => metrics[kind][name])).map(
        (name) => {
          const found = comparisons.map(({ metrics }) => metrics[kind][name]);
          const definition: MetricDefinition = METRICS[name];
          return [
            name,
            ...found.map((one) => (one ? differenceText(one) : "–")),
            definition.better ?? "as the truth",
            String(Math.max(...found.map((one) => one?.n ?? 0))),
          ];
        },
      ),
    },
  })).filter(({ table }) => table.rows.length > 0);
}

function targets(report: EvaluationReport): Pick<ReportSection, "text" | "table"> {
  if (report.targets.length === 0) return {};
  const met = report.targets.filter((target) => target.isMet).length;
  return {
    text: `${met} of ${report.targets.length} are met.`,
    table: {
      head: ["target", "group", "value", "at least", "met"],
      rows: report.targets.map(({ target, group, value, bound, isMet }) => [
        target,
        group,
        number(value),
        number(bound),
        isMet ? "yes" : "NO",
      ]),
    },
  };
}

function kindTable({ metrics }: EvaluationReport): ReportTable {
  const names = METRIC_NAMES.filter((name) => metrics.all[name]);
  return {
    head: ["metric", ...REPORT_KINDS.map((kind) => `${kind} (n)`)],
    rows: names.map((name) => [name, ...REPORT_KINDS.map((kind) => withInterval(metrics[kind], name))]),
  };
}

function withInterval(found: MetricEstimates, name: MetricName, hasCount = true): string {
  const one = found[name];
  if (!one) return "–";
  const count = hasCount ? ` (${one.n})` : "";
  return `${number(one.value)} [${number(one.low)}, ${number(one.high)}]${count}`;
}

function familyTable({ families, metrics }: EvaluationReport): ReportTable {
  const names = FAMILY_METRICS.filter((name) => metrics.all[name]);
  return {
    head: ["family", ...names],
    rows: Object.entries(families).map(([family, found]) => [
      family,
      ...names.map((name) => {
        const one = found[name];
        return one ? `${number(one.value)} (${one.n})` : "–";
      }),
    ]),
  };
}

const CONFUSION_TITLES = {
  caption: "Said for another",
  "video-from-truth": "Shown for another, told the true caption",
  video: "Shown for another, end to end",
} as const;

function confusionSections({ confusions }: EvaluationReport): ReportSection[] {
  return Object.entries(CONFUSION_TITLES).map(([part, title]) => {
    const own = confusions.filter((one) => one.part === part);
    const rest = own.length - MOST_CONFUSIONS;
    return {
      title,
      ...(rest > 0 && { text: `The most frequent; ${rest} more kinds are in report.json.` }),
      table: {
        head: ["family", "right event", "nearest event", "samples"],
        rows: own
          .slice(0, MOST_CONFUSIONS)
          .map(({ family, event, nearest, count }) => [family, event, nearest, String(count)]),
      },
    };
  });
}

function definitionTable({ metrics }: EvaluationReport): ReportTable {
  return {
    head: ["metric", "definition"],
    rows: METRIC_NAMES.filter((name) => metrics.all[name]).map((name) => [
      name,
      `${METRICS[name].is}: ${METRICS[name].about}`,
    ]),
  };
}

function factTable(report: EvaluationReport): ReportTable {
  const { suite, data, settings, device, parts, timings, versions, judges } = report;
  const listed = (record: Readonly<Record<string, unknown>>): string =>
    Object.entries(record)
      .map(([name, value]) => `${name} ${typeof value === "string" ? `“${value}”` : JSON.stringify(value)}`)
      .join(", ");
  const counts = Object.entries(parts).map(([part, { done, of }]) => `${part} ${done}/${of}`);
  return {
    head: ["", ""],
    rows: [
      ["suite", `${suite.name} ${suite.version}, ${suite.folder}`],
      ["data", `${data.folder}, manifest SHA-256 ${data.manifestSha256}, world version ${data.worldVersion}`],
      ["parts", counts.join(", ")],
      ["settings", listed(settings)],
      ["judges", `${judges.suite}`],
      ["evaluation CLIP", `weights SHA-256 ${judges.clipEval ?? "none"}`],
      ["reward CLIP", `weights SHA-256 ${judges.clipReward ?? "none"}`],
      ["Fréchet video distance", judges.fvd ? listed(judges.fvd) : "none"],
      ["device", `${device}, ${timings.workers} workers of one thread`],
      ["seconds by stage", listed(timings.stagesSecs)],
      ["this run", `${timings.computed} parts of samples in ${timings.wallSecs.toFixed(1)} s`],
      ["versions", listed(versions)],
      ...Object.entries(suite.hashes).map(([path, hash]) => [`SHA-256 of ${path}`, hash]),
    ],
  };
}
