/** Studies as the API tells them. @module */

export const CRITERION_NAMES = ["semantic", "visual", "overall"] as const;
export type CriterionName = (typeof CRITERION_NAMES)[number];
export type ByCriterion<T> = Readonly<Record<CriterionName, T>>;

/** A study in a list. */
export interface ListedStudy {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  readonly items: number;
  readonly trials: number;
  readonly raters: number;
  readonly ratings: number;
}

/** One video to mark, without its maker. */
export interface Trial {
  readonly index: number;
  readonly token: string;
  readonly question: string;
  readonly input: string;
  readonly answer: string;
  readonly frameRateHz: number;
  readonly marks: ByCriterion<number> | null;
}

/** What a rater does next. */
export interface NextTrial {
  readonly study: { readonly id: string; readonly name: string };
  readonly criteria: readonly {
    readonly name: CriterionName;
    readonly title: string;
    readonly about: string;
  }[];
  readonly total: number;
  readonly done: number;
  readonly trial: Trial | null;
}

interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly n: number;
}

/** What came out. */
export interface StudyResults extends ListedStudy {
  readonly summary: {
    readonly raters: number;
    readonly ratings: number;
    readonly systems: readonly {
      readonly name: string;
      readonly ratings: number;
      readonly means: ByCriterion<Estimate> | null;
    }[];
    readonly agreement: ByCriterion<number | null>;
  };
}

const RATER_KEY = "vans-rater";

/** Who rated here last; empty where nobody did. */
export function lastRater(): string {
  return localStorage.getItem(RATER_KEY) ?? "";
}

/** Notes who rates, for the next time. */
export function keepRater(rater: string): void {
  localStorage.setItem(RATER_KEY, rater);
}

/** The place of a study where somebody rates, or goes on. */
export function ratingPath(id: string, rater = ""): string {
  return `/rate/${id}${rater === "" ? "" : `?${new URLSearchParams({ rater })}`}`;
}
