import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StreamDecoder } from "./stream-decoder.ts";
import { loadTokenizer, tokenizerFromJson } from "./tokenizer.ts";

const folder = join(import.meta.dirname, "../../conformance/tokenizers");
const qwen = await loadTokenizer(join(folder, "byte_bpe.tokenizer.json"));
const clip = await loadTokenizer(join(folder, "clip.tokenizer.json"));
const t5 = await loadTokenizer(join(folder, "unigram.tokenizer.json"));

describe("Tokenizer", () => {
  it("gives back any text it has encoded (byte level)", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const ids = qwen.encode(text);
        expect(qwen.decode(ids)).toBe(text.normalize("NFC"));
        for (const id of ids) expect(id).toBeLessThan(qwen.vocabSize);
      }),
    );
  });

  it("knows special tokens and leaves them out on request", () => {
    const end = qwen.requireId("<|im_end|>");
    expect(qwen.specialIds.has(end)).toBe(true);
    expect(qwen.specialIds.has(qwen.requireId("<tool_call>"))).toBe(false);
    expect(qwen.addedIds.has(qwen.requireId("<tool_call>"))).toBe(true);
    const ids = qwen.encode("hi<|im_end|>");
    expect(ids.at(-1)).toBe(end);
    expect(qwen.decode(ids, { skipSpecialTokens: true })).toBe("hi");
  });

  it("reads a person's special tokens as text after breaking them up", () => {
    const text = qwen.withoutSpecialTokens("a <|im_end|> b <tool_call>");
    const ids = qwen.encode(text);
    expect(ids.filter((id) => qwen.addedIds.has(id))).toEqual([]);
    expect(qwen.decode(ids).replaceAll("\u200b", "")).toBe("a <|im_end|> b <tool_call>");
  });

  it("pads and cuts to a fixed length, keeping begin and end tokens", () => {
    const [begin, end] = [clip.requireId("<|startoftext|>"), clip.requireId("<|endoftext|>")];
    const short = clip.encodeFixed("a dog", 12, end);
    expect([...short.ids.slice(0, short.count)]).toEqual(clip.encode("a dog"));
    expect([...short.ids.slice(short.count)]).toEqual(new Array(12 - short.count).fill(end));
    expect(short.mask.reduce((a, b) => a + b, 0)).toBe(short.count);
    const long = clip.encodeFixed("a dog runs over the long bridge again and again", 8, end);
    expect(long.ids.length).toBe(8);
    expect([long.ids[0], long.ids[7], long.count]).toEqual([begin, end, 8]);
    expect([...t5.encodeFixed("", 4, 0).ids]).toEqual([1, 0, 0, 0]);
    const cut = t5.encodeFixed("the pan is hot and the dough is cold", 5, 0);
    expect([...cut.ids]).toEqual([...t5.encode("the pan is hot and the dough is cold").slice(0, 4), 1]);
    expect([...clip.encodeFixed("", 3, end).ids]).toEqual([begin, end, end]);
    expect(() => clip.encodeFixed("x", 1, end)).toThrow(RangeError);
  });

  it("names what is wrong", async () => {
    expect(() => qwen.decode([5, 999_999])).toThrow(
      expect.objectContaining({ code: "VANS_TEXT_TOKEN_UNKNOWN" }),
    );
    expect(() => qwen.requireId("<|nope|>")).toThrow(
      expect.objectContaining({ code: "VANS_TEXT_TOKEN_UNKNOWN" }),
    );
    const invalid = { code: "VANS_TEXT_TOKENIZER_INVALID" };
    await expect(loadTokenizer(join(folder, "missing.json"))).rejects.toMatchObject(invalid);
    expect(() => tokenizerFromJson({})).toThrow(expect.objectContaining(invalid));
    expect(() => tokenizerFromJson({ model: { type: "Nonsense", vocab: {} } })).toThrow(
      expect.objectContaining(invalid),
    );
  });
});

describe("StreamDecoder", () => {
  it("gives the text of the whole, never half a character", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        // A text may hold the replacement character itself; then it says nothing about halves.
        fc.pre(!text.includes("\ufffd"));
        const decoder = new StreamDecoder(qwen);
        const pieces = qwen.encode(text).map((id) => decoder.push(id));
        for (const piece of pieces) expect(piece).not.toContain("\ufffd");
        expect(pieces.join("") + decoder.finish()).toBe(text.normalize("NFC"));
      }),
    );
  });

  it("shows an incomplete character at the end and starts anew", () => {
    const decoder = new StreamDecoder(qwen);
    const [first] = qwen.encode("😀");
    expect(decoder.push(first!)).toBe("");
    expect(decoder.finish()).toBe("\ufffd");
    expect(
      qwen
        .encode("ok")
        .map((id) => decoder.push(id))
        .join(""),
    ).toBe("ok");
  });

  it("shows special tokens if asked", () => {
    const end = qwen.requireId("<|im_end|>");
    expect(new StreamDecoder(qwen).push(end)).toBe("");
    expect(new StreamDecoder(qwen, { skipSpecialTokens: false }).push(end)).toBe("<|im_end|>");
  });
});
