/**
 * The split rules and pipelines of the three tokenizers of the models, as `tokenizer.json` writes them.
 * @module
 */

/** Qwen2's split of a text into words: contractions, letters with one leading sign, single digits, signs, spaces. */
export const QWEN_SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** The same for JavaScript, which has no inline flags and whose own white space would add U+FEFF. */
export const QWEN_SPLIT_PATTERN =
  /'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*|\p{White_Space}*[\r\n]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** Special tokens of Qwen2.5-VL that the project uses, in the order of their ids. */
export const QWEN_SPECIAL_TOKENS = [
  "<|endoftext|>",
  "<|im_start|>",
  "<|im_end|>",
  "<|vision_start|>",
  "<|vision_end|>",
  "<|vision_pad|>",
  "<|image_pad|>",
  "<|video_pad|>",
] as const;

/** Begin and end token of the CLIP layout; padding is the end token. */
export const CLIP_SPECIAL_TOKENS = ["<|startoftext|>", "<|endoftext|>"] as const;

/** CLIP's split of a lower-cased text into words. */
export const CLIP_SPLIT =
  "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/** The same for JavaScript. */
export const CLIP_SPLIT_PATTERN =
  /<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\p{White_Space}\p{L}\p{N}]+/gu;

/** The mark of a space in the T5 layout. */
export const METASPACE = "▁";

/** The mark of a word's end in the CLIP layout. */
export const CLIP_WORD_END = "</w>";

/** Special tokens of the T5 layout, with the ids 0, 1, 2. */
export const T5_SPECIAL_TOKENS = ["<pad>", "</s>", "<unk>"] as const;

/** The content of a `tokenizer.json`. */
export interface TokenizerFile {
  readonly version: "1.0";
  readonly truncation: null;
  readonly padding: null;
  readonly added_tokens: readonly {
    readonly id: number;
    readonly content: string;
    readonly single_word: false;
    readonly lstrip: false;
    readonly rstrip: false;
    readonly normalized: boolean;
    readonly special: boolean;
  }[];
  readonly normalizer: object;
  readonly pre_tokenizer: object;
  readonly post_processor: object;
  readonly decoder: object;
  readonly model: Readonly<Record<string, unknown>>;
}

/** Added tokens with consecutive ids from `firstId`. */
export function addedTokens(
  contents: readonly string[],
  firstId: number,
  { special = true }: { readonly special?: boolean } = {},
): TokenizerFile["added_tokens"] {
  return contents.map((content, index) => ({
    id: firstId + index,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special,
  }));
}

const byteLevel = (options: object) => ({ type: "ByteLevel", ...options });

/** A Qwen2-layout file around a vocabulary: NFC, split, byte-level BPE; special tokens come after the vocabulary. */
export function qwenLayout(
  symbols: readonly string[],
  merges: readonly (readonly [string, string])[],
  specialTokens: readonly string[],
): TokenizerFile {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(specialTokens, symbols.length),
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: QWEN_SPLIT }, behavior: "Isolated", invert: false },
        byteLevel({ add_prefix_space: false, trim_offsets: false, use_regex: false }),
      ],
    },
    post_processor: byteLevel({ add_prefix_space: false, trim_offsets: false, use_regex: false }),
    decoder: byteLevel({ add_prefix_space: false, trim_offsets: false, use_regex: false }),
    model: bpeModel(symbols, merges, { unk_token: null, end_of_word_suffix: "" }),
  };
}

/** A CLIP-layout file: lower case, `</w>` at word ends, begin and end tokens as the last two ids. */
export function clipLayout(
  symbols: readonly string[],
  merges: readonly (readonly [string, string])[],
): TokenizerFile {
  const [begin, end] = CLIP_SPECIAL_TOKENS;
  const beginId = symbols.length;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(CLIP_SPECIAL_TOKENS, beginId),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: CLIP_SPLIT }, behavior: "Removed", invert: true },
        byteLevel({ add_prefix_space: false, trim_offsets: true, use_regex: true }),
      ],
    },
    post_processor: {
      type: "RobertaProcessing",
      sep: [end, beginId + 1],
      cls: [begin, beginId],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: byteLevel({ add_prefix_space: true, trim_offsets: true, use_regex: true }),
    model: bpeModel([...symbols, ...CLIP_SPECIAL_TOKENS], merges, {
      unk_token: end,
      end_of_word_suffix: CLIP_WORD_END,
    }),
  };
}

/** A T5-layout file: Unigram pieces with log-probabilities; the end token is appended. */
export function t5Layout(
  pieces: readonly (readonly [piece: string, score: number])[],
  { byteFallback, lowercase }: { readonly byteFallback: boolean; readonly lowercase: boolean },
): TokenizerFile {
  const [, end] = T5_SPECIAL_TOKENS;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(T5_SPECIAL_TOKENS, 0),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFKC" },
        ...(lowercase ? [{ type: "Lowercase" }] : []),
        { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        { type: "Strip", strip_left: true, strip_right: true },
      ],
    },
    pre_tokenizer: { type: "Metaspace", replacement: METASPACE, prepend_scheme: "always", split: true },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: end, type_id: 0 } }],
      pair: [
        { Sequence: { id: "A", type_id: 0 } },
        { SpecialToken: { id: end, type_id: 0 } },
        { Sequence: { id: "B", type_id: 0 } },
        { SpecialToken: { id: end, type_id: 0 } },
      ],
      special_tokens: { [end]: { id: end, ids: [1], tokens: [end] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "ByteFallback" },
        { type: "Metaspace", replacement: METASPACE, prepend_scheme: "always", split: true },
      ],
    },
    model: { type: "Unigram", unk_id: 2, vocab: pieces, byte_fallback: byteFallback },
  };
}

function bpeModel(
  symbols: readonly string[],
  merges: readonly (readonly [string, string])[],
  options: { readonly unk_token: string | null; readonly end_of_word_suffix: string },
): Readonly<Record<string, unknown>> {
  return {
    type: "BPE",
    dropout: null,
    unk_token: options.unk_token,
    continuing_subword_prefix: "",
    end_of_word_suffix: options.end_of_word_suffix,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: Object.fromEntries(symbols.map((symbol, id) => [symbol, id])),
    merges,
  };
}
