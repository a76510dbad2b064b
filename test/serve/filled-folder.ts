/**
 * A server's folder with runs, a dataset and a report in it, as trainings and evaluations leave them.
 * @module
 */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeWorldDataset } from "../../src/data/index.ts";
import { readRecipe } from "../../src/train/index.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A line of a run's log. */
export const logLine = (step: number, reward: number): string =>
  `${JSON.stringify({ step, reward, kl: 0.001 * step, loss: 1e-6, "rewards/rouge-l/mean": reward / 4 })}\n`;

/** Runs `first` and `second`: twenty steps each, two sheets, recipes that differ in their seeds. */
export async function writeRuns(folder: string): Promise<void> {
  const recipe = await readRecipe(join(ROOT, "recipes/playroom-joint-grpo-1.yaml"));
  for (const [name, seed] of [
    ["first", 11],
    ["second", 12],
  ] as const) {
    const run = join(folder, "runs", name);
    await mkdir(join(run, "sheets"), { recursive: true });
    await writeFile(join(run, "recipe.json"), JSON.stringify({ ...recipe, seed }));
    await writeFile(
      join(run, "log.jsonl"),
      Array.from({ length: 20 }, (_, i) => logLine(i + 1, 2 + i / 50)).join(""),
    );
    for (const step of ["010", "020"])
      await copyFile(join(ROOT, "docs/images/answer-sheet.png"), join(run, "sheets", `${step}.png`));
  }
}

/** A dataset `small` of four samples. */
export async function writeDataset(folder: string): Promise<void> {
  for await (const _ of makeWorldDataset({ seed: 40, count: 4, out: join(folder, "datasets/small") }));
}

/** Samples of the report: the suite's video of the first is right, that of the second is not. */
export const REPORT_ROWS = [
  { id: "gift-1", family: "gift", kind: "procedural", suite: 1, cascade: 0 },
  { id: "candle-2", family: "candle", kind: "predictive", suite: 0, cascade: 0 },
] as const;

/** A report `judged`: the numbers of a real one, two samples with a video of the suite and one of its cascade each. */
export async function writeReport(folder: string): Promise<void> {
  const report = join(folder, "reports/judged");
  await mkdir(join(report, "videos"), { recursive: true });
  await copyFile(join(ROOT, "docs/results/joint-grpo/report.json"), join(report, "report.json"));
  const row = (at: number, part: string, values: object, texts: object): string => {
    const { id, family, kind } = REPORT_ROWS[at]!;
    return JSON.stringify({ seed: at, id, family, kind, part, values, texts });
  };
  const lines = REPORT_ROWS.flatMap(({ suite, cascade }, at) => [
    row(
      at,
      "caption",
      { captionEventAccuracy: 1, rougeL: 0.5 + at / 4 },
      { caption: `the caption of ${at}` },
    ),
    row(at, "video", { videoEventAccuracy: suite, identityAccuracy: 1, clipV: 0.9 }, { nearest: "wait" }),
    row(
      at,
      "no-references",
      { videoEventAccuracy: cascade, identityAccuracy: 1, clipV: 0.1 },
      { nearest: "nothing" },
    ),
  ]);
  await writeFile(join(report, "samples.jsonl"), `${["{}", ...lines].join("\n")}\n`);
  for (const { id } of REPORT_ROWS)
    for (const part of ["video", "no-references"])
      await copyFile(join(ROOT, "docs/images/answer-sheet.png"), join(report, "videos", `${id}-${part}.png`));
}
