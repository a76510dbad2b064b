/**
 * Token ids to text while they are drawn, never splitting a character.
 * @module
 */
import type { DecodeOptions, Tokenizer } from "./tokenizer.ts";

/**
 * Decodes ids one at a time. Bytes of a character that is not complete yet are held back; the texts of all calls,
 * joined, are `tokenizer.decode` of all ids (for byte-level and Unigram tokenizers; the CLIP layout, which strips its
 * text, is not made for this).
 */
export class StreamDecoder {
  readonly #tokenizer: Tokenizer;
  readonly #skipsSpecial: boolean;
  #decoder = newDecoder();
  #isFirst = true;

  constructor(tokenizer: Tokenizer, { skipSpecialTokens = true }: DecodeOptions = {}) {
    this.#tokenizer = tokenizer;
    this.#skipsSpecial = skipSpecialTokens;
  }

  /** Takes one id and returns the text that is complete now (often empty for scripts with many bytes a character). */
  push(id: number): string {
    if (this.#skipsSpecial && this.#tokenizer.specialIds.has(id)) return "";
    const bytes = this.#tokenizer.bytesOf(id);
    const dropsSpace = this.#isFirst && this.#tokenizer.dropsLeadingSpace && bytes[0] === 0x20;
    this.#isFirst = false;
    return this.#decoder.decode(dropsSpace ? bytes.subarray(1) : bytes, { stream: true });
  }

  /** Ends the text: an incomplete character comes out as U+FFFD, and the decoder starts anew. */
  finish(): string {
    const rest = this.#decoder.decode();
    this.#decoder = newDecoder();
    this.#isFirst = true;
    return rest;
  }
}

function newDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}
