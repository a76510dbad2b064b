import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AnswerDelta, type AnswerPart, AnswerStream } from "./answer-stream.ts";
import { ANSWER_TAGS, extractCaption, formatAnswer, isWellFormed, parseAnswer } from "./answer-template.ts";
import { strip } from "./whitespace.ts";

const PIECES = [...ANSWER_TAGS, "[", "]", "/", "Think", "[Thi", "[/An", "s]", "a b", " ", "\n", "é"];
const messy = fc.array(fc.constantFrom(...PIECES), { maxLength: 14 }).map((parts) => parts.join(""));
const plain = fc.string().filter((text) => !/\[|\]/.test(text));

/** Feeds a text in chunks of the given lengths. */
function stream(text: string, lengths: readonly number[]): AnswerDelta[] {
  const parser = new AnswerStream();
  const out: AnswerDelta[] = [];
  let at = 0;
  for (let i = 0; at < text.length; i++) {
    const length = lengths.length === 0 ? text.length : Math.max(1, lengths[i % lengths.length]!);
    out.push(...parser.push(text.slice(at, at + length)));
    at += length;
  }
  return [...out, ...parser.finish()];
}

const textOf = (deltas: readonly AnswerDelta[], part: AnswerPart) =>
  deltas
    .filter((delta) => delta.part === part)
    .map((delta) => delta.text)
    .join("");

describe("parseAnswer", () => {
  it("reads what formatAnswer writes", () => {
    fc.assert(
      fc.property(plain, plain, (reasoning, caption) => {
        const parsed = parseAnswer(formatAnswer({ reasoning, caption }));
        expect(parsed).toEqual({ reasoning: strip(reasoning), caption: strip(caption), wellFormed: true });
      }),
    );
  });

  it("keeps what there is of a damaged answer", () => {
    expect(parseAnswer("[Think]It tips[Ans]It falls.[/Ans]")).toEqual({
      reasoning: "It tips",
      caption: "It falls.",
      wellFormed: false,
    });
    expect(parseAnswer("It falls.")).toEqual({ reasoning: "", caption: "It falls.", wellFormed: false });
  });

  it("agrees with the rule written as one pattern", () => {
    const rule = /^\s*\[Think\](.*?)\[\/Think\]\s*\[Ans\](.*?)\[\/Ans\]\s*$/s;
    fc.assert(
      fc.property(messy, (text) => {
        const once = ANSWER_TAGS.every((tag) => text.split(tag).length === 2);
        expect(isWellFormed(text)).toBe(once && rule.test(text));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("AnswerStream", () => {
  it("gives the same parts however the text is cut", () => {
    fc.assert(
      fc.property(messy, fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 5 }), (text, lengths) => {
        const whole = stream(text, []);
        const cut = stream(text, lengths);
        for (const part of ["before", "reasoning", "between", "caption", "after"] as const) {
          expect(textOf(cut, part)).toBe(textOf(whole, part));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("finds the caption that extractCaption finds", () => {
    fc.assert(
      fc.property(messy, (text) => {
        const caption = extractCaption(text);
        const hasBlock = /\[Ans\].*?\[\/Ans\]/s.test(text);
        if (hasBlock) expect(strip(textOf(stream(text, [1]), "caption"))).toBe(caption);
      }),
      { numRuns: 2000 },
    );
  });

  it("holds back only what may become a tag", () => {
    const parser = new AnswerStream();
    expect(parser.push("[Think]a [b")).toEqual([{ part: "reasoning", text: "a [b" }]);
    expect(parser.push("[/")).toEqual([]);
    expect(parser.push("x")).toEqual([{ part: "reasoning", text: "[/x" }]);
    expect(parser.part).toBe("reasoning");
    expect(parser.push("[/Think]")).toEqual([]);
    expect(parser.part).toBe("between");
    expect(parser.push("[Ans]ok[/Ans] tail")).toEqual([
      { part: "caption", text: "ok" },
      { part: "after", text: " tail" },
    ]);
  });
});
