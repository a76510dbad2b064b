/** Samples through models that are known to be good or bad. @module */
import { expect, it } from "vitest";
import type { Clip } from "../media/clip.ts";
import { f32 } from "../tensor/index.ts";
import { candidates, identityProbes, sampleForSeed, type WorldSample } from "../world/index.ts";
import { type Drawings, type EvaluationItem, evaluateParts, type PartResult } from "./evaluate-parts.ts";
import type { EvaluatedModels } from "./evaluated-models.ts";
import { EVALUATION_PARTS, METRIC_NAMES, METRICS } from "./metric-table.ts";

const sample = sampleForSeed(900_001);
const other = candidates(sample)[2]!;

/** An autoencoder that keeps all, and a video model that draws what `draw` says; 0 references mean "not seen". */
function models(
  draw: (caption: string, isSeen: boolean) => Clip,
  caption = sample.caption,
): EvaluatedModels & { drawn: number } {
  const out = {
    drawn: 0,
    write: async () => ({
      text: `[Think]x[/Think][Ans]${caption}[/Ans]`,
      caption,
      captionFrom: "answer" as const,
      wellFormed: true,
    }),
    throughAutoencoder: async (clip: Clip) => clip,
    references: async () => f32([1, 1], [1, 1, 1, 1, 2]),
    draw: async (order: {
      readonly caption: string;
      readonly references: { readonly data: ArrayLike<number> };
    }) => {
      out.drawn++;
      return draw(order.caption, order.references.data[0] === 1);
    },
  };
  return out;
}

async function results(
  evaluated: EvaluatedModels,
  change: Partial<EvaluationItem> = {},
  drawings?: Map<number, Drawings>,
): Promise<PartResult[]> {
  const item: EvaluationItem = {
    sample,
    parts: EVALUATION_PARTS,
    input: { frames: sample.input },
    ...change,
  };
  const out: PartResult[] = [];
  for await (const result of evaluateParts(evaluated, [item], { ...(drawings && { drawings }) }))
    out.push(result);
  return out;
}

const values = (all: readonly PartResult[]) => Object.assign({}, ...all.map(({ outcome }) => outcome.values));

it("finds all right where all is right, and draws equal captions once", async () => {
  const perfect = models((_, isSeen) => (isSeen ? sample.output : identityProbes(sample).alternatives[0]));
  const all = await results(perfect);
  expect(all.map(({ outcome }) => outcome.part)).toEqual([...EVALUATION_PARTS]);
  expect(values(all)).toMatchObject({
    templateRate: 1,
    captionEventAccuracy: 1,
    rougeL: 1,
    reconstructionEventAccuracy: 1,
    reconstructionPsnrDb: 99,
    videoEventAccuracyFromTruth: 1,
    videoEventAccuracy: 1,
    videoPsnrDb: 99,
    identityAccuracy: 1,
    identityAccuracyNoReferences: 0,
  });
  expect(perfect.drawn).toBe(2);
  expect(all[3]!.clip).toBe(sample.output);
  // Every metric comes from the part that the table says.
  for (const name of METRIC_NAMES) {
    const part = METRICS[name].part;
    if (part === "all") continue;
    const from = all.filter(({ outcome }) => name in outcome.values).map(({ outcome }) => outcome.part);
    expect([name, from]).toEqual([name, [part]]);
  }
});

it("tells the event that was drawn and said instead", async () => {
  const caption = other.paraphrases[0]!;
  const wrong = models((told) => (told === caption ? other.render() : sample.output), caption);
  const all = await results(wrong);
  expect(values(all)).toMatchObject({
    captionEventAccuracy: 0,
    videoEventAccuracyFromTruth: 1,
    videoEventAccuracy: 0,
    // The object is right although the event is not.
    identityAccuracy: 1,
  });
  expect(all[1]!.outcome.texts).toMatchObject({ event: sample.event, nearest: other.event, caption });
  expect(all[3]!.outcome.texts).toMatchObject({ nearest: other.event, object: "truth" });
});

it("judges a video that repeats the last frame as nothing", async () => {
  const still = (of: WorldSample): Clip => candidates(of)[1]!.render();
  const all = await results(models(() => still(sample)));
  expect(values(all)).toMatchObject({ videoEventAccuracy: 0, identityAccuracy: 1, motionEnergy: 0 });
  expect(values(all).motionEnergyTruth).toBeGreaterThan(0);
});

it("counts it as wrong where the autoencoder makes all events equal", async () => {
  const grey: Clip = { ...sample.output, rgb: new Uint8Array(sample.output.rgb.length).fill(128) };
  const blind = { ...models(() => grey), throughAutoencoder: async () => grey };
  const found = values(await results(blind));
  expect(found).toMatchObject({
    reconstructionEventAccuracySameVae: 0,
    videoEventAccuracy: 0,
    identityAccuracy: 0,
  });
  expect(found.reconstructionPsnrDb).toBeLessThan(20);
});

it("keeps drawings where it is given a place for them", async () => {
  const drawings = new Map<number, Drawings>();
  let runs = 0;
  const counting = {
    ...models(() => sample.output),
    throughAutoencoder: async (clip: Clip) => {
      runs++;
      return clip;
    },
  };
  await results(counting, { parts: ["video-from-truth"] }, drawings);
  expect(runs).toBe(5);
  await results(counting, {}, drawings);
  expect(runs).toBe(8);
});

it("says what a part lacks, and stops when asked to", async () => {
  const { write: _, ...mute } = models(() => sample.output);
  const lacking = { code: "VANS_EVALUATE_PART" };
  await expect(results(mute)).rejects.toMatchObject(lacking);
  await expect(results(mute, { parts: ["video"] })).rejects.toMatchObject(lacking);
  await expect(results(mute, { parts: ["video"], caption: "x" })).resolves.toHaveLength(1);
  const items = [{ sample, parts: ["video-from-truth"] as const }];
  await expect(evaluateParts(mute, items).next()).rejects.toMatchObject(lacking);
  const signal = AbortSignal.abort();
  await expect(evaluateParts(mute, items, { signal }).next()).rejects.toMatchObject({
    code: "VANS_RUN_ABORTED",
  });
});
