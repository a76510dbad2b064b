/**
 * `@huggingface/tokenizers`, typed, with the parts replaced in which it differs from the Rust library: the
 * precompiled character map, the Unigram model (byte pieces, ties), white space that is or is not U+FEFF, and
 * lower-casing, which must not look at neighbours (final sigma).
 * @module
 */
import * as library from "@huggingface/tokenizers";
import { precompiledNormalizer } from "./precompiled-charsmap.ts";
import { byteOfPiece, type UnigramConfig, unigramEncoder } from "./unigram.ts";

/** The parts of `tokenizer.json` that this project reads itself. */
export interface TokenizerJson {
  readonly model: Readonly<Record<string, unknown>>;
  readonly added_tokens?: readonly {
    readonly id: number;
    readonly content: string;
    readonly special?: boolean;
  }[];
  readonly decoder?: unknown;
  readonly pre_tokenizer?: unknown;
}

/** What is used of the library's tokenizer. */
export interface Engine {
  encode(text: string, options: { add_special_tokens: boolean }): { readonly ids: number[] };
  decode(ids: number[], options: { clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_vocab(withAddedTokens: boolean): Map<string, number>;
  readonly normalizer: Normalizer | null;
  readonly model: Model;
  readonly pre_tokenizer: PreTokenizer | null;
  readonly decoder: Decoder | null;
}

interface Normalizer {
  readonly config: Readonly<Record<string, unknown>>;
  /** The steps of a sequence. */
  readonly normalizers?: readonly (Normalizer | null)[];
  normalize(text: string): string;
}

interface PreTokenizer {
  /** The steps of a sequence. */
  readonly tokenizers?: readonly (PreTokenizer | null)[];
  readonly config?: Readonly<Record<string, unknown>>;
  /** GPT-2's split of the byte-level step. */
  pattern?: RegExp | null;
}

interface Decoder {
  readonly config: Readonly<Record<string, unknown>>;
  /** The steps of a sequence. */
  readonly decoders?: readonly (Decoder | null)[];
  decode_chain(tokens: string[]): string[];
}

interface Model {
  encode(tokens: string[]): string[];
  fuse_unk: boolean;
}

// The library's declarations import without file extensions, which TypeScript cannot resolve for ES modules; this is
// the same class, typed by hand.
const { Tokenizer } = library as unknown as {
  readonly Tokenizer: new (json: TokenizerJson, config: { clean_up_tokenization_spaces: boolean }) => Engine;
};

/** A repaired engine. Throws whatever the library throws for a file that it cannot run. */
export function createEngine(json: TokenizerJson): Engine {
  const engine = new Tokenizer(json, { clean_up_tokenization_spaces: false });
  repairNormalizer(engine.normalizer);
  repairPreTokenizer(engine.pre_tokenizer);
  repairDecoder(engine.decoder);
  // Unigram lists its pieces with scores; the other models have an object. Old files do not state the type.
  if (Array.isArray(json.model["vocab"])) repairUnigram(engine.model, json);
  return engine;
}

function repairNormalizer(normalizer: Normalizer | null): void {
  if (normalizer === null) return;
  for (const step of normalizer.normalizers ?? []) repairNormalizer(step);
  const { type, precompiled_charsmap: map, strip_left: left, strip_right: right } = normalizer.config;
  if (type === "Precompiled" && typeof map === "string") normalizer.normalize = precompiledNormalizer(map);
  if (type === "Lowercase") {
    normalizer.normalize = (text) => Array.from(text, (character) => character.toLowerCase()).join("");
  }
  // JavaScript's trim takes U+FEFF for white space; Unicode and the reference do not.
  if (type === "Strip") {
    normalizer.normalize = (text) => {
      const start = left === true ? text.replace(/^\p{White_Space}+/u, "") : text;
      return right === true ? start.replace(/\p{White_Space}+$/u, "") : start;
    };
  }
}

/** GPT-2's split with Unicode's white space instead of JavaScript's, which adds U+FEFF. */
const BYTE_LEVEL_SPLIT =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

function repairPreTokenizer(preTokenizer: PreTokenizer | null): void {
  if (preTokenizer === null) return;
  for (const step of preTokenizer.tokenizers ?? []) repairPreTokenizer(step);
  if (preTokenizer.config?.["type"] === "ByteLevel") preTokenizer.pattern = BYTE_LEVEL_SPLIT;
}

function repairDecoder(decoder: Decoder | null): void {
  if (decoder === null) return;
  for (const step of decoder.decoders ?? []) repairDecoder(step);
  if (decoder.config["type"] === "ByteFallback") decoder.decode_chain = joinBytePieces;
}

/** Runs of byte pieces as text; each byte of a run that is not UTF-8 becomes U+FFFD. */
function joinBytePieces(tokens: string[]): string[] {
  const out: string[] = [];
  let run: number[] = [];
  const flush = (): void => {
    try {
      out.push(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(run)));
    } catch {
      out.push("\ufffd".repeat(run.length));
    }
    run = [];
  };
  for (const token of tokens) {
    const byte = byteOfPiece(token);
    if (byte !== undefined) run.push(byte);
    else {
      if (run.length > 0) flush();
      out.push(token);
    }
  }
  if (run.length > 0) flush();
  return out;
}

function repairUnigram(model: Model, json: TokenizerJson): void {
  const encode = unigramEncoder(json.model as unknown as UnigramConfig);
  // The reference's Metaspace splits before every mark unless told otherwise; the library's does not.
  const preTokenizer = json.pre_tokenizer as
    | { readonly type?: string; readonly split?: boolean }
    | null
    | undefined;
  const splits = preTokenizer?.type === "Metaspace" && preTokenizer.split !== false;
  model.encode = (tokens) =>
    tokens.flatMap((token) => (splits ? token.split(/(?=▁)/) : [token]).flatMap(encode));
  // Unknown pieces are joined by our encoder already; byte pieces must stay apart.
  model.fuse_unk = false;
}
