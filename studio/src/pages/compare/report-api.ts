/** What the server tells of evaluation reports. @module */

/** A value with its 95 % interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly n: number;
}

export type Metrics = Readonly<Record<string, Estimate>>;

/** The parts of `report.json` that are shown. */
export interface Report {
  readonly suite: { readonly name: string; readonly version: string };
  readonly data: { readonly count: number; readonly evaluated: number; readonly isHeldOut: boolean };
  readonly metrics: Readonly<Record<string, Metrics>>;
  readonly families: Readonly<Record<string, Metrics>>;
  readonly systems: readonly {
    readonly name: string;
    readonly about: string;
    readonly metrics: Readonly<Record<string, Metrics>>;
    readonly families: Readonly<Record<string, Metrics>>;
  }[];
  readonly alarms: readonly { readonly system: string; readonly text: string }[];
  readonly notes: readonly string[];
  readonly definitions: Readonly<Record<string, string>>;
}

/** One sample of a report. */
export interface ReportSample {
  readonly id: string;
  readonly kind: string;
  readonly family: string;
  readonly parts: readonly {
    readonly part: string;
    readonly values: Readonly<Record<string, number>>;
    readonly texts: Readonly<Record<string, string>>;
    /** All frames of the video below each other, in one picture. */
    readonly picture?: string | undefined;
  }[];
}

export interface SamplePage {
  readonly samples: readonly ReportSample[];
  readonly total: number;
  readonly pages: number;
  /** What can be sorted by. */
  readonly metrics: readonly string[];
  /** Parts of which videos were kept. */
  readonly videos: readonly string[];
}

/** A report in the list. */
export interface ReportEntry {
  readonly name: string;
  readonly suite?: string;
  readonly evaluated?: number;
  readonly systems?: readonly string[];
}
