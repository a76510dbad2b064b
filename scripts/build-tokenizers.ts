/**
 * Trains the tokenizers of the playroom suite on the world's texts (training seeds only) and writes them into the suite.
 * Run: npx tsx scripts/build-tokenizers.ts
 */
import { mkdir } from "node:fs/promises";
import {
  trainClipTokenizer,
  trainQwenTokenizer,
  trainT5Tokenizer,
  writeTokenizer,
} from "../src/text/index.ts";
import { vocabularyCorpus } from "../src/world/index.ts";

const SEEDS = Array.from({ length: 6000 }, (_, i) => i);
const texts = [...vocabularyCorpus(SEEDS)];
const words = [
  ...new Set(texts.flatMap((text) => text.split(/[^a-z0-9]+/)).filter((word) => word.length > 0)),
].sort();
const root = new URL("../suites/playroom-sft/", import.meta.url).pathname;
const tags = ["[Think]", "[/Think]", "[Ans]", "[/Ans]"];
// A word stands mostly behind a space; the first word of a text stands without one.
const emphasised = [...words.map((word) => ` ${word}`), ...words];

for (const folder of ["vlm", "text-encoder", "clip"]) await mkdir(`${root}${folder}`, { recursive: true });
const system = "predict the next event.";
const answers = texts.map(
  (text) => `system\n${system}\nuser\nassistant\n[Think]${text}[/Think][Ans]${text}[/Ans]`,
);
await writeTokenizer(
  `${root}vlm/tokenizer.json`,
  trainQwenTokenizer(answers, { vocabSize: 1400, emphasised: [...emphasised, ...tags] }),
);
await writeTokenizer(
  `${root}text-encoder/tokenizer.json`,
  trainT5Tokenizer(texts, { vocabSize: 640, emphasised: words, lowercase: true }),
);
await writeTokenizer(
  `${root}clip/tokenizer.json`,
  trainClipTokenizer(texts, { vocabSize: 1100, emphasised: words }),
);
console.log(`${texts.length} texts, ${words.length} words`);
