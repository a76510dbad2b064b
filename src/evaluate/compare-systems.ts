/**
 * Two systems on the same samples: the difference of every metric, with paired bootstrap intervals.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { pairedDifference } from "../metrics/index.ts";
import { METRIC_NAMES, METRICS } from "./metric-table.ts";
import { type MetricDifferences, REPORT_KINDS, type SystemComparison } from "./report-schema.ts";
import { resamplesOf, SystemRows } from "./statistics.ts";

/**
 * Differences of all metrics that both have, first minus reference, by kind and family.
 *
 * @throws `VANS_EVALUATE_COMPARE` where their Fréchet distances were measured differently
 */
export function compareSystems(first: SystemRows, reference: SystemRows): SystemComparison {
  if (first.fvd && reference.fvd && JSON.stringify(first.fvd) !== JSON.stringify(reference.fvd)) {
    throw new VansError("VANS_EVALUATE_COMPARE", "the two Fréchet distances cannot be compared", {
      asked: JSON.stringify(reference.fvd),
      found: JSON.stringify(first.fvd),
      fix: "evaluate both with the same judges (--judges)",
    });
  }
  const of = (group: string): MetricDifferences => differencesOf(first, reference, group);
  const families = first.families.filter((family) => reference.families.includes(family));
  const [procedural, predictive, all] = REPORT_KINDS.map(of) as [
    MetricDifferences,
    MetricDifferences,
    MetricDifferences,
  ];
  return {
    system: first.name,
    reference: reference.name,
    metrics: { procedural, predictive, all },
    families: Object.fromEntries(families.map((family) => [family, of(family)])),
  };
}

function differencesOf(first: SystemRows, reference: SystemRows, group: string): MetricDifferences {
  const out: MetricDifferences = {};
  for (const name of METRIC_NAMES) {
    // Seconds differ with what else a run had to do; truths and autoencoders are no systems.
    if (name === "secsPerSample" || METRICS[name].part === "reconstruction") continue;
    if (name.endsWith("Truth")) continue;
    const pair = SystemRows.paired(name, group, first, reference);
    if (!pair) continue;
    const [a, b] = pair;
    const [was, is] = [b.of(), a.of()];
    const difference = pairedDifference(a, b, { resamples: resamplesOf(name) });
    out[name] = {
      first: is,
      reference: was,
      ...difference,
      relative: was === 0 ? null : (is - was) / Math.abs(was),
      excludesZero: difference.low > 0 || difference.high < 0,
    };
  }
  return out;
}
