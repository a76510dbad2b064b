/**
 * How well found transitions agree with known ones.
 * @module
 */

/** A transition with the frames around it: `first` is the last frame before, `last` the first one after. */
export interface SpannedTransition {
  readonly kind: "cut" | "dissolve" | "fade";
  readonly first: number;
  readonly last: number;
}

/** Counts of one kind. */
export interface ShotScore {
  readonly found: number;
  readonly missed: number;
  readonly wrong: number;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

const isGradual = (kind: SpannedTransition["kind"]): boolean => kind !== "cut";

/**
 * Cuts must be found as cuts at the exact frame; gradual transitions as gradual ones that overlap, one each.
 */
export function scoreShots(
  known: readonly SpannedTransition[],
  found: readonly SpannedTransition[],
  kind: "cut" | "gradual",
): ShotScore {
  const wanted = known.filter((one) => isGradual(one.kind) === (kind === "gradual"));
  const given = found.filter((one) => isGradual(one.kind) === (kind === "gradual"));
  const taken = new Set<SpannedTransition>();
  let hits = 0;
  for (const one of wanted) {
    const hit = given.find(
      (other) =>
        !taken.has(other) &&
        (kind === "cut" ? other.last === one.last : other.first < one.last && other.last > one.first),
    );
    if (hit === undefined) continue;
    taken.add(hit);
    hits++;
  }
  return scoreOf(hits, wanted.length - hits, given.length - hits);
}

/** Precision, recall and their harmonic mean from counts; 1 where nothing was to be found and nothing was. */
export function scoreOf(found: number, missed: number, wrong: number): ShotScore {
  const precision = found + wrong === 0 ? 1 : found / (found + wrong);
  const recall = found + missed === 0 ? 1 : found / (found + missed);
  const f1 = precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall);
  return { found, missed, wrong, precision, recall, f1 };
}
