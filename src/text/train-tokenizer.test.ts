import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { keyFromSeed, permutation } from "../base/keys.ts";
import { learnMerges } from "./learn-merges.ts";
import { tokenizerFromJson } from "./tokenizer.ts";
import { trainClipTokenizer, trainQwenTokenizer, trainT5Tokenizer } from "./train-tokenizer.ts";

const lines = readFileSync(join(import.meta.dirname, "fixtures/multilingual-lines.txt"), "utf8")
  .trimEnd()
  .split("\n");
// The reference tokenizers were trained on these lines three times over.
const texts = [...lines, ...lines, ...lines];
const golden = (name: string) =>
  JSON.parse(
    readFileSync(join(import.meta.dirname, `../../conformance/tokenizers/${name}.tokenizer.json`), "utf8"),
  );
const shuffled = (items: readonly string[]) =>
  [...permutation(keyFromSeed(5), items.length)].map((i) => items[i]!);
const CAPTIONS = [
  "A red ball rolls to the ledge and falls.",
  "The blue ball rolls back.",
  "A red cup falls.",
];

describe("trainQwenTokenizer", () => {
  it("learns the very vocabulary of the Rust trainer", () => {
    const reference = golden("byte_bpe");
    const specialTokens = reference.added_tokens.map((token: { content: string }) => token.content);
    const { model } = trainQwenTokenizer(texts, { vocabSize: 900 + specialTokens.length, specialTokens });
    expect(model["merges"]).toEqual(reference.model.merges);
    expect(model["vocab"]).toEqual(reference.model.vocab);
  });

  it("does not depend on the order of the texts", () => {
    const options = { vocabSize: 600 };
    expect(trainQwenTokenizer(shuffled(texts), options)).toEqual(trainQwenTokenizer(texts, options));
  });

  it("makes frequent words single tokens and writes everything", () => {
    const tokenizer = tokenizerFromJson(trainQwenTokenizer(CAPTIONS, { vocabSize: 400 }));
    expect(tokenizer.encode(" ball")).toHaveLength(1);
    expect(tokenizer.encode(" falls")).toHaveLength(1);
    expect(tokenizer.decode(tokenizer.encode("völlig 新しい 😀"))).toBe("völlig 新しい 😀");
    expect(tokenizer.requireId("<|video_pad|>")).toBe(tokenizer.vocabSize - 1);
    expect(tokenizer.specialIds.size).toBe(8);
  });

  it("leaves the answer tags ordinary text, in few tokens if asked", () => {
    const answer = "[Think]It rolls.[/Think][Ans]It falls.[/Ans]";
    const ordinary = tokenizerFromJson(trainQwenTokenizer(CAPTIONS, { vocabSize: 300 }));
    const emphasised = tokenizerFromJson(
      trainQwenTokenizer(CAPTIONS, { vocabSize: 400, minFrequency: 1, emphasised: [answer, " ledge"] }),
    );
    expect(ordinary.idOf("[Think]")).toBeUndefined();
    expect(emphasised.idOf("[Think]")).toBeUndefined();
    expect(emphasised.encode("[Think]")).toHaveLength(2);
    expect(emphasised.encode(" ledge")).toHaveLength(1);
    expect(emphasised.encode(answer).length).toBeLessThan(ordinary.encode(answer).length / 2);
    for (const tokenizer of [ordinary, emphasised])
      expect(tokenizer.decode(tokenizer.encode(answer))).toBe(answer);
  });

  it("refuses a vocabulary without room for the bytes", () => {
    expect(() => trainQwenTokenizer(CAPTIONS, { vocabSize: 263 })).toThrow(RangeError);
  });
});

describe("trainClipTokenizer", () => {
  it("learns the merges of the Rust trainer, up to the order of ties", () => {
    const reference = golden("clip");
    const trained = trainClipTokenizer(texts, { vocabSize: reference.added_tokens[1].id + 1 });
    const sorted = (merges: unknown) => (merges as string[][]).map((pair) => pair.join(" ")).sort();
    expect(sorted(trained.model["merges"])).toEqual(sorted(reference.model.merges));
    expect({ ...trained, model: 0, added_tokens: 0 }).toEqual({ ...reference, model: 0, added_tokens: 0 });
  });

  it("ends words, lowers case, frames with begin and end", () => {
    const tokenizer = tokenizerFromJson(trainClipTokenizer(CAPTIONS, { vocabSize: 620, minFrequency: 1 }));
    const ids = tokenizer.encode("A RED ball");
    expect(ids.map((id) => tokenizer.tokenOf(id))).toEqual([
      "<|startoftext|>",
      "a</w>",
      "red</w>",
      "ball</w>",
      "<|endoftext|>",
    ]);
    // The text model takes the feature at the highest id, which must be the end token.
    expect(Math.max(...ids)).toBe(ids.at(-1));
    expect(ids.at(-1)).toBe(tokenizer.vocabSize - 1);
  });
});

describe("trainT5Tokenizer", () => {
  it("knows words whole and spells the others", () => {
    const tokenizer = tokenizerFromJson(trainT5Tokenizer(CAPTIONS, { vocabSize: 200, minFrequency: 1 }));
    const tokens = (text: string) => tokenizer.encode(text).map((id) => tokenizer.tokenOf(id));
    expect(tokens("The ball falls.")).toEqual(["▁The", "▁ball", "▁falls", ".", "</s>"]);
    expect(tokens("balls")).toEqual(["▁ball", "s", "</s>"]);
    expect(tokens("zoo")).toEqual(["▁", "z", "o", "o", "</s>"]);
    expect(tokens("火")).toEqual(["▁", "<unk>", "</s>"]);
    expect([tokenizer.idOf("<pad>"), tokenizer.idOf("</s>"), tokenizer.idOf("<unk>")]).toEqual([0, 1, 2]);
    expect(tokenizer.decode(tokenizer.encode("  The ball\n falls."), { skipSpecialTokens: true })).toBe(
      "The ball falls.",
    );
  });

  it("writes unknown characters as bytes, and lowers case, if asked", () => {
    const options = { vocabSize: 500, minFrequency: 1, byteFallback: true, lowercase: true };
    const tokenizer = tokenizerFromJson(trainT5Tokenizer(CAPTIONS, options));
    const ids = tokenizer.encode("The RED 火");
    expect(ids.slice(0, 2).map((id) => tokenizer.tokenOf(id))).toEqual(["▁the", "▁red"]);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("the red 火");
  });

  it("keeps every frequent word whole in a larger corpus, whatever the order", () => {
    const file = trainT5Tokenizer(texts, { vocabSize: 1500 });
    expect(trainT5Tokenizer(shuffled(texts), { vocabSize: 1500 })).toEqual(file);
    const tokenizer = tokenizerFromJson(file);
    for (const word of ["next", "camera", "Mann", "pan"]) {
      expect(tokenizer.encode(`x ${word} y`).map((id) => tokenizer.tokenOf(id))).toContain(`▁${word}`);
    }
  });

  it("refuses a vocabulary without room for the characters", () => {
    expect(() => trainT5Tokenizer(CAPTIONS, { vocabSize: 50 })).toThrow(RangeError);
  });
});

describe("learnMerges", () => {
  it("takes the most frequent pair, then the one with lower ids", () => {
    const words = [
      [["a", "b", "c"], 3],
      [["b", "c"], 2],
      [["c", "a"], 5],
    ] as const;
    const { merges } = learnMerges(["a", "b", "c"], words, { vocabSize: 6 });
    expect(merges).toEqual([
      ["b", "c"],
      ["c", "a"],
      ["a", "bc"],
    ]);
  });
  it("stops at rare pairs and refuses unknown symbols", () => {
    expect(learnMerges(["a", "b"], [[["a", "b"], 1]], { vocabSize: 9 }).merges).toEqual([]);
    expect(() => learnMerges(["a"], [[["x"], 1]], { vocabSize: 9 })).toThrow(RangeError);
  });
});
