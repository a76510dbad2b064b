/** Runs as the API tells them. @module */

export interface Series {
  readonly steps: readonly number[];
  readonly values: readonly number[];
}

export type SeriesByName = Readonly<Record<string, Series>>;

/** A run in a list. */
export interface Run {
  readonly name: string;
  readonly title: string;
  readonly group: string;
  readonly state: string;
  readonly lastStep: number;
  readonly steps: number | null;
  readonly task: string | null;
  readonly about: string;
  readonly startedAt: string | null;
  readonly updatedAt: string;
  readonly sheets: number;
  readonly job: string | null;
  readonly error: { readonly code: string; readonly message: string; readonly fix?: string } | null;
  readonly canResume: boolean;
  readonly key: ({ readonly name: string } & Series) | null;
}

export interface Use {
  readonly at: string;
  readonly cores: number;
  readonly memoryBytes: number;
}

/** A run with all that stands still. */
export interface RunDetails extends Run {
  readonly recipe: { readonly text: string; readonly from: "run" | "recipes" } | null;
  readonly resources: readonly Use[];
  readonly machine: {
    readonly cores: number;
    readonly loadOneMinute: number;
    readonly memoryBytes: number;
    readonly freeMemoryBytes: number;
  };
}

export interface Explanation {
  readonly group: string;
  readonly about: string;
  readonly unit?: string;
  readonly wish: "up" | "down" | null;
}

export interface RunLog {
  readonly lastStep: number;
  readonly groups: readonly string[];
  readonly series: SeriesByName;
  readonly explanations: Readonly<Record<string, Explanation>>;
}

export interface Sheet {
  readonly step: number;
  readonly url: string;
}

export interface FieldDifference {
  readonly field: string;
  readonly first?: string;
  readonly second?: string;
}

/** Series with later ones behind them. */
export function joined(before: SeriesByName, more: SeriesByName): SeriesByName {
  const all: Record<string, Series> = { ...before };
  for (const [name, { steps, values }] of Object.entries(more)) {
    const old = all[name];
    all[name] = old
      ? { steps: [...old.steps, ...steps], values: [...old.values, ...values] }
      : { steps, values };
  }
  return all;
}

/** Number of a curve, short. */
export function shortNumber(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)) return value.toExponential(2);
  return Number(value.toPrecision(4)).toString();
}
