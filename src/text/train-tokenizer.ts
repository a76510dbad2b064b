/**
 * Training tokenizers in the layouts of the three text models, for suites that bring their own vocabulary. The results
 * are `tokenizer.json` files for this project and for the Rust tokenizers library. The same texts, in any order, give
 * the same file.
 * @module
 */
import { writeFileAtomically } from "../weights/atomic-file.ts";
import { CHARACTER_OF_BYTE, toByteAlphabet } from "./byte-level.ts";
import { type LearnMergesOptions, learnMerges } from "./learn-merges.ts";
import {
  CLIP_SPECIAL_TOKENS,
  CLIP_SPLIT_PATTERN,
  CLIP_WORD_END,
  clipLayout,
  METASPACE,
  QWEN_SPECIAL_TOKENS,
  QWEN_SPLIT_PATTERN,
  qwenLayout,
  T5_SPECIAL_TOKENS,
  type TokenizerFile,
  t5Layout,
} from "./tokenizer-layouts.ts";
import { bytePiece } from "./unigram.ts";

export { QWEN_SPECIAL_TOKENS, type TokenizerFile } from "./tokenizer-layouts.ts";

/** Options of the byte-pair trainers. */
export interface TrainBpeOptions {
  /** Number of ids in all, special tokens included. */
  readonly vocabSize: number;
  /** Pairs that occur less often are not merged. Default 2. */
  readonly minFrequency?: number;
  /**
   * Texts whose words get merged first and thus become single tokens, whatever their frequency: words of the world's
   * vocabulary, or the answer tags (`[Think]` is otherwise ordinary text, as in the release).
   */
  readonly emphasised?: readonly string[];
}

/** Options of {@link trainQwenTokenizer}. */
export interface TrainQwenTokenizerOptions extends TrainBpeOptions {
  /** Special tokens, which get the last ids in this order. Default {@link QWEN_SPECIAL_TOKENS}. */
  readonly specialTokens?: readonly string[];
}

/**
 * Trains a byte-level BPE in the Qwen2 layout: ids 0 to 255 are the bytes, then the merges, then the special tokens.
 * Every text can be written with it.
 *
 * @throws RangeError if `vocabSize` has no room for the bytes and the special tokens
 */
export function trainQwenTokenizer(
  texts: Iterable<string>,
  {
    vocabSize,
    minFrequency,
    emphasised = [],
    specialTokens = QWEN_SPECIAL_TOKENS,
  }: TrainQwenTokenizerOptions,
): TokenizerFile {
  const split = (text: string): string[] => splitAround(text, specialTokens).flatMap(qwenWords);
  const words = countWords(texts, split);
  emphasise(words, emphasised.flatMap(split));
  const alphabet = [...CHARACTER_OF_BYTE].sort();
  const room = vocabSize - specialTokens.length;
  requireRoom(room, alphabet.length, vocabSize);
  const { symbols, merges } = learnMerges(alphabet, symbolsOf(words), merging(room, minFrequency));
  return qwenLayout(symbols, merges, specialTokens);
}

/**
 * Trains a BPE in the CLIP layout: 256 bytes, the same with `</w>`, the merges, then begin and end token. Texts are
 * lower-cased.
 *
 * @throws RangeError if `vocabSize` has no room for the 512 byte symbols and the 2 special tokens
 */
export function trainClipTokenizer(
  texts: Iterable<string>,
  { vocabSize, minFrequency, emphasised = [] }: TrainBpeOptions,
): TokenizerFile {
  const words = countWords(texts, clipWords);
  emphasise(words, emphasised.flatMap(clipWords));
  const bytes = [...CHARACTER_OF_BYTE].sort();
  const alphabet = [...bytes, ...bytes.map((byte) => byte + CLIP_WORD_END)];
  const room = vocabSize - CLIP_SPECIAL_TOKENS.length;
  requireRoom(room, alphabet.length, vocabSize);
  const closed = symbolsOf(words).map(([symbols, count]): [string[], number] => [
    symbols.map((symbol, i) => (i === symbols.length - 1 ? symbol + CLIP_WORD_END : symbol)),
    count,
  ]);
  const learned = learnMerges(alphabet, closed, merging(room, minFrequency));
  return clipLayout(learned.symbols, learned.merges);
}

/** Options of {@link trainT5Tokenizer}. */
export interface TrainT5TokenizerOptions {
  /** Number of ids in all. */
  readonly vocabSize: number;
  /** Words that occur less often are spelled. Default 2. */
  readonly minFrequency?: number;
  /** Words that become pieces whatever their frequency. */
  readonly emphasised?: readonly string[];
  /** Whether unknown characters are written as bytes (256 more ids) instead of `<unk>`. Default false. */
  readonly byteFallback?: boolean;
  /** Whether texts are lower-cased, which spares pieces. Default false. */
  readonly lowercase?: boolean;
}

/** Printable ASCII is always in the vocabulary, so that any English word can at least be spelled. */
const PRINTABLE_ASCII = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i));

/**
 * Trains a Unigram tokenizer in the T5 layout by a simple scheme: `<pad>` 0, `</s>` 1, `<unk>` 2, single characters,
 * and the most frequent words whole (with `▁` where a space stands before), scored by log-frequency. A known word is
 * always one piece; other words are spelled from longer known pieces and characters.
 *
 * @throws RangeError if `vocabSize` has no room for the characters
 */
export function trainT5Tokenizer(
  texts: Iterable<string>,
  {
    vocabSize,
    minFrequency = 2,
    emphasised = [],
    byteFallback = false,
    lowercase = false,
  }: TrainT5TokenizerOptions,
): TokenizerFile {
  const split = (text: string): string[] => t5Words(lowercase ? lowerCase(text) : text);
  const words = countWords(texts, split);
  emphasise(words, emphasised.flatMap(split));
  const characters = new Set([METASPACE, ...PRINTABLE_ASCII]);
  for (const word of words.keys()) for (const character of word) characters.add(character);
  if (lowercase)
    for (const character of characters) if (character !== lowerCase(character)) characters.delete(character);

  const bytes = byteFallback ? Array.from({ length: 256 }, (_, byte) => bytePiece(byte)) : [];
  const room = vocabSize - T5_SPECIAL_TOKENS.length - bytes.length - characters.size;
  if (room < 0)
    throw new RangeError(`a vocabulary of ${vocabSize} has no room for ${characters.size} characters`);
  const whole = [...words]
    .filter(([word, count]) => count >= minFrequency && Array.from(word).length > 1)
    .sort(([a, countA], [b, countB]) => countB - countA || compareText(a, b))
    .slice(0, room);
  const total = whole.reduce((sum, [, count]) => sum + count, 0);
  const scored = whole.map(([word, count]): [string, number] => [word, Math.log(count / total)]);
  // One character costs more than the rarest word, so that two characters never beat a word that holds them.
  const characterScore = Math.min(0, ...scored.map(([, score]) => score)) - 1;
  return t5Layout(
    [
      ...T5_SPECIAL_TOKENS.map((token): [string, number] => [token, 0]),
      ...bytes.map((piece): [string, number] => [piece, 0]),
      ...[...characters].sort(compareText).map((character): [string, number] => [character, characterScore]),
      ...scored,
    ],
    { byteFallback, lowercase },
  );
}

/** Writes a `tokenizer.json`, atomically. */
export async function writeTokenizer(path: string, file: TokenizerFile): Promise<void> {
  await writeFileAtomically(path, async (handle) => {
    await handle.writeFile(`${JSON.stringify(file)}\n`);
  });
}

function merging(vocabSize: number, minFrequency: number | undefined): LearnMergesOptions {
  return minFrequency === undefined ? { vocabSize } : { vocabSize, minFrequency };
}

function requireRoom(room: number, needed: number, vocabSize: number): void {
  if (room < needed)
    throw new RangeError(`a vocabulary of ${vocabSize} has no room for ${needed} byte symbols`);
}

/** The text without special tokens, which are never parts of words. */
function splitAround(text: string, specialTokens: readonly string[]): string[] {
  return specialTokens.reduce((parts, token) => parts.flatMap((part) => part.split(token)), [text]);
}

function qwenWords(text: string): string[] {
  return (text.normalize("NFC").match(QWEN_SPLIT_PATTERN) ?? []).map(toByteAlphabet);
}

function clipWords(text: string): string[] {
  const normal = lowerCase(text.normalize("NFC").replaceAll(/\p{White_Space}+/gu, " "));
  return (normal.match(CLIP_SPLIT_PATTERN) ?? []).map(toByteAlphabet);
}

/** Words with the mark of their space, digits and signs one by one. */
function t5Words(text: string): string[] {
  const marked = ` ${text.normalize("NFKC")} `.replaceAll(/\p{White_Space}+/gu, METASPACE).slice(0, -1);
  return marked.match(/▁?\p{L}[\p{L}\p{M}]*|▁?\p{N}|▁?[^\p{L}\p{N}▁]|▁/gu) ?? [];
}

/** Character by character, so that nothing depends on neighbours. */
function lowerCase(text: string): string {
  return Array.from(text, (character) => character.toLowerCase()).join("");
}

function countWords(texts: Iterable<string>, split: (text: string) => string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) for (const word of split(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** Makes words as frequent as the most frequent one. */
function emphasise(words: Map<string, number>, emphasised: readonly string[]): void {
  let highest = 1;
  for (const count of words.values()) highest = Math.max(highest, count);
  for (const word of emphasised) words.set(word, (words.get(word) ?? 0) + highest);
}

/** Words as lists of characters, in a fixed order. */
function symbolsOf(words: ReadonlyMap<string, number>): [string[], number][] {
  return [...words].sort(([a], [b]) => compareText(a, b)).map(([word, count]) => [Array.from(word), count]);
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
