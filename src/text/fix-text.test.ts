import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fixText } from "./fix-text.ts";
import { unescapeHtml } from "./html-unescape.ts";
import { cleanPrompt } from "./prompt-cleaning.ts";

const CP1252 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";
/** UTF-8 read as Windows-1252. */
const damaged = (text: string) =>
  Array.from(new TextEncoder().encode(text), (byte) =>
    byte >= 0x80 && byte < 0xa0 ? CP1252[byte - 0x80]! : String.fromCharCode(byte),
  ).join("");

describe("fixText", () => {
  it.each(["café", "Größe", "naïve — yes", "面团放在案板上", "привет", "안녕", "😀 ok", "ñandú", "20 °C"])(
    "repairs %s",
    (text) => {
      expect(fixText(damaged(text))).toBe(text);
    },
  );
  it.each(["CAFÉ…", "CAFÉ™ and Ünal", "Ça va ?", "fiancée", "«Où?»", "5 × 4", "São Paulo"])(
    "leaves %s alone",
    (text) => {
      expect(fixText(text)).toBe(text);
    },
  );
  it.each([
    ["P&EACUTE;REZ", "PÉREZ"],
    ["<b>&amp;</b>", "<b>&amp;</b>"],
    ["&#39; &bogus;", "' &bogus;"],
    ["a\x1b[31mred\x1b[0m\x07", "ared"],
    ["a\ud800b", "a\ufffdb"],
    ["ŉ Ǆ ﬃ", "ʼn Ǆ ffi".replace("Ǆ", "DŽ").replace("ʼn", "'n")],
    ["x\x93quote\x94", 'x"quote"'],
  ])("turns %j into %j", (text, fixed) => {
    expect(fixText(text)).toBe(fixed);
  });
  it("has nothing to do for its own results", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const fixed = fixText(text);
        if (!fixed.includes("&")) expect(fixText(fixed)).toBe(fixed);
      }),
      { numRuns: 200 },
    );
  });
});

describe("unescapeHtml", () => {
  // Results of Python's html.unescape.
  it.each([
    ["&notit; &notin; &not", "¬it; ∉ ¬"],
    ["&#0; &#128; &#xD800; &#1114112; &#7;", "\ufffd € \ufffd \ufffd "],
    ["&acE; &ampx &;", "\u223e\u0333 &x &;"],
    ["&#x1F600&#65", "😀A"],
  ])("%j", (text, expected) => {
    expect(unescapeHtml(text)).toBe(expected);
  });
});

it("cleanPrompt leaves no white space but single spaces", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(cleanPrompt(text)).not.toMatch(/^ | $| {2}|[\t\n\v\f\r]/);
    }),
  );
});
