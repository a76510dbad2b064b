/**
 * What a video file does to drawn frames: colour at half size. Models are asked about decoded mp4 files, so they are
 * trained on frames that went through the same.
 * @module
 */
import { DEFAULT_YUV_COLOUR, rgbFromYuv, yuv420FromRgb } from "../media/yuv.ts";

/** Frames `[T, H, W, 3]` with their colours reduced to half size and back (even sizes). */
export function throughVideo<
  Frames extends {
    readonly frameCount: number;
    readonly height: number;
    readonly width: number;
    readonly rgb: Uint8Array;
  },
>(frames: Frames): Frames {
  const { frameCount, height, width } = frames;
  const size = height * width * 3;
  const rgb = new Uint8Array(frameCount * size);
  for (let t = 0; t < frameCount; t++) {
    const image = { height, width, rgb: frames.rgb.subarray(t * size, (t + 1) * size) };
    const { planes } = yuv420FromRgb(image, DEFAULT_YUV_COLOUR);
    rgb.set(
      rgbFromYuv(planes, { height, width, layout: "I420" }, DEFAULT_YUV_COLOUR, "guided").rgb,
      t * size,
    );
  }
  return { ...frames, rgb };
}
