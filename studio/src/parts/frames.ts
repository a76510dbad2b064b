/** Frames of a clip in the page, small, to measure and to subtract. @module */

/** Longest side of the frames, in pixels: enough to see and to measure where two clips differ. */
const MAX_SIDE_PX = 160;
/** Frames that are read at most. */
const MAX_FRAMES = 81;

/** Frames of one size, RGBA. */
export interface Frames {
  readonly width: number;
  readonly height: number;
  readonly frames: readonly Uint8ClampedArray[];
}

/** Reads a clip's frames one by one. */
export async function framesOf(url: string, frameRateHz: number, signal: AbortSignal): Promise<Frames> {
  const video = document.createElement("video");
  video.muted = true;
  video.preload = "auto";
  video.src = url;
  const happens = (name: string): Promise<void> =>
    new Promise((done, fail) => {
      video.addEventListener(name, () => done(), { once: true });
      video.addEventListener("error", () => fail(new Error(`The clip ${url} cannot be played here`)), {
        once: true,
      });
      signal.addEventListener("abort", () => fail(signal.reason as Error), { once: true });
    });
  await happens("loadeddata");
  const scale = Math.min(1, MAX_SIDE_PX / Math.max(video.videoWidth, video.videoHeight));
  const width = Math.max(1, Math.round(video.videoWidth * scale));
  const height = Math.max(1, Math.round(video.videoHeight * scale));
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  const count = Math.max(1, Math.min(MAX_FRAMES, Math.round(video.duration * frameRateHz)));
  const frames: Uint8ClampedArray[] = [];
  for (let index = 0; index < count; index++) {
    const sought = happens("seeked");
    video.currentTime = Math.min((index + 0.5) / frameRateHz, video.duration);
    await sought;
    context.drawImage(video, 0, 0, width, height);
    frames.push(context.getImageData(0, 0, width, height).data);
  }
  video.removeAttribute("src");
  video.load();
  return { width, height, frames };
}

/** Mean squared and mean absolute difference of two frames' colours, in levels of 255. */
function distance(
  one: Uint8ClampedArray,
  other: Uint8ClampedArray,
): { readonly squared: number; readonly absolute: number } {
  let squared = 0;
  let absolute = 0;
  for (let at = 0; at < one.length; at++) {
    if (at % 4 === 3) continue;
    const difference = one[at]! - other[at]!;
    squared += difference * difference;
    absolute += Math.abs(difference);
  }
  const count = (one.length / 4) * 3;
  return { squared: squared / count, absolute: absolute / count };
}

/** How far two clips are apart over the frames that both have; undefined for clips of different sizes. */
export function difference(
  one: Frames,
  other: Frames,
): { readonly psnrDb: number; readonly meanLevels: number; readonly byFrame: readonly number[] } | undefined {
  if (one.width !== other.width || one.height !== other.height) return undefined;
  const count = Math.min(one.frames.length, other.frames.length);
  const all = Array.from({ length: count }, (_, i) => distance(one.frames[i]!, other.frames[i]!));
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, count);
  const squared = mean(all.map((value) => value.squared));
  return {
    psnrDb: squared === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(255 ** 2 / squared),
    meanLevels: mean(all.map((value) => value.absolute)),
    byFrame: all.map((value) => value.absolute),
  };
}

/** Mean absolute difference of neighbouring frames, in levels of 255: how much moves. */
export function motion({ frames }: Frames): number {
  let sum = 0;
  for (let i = 1; i < frames.length; i++) sum += distance(frames[i - 1]!, frames[i]!).absolute;
  return sum / Math.max(1, frames.length - 1);
}

/** Draws where two frames differ: black where they are equal, brighter the further apart. */
export function drawDifference(canvas: HTMLCanvasElement, one: Frames, other: Frames, frame: number): void {
  const first = one.frames[Math.min(frame, one.frames.length - 1)];
  const second = other.frames[Math.min(frame, other.frames.length - 1)];
  const context = canvas.getContext("2d");
  if (!first || !second || !context || first.length !== second.length) return;
  canvas.width = one.width;
  canvas.height = one.height;
  const picture = context.createImageData(one.width, one.height);
  for (let at = 0; at < first.length; at += 4) {
    // Three times the difference: differences of a few levels would be invisible.
    const level = Math.min(
      1,
      (Math.abs(first[at]! - second[at]!) +
        Math.abs(first[at + 1]! - second[at + 1]!) +
        Math.abs(first[at + 2]! - second[at + 2]!)) /
        255,
    );
    // Black through violet and orange to pale yellow: as bright as large, also for colour-blind eyes.
    picture.data[at] = 255 * Math.min(1, 1.6 * level);
    picture.data[at + 1] = 255 * level * level;
    picture.data[at + 2] =
      255 * Math.max(0.12, Math.sin(level * Math.PI) * 0.55 + (level > 0.8 ? (level - 0.8) * 3 : 0));
    picture.data[at + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}
