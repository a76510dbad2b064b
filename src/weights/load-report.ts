/**
 * Comparing what a model needs with what a weight file holds, and refusing to load what does not fit.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { WeightSource } from "./weight-source.ts";

/** What {@link compareWeights} found; every list is sorted. */
export interface LoadReport {
  /** The file or folder, for messages. */
  readonly path: string;
  readonly matched: readonly string[];
  /** Needed but not in the file. */
  readonly missing: readonly string[];
  /** In the file but not needed. */
  readonly unexpected: readonly string[];
  /** In both, with different shapes. */
  readonly mismatched: readonly {
    readonly name: string;
    readonly asked: readonly number[];
    readonly found: readonly number[];
  }[];
  /** In the file and left out on purpose. */
  readonly ignored: readonly string[];
}

/** Options of {@link compareWeights}. */
export interface CompareWeightsOptions {
  /** Names that may be in the file without being needed, for example buffers (`/position_ids$/`). */
  readonly ignore?: readonly RegExp[];
}

/** Compares the names and shapes a model needs with a source; reads headers only. */
export function compareWeights(
  needed: ReadonlyMap<string, readonly number[]>,
  source: WeightSource,
  { ignore = [] }: CompareWeightsOptions = {},
): LoadReport {
  const matched: string[] = [];
  const missing: string[] = [];
  const mismatched: LoadReport["mismatched"][number][] = [];
  for (const name of [...needed.keys()].sort()) {
    const asked = needed.get(name)!;
    if (!source.has(name)) {
      missing.push(name);
      continue;
    }
    const found = source.info(name).shape;
    if (found.length === asked.length && found.every((size, axis) => size === asked[axis]))
      matched.push(name);
    else mismatched.push({ name, asked, found });
  }
  const surplus = source.names().filter((name) => !needed.has(name));
  const isIgnored = (name: string) => ignore.some((pattern) => pattern.test(name));
  return {
    path: source.path,
    matched,
    missing,
    unexpected: surplus.filter((name) => !isIgnored(name)),
    mismatched,
    ignored: surplus.filter(isIgnored),
  };
}

const SHOWN = 6;

/** The report as a few lines of text. */
export function describeLoadReport(report: LoadReport): string {
  const lines = [`${report.path}: ${report.matched.length} tensors match`];
  const list = (label: string, names: readonly string[]) => {
    if (names.length > 0) lines.push(`${label}: ${summary(names)}`);
  };
  list("missing", report.missing);
  list("unexpected", report.unexpected);
  list("ignored", report.ignored);
  list("other shape", report.mismatched.map(describeMismatch));
  return lines.join("\n");
}

/**
 * Refuses a report that is not clean.
 *
 * @throws `VANS_WEIGHTS_SHAPE_MISMATCH`, `VANS_WEIGHTS_TENSOR_MISSING`, or `VANS_WEIGHTS_TENSOR_UNEXPECTED`, with the
 *   whole report in the error's data
 */
export function requireLoadable(report: LoadReport): void {
  const data = { ...report };
  if (report.mismatched.length > 0) {
    throw new VansError(
      "VANS_WEIGHTS_SHAPE_MISMATCH",
      `${report.path}: ${report.mismatched.length} tensors have another shape`,
      {
        found: summary(report.mismatched.map(describeMismatch)),
        why: "the config and the weights belong to different models",
        fix: "use the config that came with the weights",
        data,
      },
    );
  }
  if (report.missing.length > 0) {
    throw new VansError(
      "VANS_WEIGHTS_TENSOR_MISSING",
      `${report.path}: ${report.missing.length} tensors are missing`,
      {
        asked: summary(report.missing),
        found: `${report.matched.length} match, unexpected: ${summary(report.unexpected) || "none"}`,
        why: "another depth in the config, another naming, or an incomplete file",
        fix: "use the config that came with the weights, and fetch every file of them",
        data,
      },
    );
  }
  if (report.unexpected.length > 0) {
    throw new VansError(
      "VANS_WEIGHTS_TENSOR_UNEXPECTED",
      `${report.path}: ${report.unexpected.length} tensors belong to nothing in the model`,
      {
        found: summary(report.unexpected),
        why: "another depth in the config, or a different variant of the model",
        fix: "use the config that came with the weights",
        data,
      },
    );
  }
}

function describeMismatch({ name, asked, found }: LoadReport["mismatched"][number]): string {
  return `${name} [${found.join(", ")}] instead of [${asked.join(", ")}]`;
}

function summary(names: readonly string[]): string {
  const rest = names.length - SHOWN;
  return names.slice(0, SHOWN).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
