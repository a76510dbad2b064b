/**
 * What the video model is told to draw, from what the language model wrote.
 * @module
 */
import { ANSWER_TAGS, parseAnswer, strip } from "../text/index.ts";

/** A response taken apart. */
export interface WrittenAnswer {
  /** The response, whole. */
  readonly text: string;
  readonly reasoning: string;
  /** What the video model draws. */
  readonly caption: string;
  /** Where the caption comes from; anything but `answer` deserves a warning. */
  readonly captionFrom: "answer" | "unclosed answer" | "text outside of the thinking" | "question";
  /** Whether the response keeps the format to the letter. */
  readonly wellFormed: boolean;
}

/** Whatever is thought, up to the end of the text if the thinking never ends. */
const THINKING = /\[Think\].*?(?:\[\/Think\]|(?=\[Ans\])|$)/gs;

/**
 * The caption of a response: the text between the answer tags. Where they are missing, the released VANS takes the whole
 * response; here the thinking is left out of that, for what was only considered must not be drawn. Where nothing else
 * is left, the question itself is drawn.
 *
 * @example
 * ```ts
 * import { captionOf } from "vans/answer";
 * captionOf("[Think]It tips.[/Think][Ans]It falls.[/Ans]", "And then?").caption; // => "It falls."
 * captionOf("[Think]It tips.[/Think] It falls.", "And then?").caption; // => "It falls."
 * captionOf("[Think]It tips", "And then?").caption; // => "And then?"
 * ```
 */
export function captionOf(text: string, question: string): WrittenAnswer {
  const { reasoning, caption, wellFormed } = parseAnswer(text);
  const common = { text, reasoning, wellFormed };
  const answered = /\[Ans\](.*?)(\[\/Ans\]|$)/s.exec(text);
  const isClosed = answered?.[2] !== undefined && answered[2] !== "";
  if (isClosed && caption !== "" && !caption.includes("[Think]"))
    return { ...common, caption, captionFrom: "answer" };
  const candidates = [
    ["unclosed answer", answered?.[1] ?? ""],
    ["text outside of the thinking", text],
  ] as const;
  for (const [captionFrom, part] of candidates) {
    const drawn = withoutTags(part.replace(THINKING, ""));
    if (drawn !== "") return { ...common, caption: drawn, captionFrom };
  }
  return { ...common, caption: question, captionFrom: "question" };
}

function withoutTags(text: string): string {
  return strip(ANSWER_TAGS.reduce((rest, tag) => rest.replaceAll(tag, " "), text));
}
