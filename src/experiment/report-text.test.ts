import { expect, it } from "vitest";
import type { ReportedRow } from "./report-data.ts";
import { resultTable } from "./report-text.ts";

const estimate = { value: 0.5, low: 0.4, high: 0.6, n: 100, bySeed: [0.5] };
const row = (title: string, all: ReportedRow["metrics"]["all"]): ReportedRow => ({
  ...{ name: title, title, about: "", system: "suite", of: null, seeds: [1], samples: 100, runs: [] },
  metrics: { all, procedural: {}, predictive: {} },
  differences: { all: {}, procedural: {}, predictive: {} },
  ...{ trainingCpuSecs: 0, chainCpuSecs: 0, evaluationCpuSecs: 0, answer: {} },
});
const report = {
  metrics: [
    { name: "rougeL", about: "", better: "higher" },
    { name: "clipV", about: "", better: "higher" },
  ],
  rows: [row("measured", { clipV: estimate }), row("not yet run", {})],
} as const;

it("a metric that no row has takes no column, a row without results no line", () => {
  const { head, rows } = resultTable(report, "all");
  expect(head).toEqual(["", "samples", "clipV ↑"]);
  expect(rows).toEqual([[{ text: "measured" }, { text: "100" }, { text: "0.500", note: "0.400 … 0.600" }]]);
});
