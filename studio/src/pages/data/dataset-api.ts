/** Datasets as the API tells them. @module */

export interface Dataset {
  readonly name: string;
  readonly samples: number;
  readonly rejected: number;
  readonly edited: number;
}

export const TEXTS = ["question", "reasoning", "caption"] as const;
export type TextName = (typeof TEXTS)[number];

/** A sample with what was decided about it by hand. */
export interface Sample {
  readonly row: Readonly<Record<TextName, string>> & {
    readonly id: string;
    readonly kind: string;
    readonly source: string;
    readonly licence: string;
    readonly split: string;
    readonly input: string;
    readonly output: string;
    readonly family: string | null;
    readonly reasons: readonly string[];
  };
  readonly override: {
    readonly rejected: boolean;
    readonly note: string;
    readonly fields: Readonly<Record<string, string>>;
  } | null;
}

export interface Facet {
  readonly value: string;
  readonly count: number;
}

export interface SamplePage {
  readonly total: number;
  readonly fitting: number;
  readonly page: number;
  readonly pages: number;
  readonly facets: Readonly<Record<"kind" | "split" | "source", readonly Facet[]>>;
  readonly samples: readonly Sample[];
}
