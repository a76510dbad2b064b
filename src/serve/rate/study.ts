/**
 * Blind human evaluation as in the user study of the paper (arXiv 2511.16669): every rater sees every answer in a random order,
 * never learns which system made it, and gives three marks from 1 to 5.
 * @module
 */
import { z } from "zod";
import { bits, fold, type Key, keyFromSeed, permutation } from "../../base/keys.ts";
import { bootstrapEstimate, type Estimate } from "../../metrics/index.ts";
import { ordinalAlpha } from "./agreement.ts";

/** What is marked. */
export const CRITERIA = ["semantic", "visual", "overall"] as const;
export type Criterion = (typeof CRITERIA)[number];

/** What each mark asks, in the words that raters see. */
export const CRITERION_QUESTIONS: Readonly<
  Record<Criterion, { readonly title: string; readonly about: string }>
> = {
  semantic: {
    title: "Semantic correctness",
    about: "Does the video show the right next event for the question?",
  },
  visual: { title: "Visual consistency", about: "Are objects, places and style those of the input?" },
  overall: { title: "Overall", about: "How good is it as an answer?" },
};

/** Lowest and highest mark. */
export const MARKS = { least: 1, most: 5 } as const;

/** A study as it is kept. */
export const studySchema = z.object({
  id: z.string(),
  name: z.string(),
  createdAt: z.iso.datetime(),
  seed: z.number().int(),
  items: z.array(
    z.object({
      question: z.string(),
      systems: z.array(
        z.object({
          name: z.string(),
          source: z.string(),
          caption: z.string(),
          frameRateHz: z.number().positive().optional(),
        }),
      ),
    }),
  ),
});
export type Study = z.infer<typeof studySchema>;

const mark = z.number().int().min(MARKS.least).max(MARKS.most);

/** Marks of a rater for one answer. */
export const ratingSchema = z.object({
  rater: z.string(),
  item: z.number().int(),
  system: z.number().int(),
  semantic: mark,
  visual: mark,
  overall: mark,
  at: z.iso.datetime(),
});
export type Rating = z.infer<typeof ratingSchema>;

/** Marks as they are sent. */
export const marksSchema = z.strictObject({
  rater: z.string().trim().min(1).max(60),
  token: z.string().regex(/^[0-9a-f]{16}$/),
  semantic: mark,
  visual: mark,
  overall: mark,
});

/** One thing to mark. */
export interface Trial {
  readonly item: number;
  readonly system: number;
  /** Stands for the trial in addresses; tells nothing about the system. */
  readonly token: string;
}

function keyOf(study: Pick<Study, "id" | "seed">): Key {
  return fold(keyFromSeed(study.seed), "study", study.id);
}

/** Every item with every system, in a fixed order. */
export function trialsOf(study: Study): Trial[] {
  return study.items.flatMap(({ systems }, item) =>
    systems.map((_, system) => ({
      item,
      system,
      token: Array.from(bits(fold(keyOf(study), "token", item, system), 2), (word) =>
        word.toString(16).padStart(8, "0"),
      ).join(""),
    })),
  );
}

/** The trials in a rater's own order: items shuffled, and the systems of each item shuffled, from keys alone. */
export function orderFor(study: Study, rater: string): Trial[] {
  const trials = trialsOf(study);
  const key = fold(keyOf(study), "rater", rater);
  return Array.from(permutation(fold(key, "items"), study.items.length)).flatMap((item) => {
    const own = trials.filter((trial) => trial.item === item);
    return Array.from(permutation(fold(key, "systems", item), own.length), (at) => own[at]!);
  });
}

/** The last marks of each rater for each trial. */
export function lastRatings(ratings: readonly Rating[]): Rating[] {
  const last = new Map<string, Rating>();
  for (const one of ratings) last.set(JSON.stringify([one.rater, one.item, one.system]), one);
  return [...last.values()];
}

/** Means with intervals, and agreement. */
export interface StudySummary {
  readonly raters: number;
  readonly ratings: number;
  readonly systems: readonly {
    readonly name: string;
    readonly ratings: number;
    /** Value with 95 % interval; `n` items, which are what is resampled. */
    readonly means: Readonly<Record<Criterion, Estimate>> | null;
  }[];
  /** Krippendorff's alpha; null where raters share no trial, or all gave the same. */
  readonly agreement: Readonly<Record<Criterion, number | null>>;
}

/**
 * Sums a study up. Means are over all ratings of a system; intervals are percentile bootstraps over items, since ratings of
 * one item are not independent.
 */
export function summariseStudy(study: Study, all: readonly Rating[]): StudySummary {
  const ratings = lastRatings(all);
  const names = [...new Set(study.items.flatMap(({ systems }) => systems.map(({ name }) => name)))];
  const nameOf = ({ item, system }: Rating): string | undefined => study.items[item]?.systems[system]?.name;
  return {
    raters: new Set(ratings.map(({ rater }) => rater)).size,
    ratings: ratings.length,
    systems: names.map((name) => {
      const own = ratings.filter((one) => nameOf(one) === name);
      const means = own.length === 0 ? null : byCriterion((criterion) => meanOfItems(own, criterion));
      return { name, ratings: own.length, means };
    }),
    agreement: byCriterion((criterion) => {
      const units = new Map<string, number[]>();
      for (const one of ratings) {
        const unit = `${one.item} ${one.system}`;
        units.set(unit, [...(units.get(unit) ?? []), one[criterion]]);
      }
      return ordinalAlpha([...units.values()]);
    }),
  };
}

function byCriterion<T>(make: (criterion: Criterion) => T): Record<Criterion, T> {
  return { semantic: make("semantic"), visual: make("visual"), overall: make("overall") };
}

function meanOfItems(ratings: readonly Rating[], criterion: Criterion): Estimate {
  const items = new Map<number, number[]>();
  for (const one of ratings) items.set(one.item, [...(items.get(one.item) ?? []), one[criterion]]);
  const groups = [...items.entries()].sort(([a], [b]) => a - b).map(([, values]) => values);
  return bootstrapEstimate({
    n: groups.length,
    of: (rows) => {
      const drawn = rows === undefined ? groups : Array.from(rows, (row) => groups[row]!);
      const values = drawn.flat();
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    },
  });
}

const COLUMNS = [
  "record",
  "rater",
  "item",
  "question",
  "system",
  "criterion",
  "value",
  "low",
  "high",
  "n",
  "at",
] as const;

/** Everything as one table in long form: a record is a `rating`, a `mean` with its interval, or an `agreement`. */
export function studyCsv(study: Study, all: readonly Rating[]): string {
  const summary = summariseStudy(study, all);
  const rows: Partial<Record<(typeof COLUMNS)[number], string | number>>[] = [];
  for (const { name, means } of summary.systems)
    if (means)
      for (const criterion of CRITERIA)
        rows.push({ record: "mean", system: name, criterion, ...means[criterion] });
  for (const criterion of CRITERIA) {
    const value = summary.agreement[criterion];
    rows.push({ record: "agreement", criterion, ...(value !== null && { value }), n: summary.raters });
  }
  for (const one of lastRatings(all))
    for (const criterion of CRITERIA)
      rows.push({
        record: "rating",
        rater: one.rater,
        item: one.item + 1,
        question: study.items[one.item]?.question ?? "",
        system: study.items[one.item]?.systems[one.system]?.name ?? "",
        criterion,
        value: one[criterion],
        at: one.at,
      });
  // Carriage returns as RFC 4180 has them.
  return [COLUMNS.join(","), ...rows.map((row) => COLUMNS.map((name) => cell(row[name])).join(",")), ""].join(
    "\r\n",
  );
}

/** A cell; texts that a spreadsheet would take for a formula are marked as texts. */
function cell(value: string | number | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
