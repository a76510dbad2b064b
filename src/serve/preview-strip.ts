/**
 * A small clip as one picture, its frames side by side: what the studio shows while an answer sharpens.
 * @module
 */
import sharp from "sharp";
import { type Clip, frameOf } from "../media/index.ts";

/** A strip of frames. */
export interface PreviewStrip {
  /** A PNG as a data URL. */
  readonly url: string;
  readonly frames: number;
  /** Pixels of one frame. */
  readonly width: number;
  readonly height: number;
}

/** The frames of a clip, side by side. */
export async function stripOf(clip: Clip): Promise<PreviewStrip> {
  const { frameCount, height, width } = clip;
  const rgb = new Uint8Array(frameCount * height * width * 3);
  for (let frame = 0; frame < frameCount; frame++) {
    const picture = frameOf(clip, frame);
    for (let y = 0; y < height; y++)
      rgb.set(picture.rgb.subarray(y * width * 3, (y + 1) * width * 3), (y * frameCount + frame) * width * 3);
  }
  const png = await sharp(rgb, { raw: { height, width: width * frameCount, channels: 3 } })
    .png()
    .toBuffer();
  return { url: `data:image/png;base64,${png.toString("base64")}`, frames: frameCount, width, height };
}
