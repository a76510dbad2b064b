/**
 * One contact sheet of all systems: what each of them answered to the same questions.
 * @module
 */
import { join } from "node:path";
import { contactSheet, frameOf, type RgbImage, type SheetRow } from "../media/index.ts";
import { sampleForSeed } from "../world/index.ts";
import { isPictured, PICTURES_FOLDER, readPicture } from "./pictures.ts";
import { type ReportSheet, SYSTEMS_SHEET } from "./sheets.ts";
import type { SummarisedRow, SystemRows } from "./statistics.ts";
import { SYSTEMS } from "./systems.ts";

/** A system and the folder of the report that has its pictures. */
export interface PicturedSystem {
  readonly rows: SystemRows;
  readonly folder: string;
}

/** Frames that are shown of every video. */
const SHOWN = [8, 16];
const FRAME_HEIGHT = 64;
const MOST_ROWS = 10;

/** The sheet, if there are several systems with pictures of the same samples. */
export async function drawSystemSheet(systems: readonly PicturedSystem[]): Promise<ReportSheet[]> {
  const [own] = systems;
  if (!own || systems.length < 2) return [];
  const seeds = [...new Set(own.rows.rows.map(({ seed }) => seed))].filter(isPictured).slice(0, MOST_ROWS);
  const rows: SheetRow[] = [];
  for (const seed of seeds) rows.push(await sheetRow(seed, systems));
  if (rows.length === 0) return [];
  const title = "All systems on the same questions";
  const png = await contactSheet({ title, rows, frameHeight: FRAME_HEIGHT, maxColumns: 24 });
  return [{ name: SYSTEMS_SHEET, title, png }];
}

async function sheetRow(seed: number, systems: readonly PicturedSystem[]): Promise<SheetRow> {
  const sample = sampleForSeed(seed);
  const gap: RgbImage = { height: 8, width: 1, rgb: new Uint8Array(8 * 3).fill(255) };
  const frames: RgbImage[] = [frameOf(sample.input, sample.input.frameCount - 1), gap];
  const notes = ["input 20", ""];
  for (const number of SHOWN) {
    frames.push(frameOf(sample.output, number));
    notes.push(`truth ${number}`);
  }
  const verdicts: string[] = [];
  for (const { rows, folder } of systems) {
    const { video } = SYSTEMS[rows.system];
    const clip = await readPicture(join(folder, PICTURES_FOLDER), sample.id, video);
    if (!clip) continue;
    frames.push(gap);
    notes.push("");
    for (const number of SHOWN) {
      frames.push(frameOf(clip, number));
      notes.push(number === SHOWN[0] ? rows.name : String(number));
    }
    const row = rows.rows.find((one: SummarisedRow) => one.seed === seed && one.part === video);
    if (row) verdicts.push(`${rows.name}: ${row.texts["nearest"] ?? "?"}`);
  }
  return {
    label: `${seed} · ${sample.question} · right: ${sample.event} · ${verdicts.join(", ")}`,
    frames,
    notes,
  };
}
