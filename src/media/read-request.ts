/**
 * Which frames of a video a caller wants, and the arithmetic that turns the wish into frame numbers.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { uniformFrames } from "./frame-index.ts";
import { type FrameTimes, rateOf } from "./media-info.ts";

/**
 * Which frames to read. Give at most one of `timesSecs`, `frameCount` and `frameRateHz`; with none of them every
 * frame is read. Times count from the first frame. **The frame at a time** is the last one that starts at or before
 * it ({@link TIME_SLACK_SECS} later is still "at"); times past the end give the last frame.
 */
export interface FrameRequest {
  /** Exactly these times, in any order, repeats allowed: one frame each. */
  readonly timesSecs?: readonly number[];
  /** This many frames, spread evenly over the frame numbers (`round(linspace(0, N - 1, k))`); short videos repeat. */
  readonly frameCount?: number;
  /** Resampled to this rate: the frames at `start + k / rate`. Makes a fixed rate out of a variable one. */
  readonly frameRateHz?: number;
  /** Only frames that start here or later. */
  readonly startSecs?: number;
  /** Only frames that start before this. */
  readonly endSecs?: number;
  /** An upper bound: with `frameRateHz` the first frames are kept, otherwise the picks are spread evenly. */
  readonly maxFrames?: number;
}

/**
 * Containers round times (Matroska to 1 ms), so 2/3 s may be stored as 0.667 s: a frame that starts this much later
 * than asked still counts as being there.
 */
export const TIME_SLACK_SECS = 0.0006;

/** The frames to decode. */
export interface FramePicks {
  /** Frame numbers in presentation order of the file, one per frame of the result; may repeat. */
  readonly frames: readonly number[];
  /** Rate of the result. */
  readonly frameRateHz: number;
  /** True where a frame that cannot be decoded is left out; false where an earlier one takes its place. */
  readonly mayDropFrames: boolean;
}

/** Checks a request before any file is opened. @throws VANS_MEDIA_REQUEST_INVALID */
export function checkFrameRequest(request: FrameRequest): void {
  const invalid = (found: string, fix: string): VansError =>
    new VansError("VANS_MEDIA_REQUEST_INVALID", "the frames to read are not well described", {
      asked: JSON.stringify(request),
      found,
      fix,
    });
  const modes = (["timesSecs", "frameCount", "frameRateHz"] as const).filter(
    (name) => request[name] !== undefined,
  );
  if (modes.length > 1) throw invalid(`both ${modes.join(" and ")}`, "give one of them");
  const { timesSecs, startSecs, endSecs } = request;
  if (timesSecs !== undefined) {
    if (timesSecs.length === 0) throw invalid("no times", "give at least one time");
    if (startSecs !== undefined || endSecs !== undefined)
      throw invalid("timesSecs together with a window", "leave startSecs and endSecs away");
    const wrong = timesSecs.find((time) => !Number.isFinite(time) || time < 0);
    if (wrong !== undefined) throw invalid(`the time ${wrong}`, "times are seconds, 0 or more");
  }
  for (const name of ["frameCount", "maxFrames"] as const) {
    const value = request[name];
    if (value !== undefined && (!Number.isInteger(value) || value < 1))
      throw invalid(`${name} ${value}`, "give a whole number of at least 1");
  }
  for (const name of ["startSecs", "endSecs"] as const) {
    const value = request[name];
    if (value !== undefined && (!Number.isFinite(value) || value < 0))
      throw invalid(`${name} ${value}`, "give seconds, 0 or more");
  }
  if (startSecs !== undefined && endSecs !== undefined && endSecs <= startSecs)
    throw invalid(
      `a window that ends (${endSecs}) before it starts (${startSecs})`,
      "let endSecs be the larger",
    );
  const rate = request.frameRateHz;
  if (rate !== undefined && !(Number.isFinite(rate) && rate > 0))
    throw invalid(`frameRateHz ${rate}`, "give frames per second");
}

/** The last frame that starts at or before `timeSecs`; the first frame for earlier times. */
export function frameAt(times: FrameTimes, timeSecs: number): number {
  let low = 0;
  let high = times.timesSecs.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (times.timesSecs[middle]! <= timeSecs + TIME_SLACK_SECS) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * Frame numbers for a request.
 *
 * @throws VANS_MEDIA_REQUEST_INVALID where the window starts after the end of the video
 */
export function pickFrames(times: FrameTimes, request: FrameRequest): FramePicks {
  const { timesSecs, frameCount, maxFrames = Number.POSITIVE_INFINITY } = request;
  const total = times.timesSecs.length;
  const sourceRateHz = rateOf(times).frameRateHz;
  if (timesSecs !== undefined) {
    const frames = thinned(
      timesSecs.map((time) => frameAt(times, time)),
      maxFrames,
    );
    return { frames, frameRateHz: rateOfPicks(frames, times, sourceRateHz), mayDropFrames: false };
  }
  const { startSecs = 0, endSecs = Number.POSITIVE_INFINITY } = request;
  if (startSecs > times.durationSecs + TIME_SLACK_SECS) {
    throw new VansError("VANS_MEDIA_REQUEST_INVALID", "the asked part lies after the end of the video", {
      asked: `from ${startSecs} s`,
      found: `a video of ${times.durationSecs.toFixed(3)} s, ${total} frames`,
      fix: "choose an earlier startSecs",
    });
  }
  if (request.frameRateHz !== undefined) {
    const end = Math.min(endSecs, Math.max(times.durationSecs, startSecs + TIME_SLACK_SECS * 2));
    const frames: number[] = [];
    for (let k = 0; frames.length < maxFrames; k++) {
      const time = startSecs + k / request.frameRateHz;
      if (time >= end - TIME_SLACK_SECS && k > 0) break;
      frames.push(frameAt(times, time));
    }
    return { frames, frameRateHz: request.frameRateHz, mayDropFrames: false };
  }
  const onScreen = frameAt(times, startSecs);
  const starts = times.timesSecs[onScreen]! >= startSecs - TIME_SLACK_SECS;
  const first = starts ? onScreen : onScreen + 1;
  let last = total - 1;
  while (last >= first && times.timesSecs[last]! >= endSecs - TIME_SLACK_SECS) last--;
  // A window in which no frame starts shows the one that is on screen then.
  const begin = last >= first ? first : onScreen;
  const available = Math.max(last - begin + 1, 1);
  if (frameCount !== undefined) {
    const frames = uniformFrames(available, Math.min(frameCount, maxFrames)).map((index) => begin + index);
    return { frames, frameRateHz: rateOfPicks(frames, times, sourceRateHz), mayDropFrames: false };
  }
  const all = thinned(
    Array.from({ length: available }, (_, index) => begin + index),
    maxFrames,
  );
  const frameRateHz = all.length === available ? sourceRateHz : rateOfPicks(all, times, sourceRateHz);
  return { frames: all, frameRateHz, mayDropFrames: true };
}

function thinned(frames: readonly number[], maxFrames: number): readonly number[] {
  if (frames.length <= maxFrames) return frames;
  return uniformFrames(frames.length, maxFrames).map((index) => frames[index]!);
}

function rateOfPicks(frames: readonly number[], times: FrameTimes, sourceRateHz: number): number {
  if (frames.length < 2) return sourceRateHz;
  const span = times.timesSecs[frames[frames.length - 1]!]! - times.timesSecs[frames[0]!]!;
  return span > 0 ? (frames.length - 1) / span : sourceRateHz;
}
