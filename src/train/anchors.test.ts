/** Anchors with a writer that says what the test wants. */
import { expect, it } from "vitest";
import { keyFromSeed } from "../base/keys.ts";
import type { WorldSample } from "../world/index.ts";
import { type AnchorSettings, findAnchors } from "./anchors.ts";
import type { CaptionPolicy, CaptionResponse } from "./caption-policy.ts";
import { referenceCaptions } from "./reference-captions.ts";
import { DEFAULT_POOL, poolSamples } from "./sample-pool.ts";

const settings: AnchorSettings = {
  ...DEFAULT_POOL,
  captions: "anchors",
  anchorRougeL: 0.6,
  anchorReferences: "caption",
  anchorFallback: "skip",
  anchorDraws: 2,
  anchorRounds: 2,
  anchorTemperature: 1,
  maxNewTokens: 8,
};
const options = { seed: 1, at: 0, count: 2, key: keyFromSeed(3) };
const [firstSample, secondSample] = poolSamples(settings, 1, 0, 2) as [WorldSample, WorldSample];

/** Writes what `say` gives for a sample and a round. */
function writer(say: (sample: WorldSample, call: number) => readonly (string | null)[]): CaptionPolicy {
  let calls = 0;
  return {
    prompt: (sample: WorldSample) => ({ sample }),
    respond: async ([{ sample }]: [{ sample: WorldSample }]) => [
      say(sample, calls++).map((caption) => ({ caption }) as CaptionResponse),
    ],
  } as unknown as CaptionPolicy;
}

it("throws captions under the threshold away and draws again", async () => {
  const said = writer((sample, call) => (call === 0 ? ["nonsense", null] : ["nonsense", sample.caption]));
  const { groups, metrics } = await findAnchors(said, settings, options);
  expect(groups.map(({ sample, anchor }) => [sample.seed, anchor])).toEqual([
    [firstSample.seed, firstSample.caption],
    [secondSample.seed, secondSample.caption],
  ]);
  // Two rounds for the first sample, one for the second: 6 captions, 2 of them good.
  expect(metrics).toEqual({
    "anchors/rougeL": 1,
    "anchors/passed_over": 0,
    "anchors/from_truth": 0,
    "anchors/pass_rate": 2 / 6,
  });
});

it("passes a sample over, or takes its reference caption", async () => {
  const stubborn = (): CaptionPolicy =>
    writer((sample) => (sample.seed === firstSample.seed ? ["nonsense"] : [sample.caption]));
  const skipped = await findAnchors(stubborn(), settings, options);
  expect(skipped.metrics).toMatchObject({ "anchors/passed_over": 1, "anchors/from_truth": 0 });
  expect(skipped.groups.map(({ sample }) => sample.seed)).not.toContain(firstSample.seed);
  const kept = await findAnchors(stubborn(), { ...settings, anchorFallback: "truth" }, options);
  expect(kept.metrics).toMatchObject({ "anchors/passed_over": 0, "anchors/from_truth": 1 });
  expect(kept.groups[0]).toMatchObject({ anchor: firstSample.caption, rougeL: 1 });
  const never = writer(() => ["nonsense"]);
  await expect(findAnchors(never, { ...settings, samples: 4 }, options)).rejects.toMatchObject({
    code: "VANS_TRAIN_ANCHORS",
  });
});

it("compares with the caption, all paraphrases, or the literal ones", async () => {
  expect(referenceCaptions(firstSample, "caption")).toEqual([firstSample.caption]);
  expect(referenceCaptions(firstSample, "paraphrases")).toEqual(firstSample.paraphrases);
  const { abstract, literal } = firstSample.right.captions;
  expect(referenceCaptions(firstSample, "literal")).toEqual(literal);
  const said = writer((sample) => [sample.right.captions.abstract[0]!]);
  const wide = await findAnchors(said, { ...settings, anchorReferences: "paraphrases" }, options);
  expect(wide.groups[0]).toMatchObject({ anchor: abstract[0], rougeL: 1 });
});

it("takes reference captions as they are, or greedy ones whatever they say", async () => {
  const silent = writer(() => {
    throw new Error("asked the language model");
  });
  const own = await findAnchors(silent, { ...settings, captions: "reference" }, options);
  expect(own.groups[0]).toMatchObject({ anchor: firstSample.caption, rougeL: 1 });
  const written = await findAnchors(
    writer(() => ["nonsense"]),
    { ...settings, captions: "written" },
    options,
  );
  expect(written.groups[0]).toMatchObject({ anchor: "nonsense", rougeL: 0 });
});
