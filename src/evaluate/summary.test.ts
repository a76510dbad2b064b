/** Rows to metrics, targets and confusions; the report's texts. @module */
import { expect, it } from "vitest";
import { EVALUATION_PARTS, METRIC_NAMES, METRICS, type MetricName, withNeededParts } from "./metric-table.ts";
import type { PartRow } from "./part-row.ts";
import { htmlReport } from "./report-html.ts";
import { markdownReport } from "./report-markdown.ts";
import { type EvaluationReport, reportSchema } from "./report-schema.ts";
import { confusions, summarise, targetResults } from "./summary.ts";

function row(
  seed: number,
  values: Partial<Record<MetricName, number>>,
  more: Partial<PartRow> = {},
): PartRow {
  const kind = seed % 2 === 0 ? "procedural" : "predictive";
  return {
    seed,
    id: `playroom-v1-${seed}`,
    kind,
    family: kind === "procedural" ? "house" : "ball",
    part: "video",
    values,
    texts: { event: "fall", nearest: values.videoEventAccuracy === 1 ? "fall" : "nothing" },
    secs: { draw: 1 },
    workers: 2,
    ...more,
  };
}

const rows = [
  row(900000, { videoEventAccuracy: 1, identityAccuracy: 1, motionEnergy: 1 }),
  row(900001, { videoEventAccuracy: 0, identityAccuracy: 1, motionEnergy: 2 }),
  row(900002, { videoEventAccuracy: 1, identityAccuracy: 1, motionEnergy: 3 }),
  row(900003, { videoEventAccuracy: 0, identityAccuracy: 0, motionEnergy: 4 }),
  row(900000, { identityAccuracyNoReferences: 0 }, { part: "no-references", texts: {}, secs: { draw: 3 } }),
  row(900001, { identityAccuracyNoReferences: 0 }, { part: "no-references", texts: {} }),
];

it("groups by kind and family, and leaves out what was not measured", () => {
  const { metrics, families } = summarise(rows);
  expect(metrics.procedural.videoEventAccuracy).toMatchObject({ value: 1, n: 2 });
  expect(metrics.predictive.videoEventAccuracy).toMatchObject({ value: 0, n: 2 });
  expect(metrics.all.videoEventAccuracy).toMatchObject({ value: 0.5, n: 4 });
  expect(metrics.all.motionEnergy).toMatchObject({ value: 2.5, n: 4 });
  expect(metrics.all).not.toHaveProperty("templateRate");
  expect(Object.keys(families)).toEqual(["house", "ball"]);
  expect(families["ball"]!.identityAccuracy).toMatchObject({ value: 0.5, n: 2 });
  // Two workers share the machine; all parts of a sample count.
  expect(metrics.procedural.secsPerSample).toMatchObject({ value: (2 + 0.5) / 2, n: 2 });
});

it("judges targets by kind and family, the identity by what references add", () => {
  const missed = targetResults(summarise(rows))
    .filter((target) => !target.isMet)
    .map(({ target, group }) => `${group} ${target}`);
  expect(missed).toEqual([
    "predictive videoEventAccuracy",
    "predictive identityAccuracy",
    "ball videoEventAccuracy",
  ]);
  const blind = [
    row(900000, { identityAccuracy: 1 }),
    row(900000, { identityAccuracyNoReferences: 1 }, { part: "no-references" }),
  ];
  expect(targetResults(summarise(blind)).find(({ isMet }) => !isMet)).toMatchObject({ value: 0, bound: 0.3 });
});

it("counts confusions by part", () => {
  expect(confusions(rows)).toEqual([
    { family: "ball", part: "video", event: "fall", nearest: "nothing", count: 2 },
  ]);
});

it("asks for captions where own captions are drawn", () => {
  expect(withNeededParts(["video"])).toEqual(["caption", "video"]);
  expect(withNeededParts(["no-references", "reconstruction"])).toEqual([
    "reconstruction",
    "caption",
    "no-references",
  ]);
  expect(withNeededParts(["video-from-truth"])).toEqual(["video-from-truth"]);
});

function reportOf(): EvaluationReport {
  const summary = summarise(rows);
  return {
    schemaVersion: 2,
    suite: { name: "tiny", version: "1", folder: "/suites/tiny", hashes: { "a.json": "00" } },
    data: {
      folder: "/data",
      manifestSha256: "00",
      count: 4,
      evaluated: 4,
      firstSeed: 900000,
      lastSeed: 900003,
      worldVersion: 1,
      isHeldOut: true,
    },
    settings: { steps: 3 },
    device: "cpu",
    parts: Object.fromEntries(
      EVALUATION_PARTS.map((part) => [part, { done: 0, of: 4 }]),
    ) as EvaluationReport["parts"],
    metrics: summary.metrics,
    families: summary.families,
    judges: { suite: "/suites/tiny", clipEval: "00", clipReward: null, fvd: null },
    systems: [],
    comparisons: [],
    alarms: [],
    notes: ["there is <no> I3D"],
    targets: targetResults(summary),
    confusions: confusions(rows),
    timings: { stagesSecs: { draw: 8 }, wallSecs: 4, computed: 6, workers: 2 },
    versions: { vans: "0", node: "v20", onnxruntime: "1", platform: "test" },
    definitions: Object.fromEntries(METRIC_NAMES.map((name) => [name, METRICS[name].about])),
  };
}

it("has a schema that takes its own report and refuses others", () => {
  const report = reportOf();
  expect(reportSchema.parse(JSON.parse(JSON.stringify(report)))).toEqual(report);
  const unknown = {
    ...report,
    metrics: { ...report.metrics, all: { speed: { value: 1, low: 1, high: 1, n: 1 } } },
  };
  expect(reportSchema.safeParse(unknown).success).toBe(false);
  const { metrics: _, ...without } = report;
  expect(reportSchema.safeParse(without).success).toBe(false);
  const nan = { ...report, timings: { ...report.timings, wallSecs: Number.NaN } };
  expect(reportSchema.safeParse(nan).success).toBe(false);
});

it("tells it in words, with all signs made safe", () => {
  const report = { ...reportOf(), confusions: [{ ...confusions(rows)[0]!, event: "<b>|x" }] };
  const html = htmlReport(report, [{ name: "ball-wrong", title: "ball <wrong>", png: Uint8Array.of(1, 2) }]);
  expect(html).toContain(
    '<td>videoEventAccuracy</td><td>predictive</td><td>0.000</td><td>0.750</td><td class="missed">NO</td>',
  );
  expect(html).toContain("&lt;b&gt;|x");
  expect(html).toContain('src="data:image/png;base64,AQI="');
  expect(html).not.toContain("<wrong>");
  expect(html).toContain("there is &lt;no&gt; I3D");
  expect(html).not.toMatch(/(src|href)="(?!data:)/);
  const markdown = markdownReport(report, [{ title: "ball", path: "sheets/ball-wrong.png" }]);
  expect(markdown).toContain("| ball | <b>\\|x | nothing | 2 |");
  expect(markdown).toContain("![ball](sheets/ball-wrong.png)");
});
