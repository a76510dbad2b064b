/**
 * Learning the merges of a byte-pair encoding from counted words.
 *
 * The order of merges is that of the Rust tokenizers library's `BpeTrainer`: highest count first, then the pair with
 * the lower ids; counts are of adjacent pairs, overlaps included.
 * @module
 */

/** What {@link learnMerges} found. */
export interface LearnedMerges {
  /** All symbols in id order: the given alphabet, then one for each merge that made a new one. */
  readonly symbols: readonly string[];
  /** Pairs in the order in which they are merged. */
  readonly merges: readonly (readonly [string, string])[];
}

/** Options of {@link learnMerges}. */
export interface LearnMergesOptions {
  /** How many symbols there may be in all. */
  readonly vocabSize: number;
  /** Pairs that occur less often are not merged. Default 2. */
  readonly minFrequency?: number;
}

/** A word as symbol ids, and how often it occurs. */
interface Word {
  ids: number[];
  readonly count: number;
}

interface Candidate {
  readonly left: number;
  readonly right: number;
  readonly count: number;
}

/**
 * Learns merges until `vocabSize` symbols exist or no pair is frequent enough.
 *
 * @param alphabet the single symbols, which get the first ids in this order
 * @param words words as lists of symbols, all of the alphabet, with their counts
 */
export function learnMerges(
  alphabet: readonly string[],
  words: Iterable<readonly [symbols: readonly string[], count: number]>,
  { vocabSize, minFrequency = 2 }: LearnMergesOptions,
): LearnedMerges {
  const symbols = [...alphabet];
  const idOf = new Map(symbols.map((symbol, id) => [symbol, id]));
  const corpus: Word[] = [];
  for (const [parts, count] of words) {
    const ids = parts.map((part) => {
      const id = idOf.get(part);
      if (id === undefined) throw new RangeError(`the symbol ${part} is not in the alphabet`);
      return id;
    });
    corpus.push({ ids, count });
  }

  const pairs = new PairTable();
  for (const [index, { ids, count }] of corpus.entries()) {
    for (let i = 0; i + 1 < ids.length; i++) pairs.add(ids[i]!, ids[i + 1]!, count, index);
  }
  const queue = new CandidateQueue();
  for (const candidate of pairs.candidates()) queue.push(candidate);

  const merges: [string, string][] = [];
  while (symbols.length < vocabSize) {
    const top = queue.pop();
    if (top === undefined) break;
    const { left, right } = top;
    const count = pairs.count(left, right);
    if (count !== top.count) {
      if (count > 0) queue.push({ left, right, count });
      continue;
    }
    if (count < Math.max(1, minFrequency)) break;
    const text = symbols[left]! + symbols[right]!;
    let merged = idOf.get(text);
    if (merged === undefined) {
      merged = symbols.length;
      symbols.push(text);
      idOf.set(text, merged);
    }
    merges.push([symbols[left]!, symbols[right]!]);
    for (const candidate of applyMerge(corpus, pairs, left, right, merged)) queue.push(candidate);
  }
  return { symbols, merges };
}

/** Joins a pair everywhere, keeps the counts, and returns the pairs that have grown. */
function applyMerge(
  corpus: Word[],
  pairs: PairTable,
  left: number,
  right: number,
  merged: number,
): Candidate[] {
  const grown = new Map<string, readonly [number, number]>();
  const grow = (a: number, b: number, count: number, index: number): void => {
    pairs.add(a, b, count, index);
    grown.set(`${a} ${b}`, [a, b]);
  };
  for (const index of pairs.takeWords(left, right)) {
    const word = corpus[index]!;
    const { ids, count } = word;
    const out: number[] = [];
    for (let i = 0; i < ids.length; i++) {
      if (ids[i] !== left || ids[i + 1] !== right) {
        out.push(ids[i]!);
        continue;
      }
      const before = out.at(-1);
      const after = ids[i + 2];
      if (before !== undefined) {
        pairs.add(before, left, -count, index);
        grow(before, merged, count, index);
      }
      if (after !== undefined) {
        pairs.add(right, after, -count, index);
        grow(merged, after, count, index);
      }
      out.push(merged);
      i++;
    }
    word.ids = out;
  }
  return [...grown.values()]
    .map(([a, b]) => ({ left: a, right: b, count: pairs.count(a, b) }))
    .filter(({ count }) => count > 0);
}

/** How often each pair occurs, and in which words. */
class PairTable {
  readonly #counts = new Map<number, Map<number, { count: number; words: Set<number> }>>();

  add(left: number, right: number, count: number, word: number): void {
    let row = this.#counts.get(left);
    if (row === undefined) {
      row = new Map();
      this.#counts.set(left, row);
    }
    const entry = row.get(right);
    if (entry === undefined) row.set(right, { count, words: new Set([word]) });
    else {
      entry.count += count;
      if (count > 0) entry.words.add(word);
    }
  }

  count(left: number, right: number): number {
    return this.#counts.get(left)?.get(right)?.count ?? 0;
  }

  /** The words that may hold the pair, in order, and forgets the pair. */
  takeWords(left: number, right: number): number[] {
    const row = this.#counts.get(left);
    const words = row?.get(right)?.words ?? [];
    row?.delete(right);
    return [...words].sort((a, b) => a - b);
  }

  candidates(): Candidate[] {
    return [...this.#counts].flatMap(([left, row]) =>
      [...row].map(([right, { count }]) => ({ left, right, count })),
    );
  }
}

/** A binary heap: highest count first, then lower ids. Old counts may lie in it; the caller checks. */
class CandidateQueue {
  readonly #heap: Candidate[] = [];

  push(candidate: Candidate): void {
    const heap = this.#heap;
    let at = heap.push(candidate) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!comesBefore(candidate, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = candidate;
  }

  pop(): Candidate | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && comesBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!comesBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function comesBefore(a: Candidate, b: Candidate): boolean {
  if (a.count !== b.count) return a.count > b.count;
  return a.left !== b.left ? a.left < b.left : a.right < b.right;
}
