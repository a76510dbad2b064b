/**
 * Sheets of found shots, for looking: `npx tsx bench/data-sheets.ts OUT.png VIDEO…`. A row a video: the frames before
 * and after each transition; where there is none, frames spread over the video.
 * @module
 */
import { basename } from "node:path";
import { splitVideo } from "../src/data/index.ts";
import {
  closeCodecProcesses,
  frameOf,
  type RgbImage,
  readClip,
  writeContactSheet,
} from "../src/media/index.ts";

const [out, ...videos] = process.argv.slice(2);
if (out === undefined || videos.length === 0) {
  console.error("usage: npx tsx bench/data-sheets.ts OUT.png VIDEO…");
  process.exit(2);
}
const rows: { label: string; frames: RgbImage[]; notes: string[] }[] = [];
for (const path of videos) {
  try {
    const split = await splitVideo(path, { id: "sheet", steps: [], leastSecs: 3 });
    const found = split.transitions.map(({ kind, first, last }) => `${kind} ${first}-${last}`).join(", ");
    const label = `${basename(path)}: ${split.frameCount} frames, ${found || "one shot"}; ${split.segments.length} segments of 3 s and more`;
    console.log(label);
    const numbers =
      split.transitions.length === 0
        ? [0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => Math.round(share * (split.frameCount - 1)))
        : split.transitions
            .slice(0, 4)
            .flatMap(({ first, last }) => [first, Math.floor((first + last) / 2), last]);
    const rate = split.frameCount / Math.max(split.durationSecs, 1e-3);
    const clip = await readClip(path, { timesSecs: numbers.map((number) => (number + 0.25) / rate) });
    rows.push({ label, frames: numbers.map((_, i) => frameOf(clip, i)), notes: numbers.map(String) });
  } catch (error) {
    console.log(
      `${basename(path)}: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`,
    );
  }
}
await writeContactSheet(out, { rows, maxColumns: 12, frameHeight: 110 });
closeCodecProcesses();
process.exit(0);
