/**
 * Does a clip look like what the suite was trained on? Cheap statistics of its frames against their range in training,
 * and the error of the suite's autoencoder. Models answer anything; this is what lets us say when not to trust them.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { type Clip, frameOf, type RgbImage, uniformFrames } from "../media/index.ts";
import { DOMAIN_MEASURES, type DomainMeasure, type DomainStatistics } from "./domain-statistics.ts";

/** The measures of one clip. */
export type ClipMeasures = Readonly<Record<DomainMeasure, number>>;

/** A measure outside its range. */
export interface DomainReason {
  readonly measure: DomainMeasure | "reconstruction";
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** In words. */
  readonly text: string;
}

/** Frames that are measured; motion looks at all. */
const FRAMES = 6;
/** Luma levels within which a 3x3 neighbourhood counts as flat; video coding moves flat areas by less. */
const FLAT_LEVELS = 6;
/** Ranges are widened by this share of themselves on both sides, beyond the extremes of training. */
const MARGIN = 0.3;
/** No range is narrower than this, relative to the values in it. */
const LEAST_MARGIN = 0.05;
/** Share of pixels in colours that training never showed that is always allowed. */
const UNSEEN_ALLOWED = 0.05;
const CELLS = 16 ** 3;

/** The cell of a colour among 16 x 16 x 16. */
const cellOf = (rgb: Uint8Array, at: number): number =>
  ((rgb[at]! >> 4) << 8) | ((rgb[at + 1]! >> 4) << 4) | (rgb[at + 2]! >> 4);

/** BT.601 luma, 0 … 255. */
function lumaOf(image: RgbImage): Float32Array {
  const { rgb } = image;
  return Float32Array.from(
    { length: image.height * image.width },
    (_, i) => 0.299 * rgb[3 * i]! + 0.587 * rgb[3 * i + 1]! + 0.114 * rgb[3 * i + 2]!,
  );
}

/** Measures that need one frame; all but `saturation` and `unseenColours` are of the luma. */
function frameMeasures(
  image: RgbImage,
  colours: Uint8Array,
): Record<Exclude<DomainMeasure, "motion">, number> {
  const { height, width, rgb } = image;
  const luma = lumaOf(image);
  const pixels = height * width;
  let flat = 0;
  let edges = 0;
  let texture = 0;
  let inner = 0;
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      let low = 255;
      let high = 0;
      let sum = 0;
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          const value = luma[(y + dy) * width + x + dx]!;
          low = Math.min(low, value);
          high = Math.max(high, value);
          sum += value;
        }
      }
      const here = luma[y * width + x]!;
      if (high - low <= FLAT_LEVELS) flat++;
      edges += Math.abs(luma[y * width + x + 1]! - here) + Math.abs(luma[(y + 1) * width + x]! - here);
      texture += Math.abs(here - sum / 9);
      inner++;
    }
  }
  let mean = 0;
  let saturation = 0;
  let unseen = 0;
  for (let i = 0; i < pixels; i++) {
    mean += luma[i]! / pixels;
    const [r, g, b] = [rgb[3 * i]!, rgb[3 * i + 1]!, rgb[3 * i + 2]!];
    saturation += (Math.max(r, g, b) - Math.min(r, g, b)) / pixels;
    const cell = cellOf(rgb, 3 * i);
    if (((colours[cell >> 3]! >> (cell & 7)) & 1) === 0) unseen++;
  }
  const variance = luma.reduce((total, value) => total + (value - mean) ** 2, 0) / pixels;
  const count = Math.max(1, inner);
  return {
    flatShare: flat / count,
    edgeStrength: edges / (2 * count),
    texture: texture / count,
    brightness: mean,
    contrast: Math.sqrt(variance),
    saturation,
    unseenColours: unseen / pixels,
  };
}

/** Mean absolute change of a colour value from frame to frame, in levels; 0 for a still image. */
function motionOf(clip: Clip): number {
  const size = clip.height * clip.width * 3;
  if (clip.frameCount < 2) return 0;
  let total = 0;
  for (let i = size; i < clip.rgb.length; i++) total += Math.abs(clip.rgb[i]! - clip.rgb[i - size]!);
  return total / (clip.rgb.length - size);
}

/**
 * The measures of a clip. Means over up to six frames; shares are 0 … 1, the rest is in levels of 255.
 *
 * @param clip at the suite's own size, as `readInputFrames` makes it
 * @param colours the colours that count as seen, see `DomainStatistics`
 */
export function measureClip(clip: Clip, colours: Uint8Array): ClipMeasures {
  const picks = [...new Set(uniformFrames(clip.frameCount, Math.min(FRAMES, clip.frameCount)))];
  const each = picks.map((index) => frameMeasures(frameOf(clip, index), colours));
  const mean = (name: keyof (typeof each)[number]): number =>
    each.reduce((total, one) => total + one[name], 0) / each.length;
  return {
    flatShare: mean("flatShare"),
    edgeStrength: mean("edgeStrength"),
    texture: mean("texture"),
    brightness: mean("brightness"),
    contrast: mean("contrast"),
    saturation: mean("saturation"),
    motion: motionOf(clip),
    unseenColours: mean("unseenColours"),
  };
}

/** Marks the colours of a clip. */
function markColours(clip: Clip, colours: Uint8Array): void {
  for (let i = 0; i < clip.rgb.length; i += 3) {
    const cell = cellOf(clip.rgb, i);
    colours[cell >> 3]! |= 1 << (cell & 7);
  }
}

/** Options of {@link measureDomain}. */
export interface MeasureDomainOptions {
  /** The suite to name to people who come with other footage. Default `vans-3b`. */
  readonly elsewhere?: string;
  /** Root mean square error of the autoencoder on a clip, in levels of 255. */
  readonly reconstruct?: (clip: Clip) => Promise<number>;
}

/**
 * Statistics of training clips, for the field `domain` of a `suite.json`.
 *
 * Give clips as the answerer sees them: at the suite's size, some of them through a video file and back, and stills too
 * if the suite is asked about stills. Every second clip teaches the colours, the others measure how many are new.
 *
 * @throws `VANS_DOMAIN_TOO_FEW` for fewer than 20 clips
 */
export async function measureDomain(
  clips: Iterable<Clip> | AsyncIterable<Clip>,
  options: MeasureDomainOptions = {},
): Promise<DomainStatistics> {
  const colours = new Uint8Array(CELLS / 8);
  const all = new Uint8Array(CELLS / 8);
  const judged: Clip[] = [];
  const measures: ClipMeasures[] = [];
  const errors: number[] = [];
  let clipCount = 0;
  for await (const clip of clips) {
    markColours(clip, all);
    if (clipCount % 2 === 0) markColours(clip, colours);
    else judged.push(clip);
    // Unseen colours are measured at the end, when the colours are known.
    measures.push(measureClip(clip, all));
    if (options.reconstruct) errors.push(await options.reconstruct(clip));
    clipCount++;
  }
  if (clipCount < 20) {
    throw new VansError("VANS_DOMAIN_TOO_FEW", "too few clips to know what a suite's footage looks like", {
      asked: "at least 20",
      found: `${clipCount}`,
    });
  }
  const unseen = judged.map((clip) => measureClip(clip, colours).unseenColours);
  const rangeFor = (name: DomainMeasure): { low: number; high: number } => {
    if (name === "unseenColours") return { low: 0, high: UNSEEN_ALLOWED + 2 * Math.max(...unseen) };
    const range = widened(measures.map((one) => one[name]));
    // A still image is no reason for a warning.
    return name === "motion" ? { low: 0, high: range.high } : range;
  };
  return {
    clipCount,
    measures: Object.fromEntries(
      DOMAIN_MEASURES.map((name) => [name, rangeFor(name)]),
    ) as DomainStatistics["measures"],
    colours: Buffer.from(all).toString("base64"),
    ...(errors.length > 0 && { reconstruction: { low: 0, high: widened(errors).high } }),
    elsewhere: options.elsewhere ?? "vans-3b",
  };
}

/** The extremes of values that cannot be negative, with a margin, to 4 significant digits. */
function widened(values: readonly number[]): { low: number; high: number } {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const margin = Math.max(MARGIN * (high - low), LEAST_MARGIN * high);
  return { low: rounded(Math.max(0, low - margin)), high: rounded(high + margin) };
}

const rounded = (value: number): number => Number(value.toPrecision(4));

const percent = (value: number): string => `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`;
const levels = (value: number): string => value.toFixed(value < 10 ? 1 : 0);

/** How each measure is said. */
const WORDS: Readonly<
  Record<DomainReason["measure"], { readonly what: string; readonly show: (value: number) => string }>
> = {
  flatShare: { what: "share of flat areas", show: percent },
  edgeStrength: { what: "mean step between neighbouring pixels, of 255", show: levels },
  texture: { what: "fine texture, of 255", show: levels },
  brightness: { what: "mean brightness, of 255", show: levels },
  contrast: { what: "contrast (standard deviation of brightness, of 255)", show: levels },
  saturation: { what: "mean saturation, of 255", show: levels },
  motion: { what: "mean change from frame to frame, of 255", show: levels },
  unseenColours: { what: "share of pixels in colours that training never showed", show: percent },
  reconstruction: { what: "error of the suite's autoencoder, of 255", show: levels },
};

function reason(
  measure: DomainReason["measure"],
  value: number,
  range: { readonly low: number; readonly high: number },
): DomainReason {
  const { what, show } = WORDS[measure];
  const text = `${what}: ${show(value)}, the suite's own clips have ${show(range.low)} to ${show(range.high)}`;
  return { measure, value, ...range, text };
}

/** How far outside its range a value lies, in widths of the range. */
const distance = ({ value, low, high }: DomainReason): number =>
  Math.max(low - value, value - high) / Math.max(high - low, 1e-9);

/** The measures of a clip that lie outside of their range, the farthest first; none for a clip like those of training. */
export function domainReasons(statistics: DomainStatistics, clip: Clip): DomainReason[] {
  const measured = measureClip(clip, Buffer.from(statistics.colours, "base64"));
  return DOMAIN_MEASURES.map((name) => reason(name, measured[name], statistics.measures[name]))
    .filter((one) => distance(one) > 0)
    .sort((a, b) => distance(b) - distance(a));
}

/** The reason to distrust an answer where the autoencoder fails on the clip; undefined where it does not. */
export function reconstructionReason(
  statistics: DomainStatistics,
  errorLevels: number,
): DomainReason | undefined {
  if (!statistics.reconstruction) return undefined;
  const one = reason("reconstruction", errorLevels, statistics.reconstruction);
  return distance(one) > 0 ? one : undefined;
}
