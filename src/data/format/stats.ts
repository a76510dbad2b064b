/**
 * What a dataset holds, in numbers, and as a picture.
 * @module
 */
import type { SampleRow } from "./sample-row.ts";

/** Spread of a quantity. */
export interface Spread {
  readonly count: number;
  readonly mean: number;
  readonly least: number;
  readonly most: number;
  /** Counts of ten equal bins from `least` to `most` of the histogram's range. */
  readonly histogram: readonly number[];
  readonly binWidth: number;
}

/** Counts and spreads of a dataset. Records are sorted by count, then name. */
export interface DatasetStats {
  readonly samples: number;
  readonly videos: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly splits: Readonly<Record<string, number>>;
  readonly sources: Readonly<Record<string, number>>;
  readonly licences: Readonly<Record<string, number>>;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly models: Readonly<Record<string, number>>;
  readonly inputSecs: Spread;
  readonly outputSecs: Spread;
  readonly words: { readonly question: Spread; readonly reasoning: Spread; readonly caption: Spread };
  /** Different words in questions, reasonings and captions. */
  readonly vocabulary: number;
  /** The most frequent words of captions, without the commonest function words. */
  readonly topWords: Readonly<Record<string, number>>;
  readonly withSkippedSteps: number;
}

const BINS = 10;

/** Sums up numbers one by one, in constant memory. */
class Gauge {
  readonly #binWidth: number;
  readonly #bins = new Array<number>(BINS).fill(0);
  #count = 0;
  #sum = 0;
  #least = Number.POSITIVE_INFINITY;
  #most = 0;

  constructor(binWidth: number) {
    this.#binWidth = binWidth;
  }

  add(value: number): void {
    this.#count++;
    this.#sum += value;
    this.#least = Math.min(this.#least, value);
    this.#most = Math.max(this.#most, value);
    const bin = Math.min(BINS - 1, Math.floor(value / this.#binWidth));
    this.#bins[bin] = this.#bins[bin]! + 1;
  }

  spread(): Spread {
    return {
      count: this.#count,
      mean: this.#count === 0 ? 0 : this.#sum / this.#count,
      least: this.#count === 0 ? 0 : this.#least,
      most: this.#most,
      histogram: [...this.#bins],
      binWidth: this.#binWidth,
    };
  }
}

class Tally {
  readonly #counts = new Map<string, number>();

  add(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  get size(): number {
    return this.#counts.size;
  }

  sorted(limit = Number.POSITIVE_INFINITY): Record<string, number> {
    return Object.fromEntries(
      [...this.#counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, limit),
    );
  }
}

const FUNCTION_WORDS = new Set(
  "a an the and or of to in on at by with for from into onto over under is are was were be been it its this that as then they he she his her their up down off out".split(
    " ",
  ),
);

/** Words as they are counted: lower case, letters and digits of any script. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];
}

/** Options of {@link datasetStats}. */
export interface StatsOptions {
  /** Duration of a clip, for rows that do not say where their clips lie in a video. */
  readonly clipSecs?: (path: string) => Promise<number | undefined>;
}

/** Goes through the samples once. */
export async function datasetStats(
  samples: AsyncIterable<SampleRow> | Iterable<SampleRow>,
  options: StatsOptions = {},
): Promise<DatasetStats> {
  const tallies = {
    kinds: new Tally(),
    splits: new Tally(),
    sources: new Tally(),
    licences: new Tally(),
    verdicts: new Tally(),
    models: new Tally(),
  };
  const videos = new Set<string>();
  const vocabulary = new Set<string>();
  const topWords = new Tally();
  const gauges = { input: new Gauge(1), output: new Gauge(1) };
  const words = { question: new Gauge(5), reasoning: new Gauge(20), caption: new Gauge(5) };
  let count = 0;
  let withSkippedSteps = 0;
  for await (const row of samples) {
    count++;
    tallies.kinds.add(row.kind);
    tallies.splits.add(row.split);
    tallies.sources.add(row.source);
    tallies.licences.add(row.licence);
    tallies.verdicts.add(row.verdict ?? "not judged");
    for (const model of new Set(Object.values(row.models))) tallies.models.add(model);
    videos.add(row.video ?? row.input);
    if (row.skipped_steps.length > 0) withSkippedSteps++;
    for (const side of ["input", "output"] as const) {
      const [start, end] = [row[`${side}_start_secs`], row[`${side}_end_secs`]];
      const secs = start !== null && end !== null ? end - start : await options.clipSecs?.(row[side]);
      if (secs !== undefined) gauges[side].add(secs);
    }
    for (const part of ["question", "reasoning", "caption"] as const) {
      const found = wordsOf(row[part]);
      words[part].add(found.length);
      for (const word of found) {
        vocabulary.add(word);
        if (part === "caption" && !FUNCTION_WORDS.has(word)) topWords.add(word);
      }
    }
  }
  return {
    samples: count,
    videos: videos.size,
    kinds: tallies.kinds.sorted(),
    splits: tallies.splits.sorted(),
    sources: tallies.sources.sorted(),
    licences: tallies.licences.sorted(),
    verdicts: tallies.verdicts.sorted(),
    models: tallies.models.sorted(),
    inputSecs: gauges.input.spread(),
    outputSecs: gauges.output.spread(),
    words: {
      question: words.question.spread(),
      reasoning: words.reasoning.spread(),
      caption: words.caption.spread(),
    },
    vocabulary: vocabulary.size,
    topWords: topWords.sorted(30),
    withSkippedSteps,
  };
}

/** The numbers as text, with bars. */
export function statsText(stats: DatasetStats): string {
  const lines = [
    `${stats.samples} samples from ${stats.videos} videos, ${stats.vocabulary} different words, ${stats.withSkippedSteps} with skipped steps`,
  ];
  const counts = (title: string, values: Readonly<Record<string, number>>): void => {
    if (Object.keys(values).length === 0) return;
    const most = Math.max(...Object.values(values));
    lines.push("", title);
    for (const [name, value] of Object.entries(values))
      lines.push(`  ${name.slice(0, 24).padEnd(24)} ${String(value).padStart(7)} ${bar(value / most)}`);
  };
  const spread = (title: string, { mean, least, most, histogram, binWidth, count }: Spread): void => {
    if (count === 0) return;
    const highest = Math.max(...histogram);
    lines.push("", `${title}: mean ${mean.toFixed(2)}, ${least.toFixed(2)} to ${most.toFixed(2)}`);
    histogram.forEach((value, i) => {
      const range = i === BINS - 1 ? `${i * binWidth} and more` : `${i * binWidth} to ${(i + 1) * binWidth}`;
      lines.push(`  ${range.padEnd(24)} ${String(value).padStart(7)} ${bar(value / highest)}`);
    });
  };
  counts("kind", stats.kinds);
  counts("split", stats.splits);
  counts("source", stats.sources);
  counts("licence", stats.licences);
  counts("verdict", stats.verdicts);
  counts("model", stats.models);
  spread("input clip, seconds", stats.inputSecs);
  spread("output clip, seconds", stats.outputSecs);
  spread("question, words", stats.words.question);
  spread("reasoning, words", stats.words.reasoning);
  spread("caption, words", stats.words.caption);
  counts("words of captions", stats.topWords);
  return lines.join("\n");
}

function bar(share: number): string {
  return Number.isFinite(share) ? "#".repeat(Math.round(share * 30)) : "";
}

/** The numbers as one SVG picture: a chart for each count and spread. */
export function statsSvg(stats: DatasetStats): string {
  const charts: { title: string; bars: readonly (readonly [string, number])[] }[] = [
    ...(["kinds", "splits", "sources", "licences"] as const).map((name) => ({
      title: name,
      bars: Object.entries(stats[name]).slice(0, BINS),
    })),
    { title: "input clip, seconds", bars: histogramBars(stats.inputSecs) },
    { title: "output clip, seconds", bars: histogramBars(stats.outputSecs) },
    { title: "question, words", bars: histogramBars(stats.words.question) },
    { title: "reasoning, words", bars: histogramBars(stats.words.reasoning) },
    { title: "caption, words", bars: histogramBars(stats.words.caption) },
    { title: "words of captions", bars: Object.entries(stats.topWords).slice(0, BINS) },
  ];
  const width = 400;
  const rowHeight = 20;
  const chartHeight = 60 + BINS * rowHeight;
  const columns = 2;
  const height = Math.ceil(charts.length / columns) * chartHeight + 50;
  const parts = charts.map(({ title, bars }, i) => {
    const x = 20 + (i % columns) * width;
    const y = 60 + Math.floor(i / columns) * chartHeight;
    const most = Math.max(1, ...bars.map(([, value]) => value));
    const rows = bars.map(([name, value], k) => {
      const top = y + 14 + k * rowHeight;
      const long = Math.round((value / most) * 170);
      return (
        `<text x="${x + 130}" y="${top + 12}" text-anchor="end">${escapeXml(name.slice(0, 20))}</text>` +
        `<rect x="${x + 138}" y="${top}" width="${long}" height="14" fill="#3b6ea8"/>` +
        `<text x="${x + 144 + long}" y="${top + 12}">${value}</text>`
      );
    });
    return `<text x="${x}" y="${y}" font-weight="bold">${escapeXml(title)}</text>${rows.join("")}`;
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${columns * width + 20}" height="${height}" font-family="sans-serif" font-size="12">` +
    `<rect width="100%" height="100%" fill="#fff"/><text x="20" y="28" font-size="16">${stats.samples} samples from ${stats.videos} videos</text>${parts.join("")}</svg>\n`
  );
}

function histogramBars({ histogram, binWidth }: Spread): [string, number][] {
  return histogram.map((value, i) => [
    i === BINS - 1 ? `${i * binWidth}+` : `${i * binWidth}–${(i + 1) * binWidth}`,
    value,
  ]);
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
