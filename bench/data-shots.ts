/**
 * Shot detection on drawn videos that went through a real encoder: F1 of hard cuts and of dissolves.
 * `npx tsx bench/data-shots.ts [--seeds 900..912] [--width 320] [--crf 34]`. Every seed has another rate, another size
 * unless `--width` is given; every third leaves out a fifth of its frames (variable rate). `--crf` encodes once more
 * with ffmpeg, poorly.
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { splitVideo } from "../src/data/index.ts";
import { writeDrawnVideo } from "../src/data/testing/make-videos.ts";
import { scoreOf, scoreShots } from "../src/data/testing/score-shots.ts";
import { closeCodecProcesses, probe } from "../src/media/index.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "900..908" },
    width: { type: "string" },
    crf: { type: "string" },
    shots: { type: "string", default: "12" },
  },
});

const [from, to] = values.seeds.split("..").map(Number) as [number, number];
const sums = { cut: [0, 0, 0], gradual: [0, 0, 0] };
const folder = await mkdtemp(join(tmpdir(), "vans-shots-"));
try {
  for (let seed = from; seed < to; seed++) {
    const path = join(folder, `${seed}.mp4`);
    const frameRateHz = [24, 30, 25, 12, 15][seed % 5]!;
    const width = Number(values.width ?? [256, 192, 320, 426][seed % 4]!);
    const height = Math.round((width * [9, 12][seed % 2]!) / 32) * 2;
    const drawing = {
      seed,
      width,
      height,
      frameRateHz,
      shots: Number(values.shots),
      shotFrames: [Math.round(frameRateHz * 1.5), Math.round(frameRateHz * 4)] as const,
      dissolves: 0.35,
      fades: 0.05,
    };
    const drawn = await writeDrawnVideo(path, drawing, { leftOut: seed % 3 === 0 ? 0.2 : 0 });
    if (values.crf !== undefined) {
      const again = `${path}.mp4`;
      const kept = ["-fps_mode", "passthrough", "-enc_time_base", "-1"];
      execFileSync("ffmpeg", ["-v", "error", "-i", path, ...kept, "-crf", values.crf, again]);
      await rename(again, path);
    }
    const { isVariableFrameRate } = await probe(path);
    const { transitions, frameCount } = await splitVideo(path, { id: String(seed), steps: [], leastSecs: 3 });
    if (frameCount !== drawn.frameCount) throw new Error(`${frameCount} of ${drawn.frameCount} frames`);
    const line = (["cut", "gradual"] as const).map((kind) => {
      const score = scoreShots(drawn.transitions, transitions, kind);
      [score.found, score.missed, score.wrong].forEach((value, i) => {
        sums[kind][i]! += value;
      });
      return `${kind} ${score.found} found ${score.missed} missed ${score.wrong} wrong`;
    });
    console.log(
      `seed ${seed}, ${width}x${height}, ${isVariableFrameRate ? "variable around" : ""} ${frameRateHz} Hz, ${drawn.frameCount} frames: ${line.join("; ")}`,
    );
    await rm(path);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
for (const kind of ["cut", "gradual"] as const) {
  const { found, missed, wrong, f1 } = scoreOf(...(sums[kind] as [number, number, number]));
  console.log(`${kind}: ${found} found, ${missed} missed, ${wrong} wrong, F1 ${f1.toFixed(3)}`);
}
closeCodecProcesses();
