/**
 * Metrics as statistics of samples, so that values, their intervals and differences between systems come from one place.
 * @module
 */
import {
  type BleuCounts,
  bleuCounts,
  bleuOfCounts,
  bootstrapEstimate,
  type Estimate,
  type FvdSettings,
  featureRows,
  fvdOfFeatures,
  type SampleStatistic,
  shareEstimate,
  stackFeatures,
} from "../metrics/index.ts";
import { sampleForSeed } from "../world/index.ts";
import { METRICS, type MetricName } from "./metric-table.ts";
import { type PartRow, unpackFeatures } from "./part-row.ts";
import { partOf, type SystemName } from "./systems.ts";

/** Rows as statistics take them; those of `evaluateParts` do as well. */
export type SummarisedRow = Omit<PartRow, "workers"> & { readonly workers?: number };

/** A metric of the samples that have it. */
export interface MetricStatistic extends SampleStatistic {
  /** In the order of the statistic's rows. */
  readonly seeds: readonly number[];
  /** The value of each sample, for shares and means. */
  readonly values?: readonly number[];
}

/** How a statistic is made. */
export interface StatisticOptions {
  /** Default `suite`. */
  readonly system?: SystemName;
  /** Needed for Fréchet distances. */
  readonly fvd?: FvdSettings | null | undefined;
  /** Only these samples, in this order; those that lack the metric are left out. */
  readonly seeds?: readonly number[];
}

/** Fewest videos of a Fréchet distance. */
const LEAST_VIDEOS = 2;
/** A Fréchet distance takes milliseconds, so it is resampled less often than a mean. */
const FVD_RESAMPLES = 200;

/** How often a metric is resampled. */
export function resamplesOf(name: MetricName): number {
  return METRICS[name].is === "fvd" ? FVD_RESAMPLES : 1000;
}

/** A metric over rows; undefined where no sample has it. */
export function statisticOf(
  name: MetricName,
  rows: readonly SummarisedRow[],
  { system = "suite", fvd, seeds }: StatisticOptions = {},
): MetricStatistic | undefined {
  const definition = METRICS[name];
  if (name === "secsPerSample")
    return system === "suite" ? meanOf(inOrder(secsBySample(rows), seeds)) : undefined;
  const part = partOf(system, definition.part);
  const own = new Map(rows.filter((row) => row.part === part).map((row) => [row.seed, row]));
  const chosen = inOrder(own, seeds);
  if (definition.is === "bleu") return bleuStatistic(name, chosen);
  if (definition.is === "fvd") return fvd ? fvdStatistic(chosen, fvd) : undefined;
  return meanOf(
    chosen.flatMap(([seed, { values }]): [number, number][] => {
      const value = values[name];
      return value === undefined ? [] : [[seed, value]];
    }),
  );
}

/** The rows of one system, with its statistics, which are made once. */
export class SystemRows {
  /** What it is called in a report. */
  readonly name: string;
  readonly system: SystemName;
  readonly rows: readonly SummarisedRow[];
  readonly fvd: FvdSettings | null;
  readonly #known = new Map<string, MetricStatistic | undefined>();

  constructor(
    rows: readonly SummarisedRow[],
    {
      name,
      system = "suite",
      fvd = null,
    }: {
      readonly name?: string | undefined;
      readonly system?: SystemName | undefined;
      readonly fvd?: FvdSettings | null | undefined;
    } = {},
  ) {
    this.name = name ?? system;
    this.system = system;
    this.rows = rows;
    this.fvd = fvd;
  }

  /** Families, those of the procedural kind first. */
  get families(): readonly string[] {
    return (["procedural", "predictive"] as const).flatMap((kind) => [
      ...new Set(this.rows.filter((row) => row.kind === kind).map((row) => row.family)),
    ]);
  }

  /** The same system on some samples, under another name. */
  within(seeds: readonly number[], name: string): SystemRows {
    const chosen = new Set(seeds);
    const rows = this.rows.filter((row) => chosen.has(row.seed));
    return new SystemRows(rows, { name, system: this.system, fvd: this.fvd });
  }

  /** A metric of a group: `procedural`, `predictive`, `all`, or a family. */
  statistic(name: MetricName, group: string): MetricStatistic | undefined {
    const key = `${name} ${group}`;
    if (!this.#known.has(key)) this.#known.set(key, statisticOf(name, this.#groupRows(group), this));
    return this.#known.get(key);
  }

  /** The same metric of two systems on the samples that both have. */
  static paired(
    name: MetricName,
    group: string,
    first: SystemRows,
    second: SystemRows,
  ): readonly [MetricStatistic, MetricStatistic] | undefined {
    const [a, b] = [first.statistic(name, group), second.statistic(name, group)];
    if (!a || !b) return undefined;
    if (a.seeds.join() === b.seeds.join()) return [a, b];
    const both = new Set(b.seeds);
    const seeds = a.seeds.filter((seed) => both.has(seed));
    const [x, y] = [first, second].map((one) =>
      statisticOf(name, one.#groupRows(group), { system: one.system, fvd: one.fvd, seeds }),
    );
    return x && y ? [x, y] : undefined;
  }

  #groupRows(group: string): readonly SummarisedRow[] {
    return group === "all"
      ? this.rows
      : this.rows.filter((row) => row.kind === group || row.family === group);
  }
}

/** Entries of some seeds in their order; all of them without seeds. */
function inOrder<T>(all: ReadonlyMap<number, T>, seeds?: readonly number[]): [number, T][] {
  if (!seeds) return [...all].sort(([a], [b]) => a - b);
  return seeds.flatMap((seed): [number, T][] => {
    const found = all.get(seed);
    return found === undefined ? [] : [[seed, found]];
  });
}

function meanOf(entries: readonly (readonly [number, number])[]): MetricStatistic | undefined {
  const n = entries.length;
  if (n === 0) return undefined;
  const values = entries.map(([, value]) => value);
  const first = values[0]!;
  // Rounding must not give equal values a width.
  const areEqual = values.every((value) => value === first);
  const of = (rows?: ArrayLike<number>): number => {
    if (areEqual) return first;
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[rows ? rows[i]! : i]!;
    return sum / n;
  };
  return { n, of, values, seeds: entries.map(([seed]) => seed) };
}

function bleuStatistic(
  name: MetricName,
  entries: readonly (readonly [number, SummarisedRow])[],
): MetricStatistic | undefined {
  const maxOrder = Number(/^bleu(\d)/.exec(name)?.[1]);
  const told = entries.filter(([, { texts }]) => texts["caption"] !== undefined);
  if (told.length === 0) return undefined;
  const counts = told.map(([seed, { texts }]): BleuCounts => {
    const { caption, paraphrases } = sampleForSeed(seed);
    const references = name.endsWith("Best") ? paraphrases : [caption];
    return bleuCounts({ references, hypothesis: texts["caption"]! });
  });
  const of = (rows?: ArrayLike<number>): number =>
    bleuOfCounts(rows ? Array.from(rows, (row) => counts[row]!) : counts, { maxOrder });
  return { n: told.length, of, seeds: told.map(([seed]) => seed) };
}

function fvdStatistic(
  entries: readonly (readonly [number, SummarisedRow])[],
  settings: FvdSettings,
): MetricStatistic | undefined {
  const seen = entries.filter(([, { features }]) => features?.["video"] && features["truth"]);
  if (seen.length < LEAST_VIDEOS) return undefined;
  const set = (which: "video" | "truth") =>
    stackFeatures(seen.map(([, { features }]) => unpackFeatures(features![which]!)));
  const [videos, truths] = [set("video"), set("truth")];
  const of = (rows?: ArrayLike<number>): number =>
    fvdOfFeatures(
      rows ? featureRows(videos, rows) : videos,
      rows ? featureRows(truths, rows) : truths,
      settings,
    ).distance;
  return { n: seen.length, of, isShifted: true, seeds: seen.map(([seed]) => seed) };
}

/** A statistic's value with its interval: Wilson's for shares, else by resampling. */
export function estimateOf(name: MetricName, statistic: MetricStatistic): Estimate {
  const { values, n } = statistic;
  if (!values || METRICS[name].is !== "share")
    return bootstrapEstimate(statistic, { resamples: resamplesOf(name) });
  return shareEstimate(
    values.reduce((sum, value) => sum + value, 0),
    n,
  );
}

/** Seconds of each sample over its parts. */
function secsBySample(rows: readonly SummarisedRow[]): Map<number, number> {
  const secs = new Map<number, number>();
  for (const row of rows) {
    const own = Object.values(row.secs).reduce((sum, value) => sum + value, 0);
    secs.set(row.seed, (secs.get(row.seed) ?? 0) + own / (row.workers ?? 1));
  }
  return secs;
}
