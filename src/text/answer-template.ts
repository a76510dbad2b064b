/**
 * The answer format of the VANS language model: `[Think]…[/Think][Ans]…[/Ans]`.
 * @module
 */
import { strip } from "./whitespace.ts";

/** The four tags. They are ordinary text for the tokenizer, not special tokens. */
export const ANSWER_TAGS = ["[Think]", "[/Think]", "[Ans]", "[/Ans]"] as const;

/** The system prompt of the released model (config string of KlingAIResearch/VANS). */
export const VANS_SYSTEM_PROMPT =
  "You will be given a video. Your task is to predict the next event based on the input video and the user's " +
  "instructions. Please begin by providing your detailed reasoning between the [Think][/Think] tags, followed by " +
  "your description of the next event within the [Ans][/Ans] tags.";

/** What an answer says. */
export interface ParsedAnswer {
  /** The text between the thinking tags, trimmed; what there is of it in a damaged answer. */
  readonly reasoning: string;
  /** The text between the answer tags, trimmed; the whole text if there are none (as the released code does). */
  readonly caption: string;
  /** Whether the answer keeps the format exactly, see {@link isWellFormed}. */
  readonly wellFormed: boolean;
}

/**
 * True if the text is one thinking block, then one answer block, each tag exactly once, with nothing but white space
 * before, between and after.
 */
export function isWellFormed(text: string): boolean {
  if (ANSWER_TAGS.some((tag) => text.split(tag).length !== 2)) return false;
  const stripped = strip(text);
  const [thinkEnd, answerStart] = [stripped.indexOf("[/Think]"), stripped.indexOf("[Ans]")];
  const between = stripped.slice(thinkEnd + "[/Think]".length, answerStart);
  return (
    stripped.startsWith("[Think]") &&
    stripped.endsWith("[/Ans]") &&
    thinkEnd < answerStart &&
    strip(between) === ""
  );
}

/**
 * The caption as the released code takes it: the first `[Ans]…[/Ans]` block, trimmed; the whole text, untouched, if
 * there is no such block (`extract_caption` in vans/pipelines/wan_video_new.py).
 *
 * @example
 * ```ts
 * import { extractCaption } from "vans/text";
 * extractCaption("[Think]It tips.[/Think][Ans] The ball falls. [/Ans]"); // => "The ball falls."
 * extractCaption("The ball falls."); // => "The ball falls."
 * ```
 */
export function extractCaption(text: string): string {
  const block = /\[Ans\](.*?)\[\/Ans\]/s.exec(text);
  return block === null ? text : strip(block[1]!);
}

/** Takes an answer apart; never fails, see {@link ParsedAnswer}. */
export function parseAnswer(text: string): ParsedAnswer {
  const thinking = /\[Think\](.*?)(?:\[\/Think\]|\[Ans\]|$)/s.exec(text);
  return {
    reasoning: strip(thinking?.[1] ?? ""),
    caption: extractCaption(text),
    wellFormed: isWellFormed(text),
  };
}

/** An answer in the format, without end token: what the language model is trained to write. */
export function formatAnswer({
  reasoning,
  caption,
}: {
  readonly reasoning: string;
  readonly caption: string;
}): string {
  return `[Think]${reasoning}[/Think][Ans]${caption}[/Ans]`;
}

/**
 * True if the text starts with one `<think>…</think>` block and opens no second one (TRL's think_format_reward).
 */
export function hasThinkFormat(text: string): boolean {
  return /^<think>(?!.*<think>)(.*?)<\/think>.*$/s.test(text);
}
