/**
 * ROUGE-L: how much of two texts is a common subsequence of words.
 *
 * Definition of the Python package rouge_score (`rougeL`, no stemming): lower case, words are runs of `[a-z0-9]`.
 * Lin, "ROUGE: a package for automatic evaluation of summaries" (2004).
 *
 * Range 0 … 1, 1 only for equal words. What games it: words that all captions share ("the", the object's name), so a
 * caption of the wrong event of the right object scores well; read caption event accuracy beside it.
 * @module
 */

/** Shares of the longest common subsequence, each from 0 to 1. */
export interface RougeScore {
  /** Share of the hypothesis' words. */
  readonly precision: number;
  /** Share of the reference's words. */
  readonly recall: number;
  /** Harmonic mean of both. */
  readonly f: number;
}

/**
 * ROUGE-L F1 of two texts, from 0 to 1; which of them is the reference does not matter.
 *
 * @example
 * ```ts
 * import { rougeL } from "vans/metrics";
 * rougeL("The ball falls.", "the ball rolls"); // => 2 / 3
 * ```
 */
export function rougeL(a: string, b: string): number {
  return rougeLScore(a, b).f;
}

/**
 * ROUGE-L of one hypothesis against one reference; all zero if either has no word.
 *
 * @example
 * ```ts
 * import { rougeLScore } from "vans/metrics";
 * rougeLScore("the red ball falls", "the ball falls").recall; // => 0.75
 * ```
 */
export function rougeLScore(reference: string, hypothesis: string): RougeScore {
  const expected = rougeWords(reference);
  const given = rougeWords(hypothesis);
  const common = longestCommonSubsequence(expected, given);
  if (common === 0) return { precision: 0, recall: 0, f: 0 };
  const precision = common / given.length;
  const recall = common / expected.length;
  return { precision, recall, f: (2 * precision * recall) / (precision + recall) };
}

/** The highest {@link rougeL} over several references (paraphrases); 0 without any. */
export function bestRougeL(references: readonly string[], hypothesis: string): number {
  return references.reduce((best, reference) => Math.max(best, rougeL(reference, hypothesis)), 0);
}

function rougeWords(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
}

/** Length of the longest common subsequence, in one row of memory. */
function longestCommonSubsequence(a: readonly string[], b: readonly string[]): number {
  const row = new Uint32Array(b.length + 1);
  for (const word of a) {
    let diagonal = 0;
    for (let j = 1; j <= b.length; j++) {
      const above = row[j]!;
      row[j] = word === b[j - 1] ? diagonal + 1 : Math.max(above, row[j - 1]!);
      diagonal = above;
    }
  }
  return row[b.length]!;
}
