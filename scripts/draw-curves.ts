/**
 * Draws the training curves of the suite's runs into one picture.
 * Run: npx tsx scripts/draw-curves.ts [--logs runs/logs] [--out docs/images/training-curves.png]
 */
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import sharp from "sharp";

const { values } = parseArgs({
  options: {
    logs: { type: "string", default: "runs/logs" },
    out: { type: "string", default: "docs/images/training-curves.png" },
  },
});

/** What is drawn of which run; `log` axes for losses. */
const PANELS = [
  { run: "playroom-vae-1-image", title: "autoencoder, images: loss", series: ["loss"], isLog: true },
  { run: "playroom-vae-2-video", title: "autoencoder, clips: loss", series: ["loss"], isLog: true },
  {
    run: "playroom-vae-2-video",
    title: "autoencoder, held out: PSNR (dB)",
    series: ["held.psnrDb", "held.movingPsnrDb"],
    isLog: false,
  },
  { run: "playroom-clip", title: "CLIP: loss", series: ["loss"], isLog: false },
  {
    run: "playroom-vlm-1-ground",
    title: "vision tower: attribute losses",
    series: ["family", "colour", "state"],
    isLog: true,
  },
  { run: "playroom-vlm-2-sft", title: "language model: loss", series: ["loss"], isLog: true },
  { run: "playroom-vdm", title: "video transformer: loss", series: ["loss", "mse"], isLog: true },
  {
    run: "playroom-vdm",
    title: "held out: event accuracy",
    series: ["held.eventAccuracy.procedural", "held.eventAccuracy.predictive"],
    isLog: false,
  },
] as const;

const COLOURS = ["#2455d6", "#d6452b", "#1d9150"];
const [WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [420, 250, 52, 34, 12, 28];

type Row = Readonly<Record<string, number>>;

async function rowsOf(run: string): Promise<Row[]> {
  const text = await readFile(join(values.logs, `${run}.jsonl`), "utf8").catch(() => "");
  return text
    .split("\n")
    .filter((line) => line.length > 0)
    .map((line) => JSON.parse(line) as Row);
}

function panel(rows: readonly Row[], spec: (typeof PANELS)[number], x: number, y: number): string {
  const lines = spec.series.map((name) =>
    rows.flatMap((row) => (row[name] === undefined ? [] : [[row["step"]!, row[name]!] as const])),
  );
  const all = lines.flat();
  const title = `<text x="${x + LEFT}" y="${y + 20}" font-size="14" font-weight="bold">${spec.title}</text>`;
  if (all.length === 0) return `${title}<text x="${x + LEFT}" y="${y + 60}" font-size="12">no log</text>`;
  const scale = (value: number): number => (spec.isLog ? Math.log10(Math.max(value, 1e-6)) : value);
  const [low, high] = [Math.min(...all.map(([, v]) => scale(v))), Math.max(...all.map(([, v]) => scale(v)))];
  const last = Math.max(...all.map(([step]) => step));
  const px = (step: number): number => x + LEFT + (step / last) * (WIDTH - LEFT - RIGHT);
  const py = (value: number): number =>
    y + TOP + (1 - (scale(value) - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const label = (value: number): string => (Math.abs(value) >= 10 ? value.toFixed(0) : value.toPrecision(2));
  const ticks = [0, 0.5, 1].map((share) => {
    const raw = low + share * (high - low);
    const value = spec.isLog ? 10 ** raw : raw;
    return `<line x1="${x + LEFT}" x2="${x + WIDTH - RIGHT}" y1="${py(value)}" y2="${py(value)}" stroke="#ddd"/><text x="${x + LEFT - 6}" y="${py(value) + 4}" font-size="11" text-anchor="end">${label(value)}</text>`;
  });
  const steps = `<text x="${x + LEFT}" y="${y + HEIGHT - 10}" font-size="11">0</text><text x="${x + WIDTH - RIGHT}" y="${y + HEIGHT - 10}" font-size="11" text-anchor="end">${last} steps</text>`;
  const paths = lines.map(
    (line, i) =>
      `<polyline fill="none" stroke="${COLOURS[i]}" stroke-width="1.6" points="${line.map(([s, v]) => `${px(s).toFixed(1)},${py(v).toFixed(1)}`).join(" ")}"/>`,
  );
  const names =
    spec.series.length > 1
      ? spec.series.map(
          (name, i) =>
            `<text x="${x + WIDTH - RIGHT - 4}" y="${y + TOP + 14 + 15 * i}" font-size="11" fill="${COLOURS[i]}" text-anchor="end">${name.split(".").at(-1)}</text>`,
        )
      : [];
  return [title, ...ticks, steps, ...paths, ...names].join("");
}

const columns = 2;
const parts: string[] = [];
for (const [i, spec] of PANELS.entries())
  parts.push(panel(await rowsOf(spec.run), spec, (i % columns) * WIDTH, Math.floor(i / columns) * HEIGHT));
const rows = Math.ceil(PANELS.length / columns);
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${columns * WIDTH}" height="${rows * HEIGHT}" font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>${parts.join("")}</svg>`;
await mkdir(dirname(values.out), { recursive: true });
await sharp(Buffer.from(svg)).png().toFile(values.out);
console.log(values.out);
