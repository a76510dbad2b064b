/**
 * Draws the training curves of the suites' runs: supervised training in one picture, Joint-GRPO in another.
 * Run: npx tsx scripts/draw-curves.ts [--logs runs/logs] [--out docs/images]
 */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import sharp from "sharp";

const { values } = parseArgs({
  options: {
    logs: { type: "string", default: "runs/logs" },
    out: { type: "string", default: "docs/images" },
  },
});

interface Panel {
  /** A run, or several of which each went on where the one before it ended. */
  readonly run: string | readonly string[];
  readonly title: string;
  readonly series: readonly string[];
  /** Logarithmic axis, for losses. */
  readonly isLog: boolean;
  /** Mean over so many neighbours; rewards differ much from group to group. */
  readonly smoothed?: number;
}

const VIDEO_RUNS = ["playroom-vdm", "playroom-vdm-2", "playroom-vdm-3"] as const;
const LANGUAGE_RUNS = ["playroom-vlm-2-sft-first", "playroom-vlm-2-sft"] as const;

/** What is drawn of supervised runs. */
const SUPERVISED: readonly Panel[] = [
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
  { run: LANGUAGE_RUNS, title: "language model: loss", series: ["loss"], isLog: true },
  {
    run: LANGUAGE_RUNS,
    title: "language model, held out: token accuracy",
    series: ["held.reasoningTokenAccuracy"],
    isLog: false,
  },
  { run: VIDEO_RUNS, title: "video transformer: loss", series: ["loss", "mse"], isLog: true },
  {
    run: VIDEO_RUNS,
    title: "held out: event accuracy",
    series: ["held.eventAccuracy.procedural", "held.eventAccuracy.predictive"],
    isLog: false,
  },
  {
    run: VIDEO_RUNS,
    title: "held out: velocity error",
    series: ["held.mse"],
    isLog: true,
  },
  {
    run: VIDEO_RUNS,
    title: "held out: events from abstract captions",
    series: ["held.eventAccuracy.abstract.procedural", "held.eventAccuracy.abstract.predictive"],
    isLog: false,
  },
];

/** What is drawn of both stages. */
const POLICY: readonly Panel[] = [
  {
    run: "playroom-joint-grpo-1",
    title: "stage 1: rewards",
    series: ["rewards/rouge-l/mean", "rewards/clip-video/mean", "rewards/format/mean"],
    isLog: false,
    smoothed: 11,
  },
  {
    run: "playroom-joint-grpo-1",
    title: "stage 1, held out: ROUGE-L, events",
    series: ["held.rougeL", "held.videoEventAccuracy"],
    isLog: false,
  },
  {
    run: "playroom-joint-grpo-1",
    title: "stage 1: KL (nats a token)",
    series: ["kl"],
    isLog: false,
    smoothed: 5,
  },
  {
    run: "playroom-joint-grpo-1",
    title: "stage 1: entropy (nats a token)",
    series: ["entropy"],
    isLog: false,
    smoothed: 5,
  },
  {
    run: "playroom-grpo-1-mean-rouge",
    title: "stage 1 goes on: rewards",
    series: ["rewards/rouge-l-mean/mean", "rewards/clip-video/mean"],
    isLog: false,
    smoothed: 11,
  },
  {
    run: "playroom-grpo-1-mean-rouge",
    title: "stage 1 goes on: KL",
    series: ["kl"],
    isLog: false,
    smoothed: 5,
  },
  {
    run: "playroom-joint-grpo-2",
    title: "stage 2: rewards",
    series: ["rewards/clip-video/mean", "rewards/clip-score/mean"],
    isLog: false,
    smoothed: 11,
  },
  { run: "playroom-joint-grpo-2", title: "stage 2: KL", series: ["kl"], isLog: false, smoothed: 5 },
];

/** Mean over `width` neighbours; the ends have fewer. */
function smoothed(
  line: readonly (readonly [number, number])[],
  width: number,
): readonly (readonly [number, number])[] {
  const half = Math.floor(width / 2);
  return line.map(([step], i) => {
    const near = line.slice(Math.max(0, i - half), i + half + 1);
    return [step, near.reduce((sum, [, value]) => sum + value, 0) / near.length] as const;
  });
}

const COLOURS = ["#2455d6", "#d6452b", "#1d9150"];
const [WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [420, 250, 52, 34, 12, 28];

type Row = Readonly<Record<string, number>>;

async function rowsOf(run: Panel["run"]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const name of [run].flat()) {
    const before = rows.at(-1)?.["step"] ?? 0;
    const text = await readFile(join(values.logs, `${name}.jsonl`), "utf8").catch(() => "");
    for (const line of text.split("\n").filter((each) => each.length > 0)) {
      const row = JSON.parse(line) as Row;
      rows.push({ ...row, step: before + row["step"]! });
    }
  }
  return rows;
}

function panel(rows: readonly Row[], spec: Panel, x: number, y: number): string {
  const lines = spec.series.map((name) =>
    smoothed(
      rows.flatMap((row) => (row[name] === undefined ? [] : [[row["step"]!, row[name]!] as const])),
      spec.smoothed ?? 1,
    ),
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
  const digits = !spec.isLog && high - low < 0.05 * Math.abs(high) ? 3 : 2;
  const label = (value: number): string =>
    Math.abs(value) >= 10 ? value.toFixed(0) : value.toPrecision(digits);
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
            `<text x="${x + WIDTH - RIGHT - 4}" y="${y + TOP + 14 + 15 * i}" font-size="11" fill="${COLOURS[i]}" text-anchor="end">${name.replace(/^held\.|^rewards\/|\/mean$/g, "").replace(/^eventAccuracy\.(abstract\.)?/, "")}</text>`,
        )
      : [];
  return [title, ...ticks, steps, ...paths, ...names].join("");
}

const COLUMNS = 2;

async function draw(panels: readonly Panel[], path: string): Promise<void> {
  const parts: string[] = [];
  for (const [i, spec] of panels.entries())
    parts.push(panel(await rowsOf(spec.run), spec, (i % COLUMNS) * WIDTH, Math.floor(i / COLUMNS) * HEIGHT));
  const rows = Math.ceil(panels.length / COLUMNS);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${COLUMNS * WIDTH}" height="${rows * HEIGHT}" font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>${parts.join("")}</svg>`;
  await mkdir(values.out, { recursive: true });
  await sharp(Buffer.from(svg)).png().toFile(path);
  console.log(path);
}

await draw(SUPERVISED, join(values.out, "training-curves.png"));
await draw(POLICY, join(values.out, "joint-grpo-curves.png"));
