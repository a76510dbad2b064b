/**
 * How far raters agree: Krippendorff's alpha for ordinal ratings.
 * @module
 */

/**
 * Krippendorff's alpha with the ordinal difference (K. Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011,
 * sections E and "ordinal data"). 1 is perfect agreement, 0 is what chance gives; below 0 raters disagree systematically.
 *
 * With o_ck the coincidences of ranks c and k, n_c their sums and n all of them,
 * α = 1 − (n − 1)·Σ_{c<k} o_ck·δ²_ck / Σ_{c<k} n_c·n_k·δ²_ck, δ_ck = Σ_{g=c..k} n_g − (n_c + n_k)/2.
 *
 * @param units ratings of each rated thing, in any order; things with fewer than two ratings do not count
 * @returns null where no two ratings can be compared, or all ratings are the same
 */
export function ordinalAlpha(units: readonly (readonly number[])[]): number | null {
  const pairable = units.filter((unit) => unit.length >= 2);
  const ranks = [...new Set(pairable.flat())].sort((a, b) => a - b);
  const indexOf = new Map(ranks.map((rank, index) => [rank, index]));
  const size = ranks.length;
  if (size < 2) return null;
  const coincidences = Array.from({ length: size }, () => new Float64Array(size));
  for (const unit of pairable)
    unit.forEach((first, i) => {
      unit.forEach((second, j) => {
        if (i !== j) coincidences[indexOf.get(first)!]![indexOf.get(second)!]! += 1 / (unit.length - 1);
      });
    });
  const sums = coincidences.map((row) => row.reduce((sum, value) => sum + value, 0));
  const all = sums.reduce((sum, value) => sum + value, 0);
  let observed = 0;
  let expected = 0;
  for (let c = 0; c < size; c++)
    for (let k = c + 1; k < size; k++) {
      let between = 0;
      for (let g = c; g <= k; g++) between += sums[g]!;
      const difference = (between - (sums[c]! + sums[k]!) / 2) ** 2;
      observed += coincidences[c]![k]! * difference;
      expected += sums[c]! * sums[k]! * difference;
    }
  return expected === 0 ? null : 1 - ((all - 1) * observed) / expected;
}
