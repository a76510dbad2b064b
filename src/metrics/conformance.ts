/**
 * Runs the text and Fréchet parts of the reference case of metrics.
 * @module
 */
import { type CaseCheck, type CaseFolder, openCase } from "../weights/case-folder.ts";
import { asFloat32 } from "../weights/tensor-data.ts";
import { nltkBleu, sacreBleu, sacreSentenceBleu, type TextPair } from "./bleu.ts";
import { type FeatureSet, frechetDistance } from "./frechet.ts";
import { rougeL, rougeLScore } from "./rouge-l.ts";

type PairRow = { readonly reference: string; readonly hypothesis: string } & Readonly<
  Record<string, unknown>
>;

interface TextTable {
  readonly pairs: readonly PairRow[];
  readonly corpus: Readonly<Record<string, unknown>>;
}

interface FrechetRow {
  readonly index: number;
  readonly divisor_n: { readonly symmetric: number; readonly mean_term: number };
  readonly divisor_n_minus_1: { readonly symmetric: number; readonly mean_term: number };
}

/** Checks `text_pairs.json` (ROUGE-L, BLEU of nltk and sacrebleu) and `frechet.json`; the I3D part is elsewhere. */
export async function runTextMetricsCase(folder: string, opened?: CaseFolder): Promise<CaseCheck[]> {
  const golden = opened ?? (await openCase(folder));
  const { pairs, corpus } = (await golden.table("text_pairs.json")) as TextTable;
  const tolerance = golden.tolerance("text_scores_absolute", 1e-9);
  const compare = (name: string, ours: number, expected: unknown): CaseCheck => ({
    name,
    maxError: Math.abs(ours - Number(expected)),
    tolerance,
  });
  return [
    ...pairs.flatMap((pair, index) => checkPair(pair, `pair ${index}`, compare)),
    ...checkCorpus(pairs, corpus, compare),
    ...checkFrechet(golden, (await golden.table("frechet.json")) as FrechetRow[]),
  ];
}

type Compare = (name: string, ours: number, expected: unknown) => CaseCheck;

function checkPair(row: PairRow, label: string, compare: Compare): CaseCheck[] {
  const { reference, hypothesis } = row;
  const pair: TextPair = { references: [reference], hypothesis };
  const expected = row["rouge_l"] as Readonly<Record<string, number>>;
  const ours = rougeLScore(reference, hypothesis);
  const checks = (["precision", "recall", "f"] as const).map((part) =>
    compare(`${label}: ROUGE-L ${part}`, ours[part], expected[part]),
  );
  for (const key of Object.keys(row)) {
    const order = /^bleu(\d+)(_method1)?$/.exec(key);
    if (order === null) continue;
    const smoothing = order[2] === undefined ? "none" : "method1";
    checks.push(
      compare(`${label}: ${key}`, nltkBleu([pair], { maxOrder: Number(order[1]), smoothing }), row[key]),
    );
  }
  checks.push(
    compare(`${label}: sacrebleu`, sacreSentenceBleu([reference], hypothesis), row["sacrebleu_sentence"]),
  );
  return checks;
}

function checkCorpus(rows: readonly PairRow[], corpus: TextTable["corpus"], compare: Compare): CaseCheck[] {
  const pairs = rows.map(({ reference, hypothesis }): TextPair => ({ references: [reference], hypothesis }));
  const checks: CaseCheck[] = [];
  for (const [key, expected] of Object.entries(corpus)) {
    const order = /^corpus_bleu(\d+)$/.exec(key);
    if (order !== null) checks.push(compare(key, nltkBleu(pairs, { maxOrder: Number(order[1]) }), expected));
  }
  const scores = rows.map(({ reference, hypothesis }) => rougeL(reference, hypothesis));
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  checks.push(compare("mean ROUGE-L", mean, corpus["rouge_l_f_mean"]));
  const sacre = corpus["sacrebleu_corpus"] as Readonly<Record<string, unknown>>;
  const ours = sacreBleu(pairs);
  checks.push(compare("sacrebleu of the corpus", ours.score, sacre["score"]));
  checks.push(compare("sacrebleu brevity penalty", ours.brevityPenalty, sacre["bp"]));
  checks.push(compare("sacrebleu length", ours.hypothesisLength, sacre["sys_len"]));
  checks.push(compare("sacrebleu reference length", ours.referenceLength, sacre["ref_len"]));
  for (const [index, precision] of (sacre["precisions"] as number[]).entries()) {
    checks.push(compare(`sacrebleu precision ${index + 1}`, ours.precisions[index] ?? Number.NaN, precision));
  }
  return checks;
}

function checkFrechet(golden: CaseFolder, rows: readonly FrechetRow[]): CaseCheck[] {
  const tolerance = golden.tolerance("frechet_relative", 1e-6);
  const relative = (name: string, ours: number, expected: number): CaseCheck => ({
    name,
    maxError: Math.abs(ours - expected) / Math.abs(expected),
    tolerance,
  });
  return rows.flatMap((row) => {
    const [a, b] = [features(golden, `frechet${row.index}.a`), features(golden, `frechet${row.index}.b`)];
    return (["N", "N-1"] as const).flatMap((divisor) => {
      const expected = divisor === "N" ? row.divisor_n : row.divisor_n_minus_1;
      const ours = frechetDistance(a, b, { divisor });
      return [
        relative(`frechet${row.index} divisor ${divisor}`, ours.distance, expected.symmetric),
        relative(`frechet${row.index} divisor ${divisor}: mean term`, ours.meanTerm, expected.mean_term),
      ];
    });
  });
}

function features(golden: CaseFolder, name: string): FeatureSet {
  const tensor = golden.tensor(name);
  const [count = 0, size = 0] = tensor.shape;
  return { data: asFloat32(tensor), count, size };
}
