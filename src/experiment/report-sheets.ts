/**
 * The same samples answered by every row, below each other on one picture a sample.
 * @module
 */
import { join } from "node:path";
import { isPictured, PICTURES_FOLDER, readPicture } from "../evaluate/pictures.ts";
import { SYSTEMS } from "../evaluate/systems.ts";
import { contactSheet, frameOf, type RgbImage, type SheetRow } from "../media/index.ts";
import { sampleForSeed } from "../world/index.ts";
import type { Experiment } from "./experiment-file.ts";
import type { EvaluatedRow } from "./row-results.ts";
import { EVALUATION_FOLDER } from "./run-row.ts";

/** A sample on a picture. */
export interface SampleSheet {
  readonly seed: number;
  readonly title: string;
  readonly png: Uint8Array;
}

const ANSWER_SHOWN = [0, 4, 8, 12, 16];
const INPUT_SHOWN = [0, 5, 10, 15, 20];
const FRAME_HEIGHT = 64;

/** Samples that are shown: evenly spread over those of which all videos are kept and that all rows have. */
export function shownSeeds({ evaluation, rows, shownSamples }: Experiment): readonly number[] {
  const least = Math.min(
    ...rows.map(
      ({ evaluation: own }) =>
        (own.procedural ?? evaluation.procedural) + (own.predictive ?? evaluation.predictive),
    ),
  );
  const all = Array.from({ length: least }, (_, i) => evaluation.seeds + i).filter(isPictured);
  if (all.length <= shownSamples) return all;
  // Kinds alternate with the seeds, so every other sample is the next but one.
  return Array.from({ length: shownSamples }, (_, i) => {
    const at = Math.floor((i * all.length) / shownSamples);
    return all[all[at]! % 2 === i % 2 ? at : Math.min(at + 1, all.length - 1)]!;
  });
}

/** Draws the sheets. A row with several seeds shows its first one. */
export async function drawSampleSheets(
  experiment: Experiment,
  evaluated: ReadonlyMap<string, EvaluatedRow>,
  folder: string,
): Promise<SampleSheet[]> {
  const sheets: SampleSheet[] = [];
  for (const seed of shownSeeds(experiment)) {
    const sample = sampleForSeed(seed);
    const picked = (clip: Parameters<typeof frameOf>[0], frames: readonly number[]): RgbImage[] =>
      frames.map((frame) => frameOf(clip, Math.min(frame, clip.frameCount - 1)));
    const rows: SheetRow[] = [
      { label: "the clip that is asked about", frames: picked(sample.input, INPUT_SHOWN) },
      { label: `truth: “${sample.caption}”`, frames: picked(sample.output, ANSWER_SHOWN) },
    ];
    for (const row of experiment.rows) {
      const own = evaluated.get(row.name);
      const run = own?.runs[0];
      if (!own || !run) continue;
      const { caption: captionPart, video: videoPart } = SYSTEMS[own.system];
      const pictures = join(folder, run.id, EVALUATION_FOLDER, PICTURES_FOLDER);
      const clip = await readPicture(pictures, sample.id, videoPart);
      if (!clip) continue;
      const part = run.rows.find((one) => one.seed === seed && one.part === captionPart);
      const caption = part?.texts["caption"];
      const said = captionPart === undefined ? "no caption" : `“${caption ?? ""}”`;
      rows.push({ label: `${row.title}: ${said}`, frames: picked(clip, ANSWER_SHOWN) });
    }
    if (rows.length === 2) continue;
    const title = `${sample.kind} sample ${seed}: ${sample.question}`;
    sheets.push({ seed, title, png: await contactSheet({ title, rows, frameHeight: FRAME_HEIGHT }) });
  }
  return sheets;
}
