/**
 * What rows reached: metrics over all seeds of a row, and differences between rows on the same samples.
 *
 * A row with several training seeds is the mean of its runs: in every bootstrap round all runs are asked about the same
 * drawn samples, and their values are averaged. Intervals so tell how much the choice of evaluation samples matters; how
 * much a training seed matters is told by the values of each seed, which stand beside them.
 * @module
 */

import { METRICS, type MetricName } from "../evaluate/metric-table.ts";
import type { ReportKind } from "../evaluate/report-schema.ts";
import {
  type MetricStatistic,
  resamplesOf,
  type SummarisedRow,
  statisticOf,
} from "../evaluate/statistics.ts";
import type { SystemName } from "../evaluate/systems.ts";
import { type FvdSettings, intervalOf, resampled } from "../metrics/index.ts";

/** The evaluation of one run. */
export interface EvaluatedRun {
  readonly id: string;
  /** Training seed. */
  readonly seed: number;
  readonly rows: readonly SummarisedRow[];
  readonly fvd: FvdSettings | null;
}

/** The evaluations of a row. */
export interface EvaluatedRow {
  readonly name: string;
  readonly system: SystemName;
  readonly runs: readonly EvaluatedRun[];
}

/** A metric of a row. */
export interface RowEstimate {
  readonly value: number;
  /** 95 % interval over evaluation samples. */
  readonly low: number;
  readonly high: number;
  readonly n: number;
  /** The value of each training seed, in the order of the runs. */
  readonly bySeed: readonly number[];
}

/** A difference between rows: the first minus the second, on the samples that both have. */
export interface RowDifference extends RowEstimate {
  readonly first: number;
  readonly second: number;
  /** As a share of the second's value, and of what that lacks to 1; with the interval of each. */
  readonly relative: Spread | null;
  readonly missing: Spread | null;
  readonly excludesZero: boolean;
  /** Of each seed's run against the mean of the other row, in the order of the first row's runs. */
  readonly bySeed: readonly number[];
}

/** A value with its interval. */
export interface Spread {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Statistics of the runs of an experiment, each made once. */
export class RowResults {
  readonly #statistics = new Map<string, MetricStatistic | undefined>();

  /** A metric of a row; undefined where a run lacks it. */
  estimate(row: EvaluatedRow, metric: MetricName, group: ReportKind): RowEstimate | undefined {
    const statistics = this.#paired([row], metric, group)?.[0];
    if (!statistics) return undefined;
    const rounds = meanRounds(statistics, metric);
    const bySeed = statistics.map((statistic) => statistic.of());
    return { value: meanOf(bySeed), ...intervalOf(rounds), n: statistics[0]!.n, bySeed };
  }

  /** First minus second; undefined where a run lacks the metric or no sample is in both. */
  difference(
    first: EvaluatedRow,
    second: EvaluatedRow,
    metric: MetricName,
    group: ReportKind,
  ): RowDifference | undefined {
    const paired = this.#paired([first, second], metric, group);
    if (!paired) return undefined;
    const [a, b] = paired as [MetricStatistic[], MetricStatistic[]];
    const [aRounds, bRounds] = [meanRounds(a, metric), meanRounds(b, metric)];
    const aValues = a.map((statistic) => statistic.of());
    const [aValue, bValue] = [meanOf(aValues), meanOf(b.map((statistic) => statistic.of()))];
    const spread = (of: (x: number, y: number) => number): Spread | null => {
      const value = of(aValue, bValue);
      const rounds = aRounds.map((x, i) => of(x, bRounds[i]!));
      return Number.isFinite(value) && rounds.every(Number.isFinite)
        ? { value, ...intervalOf(rounds) }
        : null;
    };
    const own = spread((x, y) => x - y)!;
    return {
      ...own,
      n: a[0]!.n,
      first: aValue,
      second: bValue,
      bySeed: aValues.map((value) => value - bValue),
      relative: spread((x, y) => (x - y) / Math.abs(y)),
      missing: spread((x, y) => (x - y) / (1 - y)),
      excludesZero: own.low > 0 || own.high < 0,
    };
  }

  /** The statistics of all runs of some rows on the samples that all of them have, by row. */
  #paired(
    rows: readonly EvaluatedRow[],
    metric: MetricName,
    group: ReportKind,
  ): MetricStatistic[][] | undefined {
    const whole: MetricStatistic[] = [];
    for (const { system, runs } of rows)
      for (const run of runs) {
        const statistic = this.#statistic(run, { system, metric, group });
        if (!statistic) return undefined;
        whole.push(statistic);
      }
    if (whole.length === 0) return undefined;
    const others = whole.slice(1).map(({ seeds: own }) => new Set(own));
    const seeds = whole[0]!.seeds.filter((seed) => others.every((own) => own.has(seed)));
    if (seeds.length === 0) return undefined;
    const settings = new Set(rows.flatMap(({ runs }) => runs.map(({ fvd }) => JSON.stringify(fvd))));
    // Distances by different networks do not compare.
    if (METRICS[metric].is === "fvd" && settings.size > 1) return undefined;
    const out = rows.map(({ system, runs }) =>
      runs.map((run) => this.#statistic(run, { system, metric, group, seeds })),
    );
    return out.every((own) => own.every((statistic) => statistic !== undefined))
      ? (out as MetricStatistic[][])
      : undefined;
  }

  #statistic(
    run: EvaluatedRun,
    asked: {
      readonly system: SystemName;
      readonly metric: MetricName;
      readonly group: ReportKind;
      readonly seeds?: readonly number[];
    },
  ): MetricStatistic | undefined {
    const { system, metric, group, seeds } = asked;
    const key = [run.id, system, metric, group, seeds?.join()].join(" ");
    if (!this.#statistics.has(key)) {
      const own = group === "all" ? run.rows : run.rows.filter(({ kind }) => kind === group);
      const options = { system, fvd: run.fvd, ...(seeds && { seeds }) };
      this.#statistics.set(key, statisticOf(metric, own, options));
    }
    return this.#statistics.get(key);
  }
}

function meanRounds(statistics: readonly MetricStatistic[], metric: MetricName): Float64Array {
  const rounds = statistics.map((statistic) => resampled(statistic, { resamples: resamplesOf(metric) }));
  return rounds[0]!.map((_, i) => meanOf(rounds.map((own) => own[i]!)));
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
