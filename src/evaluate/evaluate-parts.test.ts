/** Samples through models that are known to be good or bad. @module */
import { expect, it } from "vitest";
import type { Clip } from "../media/clip.ts";
import type { ClipScorer, FvdMeter } from "../metrics/index.ts";
import { f32 } from "../tensor/index.ts";
import { candidates, identityProbes, sampleForSeed, stillInput, type WorldSample } from "../world/index.ts";
import { DrawingsInMemory, type DrawingsPlace } from "./drawings.ts";
import { evaluateParts, type PartResult } from "./evaluate-parts.ts";
import type { EvaluatedModels } from "./evaluated-models.ts";
import type { EvaluationItem } from "./evaluation-item.ts";
import type { Judges } from "./judges.ts";
import { EVALUATION_PARTS, METRIC_NAMES, METRICS } from "./metric-table.ts";
import { otherFuture } from "./other-future.ts";
import { unpackFeatures } from "./part-row.ts";

const sample = sampleForSeed(900_001);
const other = candidates(sample)[2]!;

/** An autoencoder that keeps all, and a video model that draws what `draw` says; 0 references mean "not seen". */
function models(
  draw: (caption: string, isSeen: boolean) => Clip,
  caption = sample.caption,
): EvaluatedModels & { drawn: number } {
  const out = {
    drawn: 0,
    write: async (_frames: Clip, question: string) => {
      const other = otherFuture(sample);
      const said = other?.question === question ? other.caption : caption;
      const text = `[Think]x[/Think][Ans]${said}[/Ans]`;
      return { text, caption: said, captionFrom: "answer" as const, wellFormed: true };
    },
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
  drawings?: DrawingsPlace,
  judges?: Judges,
): Promise<PartResult[]> {
  const item: EvaluationItem = {
    sample,
    parts: EVALUATION_PARTS,
    input: { frames: sample.input },
    still: { frames: sample.input },
    answers: 2,
    ...change,
  };
  const out: PartResult[] = [];
  const options = { ...(drawings && { drawings }), ...(judges && { judges }) };
  for await (const result of evaluateParts(evaluated, [item], options)) out.push(result);
  return out;
}

/** Values of all metrics, each from the part that it belongs to. */
function values(all: readonly PartResult[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { outcome } of all)
    for (const name of METRIC_NAMES)
      if (METRICS[name].part === outcome.part && outcome.values[name] !== undefined)
        found[name] = outcome.values[name];
  return found;
}

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
  // The answer, the same without references, the extension, the still, the other future, the second of two answers.
  expect(perfect.drawn).toBe(6);
  expect(all[3]!.clip).toBe(sample.output);
  // Every metric that is made sample by sample comes from the part that the table says.
  for (const name of METRIC_NAMES) {
    const { part, is } = METRICS[name];
    if (part === "all" || is === "bleu" || is === "fvd" || name.startsWith("clip")) continue;
    expect([name, all.find(({ outcome }) => outcome.part === part)?.outcome.values[name]]).toEqual([
      name,
      expect.any(Number),
    ]);
  }
});

/** CLIPs that see equality alone, and an I3D that sees one pixel. */
const judges: Judges = {
  clipEval: {
    clipV: async (a: Clip, b: Clip) => ({ value: a === b ? 1 : 0.5, perFrame: [] }),
    clipT: async (_: Clip, text: string) => ({ value: text === sample.caption ? 0.4 : 0.1, perFrame: [0.4] }),
  } as unknown as ClipScorer,
  clipReward: {
    clipV: async () => ({ value: 0.9, perFrame: [] }),
    clipT: async (clip: Clip) => ({ value: 0.3, perFrame: [clip === sample.output ? 0.3 : 0.2] }),
  } as unknown as ClipScorer,
  fvd: { features: async (clip: Clip) => Float32Array.of(clip.rgb[0]!, 0.25) } as unknown as FvdMeter,
};

it("asks both CLIPs and the I3D about every video, and leaves out what has no caption", async () => {
  const all = await results(
    models(() => sample.output),
    { parts: ["caption", "video", "extension"] },
    undefined,
    judges,
  );
  expect(all[1]!.outcome.values).toMatchObject({ clipV: 1, clipVReward: 0.9, clipT: 0.4, clipTOwn: 0.4 });
  expect(all[2]!.outcome.values).toMatchObject({ clipV: 1, clipT: 0.4 });
  expect(all[2]!.outcome.values).not.toHaveProperty("clipTOwn");
  expect(all[2]!.outcome.texts).not.toHaveProperty("caption");
  const { video, truth } = all[1]!.outcome.features!;
  expect(video).toBe(truth);
  expect([...unpackFeatures(truth!)]).toEqual([sample.output.rgb[0], 0.25]);
});

it("pairs two questions about one clip", async () => {
  const other = otherFuture(sample)!;
  expect(other.question).not.toBe(sample.question);
  expect(other.event).not.toBe(sample.event);
  expect(other.attributes).toMatchObject({
    family: sample.family,
    state: sample.attributes.state,
    colour: sample.attributes.colour,
  });
  const draw = (caption: string): Clip =>
    caption === other.caption ? other.renderRight(sample.scene) : sample.output;
  const right = await results(models(draw), { parts: ["caption", "multi-future"] });
  expect(values(right)).toMatchObject({ multiFutureAccuracy: 1, multiFutureCaptionAccuracy: 1 });
  // The same future whatever is asked.
  const stuck = await results(
    models(() => sample.output),
    { parts: ["caption", "multi-future"] },
  );
  expect(values(stuck)).toMatchObject({ multiFutureAccuracy: 0, multiFutureCaptionAccuracy: 1 });
  // After the last but one step there is one future only.
  const last = Array.from({ length: 400 }, (_, i) => sampleForSeed(900_000 + 2 * i)).find(
    (one) => one.attributes.state === "house-window",
  )!;
  expect(otherFuture(last)).toBeUndefined();
  const none = await results(
    models(() => sample.output),
    { sample: last, input: { frames: last.input }, parts: ["caption", "multi-future"] },
  );
  expect(none[1]!.outcome.values).toEqual({});
});

it("picks the best of several answers without a look at the truth", async () => {
  const wrong = candidates(sample)[2]!;
  let drawn = 0;
  const evaluated = {
    ...models(() => sample.output),
    // The suite's own answer is wrong and loses its format; the others agree.
    write: async (_f: Clip, _q: string, _s: number, { answer = 0 }: { readonly answer?: number }) => ({
      text: answer === 0 ? `[Ans]${wrong.caption}[/Ans]` : `[Think]x[/Think][Ans]${sample.caption}[/Ans]`,
      caption: answer === 0 ? wrong.caption : sample.caption,
      captionFrom: "answer" as const,
      wellFormed: answer !== 0,
    }),
    draw: async ({ caption }: { readonly caption: string }) => {
      drawn++;
      return caption === wrong.caption ? wrong.render() : sample.output;
    },
  };
  const [best] = await results(evaluated, { parts: ["best-of"], answers: 3 }, undefined, judges);
  expect(best!.outcome.texts).toMatchObject({ picked: "1", answers: "3", caption: sample.caption });
  expect(best!.outcome.values).toMatchObject({
    captionEventAccuracy: 1,
    videoEventAccuracy: 1,
    templateRate: 1,
  });
  expect(drawn).toBe(3);
  const [still] = await results(
    models(() => sample.output),
    { parts: ["still"], still: { frames: stillInput(sample) } },
  );
  expect(still!.outcome.values).toMatchObject({ rougeL: 1, videoEventAccuracy: 1, referenceKept: 1 });
  await expect(
    (async () => {
      const items = [{ sample, parts: ["still"] as const, input: { frames: sample.input } }];
      for await (const _ of evaluateParts(evaluated, items));
    })(),
  ).rejects.toMatchObject({ code: "VANS_EVALUATE_PART" });
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
  const drawings = new DrawingsInMemory();
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
  // Three permuted objects, and the other future.
  expect(runs).toBe(9);
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
