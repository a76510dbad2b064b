/**
 * From rows of samples to metrics with intervals, by kind and family.
 * @module
 */
import type { FvdSettings } from "../metrics/index.ts";
import { EVALUATION_PARTS, METRIC_NAMES } from "./metric-table.ts";
import type { Confusion, MetricEstimates, ReportKind, TargetResult } from "./report-schema.ts";
import { estimateOf, type SummarisedRow, SystemRows } from "./statistics.ts";
import type { SystemName } from "./systems.ts";

export type { SummarisedRow } from "./statistics.ts";

/** Metrics by group. */
export interface Summary {
  readonly metrics: Readonly<Record<ReportKind, MetricEstimates>>;
  readonly families: Readonly<Record<string, MetricEstimates>>;
}

/** How rows are summarised. */
export interface SummariseOptions {
  /** Of which system; default the suite itself. */
  readonly system?: SystemName;
  /** How features became distances; without it there are none. */
  readonly fvd?: FvdSettings | null;
}

/** Metrics of all rows, of each kind and of each family. */
export function summarise(rows: readonly SummarisedRow[], options: SummariseOptions = {}): Summary {
  return summariseSystem(new SystemRows(rows, options));
}

/** {@link summarise} of rows that are a system already. */
export function summariseSystem(system: SystemRows): Summary {
  const of = (group: string): MetricEstimates => metricsOf(system, group);
  return {
    metrics: { procedural: of("procedural"), predictive: of("predictive"), all: of("all") },
    families: Object.fromEntries(system.families.map((family) => [family, of(family)])),
  };
}

function metricsOf(system: SystemRows, group: string): MetricEstimates {
  const out: MetricEstimates = {};
  for (const name of METRIC_NAMES) {
    const statistic = system.statistic(name, group);
    if (statistic) out[name] = estimateOf(name, statistic);
  }
  return out;
}

/** Events that were taken for others, most frequent first. */
export function confusions(rows: readonly SummarisedRow[]): Confusion[] {
  const counts = new Map<string, Confusion>();
  for (const { family, part, texts } of rows) {
    const { event, nearest } = texts;
    if (event === undefined || nearest === undefined || event === nearest) continue;
    const key = JSON.stringify([part, family, event, nearest]);
    counts.set(key, { family, part, event, nearest, count: (counts.get(key)?.count ?? 0) + 1 });
  }
  const order = (one: Confusion): number => EVALUATION_PARTS.indexOf(one.part);
  return [...counts.values()].sort(
    (a, b) =>
      order(a) - order(b) ||
      b.count - a.count ||
      a.family.localeCompare(b.family) ||
      `${a.event} ${a.nearest}`.localeCompare(`${b.event} ${b.nearest}`),
  );
}

/** What the playroom's suite must reach for procedural and for predictive samples. */
const KIND_TARGETS = [
  ["templateRate", 0.99],
  ["captionEventAccuracy", 0.9],
  ["reconstructionEventAccuracy", 0.98],
  ["reconstructionPsnrDb", 28],
  ["videoEventAccuracyFromTruth", 0.85],
  ["videoEventAccuracy", 0.75],
  ["identityAccuracy", 0.9],
] as const;

/** The least end-to-end event accuracy of any family. */
const FAMILY_TARGET = 0.5;

/** How much of the identity must come from the references. */
const REFERENCES_TARGET = 0.3;

/** Targets of the playroom and whether they are met; those of parts that were not evaluated are left out. */
export function targetResults({ metrics, families }: Summary): TargetResult[] {
  const out: TargetResult[] = [];
  const check = (target: string, group: string, value: number | undefined, bound: number): void => {
    if (value !== undefined) out.push({ target, group, value, bound, isMet: value >= bound });
  };
  for (const kind of ["procedural", "predictive"] as const) {
    const found = metrics[kind];
    for (const [name, bound] of KIND_TARGETS) check(name, kind, found[name]?.value, bound);
    const [seeing, blind] = [found.identityAccuracy, found.identityAccuracyNoReferences];
    const difference = seeing && blind && seeing.value - blind.value;
    check("identityAccuracy - identityAccuracyNoReferences", kind, difference, REFERENCES_TARGET);
  }
  for (const [family, found] of Object.entries(families))
    check("videoEventAccuracy", family, found.videoEventAccuracy?.value, FAMILY_TARGET);
  return out;
}
