/**
 * Alarms: findings that make a good number doubtful.
 *
 * - **Reward hacking**: the CLIP that rewards sees a gain over the reference system that the CLIP that evaluates does not
 *   confirm. Gains are measured in deviations of the reference system's samples, as the two CLIPs have scales of their own;
 *   the alarm rings where the evaluating CLIP sees less than half of it and the paired 95 % interval of the gap is above 0.
 * - **Collapse**: videos that hold still or flicker (motion energy against the truth's), captions that are too short, too long
 *   or always the same (against the references').
 * @module
 */
import { pairedDifference } from "../metrics/index.ts";
import { sampleForSeed } from "../world/index.ts";
import type { MetricName } from "./metric-table.ts";
import { type Alarm, REPORT_KINDS, type ReportKind } from "./report-schema.ts";
import { type MetricStatistic, SystemRows } from "./statistics.ts";
import { partOf } from "./systems.ts";

/** A metric by the CLIP that evaluates and by the one that rewards. */
const CLIP_PAIRS: readonly (readonly [MetricName, MetricName])[] = [
  ["clipV", "clipVReward"],
  ["clipT", "clipTReward"],
  ["clipTOwn", "clipTOwnReward"],
];
/** The evaluating CLIP should confirm at least this share of a gain. */
const CONFIRMED_SHARE = 0.5;
/** Gains below this many deviations are none. */
const LEAST_GAIN = 0.05;
/** Bounds of a mean against the truth's. */
const MOTION_BOUNDS = [0.5, 2] as const;
const LENGTH_BOUNDS = [0.5, 2] as const;
/** Distinct captions against distinct reference captions. */
const LEAST_DISTINCT = 0.5;
/** Groups with fewer samples say nothing about repetition. */
const LEAST_SAMPLES = 20;

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** What one system's numbers warn of, by kind. */
export function collapseAlarms(system: SystemRows): Alarm[] {
  return REPORT_KINDS.flatMap((group) => [
    ...bounded(system, group, "motionEnergy", "motionEnergyTruth", MOTION_BOUNDS, [
      ["static", "the videos hold still"],
      ["flicker", "the videos move more than anything should"],
    ]),
    ...bounded(system, group, "captionLengthWords", "captionLengthWordsTruth", LENGTH_BOUNDS, [
      ["short-captions", "the captions are short"],
      ["long-captions", "the captions are long"],
    ]),
    ...repetition(system, group),
  ]);
}

function bounded(
  system: SystemRows,
  group: ReportKind,
  name: MetricName,
  truthName: MetricName,
  [low, high]: readonly [number, number],
  [under, over]: readonly [readonly [Alarm["alarm"], string], readonly [Alarm["alarm"], string]],
): Alarm[] {
  const [found, truth] = [system.statistic(name, group)?.of(), system.statistic(truthName, group)?.of()];
  if (found === undefined || truth === undefined || truth === 0) return [];
  const ratio = found / truth;
  if (ratio >= low && ratio <= high) return [];
  const [[alarm, text], bound] = ratio < low ? [under, low] : [over, high];
  return [
    {
      alarm,
      system: system.name,
      group,
      text: `${text}: ${name} is ${ratio.toFixed(2)} times the truth's`,
      value: ratio,
      bound,
    },
  ];
}

function repetition(system: SystemRows, group: ReportKind): Alarm[] {
  const part = partOf(system.system, "caption");
  const own = system.rows.filter(
    (row) =>
      row.part === part && (group === "all" || row.kind === group) && row.texts["caption"] !== undefined,
  );
  if (own.length < LEAST_SAMPLES) return [];
  const said = new Set(own.map(({ texts }) => texts["caption"])).size;
  const right = new Set(own.map(({ seed }) => sampleForSeed(seed).caption)).size;
  const ratio = said / right;
  if (ratio >= LEAST_DISTINCT) return [];
  return [
    {
      alarm: "repeated-captions",
      system: system.name,
      group,
      text: `the captions repeat: ${said} different ones where the references have ${right}`,
      value: ratio,
      bound: LEAST_DISTINCT,
    },
  ];
}

/** Where a gain over the reference is not confirmed by the CLIP that evaluates. */
export function hackingAlarms(system: SystemRows, reference: SystemRows): Alarm[] {
  return REPORT_KINDS.flatMap((group) =>
    CLIP_PAIRS.flatMap(([evaluation, reward]): Alarm[] => {
      const gains = [evaluation, reward].map((name) => standardGains(name, group, system, reference));
      const [confirmed, claimed] = gains;
      if (!confirmed || !claimed || confirmed.length !== claimed.length) return [];
      const [seen, told] = [mean(confirmed), mean(claimed)];
      if (told < LEAST_GAIN || seen >= CONFIRMED_SHARE * told) return [];
      const gap = pairedDifference(meanStatistic(claimed), meanStatistic(confirmed));
      const gain = pairedDifference(meanStatistic(claimed), meanStatistic(claimed.map(() => 0)));
      if (gap.low <= 0 || gain.low <= 0) return [];
      return [
        {
          alarm: "reward-hacking",
          system: system.name,
          group,
          text: `${reward} gains ${told.toFixed(2)} deviations over ${reference.name}, ${evaluation} only ${seen.toFixed(2)}`,
          value: seen,
          bound: CONFIRMED_SHARE * told,
        },
      ];
    }),
  );
}

/** Gains of each sample in deviations of the reference system's samples. */
function standardGains(
  name: MetricName,
  group: ReportKind,
  system: SystemRows,
  reference: SystemRows,
): number[] | undefined {
  const pair = SystemRows.paired(name, group, system, reference);
  const [own, other] = pair?.map(({ values }) => values) ?? [];
  if (!own || !other || own.length < 2) return undefined;
  const centre = mean(other);
  const deviation = Math.sqrt(mean(other.map((value) => (value - centre) ** 2)));
  return deviation === 0 ? undefined : own.map((value, i) => (value - other[i]!) / deviation);
}

function meanStatistic(values: readonly number[]): MetricStatistic {
  const n = values.length;
  const of = (rows?: ArrayLike<number>): number => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[rows ? rows[i]! : i]!;
    return sum / n;
  };
  return { n, of, seeds: [] };
}
