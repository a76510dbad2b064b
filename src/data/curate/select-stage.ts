/**
 * Stage 2: the best 3 to 5 seconds of each segment. Cheap measures rule out what is black, frozen, blurred, blown out,
 * covered with text or seen before, and rank the rest; a vision model judges the best candidates where there is one.
 * @module
 */
import { copyFile, rename } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { writeFileAtomically } from "../../weights/atomic-file.ts";
import type { Asker } from "../providers/asker.ts";
import { fillPrompt, readPrompt } from "../providers/prompts.ts";
import { BUCKET_SECS, type Bucket, signatureDistance } from "./clip-measures.ts";
import { picturesAt, spreadTimes } from "./request-pictures.ts";
import { type Segment, type SplitVideo, segmentName, splitSchema } from "./split-stage.ts";
import { type Dropped, digestOf, droppedSchema, readResult, type Stage } from "./stage.ts";
import { type ListedVideo, videoPath } from "./video-list.ts";

const selectedSchema = z.object({
  index: z.number().int(),
  label: z.string().nullable(),
  startSecs: z.number(),
  endSecs: z.number(),
  /** Relative to the folder; the file is made when it is first shown to somebody (`cutSelected`). */
  clip: z.string(),
  scores: z.record(z.string(), z.number()),
  /** What the judge saw. */
  description: z.string().nullable(),
});
/** A segment's chosen clip. */
export type SelectedClip = z.infer<typeof selectedSchema>;

/** Schema of a video's selection. */
export const selectSchema = z.object({
  clips: z.array(selectedSchema),
  dropped: z.array(droppedSchema),
  quarantined: z.array(z.object({ item: z.string(), reason: z.string(), answers: z.array(z.string()) })),
  prompt: z.string().nullable(),
  model: z.string().nullable(),
  /** How its clips are cut. */
  cut: z.object({ mostHeight: z.number().optional(), mostRateHz: z.number().optional() }).optional(),
});
export type SelectedVideo = z.infer<typeof selectSchema>;

/** Settings of the stage. */
export interface SelectSettings {
  /** Asks nobody where undefined. */
  readonly asker?: Asker | undefined;
  /** Longest clip. Default 5; segments up to this are taken whole. */
  readonly mostSecs?: number | undefined;
  /** Length of a window in a longer segment. Default 4. */
  readonly windowSecs?: number | undefined;
  /** Candidates that a judge sees. Default 3. */
  readonly candidates?: number | undefined;
  /** Clips are at most this high. Default 480. */
  readonly mostHeight?: number | undefined;
  readonly mostRateHz?: number | undefined;
  /** Cheap thresholds; see {@link DEFAULT_LIMITS}. */
  readonly limits?: Partial<SelectLimits> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Beyond these a window is not usable. */
export interface SelectLimits {
  /** Mean luma and spread below which a picture is black. */
  readonly blackLuma: number;
  readonly blackSpread: number;
  /** Mean change from frame to frame below which nothing moves. */
  readonly frozenMotion: number;
  /** Share of white picture. */
  readonly bright: number;
  /** Sharpness below this share of the video's median. */
  readonly blur: number;
  /** Share of lettering. */
  readonly text: number;
  /** Mean distance of signatures below which two clips are the same. */
  readonly duplicate: number;
  /** Least quality and match that a judge must give. */
  readonly judged: number;
}

/** The defaults. */
export const DEFAULT_LIMITS: SelectLimits = {
  blackLuma: 26,
  blackSpread: 6,
  frozenMotion: 0.01,
  bright: 0.9,
  blur: 0.08,
  text: 0.3,
  duplicate: 0.9,
  judged: 0.4,
};

const judgementSchema = z.object({
  choice: z.number().int().min(-1),
  quality: z.number().min(0).max(1),
  match: z.number().min(0).max(1),
  description: z.string(),
  reason: z.string(),
});

/** Frames that a judge sees of a candidate. */
const FRAMES_PER_CANDIDATE = 4;
/** Steps between windows. */
const WINDOW_STEP_SECS = 0.5;

/** The stage. */
export function selectStage(folder: string, settings: SelectSettings = {}): Stage<SelectedVideo> {
  const { asker } = settings;
  const limits: SelectLimits = { ...DEFAULT_LIMITS, ...settings.limits };
  return {
    name: "select",
    schema: selectSchema,
    async ingredients(video) {
      const split = await readResult(folder, { name: "split", schema: splitSchema }, video.id);
      const { mostSecs, windowSecs, candidates, mostHeight, mostRateHz } = settings;
      return [
        split?.ingredients ?? null,
        mostSecs ?? null,
        windowSecs ?? null,
        candidates ?? null,
        mostHeight ?? null,
        mostRateHz ?? null,
        limits,
        asker === undefined ? null : [asker.provider.model, (await readPrompt("select", folder)).version],
      ];
    },
    async work(video) {
      const split = (await readResult(folder, { name: "split", schema: splitSchema }, video.id))?.value;
      if (split === undefined) return { clips: [], dropped: [], quarantined: [], prompt: null, model: null };
      if (split.by === "given") return takeGiven(folder, video, split);
      return selectClips(folder, video, split, { ...settings, limits });
    },
  };
}

interface Candidate {
  readonly startSecs: number;
  readonly endSecs: number;
  readonly score: number;
  readonly scores: Record<string, number>;
  readonly signatures: readonly string[];
}

async function selectClips(
  folder: string,
  video: ListedVideo,
  split: SplitVideo,
  settings: SelectSettings & { readonly limits: SelectLimits },
): Promise<SelectedVideo> {
  const { asker, limits, signal } = settings;
  const prompt = asker === undefined ? undefined : await readPrompt("select", folder);
  const path = videoPath(folder, video.path);
  const clips: SelectedClip[] = [];
  const dropped: Dropped[] = [];
  const quarantined: SelectedVideo["quarantined"] = [];
  const taken: Candidate[] = [];
  const sharpnesses = split.buckets.map((bucket) => bucket.sharpness).sort((a, b) => a - b);
  const usualSharpness = sharpnesses[sharpnesses.length >> 1] ?? 0;
  for (const segment of split.segments) {
    const item = segmentName(video.id, segment.index);
    const windows = windowsOf(segment, settings).map((window) =>
      measure(window, split.buckets, usualSharpness, limits),
    );
    const usable = windows.filter((window): window is Candidate => typeof window !== "string");
    if (usable.length === 0) {
      dropped.push({ item, reason: `select: ${String(windows[0] ?? "too short")}` });
      continue;
    }
    const ranked = distinct(usable.sort((a, b) => b.score - a.score || a.startSecs - b.startSecs));
    const fresh = ranked.filter((one) => !taken.some((other) => isSame(one, other, limits)));
    if (fresh.length === 0) {
      dropped.push({ item, reason: "select: near-duplicate of an earlier clip" });
      continue;
    }
    let chosen = fresh[0]!;
    let judged: z.infer<typeof judgementSchema> | undefined;
    if (asker !== undefined && prompt !== undefined) {
      const shown = fresh.slice(0, settings.candidates ?? 3);
      const pictures = [];
      for (const [n, one] of shown.entries())
        pictures.push(
          ...(await picturesAt(
            path,
            `candidate ${n}`,
            spreadTimes(one.startSecs, one.endSecs, FRAMES_PER_CANDIDATE),
            signal,
          )),
        );
      const asked = await asker.ask(
        {
          task: "select",
          item,
          system: prompt.system,
          text: fillPrompt(prompt, {
            label: segment.label ?? "(no name)",
            goal: video.goal ?? "(not known)",
            count: String(shown.length),
          }),
          pictures,
          facts: { label: segment.label, candidates: shown.length },
        },
        judgementSchema,
      );
      if (asked.kind === "refused") {
        dropped.push({ item, reason: `select: refused by the judge: ${asked.reason}` });
        continue;
      }
      if (asked.kind === "quarantine") {
        quarantined.push({ item, reason: `select: ${asked.reason}`, answers: [...asked.answers] });
        continue;
      }
      judged = asked.value;
      const pick = shown[judged.choice];
      if (
        pick === undefined ||
        judged.quality < limits.judged ||
        (segment.label && judged.match < limits.judged)
      ) {
        dropped.push({ item, reason: `select: rejected by the judge: ${judged.reason}` });
        continue;
      }
      chosen = pick;
    }
    taken.push(chosen);
    const clip = clipName(video.id, segment.index, [
      chosen.startSecs,
      chosen.endSecs,
      settings.mostHeight ?? 480,
    ]);
    clips.push({
      index: segment.index,
      label: segment.label,
      startSecs: chosen.startSecs,
      endSecs: chosen.endSecs,
      clip,
      scores: {
        ...chosen.scores,
        ...(judged && { judgedQuality: judged.quality, judgedMatch: judged.match }),
      },
      description: judged?.description ?? null,
    });
  }
  return {
    clips,
    dropped,
    quarantined,
    prompt: prompt?.version ?? null,
    model: asker?.provider.model ?? null,
    cut: { mostHeight: settings.mostHeight, mostRateHz: settings.mostRateHz },
  };
}

/** Clips are named by what they hold, so that other settings do not overwrite what older results point to. */
function clipName(videoId: string, index: number, window: readonly unknown[]): string {
  return `clips/${videoId}-${String(index).padStart(3, "0")}-${digestOf(window).slice(0, 6)}.mp4`;
}

/** Windows of a segment: the whole where it is short, else one every half second. */
function windowsOf(segment: Segment, settings: SelectSettings): { startSecs: number; endSecs: number }[] {
  const { startSecs, endSecs } = segment;
  const { mostSecs = 5, windowSecs = 4 } = settings;
  if (endSecs - startSecs <= mostSecs + 1e-6) return [{ startSecs, endSecs }];
  const windows: { startSecs: number; endSecs: number }[] = [];
  for (let start = startSecs; start + windowSecs <= endSecs + 1e-6; start += WINDOW_STEP_SECS)
    windows.push({ startSecs: start, endSecs: start + windowSecs });
  return windows;
}

/** A window's measures, or why it cannot be used. */
function measure(
  window: { readonly startSecs: number; readonly endSecs: number },
  buckets: readonly Bucket[],
  usualSharpness: number,
  limits: SelectLimits,
): Candidate | string {
  // Buckets that lie inside; the ones at the edges hold frames of the neighbours.
  const { startSecs, endSecs } = window;
  const inside = buckets.filter(
    (bucket) => bucket.startSecs >= startSecs - 0.01 && bucket.startSecs + BUCKET_SECS <= endSecs + 0.3,
  );
  if (inside.length === 0) return "nothing to measure";
  const mean = (name: "luma" | "spread" | "bright" | "sharpness" | "motion"): number =>
    inside.reduce((sum, bucket) => sum + bucket[name], 0) / inside.length;
  const [luma, spread, bright, sharpness, motion] = [
    mean("luma"),
    mean("spread"),
    mean("bright"),
    mean("sharpness"),
    mean("motion"),
  ];
  // What stays on screen is an overlay; what comes and goes is the scene.
  const text = inside.map((bucket) => bucket.text).sort((a, b) => a - b)[inside.length >> 1]!;
  const relative = usualSharpness > 0 ? sharpness / usualSharpness : 1;
  if (luma < limits.blackLuma && spread < limits.blackSpread) return "black frames";
  if (Math.max(...inside.map((bucket) => bucket.motion)) < limits.frozenMotion) return "frozen frames";
  if (bright > limits.bright) return "overexposed";
  if (relative < limits.blur) return "blurred";
  if (text > limits.text) return "covered with text";
  const exposure = Math.max(0, 1 - Math.abs(luma - 125) / 125);
  const sharp = Math.min(1, Math.log2(1 + relative) / Math.log2(3));
  // Some motion is an event, very much is a shake.
  const lively = motion < 1 ? motion : Math.max(0.2, 1 - (motion - 6) / 30);
  const score =
    0.35 * sharp +
    0.3 * Math.min(1, lively) +
    0.2 * exposure +
    0.15 * (1 - Math.min(1, text / limits.text)) -
    bright * 0.2;
  const rounded = (value: number): number => Math.round(value * 1000) / 1000;
  return {
    startSecs,
    endSecs,
    score,
    scores: {
      cheap: rounded(score),
      sharpness: rounded(sharpness),
      luma: rounded(luma),
      motion: rounded(motion),
      text: rounded(text),
    },
    signatures: [0, 0.5, 1].map((share) => inside[Math.round(share * (inside.length - 1))]!.signature),
  };
}

/** The best windows that overlap by less than half. */
function distinct(ranked: readonly Candidate[]): Candidate[] {
  const kept: Candidate[] = [];
  for (const one of ranked) {
    const half = (one.endSecs - one.startSecs) / 2;
    if (kept.every((other) => Math.abs(other.startSecs - one.startSecs) >= half)) kept.push(one);
  }
  return kept;
}

function isSame(a: Candidate, b: Candidate, limits: SelectLimits): boolean {
  return a.signatures.every((signature, i) => {
    const { mean, most } = signatureDistance(signature, b.signatures[i]!);
    return mean < limits.duplicate && most < 12 * limits.duplicate;
  });
}

/** Clips that come cut are copied into the dataset. */
async function takeGiven(folder: string, video: ListedVideo, split: SplitVideo): Promise<SelectedVideo> {
  const clips: SelectedClip[] = [];
  for (const [index, path] of [video.path, video.given!.output].entries()) {
    const from = videoPath(folder, path);
    const ending = /\.[A-Za-z0-9]+$/.exec(path)?.[0] ?? ".mp4";
    const clip = `clips/${video.id}-${index === 0 ? "input" : "output"}${ending}`;
    const to = join(folder, clip);
    // Makes the folder; the copy then takes its place.
    await writeFileAtomically(`${to}.copy`, async () => {});
    await copyFile(from, `${to}.copy`);
    await rename(`${to}.copy`, to);
    const { startSecs, endSecs } = split.segments[index]!;
    clips.push({ index, label: null, startSecs, endSecs, clip, scores: {}, description: null });
  }
  return { clips, dropped: [], quarantined: [], prompt: null, model: null };
}
