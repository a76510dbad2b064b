/** What is drawn from what was written; above all, thinking is never drawn. @module */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { captionOf } from "./caption-of.ts";

const Q = "what next?";

describe("captionOf", () => {
  it("takes the text between the answer tags", () => {
    const written = captionOf("[Think]it tips[/Think][Ans] it falls [/Ans]", Q);
    expect(written).toMatchObject({
      caption: "it falls",
      reasoning: "it tips",
      captionFrom: "answer",
      wellFormed: true,
    });
  });

  it("takes an answer that was not ended", () => {
    expect(captionOf("[Think]it tips[/Think][Ans]it fal", Q)).toMatchObject({
      caption: "it fal",
      captionFrom: "unclosed answer",
      wellFormed: false,
    });
  });

  it("takes the whole text where there are no tags, as the release does", () => {
    expect(captionOf("it falls", Q)).toMatchObject({
      caption: "it falls",
      captionFrom: "text outside of the thinking",
    });
  });

  it("leaves thinking out, closed or not", () => {
    expect(captionOf("[Think]it may burn[/Think] it falls", Q).caption).toBe("it falls");
    expect(captionOf("so: [Think]it may burn", Q).caption).toBe("so:");
    expect(captionOf("[Think]it may burn", Q)).toMatchObject({ caption: Q, captionFrom: "question" });
    expect(captionOf("[Think]it may burn[/Think][Ans] [/Ans]", Q).caption).toBe(Q);
    expect(captionOf("", Q).caption).toBe(Q);
  });

  it("never draws what was thought, whatever the tags look like", () => {
    const piece = fc.constantFrom("[Think]", "[/Think]", "[Ans]", "[/Ans]", "SECRET", " said ", "");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        // Only what lies between a Think tag and its end (or the answer) counts as thought.
        let isThought = false;
        const text = pieces
          .map((one) => {
            if (one === "[Think]") isThought = true;
            if (one === "[/Think]" || one === "[Ans]") isThought = false;
            return one === "SECRET" && !isThought ? "open" : one;
          })
          .join("");
        const { caption } = captionOf(text, Q);
        expect(caption).not.toContain("SECRET");
        expect(caption).not.toBe("");
      }),
    );
  });
});
