/**
 * Tokenizers from `tokenizer.json`, with the ids of the Rust tokenizers library.
 * @module
 */
import { readFile } from "node:fs/promises";
import { VansError } from "../base/errors.ts";
import { fromByteAlphabet } from "./byte-level.ts";
import { createEngine, type Engine, type TokenizerJson } from "./engine.ts";
import { byteOfPiece } from "./unigram.ts";
import { strip } from "./whitespace.ts";

/** Ids of a text at a fixed length. */
export interface FixedEncoding {
  /** `length` ids, padded at the end. */
  readonly ids: Int32Array;
  /** 1 for ids of the text, 0 for padding. */
  readonly mask: Int32Array;
  /** How many ids belong to the text, begin and end tokens included. */
  readonly count: number;
}

/** Options of {@link Tokenizer.encode}. */
export interface EncodeOptions {
  /** Whether begin and end tokens are added as the file says. Default true. */
  readonly addSpecialTokens?: boolean;
}

/** Options of {@link Tokenizer.decode}. */
export interface DecodeOptions {
  /** Whether special tokens are left out. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/** How a model's tokens stand for text. */
type TokenStyle = "byte-level" | "metaspace" | "word-end";

/** Text to token ids and back. */
export class Tokenizer {
  /** One more than the highest id: the number of rows that an embedding needs. */
  readonly vocabSize: number;
  /** Number of distinct tokens; lower than `vocabSize` if ids have gaps. */
  readonly tokenCount: number;
  /** Ids of special tokens (begin, end, padding, vision marks …). */
  readonly specialIds: ReadonlySet<number>;
  /** Ids of all added tokens, special or not; these match verbatim in a text. */
  readonly addedIds: ReadonlySet<number>;
  readonly #engine: Engine;
  readonly #style: TokenStyle;
  readonly #wordEnd: string;
  readonly #bytes = new Map<number, Uint8Array>();

  constructor(engine: Engine, json: TokenizerJson) {
    const added = json.added_tokens ?? [];
    this.#engine = engine;
    this.addedIds = new Set(added.map((token) => token.id));
    this.specialIds = new Set(added.filter((token) => token.special === true).map((token) => token.id));
    const vocabulary = engine.get_vocab(true);
    this.tokenCount = vocabulary.size;
    this.vocabSize = 1 + [...vocabulary.values()].reduce((highest, id) => Math.max(highest, id), -1);
    const suffix = json.model["end_of_word_suffix"];
    this.#wordEnd = typeof suffix === "string" ? suffix : "";
    if (this.#wordEnd !== "") this.#style = "word-end";
    else
      this.#style = JSON.stringify(json.decoder ?? null).includes('"ByteLevel"') ? "byte-level" : "metaspace";
  }

  /**
   * The ids of a text.
   *
   * Special tokens written in the text are matched verbatim, as the reference does. Text from a person should
   * therefore pass {@link withoutSpecialTokens} first.
   */
  encode(text: string, { addSpecialTokens = true }: EncodeOptions = {}): number[] {
    return this.#engine.encode(text, { add_special_tokens: addSpecialTokens }).ids;
  }

  /**
   * The ids of a text at exactly `length`: cut before the end token, padded with `padId`.
   *
   * T5 layout pads with 0 (512 long for Wan), CLIP layout with its end token (77 long).
   */
  encodeFixed(text: string, length: number, padId: number): FixedEncoding {
    const whole = this.encode(text);
    const content = this.encode(text, { addSpecialTokens: false });
    const added = whole.length - content.length;
    if (length < added)
      throw new RangeError(`the length ${length} has no room for ${added} begin and end tokens`);
    const before = added === 0 ? 0 : this.#leadingTokens(whole, content);
    const after = added - before;
    const kept = content.slice(0, length - added);
    const ids = [...whole.slice(0, before), ...kept, ...whole.slice(whole.length - after)];
    return {
      ids: Int32Array.from({ length }, (_, i) => ids[i] ?? padId),
      mask: Int32Array.from({ length }, (_, i) => (i < ids.length ? 1 : 0)),
      count: ids.length,
    };
  }

  /** How many of the added ids stand before the content. */
  #leadingTokens(whole: readonly number[], content: readonly number[]): number {
    for (let before = 0; before <= whole.length - content.length; before++) {
      if (content.every((id, i) => id === whole[before + i])) {
        // Empty content fits anywhere: the last added token is the end token, as in every layout that we read.
        return content.length === 0 ? whole.length - 1 : before;
      }
    }
    return 0;
  }

  /**
   * The text of ids. In the CLIP layout word ends become spaces and the text is stripped.
   *
   * @throws `VANS_TEXT_TOKEN_UNKNOWN` for an id outside the vocabulary
   */
  decode(ids: readonly number[], { skipSpecialTokens = false }: DecodeOptions = {}): string {
    const shown = skipSpecialTokens ? ids.filter((id) => !this.specialIds.has(id)) : ids;
    for (const id of shown) this.#known(id);
    if (shown.length === 0) return "";
    const text = this.#engine.decode([...shown], { clean_up_tokenization_spaces: false });
    return this.#style === "word-end" ? strip(text) : text;
  }

  /** The id of a token (of the vocabulary's spelling, for example `Ġthe` or `<|im_end|>`), if there is one. */
  idOf(token: string): number | undefined {
    return this.#engine.token_to_id(token);
  }

  /** The id of a token that must exist. Throws `VANS_TEXT_TOKEN_UNKNOWN`. */
  requireId(token: string): number {
    const id = this.idOf(token);
    if (id !== undefined) return id;
    throw new VansError("VANS_TEXT_TOKEN_UNKNOWN", `the tokenizer has no token ${token}`, {
      fix: "use the tokenizer that belongs to the model",
    });
  }

  /** The vocabulary's spelling of an id, if there is one. */
  tokenOf(id: number): string | undefined {
    return this.#engine.id_to_token(id);
  }

  /**
   * The bytes of the text that an id stands for, on its own. Bytes of several ids may form one character; see
   * `StreamDecoder`. Pieces of the T5 layout start with a space.
   */
  bytesOf(id: number): Uint8Array {
    const cached = this.#bytes.get(id);
    if (cached !== undefined) return cached;
    const bytes = this.#computeBytes(id);
    this.#bytes.set(id, bytes);
    return bytes;
  }

  #computeBytes(id: number): Uint8Array {
    const token = this.#known(id);
    if (this.addedIds.has(id)) return new TextEncoder().encode(token);
    if (this.#style === "byte-level") return fromByteAlphabet(token);
    if (this.#style === "word-end") {
      if (!token.endsWith(this.#wordEnd)) return fromByteAlphabet(token);
      const word = fromByteAlphabet(token.slice(0, -this.#wordEnd.length));
      return Uint8Array.of(...word, 0x20);
    }
    const byte = byteOfPiece(token);
    return byte === undefined ? new TextEncoder().encode(token.replaceAll("▁", " ")) : Uint8Array.of(byte);
  }

  /** True if decoding strips the text (CLIP layout). */
  get stripsText(): boolean {
    return this.#style === "word-end";
  }

  /** True if decoding drops one space before the first piece (T5 layout). */
  get dropsLeadingSpace(): boolean {
    return this.#style === "metaspace";
  }

  /** The text with every special token of this tokenizer broken up, so that it is read as ordinary text. */
  withoutSpecialTokens(text: string): string {
    let out = text;
    for (const id of this.addedIds) {
      const token = this.tokenOf(id);
      // A zero-width space inside keeps the text readable and can never match again.
      if (token !== undefined && token.length > 1)
        out = out.replaceAll(token, `${token[0]}\u200b${token.slice(1)}`);
    }
    return out;
  }

  #known(id: number): string {
    const token = this.#engine.id_to_token(id);
    if (token !== undefined) return token;
    throw new VansError("VANS_TEXT_TOKEN_UNKNOWN", `the tokenizer has no token with id ${id}`, {
      found: `ids up to ${this.vocabSize - 1}`,
      why: "the model's vocabulary is padded beyond the tokenizer's; ban those ids when sampling",
    });
  }
}

/**
 * Reads a `tokenizer.json`.
 *
 * @throws `VANS_TEXT_TOKENIZER_INVALID` if the file is missing or not one this project can run
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw invalidTokenizer(`${path} cannot be read as JSON`, cause);
  }
  return tokenizerFromJson(json);
}

/** A tokenizer from the parsed content of a `tokenizer.json`; errors as {@link loadTokenizer}. */
export function tokenizerFromJson(json: unknown): Tokenizer {
  if (!isTokenizerJson(json)) throw invalidTokenizer("it has no model");
  try {
    return new Tokenizer(createEngine(json), json);
  } catch (cause) {
    if (cause instanceof VansError) throw cause;
    throw invalidTokenizer(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function isTokenizerJson(json: unknown): json is TokenizerJson {
  return (
    typeof json === "object" &&
    json !== null &&
    "model" in json &&
    typeof json.model === "object" &&
    json.model !== null
  );
}

function invalidTokenizer(problem: string, cause?: unknown): VansError {
  return new VansError("VANS_TEXT_TOKENIZER_INVALID", `the tokenizer cannot be used: ${problem}`, {
    fix: "give a tokenizer.json of the Hugging Face tokenizers library",
    cause,
  });
}
