/**
 * Claims about rows, judged by paired differences. What is claimed stands in the experiment file, so it is fixed before
 * anything runs.
 * @module
 */
import { METRICS, type MetricDefinition } from "../evaluate/metric-table.ts";
import type { Claim } from "./experiment-file.ts";
import type { RowDifference, Spread } from "./row-results.ts";

/** What can be said of a claim. */
export type Verdict = "held" | "not held" | "undecided" | "not run";

/** A claim with what was found. */
export interface JudgedClaim {
  readonly claim: Claim;
  readonly verdict: Verdict;
  /** Why, in words. */
  readonly why: string;
  /** The difference in the unit of the claim's margin. */
  readonly found: Spread | null;
  readonly difference: RowDifference | null;
}

/** +1 where a claim expects a higher value, -1 for a lower one, 0 for the same. @throws RangeError */
export function expectedSign({ expect, metric }: Pick<Claim, "expect" | "metric">): 1 | -1 | 0 {
  if (expect === "same") return 0;
  if (expect === "higher" || expect === "lower") return expect === "higher" ? 1 : -1;
  const definition: MetricDefinition = METRICS[metric];
  if (definition.better === undefined)
    throw new RangeError(`${metric} has no better way: claim "higher" or "lower"`);
  return (definition.better === "higher") === (expect === "better") ? 1 : -1;
}

/**
 * Judges a claim.
 *
 * - A direction, by the interval: held where the whole interval lies beyond the margin, not held where no part of it does.
 * - A direction, by the value: held where the value reaches the margin and the interval excludes 0; not held where the value
 *   does not.
 * - The same: held where the whole interval lies within the margin, not held where no part of it does.
 *
 * A direction that not every training seed shows by itself is undecided.
 *
 * @param difference the claim's row minus the other one; undefined where one of them was not evaluated
 */
export function judgeClaim(claim: Claim, difference: RowDifference | undefined): JudgedClaim {
  const none = { claim, found: null, difference: difference ?? null };
  if (!difference) return { ...none, verdict: "not run", why: "a row or the metric is missing" };
  const { relative, missing } = difference;
  const found = { absolute: difference, relative, missing }[claim.marginOf];
  if (!found) return { ...none, verdict: "undecided", why: "the other row's value gives no such share" };
  const { value, low, high } = found;
  const spread = { value, low, high };
  const told = { claim, found: spread, difference };
  const { margin } = claim;
  const sign = expectedSign(claim);
  if (sign === 0) {
    if (low >= -margin && high <= margin)
      return { ...told, verdict: "held", why: `the interval lies within ±${margin}` };
    if (low > margin || high < -margin)
      return { ...told, verdict: "not held", why: `the interval lies outside of ±${margin}` };
    return { ...told, verdict: "undecided", why: `the interval crosses ±${margin}` };
  }
  const reached = sign * value;
  const [least, most] = sign > 0 ? [low, high] : [-high, -low];
  const disagreeing = difference.bySeed.filter((own) => sign * own <= 0).length;
  const seeds =
    disagreeing === 0
      ? undefined
      : `${disagreeing} of ${difference.bySeed.length} training seeds do not show it`;
  if (claim.by === "value") {
    if (reached < margin) return { ...told, verdict: "not held", why: "the value does not reach the margin" };
    if (least <= 0) return { ...told, verdict: "undecided", why: "the interval does not exclude 0" };
    if (seeds) return { ...told, verdict: "undecided", why: seeds };
    return { ...told, verdict: "held", why: "the value reaches the margin and the interval excludes 0" };
  }
  if (least > margin) {
    if (seeds) return { ...told, verdict: "undecided", why: seeds };
    return { ...told, verdict: "held", why: "the whole interval lies beyond the margin" };
  }
  if (most <= margin)
    return { ...told, verdict: "not held", why: "no part of the interval lies beyond the margin" };
  return { ...told, verdict: "undecided", why: "the interval reaches across the margin" };
}
