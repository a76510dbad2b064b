/**
 * All texts of samples, for training tokenizers.
 * @module
 */
import { candidates, sampleForSeed } from "./sample.ts";

/** Questions, reasonings and all captions (right and wrong) of the samples of the given seeds. */
export function* vocabularyCorpus(seeds: Iterable<number>): Generator<string> {
  for (const seed of seeds) {
    const sample = sampleForSeed(seed);
    yield sample.question;
    yield sample.reasoning;
    for (const event of candidates(sample)) yield* event.paraphrases;
  }
}
