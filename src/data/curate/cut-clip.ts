/**
 * Cuts a clip out of a video: exactly the frames that start within a window, in the size and rate of the dataset.
 * @module
 */
import { type DecodedClip, probe, readClip } from "../../media/decode.ts";
import { writeMp4 } from "../../media/encode.ts";
import { clipOf, frameOf, type RgbImage, resizeImage } from "../../media/resize.ts";

/** What to cut. */
export interface CutRequest {
  readonly startSecs: number;
  /** Exclusive. */
  readonly endSecs: number;
  /** Clips are made at most this high. Default 480. */
  readonly mostHeight?: number | undefined;
  /** Clips have at most this rate. Default 30. */
  readonly mostRateHz?: number | undefined;
  /** Stored inside the file. */
  readonly metadata?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What was cut. */
export interface CutClip {
  readonly frameCount: number;
  readonly frameRateHz: number;
  /** In the source, of each frame of the clip. */
  readonly timesSecs: readonly number[];
}

/** Bytes of full-size frames that are held at a time. */
const PIECE_BYTES = 64 * 2 ** 20;

/**
 * Cuts a clip. At a constant rate up to `mostRateHz` the clip has exactly the source's frames; otherwise its frame `k`
 * is the one on screen at `startSecs + k / rate`.
 *
 * @throws as `readClip` and `writeMp4` of `vans/media`
 */
export async function cutClip(path: string, out: string, request: CutRequest): Promise<CutClip> {
  const { startSecs, endSecs, mostHeight = 480, mostRateHz = 30, metadata, signal } = request;
  const common = signal === undefined ? {} : { signal };
  // The clip's own colours are stored at half size again, so each is kept as it is: nothing is drawn finer in between.
  const reading = { ...common, chroma: "repeat" } as const;
  const info = await probe(path, common);
  const isExact = !info.isVariableFrameRate && info.frameRateHz <= mostRateHz * 1.01;
  const rate = isExact ? info.frameRateHz : Math.min(mostRateHz, Math.max(1, Math.round(info.frameRateHz)));
  const size = sizeWithin(info, mostHeight);
  const frames: RgbImage[] = [];
  const timesSecs: number[] = [];
  const perPiece = Math.max(4, Math.floor(PIECE_BYTES / (info.height * info.width * 3)));
  const take = (clip: DecodedClip): void => {
    for (let i = 0; i < clip.frameCount; i++) {
      frames.push(resizeImage(frameOf(clip, i), size, "pil-bilinear"));
      timesSecs.push(clip.timesSecs[i]!);
    }
  };
  if (isExact) {
    const pieceSecs = perPiece / rate;
    for (let at = startSecs; at < endSecs - 1e-6; at += pieceSecs) {
      const clip = await readClip(path, {
        startSecs: at,
        endSecs: Math.min(endSecs, at + pieceSecs),
        ...reading,
      });
      // A window without a start shows the frame before; it was taken already.
      if (timesSecs.length === 0 || clip.timesSecs[0]! > timesSecs.at(-1)! + 1e-6) take(clip);
    }
  } else {
    const count = Math.max(1, Math.round((endSecs - startSecs) * rate - 1e-6));
    for (let k = 0; k < count; k += perPiece) {
      const wanted = Array.from(
        { length: Math.min(perPiece, count - k) },
        // Never past the window: its end belongs to the next shot.
        (_, i) => Math.min(startSecs + (k + i) / rate, endSecs - 2e-3),
      );
      take(await readClip(path, { timesSecs: wanted, ...reading }));
    }
  }
  const clip = clipOf(frames, rate);
  await writeMp4(out, clip, { ...common, ...(metadata === undefined ? {} : { metadata }) });
  return { frameCount: frames.length, frameRateHz: rate, timesSecs };
}

function sizeWithin({ height, width }: { height: number; width: number }, mostHeight: number) {
  if (height <= mostHeight) return { height, width };
  const even = (value: number): number => Math.max(2, 2 * Math.round(value / 2));
  return { height: even(mostHeight), width: even((width * mostHeight) / height) };
}
