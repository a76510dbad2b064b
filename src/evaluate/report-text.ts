/**
 * What the readable reports say: headings and tables as plain data, which Markdown and HTML then dress.
 * @module
 */
import { METRIC_NAMES, METRICS, type MetricName } from "./metric-table.ts";
import { type EvaluationReport, type MetricEstimates, REPORT_KINDS } from "./report-schema.ts";

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
];

const MOST_CONFUSIONS = 12;

const number = (value: number): string => (Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(3));

/** The sections of a report, from the most to the least asked for. */
export function reportSections(report: EvaluationReport): ReportSection[] {
  const sections: ReportSection[] = [
    { title: "Targets", ...targets(report) },
    { title: "Metrics", text: "Value and 95 % interval.", table: kindTable(report) },
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

function withInterval(found: MetricEstimates, name: MetricName): string {
  const one = found[name];
  return one ? `${number(one.value)} [${number(one.low)}, ${number(one.high)}] (${one.n})` : "–";
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
  const { suite, data, settings, device, parts, timings, versions } = report;
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
      ["device", `${device}, ${timings.workers} workers of one thread`],
      ["seconds by stage", listed(timings.stagesSecs)],
      ["this run", `${timings.computed} parts of samples in ${timings.wallSecs.toFixed(1)} s`],
      ["versions", listed(versions)],
      ...Object.entries(suite.hashes).map(([path, hash]) => [`SHA-256 of ${path}`, hash]),
    ],
  };
}
