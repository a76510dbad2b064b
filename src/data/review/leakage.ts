/**
 * Does a sample give its answer away? Rules that need no model: they run before every judge, and stand in where there
 * is none.
 *
 * A question may name what is seen, what was done already, and a cause ("what if it is pricked?"). It may not say what
 * happens then. So the words of the answer are compared with the question by content: stems, synonyms, runs of words.
 * @module
 */
import { rougeLScore } from "../../metrics/rouge-l.ts";
import { contentWords, wordsOf } from "./content-words.ts";

/** Ways in which an answer leaks. */
export const LEAK_KINDS = ["verbatim", "words", "run", "input", "skipped-step", "second-video"] as const;
export type LeakKind = (typeof LEAK_KINDS)[number];

/** A leak that was found. */
export interface Leak {
  readonly kind: LeakKind;
  /** For people, and for the judge that is asked to correct it. */
  readonly reason: string;
}

/** The texts of a sample that the rules look at. */
export interface LeakSubject {
  readonly question: string;
  readonly reasoning: string;
  readonly caption: string;
  /** What the input shows, as far as it is known. */
  readonly inputLabel?: string | null;
  readonly outputLabel?: string | null;
  readonly goal?: string | null;
  readonly skippedSteps?: readonly string[];
  /** Other ways to say the answer, where they are known. */
  readonly paraphrases?: readonly string[];
}

/** Share of the answer's telling words in the question from which on it leaks. */
const WORDS_LEAK = 0.6;
/** So many telling words in the same order, one after the other, leak. */
const RUN_LEAK = 3;
/** ROUGE-L recall of the answer in the question. */
const VERBATIM_LEAK = 0.8;
/** An input's description that says nearly all of the answer. */
const INPUT_LEAK = 0.85;

/** Words that point to what only the maker of the sample has seen. */
const SECOND_VIDEO =
  /\b(?:(?:second|2nd|target|output|next|answer|resulting|other|later|subsequent|ground[- ]truth) (?:set of |group of )?(?:video|clip|shot|footage|segment|frame|image)s?\b|(?:video|clip|shot|segment) (?:2|two|b)\b|video_?2|clip_?2)/i;
/** In reasoning; in a question these words may mean the input. */
const FOLLOWING_VIDEO = /\b(?:following|final|last|ending) (?:video|clip|shot|footage|segment)s?\b/i;

/** All leaks of a sample; none for a clean one. */
export function findLeaks(subject: LeakSubject): Leak[] {
  const { question, reasoning, caption } = subject;
  const leaks: Leak[] = [];
  const ways = [
    caption,
    ...(subject.outputLabel ? [subject.outputLabel] : []),
    ...(subject.paraphrases ?? []),
  ];
  // Words that everybody sees tell nothing: what the input shows and what it is for.
  const seen = new Set(contentWords([subject.inputLabel ?? "", subject.goal ?? ""].join(" ")));
  const found = strongest(ways.map((way) => leakIn(question, way, seen, "the question")));
  if (found !== undefined) leaks.push(found);
  if (subject.inputLabel) {
    const shared = shareOf(contentWords(caption), new Set(contentWords(subject.inputLabel)));
    if (shared >= INPUT_LEAK && contentWords(caption).length >= 2)
      leaks.push({ kind: "input", reason: "what the input shows is already what the answer says" });
  }
  for (const step of subject.skippedSteps ?? []) {
    const there = contentWords(step);
    if (there.length > 0 && shareOf(contentWords(caption), new Set(there)) >= INPUT_LEAK) {
      leaks.push({ kind: "skipped-step", reason: `the step "${step}", named as done, is the answer` });
      break;
    }
  }
  for (const [name, text] of [
    ["question", question],
    ["reasoning", reasoning],
  ] as const) {
    const match = SECOND_VIDEO.exec(text) ?? (name === "reasoning" ? FOLLOWING_VIDEO.exec(text) : null);
    if (match !== null && !/\bwhat\b[^?]*\bnext (?:video|clip|shot)/i.test(text))
      leaks.push({
        kind: "second-video",
        reason: `the ${name} speaks of "${match[0]}", which only the answer shows`,
      });
  }
  return leaks;
}

function strongest(leaks: readonly (Leak | undefined)[]): Leak | undefined {
  const order = (leak: Leak): number => LEAK_KINDS.indexOf(leak.kind);
  return leaks
    .filter((leak) => leak !== undefined)
    .sort((a, b) => order(a) - order(b))
    .at(0);
}

function leakIn(text: string, answer: string, seen: ReadonlySet<string>, where: string): Leak | undefined {
  const telling = contentWords(answer);
  if (telling.length === 0) return undefined;
  const said = contentWords(text);
  const saidSet = new Set(said);
  const recall = rougeLScore(answer, text).recall;
  if (wordsOf(answer).length >= 3 && recall >= VERBATIM_LEAK)
    return {
      kind: "verbatim",
      reason: `${where} says the answer: ${Math.round(recall * 100)} % of its words in order`,
    };
  // What is not seen already is what tells; where everything is seen, all of it counts.
  const fresh = telling.filter((word) => !seen.has(word));
  const judged = fresh.length > 0 ? fresh : telling;
  const shared = shareOf(judged, saidSet);
  const sharedWords = [...new Set(judged)].filter((word) => saidSet.has(word));
  const whole = shareOf(telling, saidSet);
  if (shared >= WORDS_LEAK && (sharedWords.length >= 2 || whole >= WORDS_LEAK))
    return { kind: "words", reason: `${where} tells the answer by: ${sharedWords.join(", ")}` };
  const run = longestRun(telling, said);
  if (run.length >= RUN_LEAK && run.some((word) => !seen.has(word)))
    return { kind: "run", reason: `${where} has a phrase of the answer: ${run.join(" ")}` };
  return undefined;
}

/** Share of the different words of `words` that `in` holds. */
function shareOf(words: readonly string[], known: ReadonlySet<string>): number {
  const different = [...new Set(words)];
  return different.length === 0 ? 0 : different.filter((word) => known.has(word)).length / different.length;
}

/** The longest run of words that both have, one after the other. */
function longestRun(a: readonly string[], b: readonly string[]): readonly string[] {
  let best: readonly string[] = [];
  for (let i = 0; i < a.length; i++)
    for (let j = 0; j < b.length; j++) {
      let length = 0;
      while (i + length < a.length && j + length < b.length && a[i + length] === b[j + length]) length++;
      if (length > best.length) best = a.slice(i, i + length);
    }
  return best;
}
