/**
 * Reading an answer while it is being written: which part a piece of text belongs to, with the tags taken out.
 * @module
 */
import { ANSWER_TAGS } from "./answer-template.ts";

/** The parts of an answer, in order. Text outside the blocks belongs to `before`, `between` or `after`. */
export type AnswerPart = "before" | "reasoning" | "between" | "caption" | "after";

/** A piece of text of one part. */
export interface AnswerDelta {
  readonly part: AnswerPart;
  readonly text: string;
}

/** Which tags end a part, and what follows. An answer that skips a tag is still read, as far as that makes sense. */
const NEXT_PART: Readonly<Record<AnswerPart, Readonly<Record<string, AnswerPart>>>> = {
  before: { "[Think]": "reasoning", "[Ans]": "caption" },
  reasoning: { "[/Think]": "between", "[Ans]": "caption" },
  between: { "[Ans]": "caption" },
  caption: { "[/Ans]": "after" },
  after: {},
};

const LONGEST_TAG = Math.max(...ANSWER_TAGS.map((tag) => tag.length));

/**
 * An incremental parser. Feed it text as it arrives; deltas come out as soon as they can be no part of a tag. The
 * `caption` deltas of a closed block, joined and trimmed, are what `extractCaption` gives for the whole text.
 *
 * @example
 * ```ts
 * import { AnswerStream } from "vans/text";
 * const stream = new AnswerStream();
 * stream.push("[Think]It ti"); // => [{ part: "reasoning", text: "It ti" }]
 * stream.push("ps.[/Thi"); // => [{ part: "reasoning", text: "ps." }]
 * stream.push("nk][Ans]It falls."); // => [{ part: "caption", text: "It falls." }]
 * stream.part; // => "caption"
 * ```
 */
export class AnswerStream {
  #part: AnswerPart = "before";
  #held = "";

  /** The part that text arriving now belongs to. */
  get part(): AnswerPart {
    return this.#part;
  }

  /** Takes more text and returns what is certain now. */
  push(text: string): AnswerDelta[] {
    this.#held += text;
    const out: AnswerDelta[] = [];
    for (;;) {
      const tag = this.#firstTag();
      if (tag === undefined) break;
      this.#emit(tag.at, out);
      this.#held = this.#held.slice(tag.text.length);
      this.#part = tag.next;
    }
    this.#emit(this.#held.length - this.#possibleTagLength(), out);
    return out;
  }

  /** Ends the text: what was held back as a possible tag comes out. */
  finish(): AnswerDelta[] {
    const out: AnswerDelta[] = [];
    this.#emit(this.#held.length, out);
    return out;
  }

  #emit(length: number, out: AnswerDelta[]): void {
    if (length > 0) out.push({ part: this.#part, text: this.#held.slice(0, length) });
    this.#held = this.#held.slice(length);
  }

  /** The earliest tag in the held text that ends the current part. */
  #firstTag(): { readonly at: number; readonly text: string; readonly next: AnswerPart } | undefined {
    let first: { at: number; text: string; next: AnswerPart } | undefined;
    for (const [text, next] of Object.entries(NEXT_PART[this.#part])) {
      const at = this.#held.indexOf(text);
      if (at >= 0 && (first === undefined || at < first.at)) first = { at, text, next };
    }
    return first;
  }

  /** The length of the longest end of the held text that could become such a tag. */
  #possibleTagLength(): number {
    const tags = Object.keys(NEXT_PART[this.#part]);
    for (let length = Math.min(LONGEST_TAG - 1, this.#held.length); length > 0; length--) {
      if (tags.some((tag) => tag.startsWith(this.#held.slice(-length)))) return length;
    }
    return 0;
  }
}
