/**
 * BLEU in the two variants that papers report: nltk's (lower-cased words split at spaces, two smoothings) and
 * sacrebleu's (13a tokenizer, exponential smoothing, case kept).
 *
 * Sources: Papineni et al., "BLEU" (2002); nltk/translate/bleu_score.py; sacrebleu/metrics/bleu.py and
 * sacrebleu/tokenizers/tokenizer_13a.py.
 *
 * Range 0 … 1 (nltk) or 0 … 100 (sacrebleu), 1 or 100 only for equal texts. What games it: frequent phrases that all
 * captions share; a caption of other words for the same event scores low.
 * @module
 */
import { collapseSpaces, strip, stripEnd } from "../text/whitespace.ts";

/** A hypothesis with its references. */
export interface TextPair {
  readonly references: readonly string[];
  readonly hypothesis: string;
}

/** Options of {@link nltkBleu}. */
export interface NltkBleuOptions {
  /** The longest n-grams, 1 to 4 usually; all orders weigh the same. Default 4. */
  readonly maxOrder?: number;
  /**
   * What a count of zero becomes: `none` takes the smallest normal double, so that the score is tiny but not 0;
   * `method1` adds 0.1. Default `none`.
   */
  readonly smoothing?: "none" | "method1";
}

/** Matched and possible n-grams by order, and lengths in words; those of a corpus are the sums of those of its texts. */
export interface BleuCounts {
  readonly matches: readonly number[];
  readonly totals: readonly number[];
  readonly hypothesisLength: number;
  /** Of the reference whose length is nearest. */
  readonly referenceLength: number;
}

/** `sys.float_info.min` of Python. */
const SMALLEST_NORMAL = 2.2250738585072014e-308;
const METHOD1_EPSILON = 0.1;

/**
 * BLEU of nltk over a corpus (one pair gives its `sentence_bleu`), from 0 to 1. An empty hypothesis scores 0.
 *
 * @example
 * ```ts
 * import { nltkBleu } from "vans/metrics";
 * nltkBleu([{ references: ["The ball falls down"], hypothesis: "the ball falls down" }]); // => 1
 * ```
 */
export function nltkBleu(pairs: readonly TextPair[], options: NltkBleuOptions = {}): number {
  const { maxOrder = 4 } = options;
  return bleuOfCounts(
    pairs.map((pair) => bleuCounts(pair, maxOrder)),
    options,
  );
}

/** What a text adds to the BLEU of its corpus, as nltk counts. */
export function bleuCounts(pair: TextPair, maxOrder = 4): BleuCounts {
  const words = (text: string): string[] => splitWords(text.toLowerCase());
  // nltk counts at least one possible n-gram for every text, even for one that is too short to have any.
  return countsOf(pair, words, maxOrder, 1);
}

/**
 * {@link nltkBleu} of texts that are counted already, so that resampling a corpus costs sums alone.
 *
 * @example
 * ```ts
 * import { bleuCounts, bleuOfCounts } from "vans/metrics";
 * const counts = bleuCounts({ references: ["the ball falls"], hypothesis: "the ball rolls" });
 * bleuOfCounts([counts, counts], { maxOrder: 1 }).toFixed(4); // => "0.6667"
 * ```
 */
export function bleuOfCounts(
  counts: readonly BleuCounts[],
  { maxOrder = 4, smoothing = "none" }: NltkBleuOptions = {},
): number {
  const { matches, totals, hypothesisLength, referenceLength } = sumOfCounts(counts, maxOrder);
  if ((matches[0] ?? 0) === 0) return 0;
  let sum = 0;
  for (let order = 0; order < maxOrder; order++) {
    const total = totals[order]!;
    const zero = smoothing === "none" ? SMALLEST_NORMAL : METHOD1_EPSILON / total;
    sum += Math.log(matches[order] === 0 ? zero : matches[order]! / total) / maxOrder;
  }
  return brevityPenalty(hypothesisLength, referenceLength) * Math.exp(sum);
}

/** What {@link sacreBleu} gives. */
export interface SacreBleuScore {
  /** 0 to 100. */
  readonly score: number;
  /** Precision by order in percent, smoothed. */
  readonly precisions: readonly number[];
  readonly brevityPenalty: number;
  readonly hypothesisLength: number;
  readonly referenceLength: number;
}

/** Options of {@link sacreBleu}. */
export interface SacreBleuOptions {
  /** Whether orders longer than the text are left out, as `sacrebleu.sentence_bleu` does. Default false. */
  readonly effectiveOrder?: boolean;
}

const SACRE_ORDERS = 4;

/** BLEU of sacrebleu 2 over a corpus: 13a tokenizer, exponential smoothing, case sensitive. */
export function sacreBleu(
  pairs: readonly TextPair[],
  { effectiveOrder = false }: SacreBleuOptions = {},
): SacreBleuScore {
  const { matches, totals, hypothesisLength, referenceLength } = sumOfCounts(
    pairs.map((pair) => countsOf(pair, tokenize13a, SACRE_ORDERS, 0)),
    SACRE_ORDERS,
  );
  const penalty = brevityPenalty(hypothesisLength, referenceLength);
  const precisions = new Array<number>(SACRE_ORDERS).fill(0);
  const result = (score: number): SacreBleuScore => ({
    score,
    precisions,
    brevityPenalty: penalty,
    hypothesisLength,
    referenceLength,
  });
  if (matches.every((count) => count === 0)) return result(0);
  let orders = SACRE_ORDERS;
  let smoothing = 1;
  for (let order = 0; order < SACRE_ORDERS && totals[order]! > 0; order++) {
    if (effectiveOrder) orders = order + 1;
    if (matches[order] === 0) {
      smoothing *= 2;
      precisions[order] = 100 / (smoothing * totals[order]!);
    } else {
      precisions[order] = (100 * matches[order]!) / totals[order]!;
    }
  }
  const counted = precisions.slice(0, orders);
  if (counted.includes(0)) return result(0);
  return result(
    penalty * Math.exp(counted.reduce((sum, precision) => sum + Math.log(precision), 0) / orders),
  );
}

/** sacrebleu's score of one sentence, 0 to 100. */
export function sacreSentenceBleu(references: readonly string[], hypothesis: string): number {
  return sacreBleu([{ references, hypothesis }], { effectiveOrder: true }).score;
}

/** The tokenizer of mteval-v13a: signs stand alone, except points, commas and dashes inside numbers. */
function tokenize13a(text: string): string[] {
  let line = stripEnd(text).replaceAll("<skipped>", "").replaceAll("-\n", "").replaceAll("\n", " ");
  line = line
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">");
  const separated = ` ${line} `
    .replaceAll(/([{-~[-` -&(-+:-@/])/g, " $1 ")
    .replaceAll(/([^0-9])([.,])/gu, "$1 $2 ")
    .replaceAll(/([.,])([^0-9])/gu, " $1 $2")
    .replaceAll(/([0-9])(-)/g, "$1 $2 ");
  return splitWords(separated);
}

/** `text.split()` of Python. */
function splitWords(text: string): string[] {
  const collapsed = strip(collapseSpaces(text));
  return collapsed === "" ? [] : collapsed.split(" ");
}

function countsOf(
  { references, hypothesis }: TextPair,
  tokenize: (text: string) => string[],
  maxOrder: number,
  fewestPerText: number,
): BleuCounts {
  const given = tokenize(hypothesis);
  const expected = references.map(tokenize);
  const matches = new Array<number>(maxOrder).fill(0);
  const totals = new Array<number>(maxOrder).fill(0);
  for (let order = 1; order <= maxOrder; order++) {
    const available = expected.map((words) => ngrams(words, order));
    totals[order - 1] = Math.max(fewestPerText, given.length - order + 1);
    for (const [ngram, count] of ngrams(given, order)) {
      const allowed = available.reduce((most, counts) => Math.max(most, counts.get(ngram) ?? 0), 0);
      matches[order - 1]! += Math.min(count, allowed);
    }
  }
  const referenceLength = nearestLength(expected, given.length);
  return { matches, totals, hypothesisLength: given.length, referenceLength };
}

function sumOfCounts(all: readonly BleuCounts[], maxOrder: number): BleuCounts {
  const matches = new Array<number>(maxOrder).fill(0);
  const totals = new Array<number>(maxOrder).fill(0);
  let hypothesisLength = 0;
  let referenceLength = 0;
  for (const counts of all) {
    hypothesisLength += counts.hypothesisLength;
    referenceLength += counts.referenceLength;
    for (let order = 0; order < maxOrder; order++) {
      matches[order]! += counts.matches[order]!;
      totals[order]! += counts.totals[order]!;
    }
  }
  return { matches, totals, hypothesisLength, referenceLength };
}

/** The reference length nearest to the hypothesis', the shorter of two equally near. */
function nearestLength(references: readonly (readonly string[])[], length: number): number {
  const lengths = references.map((words) => words.length).sort((a, b) => a - b);
  return lengths.reduce(
    (best, next) => (Math.abs(next - length) < Math.abs(best - length) ? next : best),
    lengths[0] ?? 0,
  );
}

function ngrams(words: readonly string[], order: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + order <= words.length; i++) {
    const ngram = words.slice(i, i + order).join(" ");
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}

function brevityPenalty(hypothesisLength: number, referenceLength: number): number {
  if (hypothesisLength >= referenceLength) return 1;
  return hypothesisLength === 0 ? 0 : Math.exp(1 - referenceLength / hypothesisLength);
}
