/**
 * Contact sheets: rows of frames with captions on one picture, for looking at answers at a glance.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { writeMediaFile } from "./atomic-write.ts";
import type { Clip } from "./clip.ts";
import { GLYPHS, UNITS_PER_EM } from "./glyphs.ts";
import { frameOf, type RgbImage, resizeImage } from "./resize.ts";

/** One row: frames from left to right under a label. */
export interface SheetRow {
  /** Shown above the frames, for example `input` or `answer`. */
  readonly label: string;
  /** A clip, or pictures of any sizes. */
  readonly frames: Clip | readonly RgbImage[];
  /** A small text under each frame, for example its time. */
  readonly notes?: readonly string[];
}

/** What a sheet shows. */
export interface SheetOptions {
  /** Top to bottom. */
  readonly rows: readonly SheetRow[];
  /** Large text above all rows; long lines are wrapped. */
  readonly title?: string;
  /** Text below all rows, a paragraph an entry; long lines are wrapped. */
  readonly captions?: readonly string[];
  /**
   * Frames are shown this high, in pixels; smaller ones are enlarged by repeating pixels, larger ones are reduced.
   * Default: two to three times the height of small frames, at most 160.
   */
  readonly frameHeight?: number;
  /** At most this many frames a row, spread evenly. Default 8. */
  readonly maxColumns?: number;
}

const MARGIN = 16;
const GAP = 6;
const LABEL_SIZE = 16;
const TITLE_SIZE = 20;
const TEXT_SIZE = 16;
const NOTE_SIZE = 12;
const LINE_HEIGHT = 1.4;
/** Bold is the regular outline with a stroke of this many ems. */
const BOLD_STROKE = 0.05;
/** For characters without an outline of ours. */
const FONT = "DejaVu Sans, Liberation Sans, Noto Sans, Noto Sans CJK SC, Helvetica, Arial, sans-serif";
/** Wide enough to read a sentence on, even for sheets with few frames. */
const LEAST_WIDTH = 560;
const TALLEST_DEFAULT_FRAME = 160;
const MAX_SIDE = 16_000;
const COLOURS = { paper: "#ffffff", ink: "#1c1c1e", faint: "#6b6b70", rule: "#d9d9de" } as const;

/**
 * Draws a sheet.
 *
 * @returns the bytes of a png
 * @throws VANS_MEDIA_REQUEST_INVALID for a sheet without frames or beyond 16,000 pixels
 *
 * @example
 * ```ts
 * import { contactSheet } from "vans/media";
 * const frame = { height: 8, width: 8, rgb: new Uint8Array(8 * 8 * 3).fill(200) };
 * const png = await contactSheet({ title: "Grey", rows: [{ label: "input", frames: [frame, frame] }] });
 * [...png.subarray(1, 4)]; // => [80, 78, 71]
 * ```
 */
export async function contactSheet(options: SheetOptions): Promise<Uint8Array> {
  const rows = options.rows.map((row) => chooseFrames(row, options.maxColumns ?? 8));
  if (rows.every((row) => row.frames.length === 0)) {
    throw new VansError("VANS_MEDIA_REQUEST_INVALID", "a contact sheet needs at least one frame", {
      found: `${rows.length} rows without frames`,
    });
  }
  const layout = layOut(rows, options);
  if (layout.height > MAX_SIDE || layout.width > MAX_SIDE) {
    throw new VansError("VANS_MEDIA_REQUEST_INVALID", "the contact sheet would be too large", {
      found: `${layout.width}x${layout.height} pixels`,
      fix: "give a smaller frameHeight or maxColumns, or fewer rows",
    });
  }
  const { default: sharp } = await import("sharp");
  const text = Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${layout.width}" height="${layout.height}">${layout.svg.join("")}</svg>`,
  );
  const bytes = await sharp({
    create: { width: layout.width, height: layout.height, channels: 3, background: COLOURS.paper },
  })
    .composite([
      ...layout.pictures.map(({ image, left, top }) => ({
        input: Buffer.from(image.rgb),
        raw: { height: image.height, width: image.width, channels: 3 as const },
        left,
        top,
      })),
      { input: text, left: 0, top: 0 },
    ])
    .png()
    .toBuffer();
  return new Uint8Array(bytes);
}

/** Draws a sheet into a file, whole or not at all. @throws as {@link contactSheet}; VANS_MEDIA_DISK_FULL, VANS_MEDIA_UNWRITABLE */
export async function writeContactSheet(path: string, options: SheetOptions): Promise<void> {
  await writeMediaFile(path, await contactSheet(options));
}

interface ChosenRow {
  readonly label: string;
  readonly frames: readonly RgbImage[];
  readonly notes: readonly string[];
}

function chooseFrames(row: SheetRow, maxColumns: number): ChosenRow {
  const { frames, notes = [] } = row;
  const all =
    "rgb" in frames
      ? Array.from({ length: frames.frameCount }, (_, index) => frameOf(frames, index))
      : frames;
  const count = Math.min(all.length, maxColumns);
  const picked = Array.from({ length: count }, (_, index) =>
    count === 1 ? 0 : Math.round((index * (all.length - 1)) / (count - 1)),
  );
  return {
    label: row.label,
    frames: picked.map((index) => all[index]!),
    notes: notes.length === 0 ? [] : picked.map((index) => notes[index] ?? ""),
  };
}

interface Layout {
  readonly height: number;
  readonly width: number;
  readonly svg: readonly string[];
  readonly pictures: readonly { readonly image: RgbImage; readonly left: number; readonly top: number }[];
}

function layOut(rows: readonly ChosenRow[], options: SheetOptions): Layout {
  const shown = rows.map((row) => ({
    ...row,
    frames: row.frames.map((frame) => fitHeight(frame, options.frameHeight)),
  }));
  const rowWidth = (frames: readonly RgbImage[]): number =>
    frames.reduce((sum, frame) => sum + frame.width + GAP, -GAP);
  const inner = Math.max(LEAST_WIDTH, ...shown.map((row) => rowWidth(row.frames)));
  const width = inner + 2 * MARGIN;
  const svg: string[] = [];
  const pictures: { image: RgbImage; left: number; top: number }[] = [];
  let y = MARGIN;

  const write = (text: string, size: number, colour: string, weight = "normal"): void => {
    for (const line of wrapText(text, inner, size)) {
      y += Math.round(size * LINE_HEIGHT);
      svg.push(textElement(line, MARGIN, y - Math.round(size * 0.35), size, colour, weight));
    }
  };

  if (options.title !== undefined) {
    write(options.title, TITLE_SIZE, COLOURS.ink, "bold");
    y += GAP;
  }
  for (const row of shown) {
    write(row.label, LABEL_SIZE, COLOURS.faint);
    y += GAP;
    let x = MARGIN;
    const tallest = Math.max(0, ...row.frames.map((frame) => frame.height));
    row.frames.forEach((image, index) => {
      pictures.push({ image, left: x, top: y });
      svg.push(
        `<rect x="${x - 0.5}" y="${y - 0.5}" width="${image.width + 1}" height="${image.height + 1}" fill="none" stroke="${COLOURS.rule}"/>`,
      );
      const note = row.notes[index];
      if (note !== undefined && note !== "") {
        const [line = ""] = wrapText(note, image.width, NOTE_SIZE);
        svg.push(textElement(line, x, y + tallest + NOTE_SIZE + 3, NOTE_SIZE, COLOURS.faint, "normal"));
      }
      x += image.width + GAP;
    });
    y += tallest + GAP + (row.notes.length > 0 ? NOTE_SIZE + GAP : 0);
  }
  for (const caption of options.captions ?? []) write(caption, TEXT_SIZE, COLOURS.ink);
  return { height: y + MARGIN, width, svg, pictures };
}

/** Enlarges by whole numbers (pixels stay square and sharp), reduces with a filter. */
function fitHeight(frame: RgbImage, asked: number | undefined): RgbImage {
  const height = asked ?? Math.min(TALLEST_DEFAULT_FRAME, Math.max(frame.height, 128));
  const times = Math.floor(height / frame.height);
  if (times >= 1) {
    return resizeImage(frame, { height: frame.height * times, width: frame.width * times }, "nearest");
  }
  const width = Math.max(1, Math.round((frame.width * height) / frame.height));
  return resizeImage(frame, { height, width }, "pil-bicubic");
}

/**
 * One line of text. Known letters are drawn from their outlines, so that they need no font on the machine; for all
 * others (Chinese, emoji) a font of the system is asked.
 */
function textElement(
  text: string,
  x: number,
  y: number,
  size: number,
  colour: string,
  weight: string,
): string {
  const scale = size / UNITS_PER_EM;
  const stroke = weight === "bold" ? ` stroke="${colour}" stroke-width="${BOLD_STROKE * UNITS_PER_EM}"` : "";
  const shapes: string[] = [];
  const others: string[] = [];
  let at = 0;
  for (const [run, isKnown] of runsOf(text)) {
    if (!isKnown) {
      const content = escapeXml(run);
      others.push(
        `<text x="${(x + at).toFixed(2)}" y="${y}" font-family="${FONT}" font-size="${size}" font-weight="${weight}" fill="${colour}" xml:space="preserve">${content}</text>`,
      );
      at += textWidth(run, size);
      continue;
    }
    for (const character of run) {
      const [advance, path] = GLYPHS[character]!;
      if (path !== "") shapes.push(`<path transform="translate(${(at / scale).toFixed(1)} 0)" d="${path}"/>`);
      at += advance * scale;
    }
  }
  return `<g transform="translate(${x} ${y}) scale(${scale})" fill="${colour}"${stroke}>${shapes.join("")}</g>${others.join("")}`;
}

/** Text cut where characters with and without an outline of ours meet. */
function runsOf(text: string): [run: string, isKnown: boolean][] {
  const runs: [string, boolean][] = [];
  for (const character of text) {
    const isKnown = Object.hasOwn(GLYPHS, character);
    const last = runs.at(-1);
    if (last !== undefined && last[1] === isKnown) last[0] += character;
    else runs.push([character, isKnown]);
  }
  return runs;
}

/** Text as XML content; characters that XML 1.0 forbids become the replacement character. */
export function escapeXml(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones XML 1.0 forbids
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
      .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd")
      .replace(/&/g, "&amp;")
      .replace(/</g, "&lt;")
      .replace(/>/g, "&gt;")
      .replace(/"/g, "&quot;")
  );
}

/** Advance in ems of characters that a system font draws: wide for East Asian letters and pictures. */
const ADVANCE_OTHER = 0.65;
const ADVANCE_WIDE = 1.05;

function textWidth(text: string, size: number): number {
  let ems = 0;
  for (const character of text) {
    const glyph = Object.hasOwn(GLYPHS, character) ? GLYPHS[character] : undefined;
    const code = character.codePointAt(0)!;
    const isWide = code >= 0x1100 && (code <= 0x115f || code >= 0x2e80);
    ems += glyph === undefined ? (isWide ? ADVANCE_WIDE : ADVANCE_OTHER) : glyph[0] / UNITS_PER_EM;
  }
  return ems * size;
}

/** Breaks text at spaces (and inside words longer than a line) so that no line is wider than `width` pixels. */
export function wrapText(text: string, width: number, size: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split(/\r?\n/)) {
    let line = "";
    for (const word of paragraph.split(/\s+/).filter((part) => part !== "")) {
      const joined = line === "" ? word : `${line} ${word}`;
      if (textWidth(joined, size) <= width) {
        line = joined;
        continue;
      }
      if (line !== "") lines.push(line);
      line = "";
      for (const character of word) {
        if (line !== "" && textWidth(line + character, size) > width) {
          lines.push(line);
          line = "";
        }
        line += character;
      }
    }
    lines.push(line);
  }
  return lines;
}
