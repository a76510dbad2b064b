/**
 * Pictures through the browser's own decoder. Of an animation the first frame is taken. Takes the place of
 * src/media/picture-file.ts.
 * @module
 */
import { corrupt, tooLarge } from "../../src/media/media-errors.ts";
import { type MediaInfo, rateOf } from "../../src/media/media-info.ts";
import type { OpenMedia } from "../../src/media/open-media.ts";
import { pickFrames } from "../../src/media/read-request.ts";
import { fileBytes } from "../memory-files.ts";

/** Opens a picture. */
export async function openPictureFile(path: string): Promise<OpenMedia> {
  const bitmap = await createImageBitmap(new Blob([fileBytes(path)!])).catch((cause: unknown) => {
    throw corrupt(path, cause instanceof Error ? cause.message : String(cause), cause);
  });
  const { height, width } = bitmap;
  const times = { timesSecs: new Float64Array(1), durationSecs: 0 };
  const info: MediaInfo = {
    container: "picture",
    codec: "picture",
    height,
    width,
    rotationDegrees: 0,
    durationSecs: 0,
    ...rateOf(times),
    backend: "npm",
  };
  return {
    info,
    async read({ request, maxBytes }, send) {
      const picks = pickFrames(times, request);
      if (height * width * 3 > maxBytes) throw tooLarge(path, `${width}x${height} pixels`, maxBytes);
      await send({ kind: "info", info, picks: { ...picks, timesSecs: times.timesSecs } });
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext("2d")!;
      // Transparent parts are black, as in the library.
      context.fillStyle = "#000";
      context.fillRect(0, 0, width, height);
      context.drawImage(bitmap, 0, 0);
      const { data } = context.getImageData(0, 0, width, height);
      const rgb = new Uint8Array(height * width * 3);
      for (let i = 0; i < height * width; i++) rgb.set(data.subarray(4 * i, 4 * i + 3), 3 * i);
      for (const number of new Set(picks.frames))
        await send({ kind: "frame", number, shown: number, frame: { height, width, rgb } });
    },
    async close() {
      bitmap.close();
    },
  };
}
