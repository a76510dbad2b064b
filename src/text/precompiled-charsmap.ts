/**
 * SentencePiece's precompiled character map (`nmt_nfkc` and the like), applied as the Rust tokenizers library does:
 * whole graphemes first if they are short, else character by character.
 *
 * Layout: u32 length of the trie, the units of a darts-clone double array (u32 each), then the replacement texts, each
 * ended by a zero byte. Sources: sentencepiece/src/normalizer.cc, tokenizers spm_precompiled.
 * @module
 */
import { VansError } from "../base/errors.ts";

/** Graphemes of this many bytes or more are never looked up whole. */
const LONG_GRAPHEME_BYTES = 6;

/**
 * The normaliser of a base64 `precompiled_charsmap`.
 *
 * @throws `VANS_TEXT_TOKENIZER_INVALID` if the map is damaged
 */
export function precompiledNormalizer(base64: string): (text: string) => string {
  const bytes = new Uint8Array(Buffer.from(base64, "base64"));
  const view = new DataView(bytes.buffer);
  const trieBytes = bytes.length >= 4 ? view.getUint32(0, true) : -1;
  if (trieBytes < 4 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length) {
    throw new VansError(
      "VANS_TEXT_TOKENIZER_INVALID",
      "the precompiled character map of the tokenizer is damaged",
      {
        found: `${bytes.length} bytes`,
      },
    );
  }
  const units = new Uint32Array(trieBytes / 4);
  for (let i = 0; i < units.length; i++) units[i] = view.getUint32(4 + 4 * i, true);
  const texts = bytes.subarray(4 + trieBytes);
  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });

  /** The replacement of the shortest known prefix of `chunk`; the reference takes the shortest as well. */
  const replacement = (chunk: Uint8Array): string | undefined => {
    let at = offsetOf(units[0]!);
    for (const byte of chunk) {
      if (byte === 0) return undefined;
      at = (at ^ byte) >>> 0;
      const unit = units[at];
      if (unit === undefined || (unit & 0x800000ff) !== byte) return undefined;
      at = (at ^ offsetOf(unit)) >>> 0;
      if ((unit & 0x100) === 0) continue;
      const start = (units[at] ?? 0) & 0x7fffffff;
      const end = texts.indexOf(0, start);
      return decoder.decode(texts.subarray(start, end < 0 ? undefined : end));
    }
    return undefined;
  };

  const cache = new Map<string, string>();
  const normalizeGrapheme = (grapheme: string): string => {
    const whole = encoder.encode(grapheme);
    const replaced = whole.length < LONG_GRAPHEME_BYTES ? replacement(whole) : undefined;
    if (replaced !== undefined) return replaced;
    return Array.from(grapheme, (character) => replacement(encoder.encode(character)) ?? character).join("");
  };
  return (text) => {
    let out = "";
    for (const { segment } of segmenter.segment(text)) {
      let normalized = cache.get(segment);
      if (normalized === undefined) {
        normalized = normalizeGrapheme(segment);
        if (cache.size < 10_000) cache.set(segment, normalized);
      }
      out += normalized;
    }
    return out;
  };
}

/** The child offset of a double-array unit. */
function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
