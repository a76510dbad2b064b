/**
 * Training curves of all rows, one chart a scalar.
 * @module
 */
import { join } from "node:path";
import type { Experiment } from "./experiment-file.ts";
import { type ChartSeries, lineChart, movingMean } from "./line-chart.ts";
import type { Plan } from "./plan.ts";
import { readCurves } from "./report-data.ts";

/** The charts of one task. */
export interface TaskCharts {
  readonly task: string;
  /** SVG elements. */
  readonly charts: readonly string[];
}

/** Noisy curves are shown as the mean over this share of their points. */
const SMOOTHED_SHARE = 1 / 40;

/** Charts by task, of the scalars that the experiment names; tasks without logs are left out. */
export async function drawCurves(experiment: Experiment, plan: Plan, folder: string): Promise<TaskCharts[]> {
  const tasks: TaskCharts[] = [];
  for (const [task, scalars] of Object.entries(experiment.curves)) {
    const series = new Map<string, ChartSeries[]>(scalars.map((scalar) => [scalar, []]));
    for (const run of plan)
      for (const { key, recipe } of run.trainings) {
        if (recipe.task !== task) continue;
        const curves = await readCurves(join(folder, run.id, key));
        const name = plan.some((one) => one !== run && one.row === run.row) ? run.id : run.row.name;
        for (const scalar of scalars) {
          const points = curves.get(scalar) ?? [];
          series
            .get(scalar)!
            .push({ name, points: movingMean(points, Math.round(points.length * SMOOTHED_SHARE)) });
        }
      }
    const charts = scalars
      .map((scalar) => lineChart({ title: scalar, xLabel: "update", series: series.get(scalar)! }))
      .filter((svg) => svg !== "");
    if (charts.length > 0) tasks.push({ task, charts });
  }
  return tasks;
}
