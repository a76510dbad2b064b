/** The format reward: the table of cases that trip up format rewards, and what may be drawn. @module */
import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ANSWER_TAGS, formatAnswer, strip } from "../text/index.ts";
import { drawableCaption, formatReward, formatScore } from "./format.ts";

/** Each row: what is odd about the response, the response, its reward, what may be drawn. */
const TABLE: readonly (readonly [name: string, response: string, score: 0 | 1, caption: string | null])[] = [
  ["as it should be", "[Think]a[/Think][Ans]b[/Ans]", 1, "b"],
  ["newlines inside", "[Think]a\nb[/Think]\n[Ans]c\nd[/Ans]\n", 1, "c\nd"],
  ["white space around", "  [Think]a[/Think]  [Ans] b [/Ans]  ", 1, "b"],
  ["empty thinking", "[Think][/Think][Ans]b[/Ans]", 1, "b"],
  ["empty answer", "[Think]a[/Think][Ans]  [/Ans]", 1, null],
  ["double answer", "[Think]a[/Think][Ans]b[/Ans][Ans]c[/Ans]", 0, null],
  ["double thinking", "[Think]a[/Think][Think]a[/Think][Ans]b[/Ans]", 0, "b"],
  ["both blocks twice", "[Think]a[/Think][Ans]b[/Ans][Think]a[/Think][Ans]b[/Ans]", 0, null],
  ["answer not closed", "[Think]a[/Think][Ans]b", 0, null],
  ["thinking not closed", "[Think]a[Ans]b[/Ans]", 0, null],
  ["thinking not opened", "a[/Think][Ans]b[/Ans]", 0, "b"],
  ["text after", "[Think]a[/Think][Ans]b[/Ans] and more", 0, "b"],
  ["text before", "Sure! [Think]a[/Think][Ans]b[/Ans]", 0, "b"],
  ["text between", "[Think]a[/Think] so [Ans]b[/Ans]", 0, "b"],
  ["prompt echo", "user\nwhat happens?\nassistant\n[Think]a[/Think][Ans]b[/Ans]", 0, "b"],
  [
    "the system prompt's own tags echoed",
    "between the [Think][/Think] tags, within the [Ans][/Ans] tags. [Think]a[/Think][Ans]b[/Ans]",
    0,
    null,
  ],
  ["wrong order", "[Ans]b[/Ans][Think]a[/Think]", 0, null],
  ["closed before it opens", "[/Think]a[Think][/Ans]b[Ans]", 0, null],
  ["answer inside of the thinking", "[Think]a[Ans]b[/Ans]c[/Think]", 0, null],
  ["thinking inside of the answer", "[Ans][Think]a[/Think]b[/Ans]", 0, null],
  ["blocks that overlap", "[Think]a[Ans]b[/Think]c[/Ans]", 0, null],
  ["answer missing", "[Think]a[/Think]", 0, null],
  ["answer missing, text instead", "[Think]a[/Think] b", 0, null],
  ["no tags at all", "b", 0, null],
  ["other spelling", "<think>a</think><ans>b</ans>", 0, null],
  ["lower case", "[think]a[/think][ans]b[/ans]", 0, null],
  ["nothing", "", 0, null],
];

describe("format reward", () => {
  it.each(TABLE)("%s", async (_, response, score, caption) => {
    expect(formatScore(response)).toBe(score);
    expect(await formatReward.make({})({ text: response }, {})).toBe(score);
    expect(drawableCaption(response)).toBe(caption);
  });

  it("agrees with the reference case of rules, and never draws what lies outside of an answer block", async () => {
    const path = new URL("../../conformance/rules/captions.json", import.meta.url);
    const rows = JSON.parse(await readFile(path, "utf8")) as {
      text: string;
      caption: string;
      format: 0 | 1;
    }[];
    expect(rows.length).toBeGreaterThan(20);
    for (const { text, caption, format } of rows) {
      expect(formatScore(text), text).toBe(format);
      // Where anything is drawn, it is what the released code would draw.
      expect([null, caption], text).toContain(drawableCaption(text));
    }
  });

  it("looks at the response alone: without it, it refuses", async () => {
    await expect(formatReward.make({})({ caption: "b" }, {})).rejects.toMatchObject({
      code: "VANS_REWARD_INPUT",
    });
  });
});

describe("drawableCaption", () => {
  const plain = fc.string().filter((text) => !/[[\]]/.test(text));
  it("reads every answer that keeps the format and says something", () => {
    fc.assert(
      fc.property(plain, plain, (reasoning, caption) => {
        const said = strip(caption);
        expect(drawableCaption(formatAnswer({ reasoning, caption }))).toBe(said === "" ? null : said);
      }),
    );
  });

  it("never draws a word of the thinking, whatever becomes of the tags", () => {
    // Words of the thinking are marked; a response is cut anywhere and loses, repeats or swaps tags.
    const pieces = fc.array(fc.constantFrom(...ANSWER_TAGS, "said", " ", "\n", "[", "/"), { maxLength: 12 });
    fc.assert(
      fc.property(pieces, (parts) => {
        let isThinking = false;
        const response = parts
          .map((part) => {
            if (part === "[Think]") isThinking = true;
            if (part === "[/Think]") isThinking = false;
            return part === "said" && isThinking ? "thought" : part;
          })
          .join("");
        const drawn = drawableCaption(response);
        expect(drawn ?? "").not.toContain("thought");
        expect(ANSWER_TAGS.some((tag) => drawn?.includes(tag))).toBe(false);
        if (formatScore(response) === 0 && !response.includes("[Ans]")) expect(drawn).toBeNull();
      }),
      { numRuns: 3000 },
    );
  });
});
