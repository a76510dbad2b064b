/**
 * Stage 1: a video into segments, by its annotated steps or else by its shots. One pass over the frames finds the shots
 * and takes the cheap measures that selection needs.
 * @module
 */
import { stat } from "node:fs/promises";
import * as z from "zod";
import { probe } from "../../media/decode.ts";
import { scanVideo } from "../scan/scan-video.ts";
import { THUMB_BYTES } from "../scan/thumbnail.ts";
import { ShotDetector } from "../shots/shot-detector.ts";
import { type Bucket, bucketSchema, ClipMeter } from "./clip-measures.ts";
import { type Dropped, droppedSchema, type Stage } from "./stage.ts";
import { type ListedVideo, videoPath } from "./video-list.ts";

const segmentSchema = z.object({
  /** Its place among all segments of the video, the dropped ones included. */
  index: z.number().int(),
  label: z.string().nullable(),
  startSecs: z.number(),
  /** Exclusive. */
  endSecs: z.number(),
  startFrame: z.number().int(),
  /** Exclusive. */
  endFrame: z.number().int(),
});
/** A stretch of a video: whole frames. */
export type Segment = z.infer<typeof segmentSchema>;

const transitionSchema = z.object({
  kind: z.enum(["cut", "dissolve", "fade"]),
  first: z.number().int(),
  last: z.number().int(),
  score: z.number(),
});

/** Schema of a split video. */
export const splitSchema = z.object({
  by: z.enum(["steps", "shots", "given"]),
  frameCount: z.number().int(),
  frameRateHz: z.number(),
  durationSecs: z.number(),
  height: z.number().int(),
  width: z.number().int(),
  isVariableFrameRate: z.boolean(),
  transitions: z.array(transitionSchema),
  segments: z.array(segmentSchema),
  buckets: z.array(bucketSchema),
  dropped: z.array(droppedSchema),
});
export type SplitVideo = z.infer<typeof splitSchema>;

/** Settings of the stage. */
export interface SplitSettings {
  /** Shorter segments are dropped. Default 3, as in the paper. */
  readonly leastSecs?: number | undefined;
  /** Looks for shots even where steps are annotated. Default false. */
  readonly ignoreSteps?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_LEAST_SECS = 3;
/** Containers round times; a segment of 2.9999 s is one of 3 s. */
const SLACK_SECS = 0.002;

/** The stage. */
export function splitStage(folder: string, settings: SplitSettings = {}): Stage<SplitVideo> {
  const { leastSecs = DEFAULT_LEAST_SECS, ignoreSteps = false, signal } = settings;
  return {
    name: "split",
    schema: splitSchema,
    async ingredients(video) {
      const bytes = async (path: string): Promise<number> =>
        stat(videoPath(folder, path)).then(
          ({ size }) => size,
          () => -1,
        );
      return [
        leastSecs,
        ignoreSteps,
        await bytes(video.path),
        video.given ? await bytes(video.given.output) : 0,
      ];
    },
    work: (video) =>
      video.given === undefined
        ? splitVideo(videoPath(folder, video.path), {
            steps: ignoreSteps ? [] : video.steps,
            id: video.id,
            leastSecs,
            signal,
          })
        : splitGiven(folder, video, signal),
  };
}

/** What to split, and by what. */
export interface SplitRequest {
  readonly id: string;
  readonly steps: ListedVideo["steps"];
  readonly leastSecs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Splits one video file. @throws as `probe` and `readClip` of `vans/media` */
export async function splitVideo(path: string, request: SplitRequest): Promise<SplitVideo> {
  const { steps, signal } = request;
  let timesSecs: Float64Array = new Float64Array();
  let durationSecs = 0;
  let info: Awaited<ReturnType<typeof probe>> | undefined;
  let detector: ShotDetector | undefined;
  let meter = new ClipMeter();
  for await (const event of scanVideo(path, { signal })) {
    if (event.type === "opened") {
      ({ timesSecs, durationSecs, info } = event);
      meter = new ClipMeter();
      detector =
        steps.length > 0 ? undefined : new ShotDetector(timesSecs.length / Math.max(durationSecs, 1e-3));
      continue;
    }
    detector?.push(event.thumbs);
    const details = new Map(event.details.map((detail) => [detail.frame, detail]));
    event.sharpness.forEach((sharpness, i) => {
      const frame = event.first + i;
      const thumb = event.thumbs.subarray(i * THUMB_BYTES, (i + 1) * THUMB_BYTES);
      meter.add(timesSecs[frame] ?? 0, thumb, sharpness, details.get(frame));
    });
  }
  const transitions = (detector?.finish() ?? []).map((one) => ({
    ...one,
    score: Math.round(one.score * 100) / 100,
  }));
  const clock: FrameClock = { timesSecs, durationSecs };
  const all = steps.length > 0 ? stepSegments(steps, clock) : shotSegments(transitions, clock);
  const dropped: Dropped[] = [];
  const segments = all.filter((segment) => {
    const item = segmentName(request.id, segment.index);
    const secs = segment.endSecs - segment.startSecs;
    if (segment.endFrame <= segment.startFrame) dropped.push({ item, reason: "split: outside of the video" });
    else if (secs < request.leastSecs - SLACK_SECS)
      dropped.push({ item, reason: `split: shorter than ${request.leastSecs} s` });
    else return true;
    return false;
  });
  return {
    by: steps.length > 0 ? "steps" : "shots",
    frameCount: timesSecs.length,
    frameRateHz: info!.frameRateHz,
    durationSecs,
    height: info!.height,
    width: info!.width,
    isVariableFrameRate: info!.isVariableFrameRate,
    transitions,
    segments,
    buckets: meter.finish(),
    dropped,
  };
}

/** Name of a segment: `<video>#007`. */
export function segmentName(videoId: string, index: number): string {
  return `${videoId}#${String(index).padStart(3, "0")}`;
}

interface FrameClock {
  readonly timesSecs: Float64Array;
  readonly durationSecs: number;
}

/** The first frame that starts at or after a time. */
function frameFrom({ timesSecs }: FrameClock, secs: number): number {
  let low = 0;
  let high = timesSecs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (timesSecs[middle]! < secs - SLACK_SECS / 4) low = middle + 1;
    else high = middle;
  }
  return low;
}

function segmentOf(
  clock: FrameClock,
  index: number,
  label: string | null,
  startFrame: number,
  endFrame: number,
): Segment {
  const { timesSecs, durationSecs } = clock;
  return {
    index,
    label,
    startFrame,
    endFrame,
    startSecs: timesSecs[startFrame] ?? durationSecs,
    endSecs: endFrame < timesSecs.length ? timesSecs[endFrame]! : durationSecs,
  };
}

function stepSegments(steps: ListedVideo["steps"], clock: FrameClock): Segment[] {
  return steps.map(({ label, startSecs, endSecs }, index) =>
    segmentOf(clock, index, label, frameFrom(clock, startSecs), frameFrom(clock, endSecs)),
  );
}

/** Shots without the frames of the transitions between them. */
function shotSegments(transitions: SplitVideo["transitions"], clock: FrameClock): Segment[] {
  const starts = [0, ...transitions.map((one) => one.last)];
  const ends = [...transitions.map((one) => one.first + 1), clock.timesSecs.length];
  return starts.map((start, index) => segmentOf(clock, index, null, start, ends[index]!));
}

/** A pair that comes cut: both clips become segments as they are. */
async function splitGiven(
  folder: string,
  video: ListedVideo,
  signal: AbortSignal | undefined,
): Promise<SplitVideo> {
  const options = signal === undefined ? {} : { signal };
  const segments: Segment[] = [];
  let first: Awaited<ReturnType<typeof probe>> | undefined;
  for (const path of [video.path, video.given!.output]) {
    const info = await probe(videoPath(folder, path), options);
    first ??= info;
    segments.push({
      index: segments.length,
      label: null,
      startSecs: 0,
      endSecs: info.durationSecs,
      startFrame: 0,
      endFrame: info.frameCount,
    });
  }
  const buckets: Bucket[] = [];
  return {
    by: "given",
    frameCount: first!.frameCount,
    frameRateHz: first!.frameRateHz,
    durationSecs: first!.durationSecs,
    height: first!.height,
    width: first!.width,
    isVariableFrameRate: first!.isVariableFrameRate,
    transitions: [],
    segments,
    buckets,
    dropped: [],
  };
}
