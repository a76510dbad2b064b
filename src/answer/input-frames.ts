/**
 * From a clip to what the models take: frames at the suite's rate and size for the video model, a few larger ones for
 * the language model.
 * @module
 */
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import {
  type Clip,
  clipOf,
  fitClip,
  frameOf,
  probe,
  QWEN_VIDEO_PIXELS,
  type RgbImage,
  readClip,
  resizeClip,
  resizeImage,
  smartResize,
  uniformFrames,
  videoMaxPixels,
} from "../media/index.ts";
import { hashFile } from "./suite-hashes.ts";
import type { AnswerSettings } from "./suite-manifest.ts";

/** Facts about a clip before its pixels are read. */
export interface ClipFacts {
  readonly frameCount: number;
  readonly frameRateHz: number;
  readonly durationSecs: number;
}

/** Which frames of a clip are looked at. */
export interface FrameTimes {
  /** One time a frame, in seconds; times past the end mean the last frame. */
  readonly timesSecs: readonly number[];
  /** True for a still image. */
  readonly isStill: boolean;
  /** How much faster than real time the frames pass; 1 where the clip is short enough. */
  readonly speed: number;
}

/** The frames of one clip, ready for the models. */
export interface InputFrames extends FrameTimes {
  /** Where the clip came from; undefined for frames that were given. */
  readonly file: { readonly path: string; readonly sha256: string } | undefined;
  /** What the clip was before. */
  readonly facts: ClipFacts & { readonly height: number; readonly width: number };
  /** At the suite's size and rate, for the video model. */
  readonly frames: Clip;
  /** For the language model. */
  readonly vlmFrames: Clip;
  /** Frames that could not be decoded; neighbours stand in for them. */
  readonly lostFrames: number;
}

/** A clip may be this much longer than the suite's input before it counts as longer: files round durations. */
const DURATION_SLACK = 1.02;
const SOURCE_BYTES = 128 * 2 ** 20;

/**
 * Which moments of a clip become input frames.
 *
 * A clip that is no longer than the suite's input is read at the suite's rate, its last frame held to the end. Of a
 * longer one the frames are spread evenly over the whole (as the released VANS resamples its input), or the end is taken,
 * as the suite says. A still image has one frame, or as many equal ones as the suite asks for.
 */
export function inputTimes(
  facts: ClipFacts,
  settings: Pick<AnswerSettings, "inputFrames" | "frameRateHz" | "inputPick" | "stillFrames">,
): FrameTimes {
  const { inputFrames, frameRateHz, inputPick, stillFrames } = settings;
  if (facts.frameCount <= 1)
    return { timesSecs: new Array<number>(stillFrames).fill(0), isStill: true, speed: 1 };
  const spanSecs = inputFrames / frameRateHz;
  const atRate = (startSecs: number): number[] =>
    Array.from({ length: inputFrames }, (_, k) => startSecs + k / frameRateHz);
  if (facts.durationSecs <= spanSecs * DURATION_SLACK)
    return { timesSecs: atRate(0), isStill: false, speed: 1 };
  if (inputPick === "end")
    return { timesSecs: atRate(facts.durationSecs - spanSecs), isStill: false, speed: 1 };
  return {
    timesSecs: uniformFrames(facts.frameCount, inputFrames).map((frame) => frame / facts.frameRateHz),
    isStill: false,
    speed: facts.durationSecs / spanSecs,
  };
}

/** How frames are made ready. */
export interface InputOptions {
  readonly settings: AnswerSettings;
  /** Pixels along one side of a merge cell of the language model. */
  readonly vlmCell: number;
  /** Frames of the source are held for so many bytes at a time; default 128 MiB. Large frames are read in turns. */
  readonly sourceBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a clip, from a file or from frames in memory.
 *
 * @throws what `readClip` throws; `VANS_CLIP_INVALID` for frames whose fields do not fit together
 */
export async function readInputFrames(clip: string | Clip, options: InputOptions): Promise<InputFrames> {
  return typeof clip === "string" ? fromFile(clip, options) : fromClip(clip, options);
}

async function fromFile(path: string, options: InputOptions): Promise<InputFrames> {
  const { settings, signal } = options;
  const abort = signal ? { signal } : {};
  const hashing = hashFile(path).catch(() => "");
  const info = await probe(path, abort);
  const times = inputTimes(info, settings);
  const collected = new FrameCollector(info, times, options);
  const distinct = times.isStill ? [0] : times.timesSecs;
  let lostFrames = 0;
  const step = Math.max(
    1,
    Math.floor((options.sourceBytes ?? SOURCE_BYTES) / (info.height * info.width * 3)),
  );
  for (let at = 0; at < distinct.length; at += step) {
    throwIfAborted(signal);
    const part = await readClip(path, { ...abort, timesSecs: distinct.slice(at, at + step) });
    for (let i = 0; i < part.frameCount; i++) collected.add(frameOf(part, i));
    lostFrames += part.lostFrames;
  }
  return { ...collected.finish(), lostFrames, file: { path, sha256: await hashing } };
}

function fromClip(clip: Clip, options: InputOptions): InputFrames {
  const { frameCount, height, width, frameRateHz, rgb } = clip;
  const isSound = [frameCount, height, width].every((size) => Number.isInteger(size) && size > 0);
  if (!isSound || !(frameRateHz > 0) || rgb.length !== frameCount * height * width * 3) {
    throw new VansError("VANS_CLIP_INVALID", "the clip's fields do not fit together", {
      asked: `[${frameCount}, ${height}, ${width}, 3] at ${frameRateHz} Hz`,
      found: `${rgb.length} bytes`,
      fix: "give frameCount * height * width * 3 bytes of RGB",
    });
  }
  const durationSecs = frameCount === 1 ? 0 : frameCount / frameRateHz;
  const facts = { frameCount, frameRateHz, durationSecs, height, width };
  const times = inputTimes(facts, options.settings);
  const collected = new FrameCollector(facts, times, options);
  for (const time of times.isStill ? [0] : times.timesSecs)
    collected.add(frameOf(clip, Math.min(frameCount - 1, Math.floor(time * frameRateHz + 1e-6))));
  return { ...collected.finish(), lostFrames: 0, file: undefined };
}

/** Takes source frames one by one and keeps only what the models need of them. */
class FrameCollector {
  readonly #facts: InputFrames["facts"];
  readonly #times: FrameTimes;
  readonly #options: InputOptions;
  readonly #frames: RgbImage[] = [];
  readonly #vlm = new Map<number, RgbImage>();
  readonly #picks: readonly number[];

  constructor(facts: InputFrames["facts"], times: FrameTimes, options: InputOptions) {
    const { frameCount, frameRateHz, durationSecs, height, width } = facts;
    this.#facts = { frameCount, frameRateHz, durationSecs, height, width };
    this.#times = times;
    this.#options = options;
    const available = times.isStill ? 1 : times.timesSecs.length;
    this.#picks = uniformFrames(available, options.settings.vlmFrames);
  }

  add(frame: RgbImage): void {
    const { settings, vlmCell } = this.#options;
    const { height, width, frameRateHz, resize, vlmFrames } = settings;
    const index = this.#frames.length;
    if (this.#picks.includes(index)) {
      const minPixels = settings.vlmMinPixels ?? QWEN_VIDEO_PIXELS.min;
      const maxPixels = settings.vlmMaxPixels ?? videoMaxPixels(vlmFrames);
      const size = smartResize(frame, { minPixels, maxPixels, factor: vlmCell });
      this.#vlm.set(index, resizeImage(frame, size, "torch-bicubic"));
    }
    const one = clipOf([frame], frameRateHz);
    const fitted =
      resize === "stretch"
        ? resizeClip(one, { height, width }, "pil-bilinear")
        : fitClip(one, { height, width });
    // A copy, so that no frame keeps the memory of its source alive.
    this.#frames.push({ height, width, rgb: fitted.rgb.slice() });
  }

  finish(): Omit<InputFrames, "file" | "lostFrames"> {
    const { frameRateHz } = this.#options.settings;
    const { timesSecs, isStill } = this.#times;
    const frames = isStill ? timesSecs.map(() => this.#frames[0]!) : this.#frames;
    return {
      ...this.#times,
      facts: this.#facts,
      frames: clipOf(frames, frameRateHz),
      vlmFrames: clipOf(
        this.#picks.map((index) => this.#vlm.get(index)!),
        frameRateHz,
      ),
    };
  }
}
