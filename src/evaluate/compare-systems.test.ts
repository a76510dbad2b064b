/** Systems against each other: pairs, corpus metrics, alarms, and what the report says of it. @module */
import { expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import type { FvdSettings } from "../metrics/index.ts";
import { sampleForSeed } from "../world/index.ts";
import { collapseAlarms, hackingAlarms } from "./alarms.ts";
import { compareSystems } from "./compare-systems.ts";
import { differencePlot } from "./difference-plot.ts";
import { EVALUATION_PARTS, type EvaluationPart } from "./metric-table.ts";
import { packFeatures, unpackFeatures } from "./part-row.ts";
import { comparisonSchema } from "./report-schema.ts";
import { differenceSections } from "./report-text.ts";
import { type SummarisedRow, SystemRows } from "./statistics.ts";
import { summariseSystem } from "./summary.ts";
import { partOf, SYSTEM_NAMES, SYSTEMS } from "./systems.ts";

const fvd: FvdSettings = {
  weights: "w",
  weightsSha256: "00",
  fit: "stretch",
  sizePx: 64,
  batchNormEpsilon: 1e-3,
  divisor: "N-1",
  tap: "logits",
};
const COUNT = 80;
const noise = (name: string, i: number, size = 1): Float32Array =>
  normal(fold(keyFromSeed(4), name, i), size);

/** A system whose videos are worse by `error`; `told` is what the CLIP that rewards adds. */
function rowsOf(
  { error, told = 0, said }: { error: number; told?: number; said?: string },
  part: EvaluationPart = "video",
): SummarisedRow[] {
  return Array.from({ length: COUNT }, (_, i): SummarisedRow[] => {
    const sample = sampleForSeed(900_000 + i);
    const { seed, id, kind, family } = sample;
    const hard = noise("hard", i)[0]!;
    const own = noise(`own ${error}`, i)[0]!;
    const common = { seed, id, kind, family, secs: { draw: 1 } };
    const likeness = 0.8 + 0.05 * hard + 0.005 * own - error;
    const truth = noise("truth", i, 3);
    return [
      {
        ...common,
        part: "caption",
        values: { rougeL: 1 - error, captionLengthWords: said ? 2 : 8, captionLengthWordsTruth: 8 },
        texts: { caption: said ?? (error > 0.2 ? "the lid" : sample.caption) },
      },
      {
        ...common,
        part,
        values: {
          clipV: likeness,
          clipVReward: likeness + told,
          videoEventAccuracy: own > error * 4 - 1 ? 1 : 0,
          motionEnergy: 2 * (1 - error),
          motionEnergyTruth: 2,
        },
        texts: { event: sample.event, nearest: sample.event },
        features: {
          truth: packFeatures(truth),
          video: packFeatures(truth.map((value, k) => value + 3 * error + 0.1 * noise("f", i, 3)[k]!)),
        },
      },
    ];
  }).flat();
}

const good = new SystemRows(rowsOf({ error: 0 }), { name: "good", fvd });
const bad = new SystemRows(rowsOf({ error: 0.3 }), { name: "bad", fvd });

it("packs features without loss", () => {
  const values = Float32Array.of(0, -1.5, 1e-20, 3.4e38);
  expect(unpackFeatures(packFeatures(values))).toEqual(values);
});

it("pairs samples: the difference is certain although samples differ widely", () => {
  const found = compareSystems(good, bad);
  expect(comparisonSchema.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
  const { clipV, rougeL, fvd: distance, bleu4, captionLengthWords } = found.metrics.all;
  expect(clipV).toMatchObject({ n: COUNT, excludesZero: true });
  expect(clipV!.value).toBeCloseTo(0.3, 2);
  expect(clipV!.high - clipV!.low).toBeLessThan(0.01);
  expect(rougeL).toMatchObject({ low: expect.closeTo(0.3, 9), high: expect.closeTo(0.3, 9) });
  // Corpus metrics pair as well.
  expect(distance!.value).toBeLessThan(-1);
  expect(distance!.high).toBeLessThan(0);
  expect(bleu4!.first).toBeCloseTo(1, 9);
  expect(bleu4!.low).toBeGreaterThan(0.5);
  expect(captionLengthWords).toMatchObject({ value: 0, relative: 0, excludesZero: false });
  expect(found.metrics.procedural.clipV!.n).toBe(COUNT / 2);
  expect(Object.keys(found.families)).toHaveLength(8);
  expect(compareSystems(good, bad)).toEqual(found);
  const self = compareSystems(good, good).metrics.all;
  for (const one of Object.values(self)) expect(one).toMatchObject({ value: 0, low: 0, high: 0 });
});

it("takes the samples that both have, whatever their order", () => {
  const few = new SystemRows([...bad.rows].reverse().slice(0, 60), { name: "few", fvd });
  const whole = compareSystems(good.within([900_060, 900_061, 900_062, 900_063], "few good"), few);
  expect(whole.metrics.all.clipV!.n).toBe(4);
  expect(whole.metrics.all.fvd!.n).toBe(4);
  const other = new SystemRows(good.rows, { fvd: { ...fvd, tap: "pooled" } });
  expect(() => compareSystems(other, bad)).toThrow(
    expect.objectContaining({ code: "VANS_EVALUATE_COMPARE" }),
  );
});

it("has an interval around a Fréchet distance, and none without settings", () => {
  const { metrics, families } = summariseSystem(bad);
  expect(metrics.all.fvd!.value).toBeCloseTo(3 * 0.9 ** 2, 0);
  expect(metrics.all.fvd!.low).toBeLessThan(metrics.all.fvd!.value);
  expect(metrics.all.fvd!.high).toBeGreaterThan(metrics.all.fvd!.value);
  expect(families["ball"]!.fvd!.n).toBe(10);
  expect(summariseSystem(new SystemRows(bad.rows)).metrics.all).not.toHaveProperty("fvd");
});

it("takes captions and videos of a system from its own parts", () => {
  for (const name of SYSTEM_NAMES) {
    expect(EVALUATION_PARTS).toContain(SYSTEMS[name].video);
    expect(partOf(name, "video")).toBe(SYSTEMS[name].video);
  }
  const rows = [
    ...rowsOf({ error: 0 }),
    ...rowsOf({ error: 0.3 }, "extension").filter(({ part }) => part !== "caption"),
  ];
  const extension = new SystemRows(rows, { system: "extension", fvd });
  const { all } = summariseSystem(extension).metrics;
  expect(all.clipV!.value).toBeLessThan(0.6);
  expect(all).not.toHaveProperty("rougeL");
  expect(all).not.toHaveProperty("secsPerSample");
  const found = compareSystems(extension, new SystemRows(rows, { fvd })).metrics.all;
  expect(found.clipV!.value).toBeLessThan(-0.2);
  expect(found).not.toHaveProperty("rougeL");
});

it("rings where the CLIP that rewards sees a gain that the other does not", () => {
  const start = new SystemRows(rowsOf({ error: 0.05 }), { name: "start", fvd });
  expect(hackingAlarms(good, start)).toEqual([]);
  const hacked = new SystemRows(rowsOf({ error: 0.05, told: 0.1 }), { name: "hacked", fvd });
  const alarms = hackingAlarms(hacked, start);
  expect(alarms.map(({ alarm, group }) => `${alarm} ${group}`)).toEqual([
    "reward-hacking procedural",
    "reward-hacking predictive",
    "reward-hacking all",
  ]);
  expect(alarms[0]!.value).toBeLessThan(alarms[0]!.bound);
  // A loss is no hack, nor is a gain that both see.
  expect(hackingAlarms(start, hacked)).toEqual([]);
});

it("rings where videos hold still or captions collapse", () => {
  expect(collapseAlarms(good)).toEqual([]);
  const still = new SystemRows(rowsOf({ error: 0.7, said: "all stays" }), { name: "still" });
  expect([...new Set(collapseAlarms(still).map(({ alarm }) => alarm))]).toEqual([
    "static",
    "short-captions",
    "repeated-captions",
  ]);
  const wild = new SystemRows(rowsOf({ error: -2 }), { name: "wild" });
  expect(collapseAlarms(wild).map(({ alarm }) => alarm)).toContain("flicker");
});

it("is told in tables and drawn", () => {
  const found = compareSystems(bad, good);
  const [section] = differenceSections([found]);
  expect(section!.title).toBe("Differences to good, procedural");
  const row = section!.table!.rows.find(([name]) => name === "rougeL")!;
  expect(row[1]).toBe("-0.300 [-0.300, -0.300], -30.0 % *");
  expect(row.slice(2)).toEqual(["higher", "40"]);
  const plot = differencePlot([{ ...found, system: "<bad>" }], "all");
  expect(plot).toContain("&lt;bad&gt;");
  expect(plot.match(/<circle/g)!.length).toBeGreaterThan(3);
  expect(plot).not.toContain("NaN");
  expect(differencePlot([], "all")).toBe("");
});
