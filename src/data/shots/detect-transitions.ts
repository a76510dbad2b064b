/**
 * Where one shot ends and the next begins: hard cuts, dissolves and fades in a stretch of thumbnails.
 *
 * Cuts: an isolated peak of what motion and light do not explain (adaptive threshold over a window), whose content does
 * not come back within a third of a second (camera flashes do). Dissolves: frames between two different pictures that
 * are mixtures of them, in growing shares; a moving object or camera gives frames that are no mixture. Fades: through
 * a picture without contrast. After Boreczky and Rowe, "Comparison of video shot boundary detection techniques" (1996)
 * and Lienhart, "Reliable dissolve detection" (2001); thresholds were set on drawn videos (`bench/data-shots.ts`).
 * @module
 */
import { THUMB_BYTES } from "../scan/thumbnail.ts";
import { fitLight, frameDifference, lumaSpread, meanLuma, sharedEdges } from "./frame-difference.ts";

/** A change of shot. */
export interface Transition {
  readonly kind: "cut" | "dissolve" | "fade";
  /** Last frame of the old shot alone. */
  readonly first: number;
  /** First frame of the new shot alone: `first + 1` for a cut. */
  readonly last: number;
  /** How clear it is: for cuts the peak as a multiple of what surrounds it. */
  readonly score: number;
}

/** A stretch of video. */
export interface ThumbnailStretch {
  /** Thumbnails one after another. */
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Frames a second, on average. */
  readonly frameRateHz: number;
}

/** Levels of difference below which nothing counts as a cut. */
const CUT_LEAST = 4.5;
/** A cut's difference over that of its surroundings. */
const CUT_RATIO = 2.6;
/** Added to the surroundings, so that still pictures do not make noise look like a cut. */
const CUT_FLOOR = 1;
/** Surroundings reach this far either side. */
const SURROUNDINGS_SECS = 0.4;
const SURROUNDINGS_LEAST_FRAMES = 6;
/** Content that is back after this time was only interrupted. */
const FLASH_SECS = 0.35;
const FLASH_LEAST_FRAMES = 5;
/** Lengths at which gradual changes are looked for; those between are found at the nearest. */
const GRADUAL_SECS = [0.17, 0.26, 0.4, 0.6, 0.9, 1.3, 1.9, 2.7] as const;
const GRADUAL_LEAST_FRAMES = 4;
/** Residual of the mixture in the middle, as a share of the difference of the ends. A wipe has 0.25, motion 0.75. */
const MIXTURE_RESIDUAL = 0.16;
const QUARTER_RESIDUAL = 0.32;
/** Ends of a gradual change must differ by this many levels beyond motion and light. */
const GRADUAL_LEAST = 7;
/** Share of edges that stay from which on a change happens inside a shot. */
const EDGES_STAY = 0.66;
/** The same where everything else says that it is a cut. */
const EDGES_STAY_CLEAR = 0.8;
/** Luma spread of a picture without content. */
const BLANK_SPREAD = 5;

/** All transitions of a stretch, in order. */
export function detectTransitions(stretch: ThumbnailStretch): Transition[] {
  const steps = stepDifferences(stretch);
  const cuts = findCuts(stretch, steps);
  const fades = findFades(stretch, cuts);
  const abrupt = cuts.filter((cut) => !fades.some((fade) => cut.last > fade.first && cut.first < fade.last));
  const gradual = findDissolves(
    stretch,
    steps,
    [...abrupt, ...fades].sort((a, b) => a.first - b.first),
  );
  return [...abrupt, ...fades, ...gradual].sort((a, b) => a.first - b.first);
}

/** Difference of each frame to the one before; 0 for the first. */
function stepDifferences({ bytes, count }: ThumbnailStretch): Float64Array {
  const steps = new Float64Array(count);
  for (let t = 1; t < count; t++) steps[t] = frameDifference(bytes, t - 1, t);
  return steps;
}

/** The third largest difference around `t`: one or two other peaks nearby do not hide a cut. */
function surroundings(steps: Float64Array, t: number, reach: number): number {
  const found = [0, 0, 0];
  for (let k = Math.max(1, t - reach); k <= Math.min(steps.length - 1, t + reach); k++) {
    const value = k === t ? 0 : steps[k]!;
    if (value > found[0]!) found.splice(0, 3, value, found[0]!, found[1]!);
    else if (value > found[1]!) found.splice(1, 2, value, found[1]!);
    else if (value > found[2]!) found[2] = value;
  }
  return found[2]!;
}

/**
 * How much of the drawing stays from one frame to another. Something that comes in or goes away leaves one direction
 * high, something that changes both somewhat high; a new shot leaves both low.
 */
function edgesStay(bytes: Uint8Array, a: number, b: number): number {
  const forth = sharedEdges(bytes, a, b);
  const back = sharedEdges(bytes, b, a);
  if (forth === undefined || back === undefined) return 0;
  return Math.max(forth, back, (forth + back) / 2 + 0.08);
}

function findCuts(stretch: ThumbnailStretch, steps: Float64Array): Transition[] {
  const { bytes, count, frameRateHz } = stretch;
  const reach = Math.max(SURROUNDINGS_LEAST_FRAMES, Math.round(SURROUNDINGS_SECS * frameRateHz));
  const flashFrames = Math.max(FLASH_LEAST_FRAMES, Math.round(FLASH_SECS * frameRateHz));
  const cuts: Transition[] = [];
  for (let t = 1; t < count; t++) {
    const step = steps[t]!;
    if (step < CUT_LEAST || step < steps[t - 1]! || step < (steps[t + 1] ?? 0)) continue;
    const around = surroundings(steps, t, reach);
    const score = step / (around + CUT_FLOOR);
    if (score < CUT_RATIO) continue;
    const back = Math.max(0.3 * step, Math.min(2 * around + 2, 0.6 * step));
    let isInterruption = false;
    for (let k = 1; k <= flashFrames && !isInterruption; k++) {
      isInterruption =
        (t + k < count && frameDifference(bytes, t - 1, t + k) < back) ||
        (t - 1 - k >= 0 && frameDifference(bytes, t - 1 - k, t) < back);
    }
    if (isInterruption) continue;
    const isClear = step > 20 && score > 8;
    if (edgesStay(bytes, t - 1, t) > (isClear ? EDGES_STAY_CLEAR : EDGES_STAY)) continue;
    const previous = cuts.at(-1);
    // A blended frame at the cut gives two peaks; the higher one stands.
    if (previous !== undefined && t - previous.last <= 2) {
      if (previous.score >= score) continue;
      cuts.pop();
    }
    cuts.push({ kind: "cut", first: t - 1, last: t, score });
  }
  return cuts;
}

/** Runs of blank frames that the picture fades into and out of. */
function findFades(stretch: ThumbnailStretch, cuts: readonly Transition[]): Transition[] {
  const { bytes, count, frameRateHz } = stretch;
  const isBlank = (t: number): boolean =>
    lumaSpread(bytes, t) < BLANK_SPREAD && isExtreme(meanLuma(bytes, t));
  const longest = Math.round(2 * frameRateHz);
  const fades: Transition[] = [];
  for (let t = 1; t < count - 1; t++) {
    if (!isBlank(t)) continue;
    let end = t;
    while (end + 1 < count && isBlank(end + 1)) end++;
    const first = ramp(stretch, t, -1, longest);
    const last = ramp(stretch, end, 1, longest);
    const abruptBefore = cuts.some((cut) => cut.last === t);
    const abruptAfter = cuts.some((cut) => cut.first === end);
    const isInside = t > 1 && end < count - 2;
    if (isInside && !(abruptBefore && abruptAfter) && first < t && last > end) {
      const change = frameDifference(bytes, first, last);
      const isLight = fitLight(bytes, first, last).correlation > 0.9;
      if (change > GRADUAL_LEAST && !isLight) fades.push({ kind: "fade", first, last, score: change });
    }
    t = end;
  }
  return fades;
}

function isExtreme(luma: number): boolean {
  return luma < 40 || luma > 215;
}

/** Walks from a blank frame to where the contrast stops growing. */
function ramp({ bytes, count }: ThumbnailStretch, from: number, step: 1 | -1, longest: number): number {
  let at = from;
  let spread = lumaSpread(bytes, at);
  for (let moved = 0; moved < longest; moved++) {
    const next = at + step;
    if (next < 0 || next >= count) break;
    const grown = lumaSpread(bytes, next);
    if (grown <= spread * 1.008 + 0.02 && grown > BLANK_SPREAD) break;
    at = next;
    spread = grown;
  }
  return at;
}

interface Mixture {
  /** Share of the later end. */
  readonly share: number;
  /** What is no mixture of the ends, relative to their difference. */
  readonly residual: number;
}

/** Frame `m` as a mixture of frames `a` and `e`, over all planes. */
function mixtureOf(bytes: Uint8Array, a: number, m: number, e: number): Mixture {
  const atA = a * THUMB_BYTES;
  const atM = m * THUMB_BYTES;
  const atE = e * THUMB_BYTES;
  let whole = 0;
  let cross = 0;
  let part = 0;
  for (let i = 0; i < THUMB_BYTES; i++) {
    const base = bytes[atA + i]!;
    const change = bytes[atE + i]! - base;
    const moved = bytes[atM + i]! - base;
    whole += change * change;
    cross += change * moved;
    part += moved * moved;
  }
  if (whole === 0) return { share: 0, residual: 1 };
  return { share: cross / whole, residual: Math.max(0, (part - (cross * cross) / whole) / whole) };
}

function findDissolves(
  stretch: ThumbnailStretch,
  steps: Float64Array,
  known: readonly Transition[],
): Transition[] {
  const { count, frameRateHz } = stretch;
  const edges = [
    { from: 0, to: known[0]?.first ?? count - 1 },
    ...known.map((one, i) => ({ from: one.last, to: known[i + 1]?.first ?? count - 1 })),
  ];
  const found: Transition[] = [];
  for (const { from, to } of edges) {
    const candidates: Transition[] = [];
    for (const secs of GRADUAL_SECS) {
      const length = Math.max(GRADUAL_LEAST_FRAMES, Math.round(secs * frameRateHz));
      if (length === Math.max(GRADUAL_LEAST_FRAMES, Math.round(secs * 0.7 * frameRateHz))) continue;
      const stride = Math.max(1, Math.floor(length / 8));
      for (let a = from; a + length <= to; a += stride) {
        const candidate = dissolveAt(stretch, steps, a, length);
        if (candidate !== undefined) candidates.push(candidate);
      }
    }
    candidates.sort((p, q) => q.score - p.score);
    const kept: Transition[] = [];
    for (const one of candidates) {
      const gap = Math.round(0.2 * frameRateHz);
      if (kept.some((other) => one.first < other.last + gap && one.last > other.first - gap)) continue;
      const first = Math.max(from, one.first);
      const last = Math.min(to, one.last);
      if (comesBack(stretch, first, last, { from, to })) continue;
      kept.push({ ...one, first, last });
    }
    found.push(...kept);
  }
  return found;
}

function dissolveAt(
  { bytes, frameRateHz }: ThumbnailStretch,
  steps: Float64Array,
  a: number,
  length: number,
): Transition | undefined {
  const e = a + length;
  const middle = mixtureOf(bytes, a, a + (length >> 1), e);
  if (middle.residual > MIXTURE_RESIDUAL || middle.share < 0.3 || middle.share > 0.7) return undefined;
  const quarter = mixtureOf(bytes, a, a + Math.round(length / 4), e);
  const threeQuarters = mixtureOf(bytes, a, a + Math.round((3 * length) / 4), e);
  if (quarter.residual > QUARTER_RESIDUAL || threeQuarters.residual > QUARTER_RESIDUAL) return undefined;
  if (
    quarter.share < 0.04 ||
    quarter.share > 0.45 ||
    threeQuarters.share < 0.55 ||
    threeQuarters.share > 0.96
  )
    return undefined;
  const change = frameDifference(bytes, a, e);
  if (change < GRADUAL_LEAST) return undefined;
  // One step that makes most of the change is a cut or a jump.
  let largest = 0;
  for (let t = a + 1; t <= e; t++) largest = Math.max(largest, steps[t]!);
  if (largest > 0.6 * change && length > GRADUAL_LEAST_FRAMES) return undefined;
  const residual = (quarter.residual + 2 * middle.residual + threeQuarters.residual) / 4;
  const uneven =
    Math.abs(quarter.share - 0.25) + Math.abs(threeQuarters.share - 0.75) + Math.abs(middle.share - 0.5);
  const score = change * Math.max(0.05, 1 - residual / 0.25) * Math.max(0.2, 1 - uneven);
  // The shares tell where the mixture begins and ends.
  const pace = (threeQuarters.share - quarter.share) / (length / 2);
  const centre = a + length / 2 + (0.5 - middle.share) / pace;
  const whole = Math.min(1 / pace, 3 * frameRateHz, length * 1.6);
  return {
    kind: "dissolve",
    first: Math.round(centre - whole / 2),
    last: Math.round(centre + whole / 2),
    score,
  };
}

/** Whether what was seen before is seen again soon after, or the change is one of light or of slow motion. */
function comesBack(
  { bytes, frameRateHz }: ThumbnailStretch,
  first: number,
  last: number,
  { from, to }: { readonly from: number; readonly to: number },
): boolean {
  const change = frameDifference(bytes, first, last);
  if (change < GRADUAL_LEAST || fitLight(bytes, first, last).correlation > 0.93) return true;
  if (edgesStay(bytes, first, last) > EDGES_STAY) return true;
  for (const secs of [0, 0.2, 0.4, 0.7, 1]) {
    const later = Math.min(to, last + Math.round(secs * frameRateHz));
    const earlier = Math.max(from, first - Math.round(secs * frameRateHz));
    if (frameDifference(bytes, first, later) < 0.35 * change) return true;
    if (frameDifference(bytes, earlier, last) < 0.35 * change) return true;
  }
  const span = last - first;
  const drift = Math.max(
    frameDifference(bytes, Math.max(from, first - span), first),
    frameDifference(bytes, last, Math.min(to, last + span)),
  );
  return drift > 0.75 * change;
}
