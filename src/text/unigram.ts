/**
 * The Unigram model: the split of a text into pieces with the highest sum of scores, unknown characters as bytes.
 *
 * Follows tokenizers/src/models/unigram/model.rs (`encode_optimized`, `tokenize`), which is the reference for ids.
 * @module
 */

/** The fields of `model` in a Unigram `tokenizer.json` that matter here. */
export interface UnigramConfig {
  /** Pieces with their log-probabilities; the position is the id. */
  readonly vocab: readonly (readonly [piece: string, score: number])[];
  readonly unk_id: number;
  /** Whether unknown characters become `<0x00>` … `<0xFF>` pieces. */
  readonly byte_fallback?: boolean;
}

/** An unknown character costs this much more than the worst piece. */
const UNKNOWN_PENALTY = 10;

interface TrieNode {
  readonly children: Map<string, TrieNode>;
  score: number | undefined;
}

/** A function from a pre-token to its pieces; every piece is in the vocabulary. */
export function unigramEncoder({
  vocab,
  unk_id: unknownId,
  byte_fallback: byteFallback = false,
}: UnigramConfig): (text: string) => string[] {
  const root: TrieNode = { children: new Map(), score: undefined };
  let minScore = Number.POSITIVE_INFINITY;
  for (const [piece, score] of vocab) {
    minScore = Math.min(minScore, score);
    let node = root;
    for (const character of piece) {
      let child = node.children.get(character);
      if (child === undefined) {
        child = { children: new Map(), score: undefined };
        node.children.set(character, child);
      }
      node = child;
    }
    if (piece !== "") node.score = score;
  }
  const unknownScore = minScore - UNKNOWN_PENALTY;
  const unknownPiece = vocab[unknownId]?.[0] ?? "<unk>";
  const known = new Set(vocab.map(([piece]) => piece));
  const encoder = new TextEncoder();

  const unknownPieces = (text: string): string[] => {
    if (byteFallback) {
      const pieces = Array.from(encoder.encode(text), bytePiece);
      if (pieces.every((piece) => known.has(piece))) return pieces;
    }
    return [unknownPiece];
  };

  return (text) => {
    const characters = Array.from(text);
    const count = characters.length;
    const bestScore = new Float64Array(count + 1);
    const bestStart = new Int32Array(count + 1).fill(-1);
    const isUnknown = new Uint8Array(count + 1);
    const offer = (start: number, end: number, score: number, unknown: number): void => {
      const total = bestScore[start]! + score;
      if (bestStart[end] !== -1 && total <= bestScore[end]!) return;
      bestScore[end] = total;
      bestStart[end] = start;
      isUnknown[end] = unknown;
    };
    for (let start = 0; start < count; start++) {
      let hasSingle = false;
      let node: TrieNode | undefined = root;
      for (let end = start; end < count; end++) {
        node = node.children.get(characters[end]!);
        if (node === undefined) break;
        if (node.score === undefined) continue;
        offer(start, end + 1, node.score, 0);
        if (end === start) hasSingle = true;
      }
      if (!hasSingle) offer(start, start + 1, unknownScore, 1);
    }
    // Walk back; neighbouring unknown characters are one unknown piece.
    const pieces: string[][] = [];
    let end = count;
    while (end > 0) {
      let start = bestStart[end]!;
      if (isUnknown[end] === 0) {
        pieces.push([characters.slice(start, end).join("")]);
      } else {
        while (start > 0 && isUnknown[start] === 1) start = bestStart[start]!;
        pieces.push(unknownPieces(characters.slice(start, end).join("")));
      }
      end = start;
    }
    return pieces.reverse().flat();
  };
}

/** The piece of a byte, `<0x0A>` for 10. */
export function bytePiece(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

/** The byte of a piece like `<0x0A>`, or undefined. */
export function byteOfPiece(piece: string): number | undefined {
  return /^<0x[0-9A-F]{2}>$/.test(piece) ? Number.parseInt(piece.slice(3, 5), 16) : undefined;
}
