/**
 * Contact sheets of right and wrong answers by family: input, truth, answer, and what the answer is nearest to.
 * @module
 */
import { join } from "node:path";
import type { Clip } from "../media/clip.ts";
import { contactSheet, frameOf, type RgbImage, type SheetRow } from "../media/index.ts";
import { candidates, sampleForSeed } from "../world/index.ts";
import type { EvaluationPart } from "./metric-table.ts";
import type { PartRow } from "./part-row.ts";
import { PICTURES_FOLDER, readPicture } from "./pictures.ts";

/** A contact sheet. */
export interface ReportSheet {
  /** Without extension. */
  readonly name: string;
  readonly title: string;
  readonly png: Uint8Array;
}

const VERDICTS = ["wrong", "right"] as const;

/** Name of the sheet that has all systems side by side. */
export const SYSTEMS_SHEET = "systems";

/** True for the file names of sheets. */
export function isSheetName(name: string): boolean {
  return name === `${SYSTEMS_SHEET}.png` || VERDICTS.some((verdict) => name.endsWith(`-${verdict}.png`));
}

/** Rows of a sheet. */
const MOST_WRONG = 6;
const MOST_RIGHT = 3;
/** Frames that are shown: of the input the first and the last, of answers three. */
const INPUT_SHOWN = [0, 20];
const ANSWER_SHOWN = [4, 8, 16];
const FRAME_HEIGHT = 64;

/** What is judged by event, the whole answer first. */
const SHOWN_PARTS = [
  ["video", "videoEventAccuracy"],
  ["video-from-truth", "videoEventAccuracyFromTruth"],
] as const;

/**
 * Draws two sheets a family, of wrong and of right answers; of whole answers where there are any, else of videos from the
 * true caption.
 */
export async function drawSheets(folder: string, rows: readonly PartRow[]): Promise<ReportSheet[]> {
  const shown = SHOWN_PARTS.find(([part]) => rows.some((row) => row.part === part));
  if (!shown) return [];
  const [part, metric] = shown;
  const judged = rows.filter((row) => row.part === part);
  const sheets: ReportSheet[] = [];
  for (const family of [...new Set(judged.map((row) => row.family))]) {
    for (const verdict of VERDICTS) {
      const own = judged.filter(
        (row) => row.family === family && (row.values[metric] === 1) === (verdict === "right"),
      );
      const chosen = spread(own, verdict === "wrong" ? MOST_WRONG : MOST_RIGHT);
      const drawn: SheetRow[] = [];
      for (const row of chosen) drawn.push(...(await sheetRow(folder, row, part)));
      if (drawn.length === 0) continue;
      const title = `${family}: ${chosen.length} of ${own.length} ${verdict} answers`;
      sheets.push({
        name: `${family}-${verdict}`,
        title,
        png: await contactSheet({ title, rows: drawn, frameHeight: FRAME_HEIGHT, maxColumns: 16 }),
      });
    }
  }
  return sheets;
}

/** Some of many, evenly spread. */
function spread<T>(all: readonly T[], most: number): T[] {
  if (all.length <= most) return [...all];
  return Array.from({ length: most }, (_, i) => all[Math.floor((i * all.length) / most)]!);
}

async function sheetRow(folder: string, row: PartRow, part: EvaluationPart): Promise<SheetRow[]> {
  const answer = await readPicture(join(folder, PICTURES_FOLDER), row.id, part);
  if (!answer) return [];
  const sample = sampleForSeed(row.seed);
  const { caption = "", nearest = "" } = row.texts;
  const event = candidates(sample).find((candidate) => candidate.event === nearest) ?? sample.right;
  const groups: readonly (readonly [string, Clip, readonly number[]])[] = [
    ["input", sample.input, INPUT_SHOWN],
    ["truth", sample.output, ANSWER_SHOWN],
    ["answer", answer, ANSWER_SHOWN],
    ["nearest", event.render(), ANSWER_SHOWN],
  ];
  const gap: RgbImage = { height: 8, width: 1, rgb: new Uint8Array(8 * 3).fill(255) };
  const frames: RgbImage[] = [];
  const notes: string[] = [];
  groups.forEach(([name, clip, numbers], group) => {
    if (group > 0) {
      frames.push(gap);
      notes.push("");
    }
    for (const number of numbers) {
      frames.push(frameOf(clip, number));
      notes.push(`${name} ${number}`);
    }
  });
  const drawn = part === "video" ? "wrote" : "told";
  return [
    {
      label: `${row.seed} · ${sample.question} · right: ${sample.event} · ${drawn}: “${caption}” · nearest: ${nearest}`,
      frames,
      notes,
    },
  ];
}
