/**
 * Speed of `split` and of the cheap selection: seconds of video for each second of processor time, all processes
 * together (Linux). `taskset -c 0 npx tsx bench/data-speed.ts VIDEO…`. Writing clips comes later, when a pair is asked about; the
 * last line says what it takes to write all that were selected. With `--bare` the scan alone, without the stages around it.
 * @module
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { cutSelected } from "../src/data/curate/cut-selected.ts";
import { selectSchema } from "../src/data/curate/select-stage.ts";
import { readResult } from "../src/data/curate/stage.ts";
import { curate, importItems, readVideoList, splitVideo, writeImport } from "../src/data/index.ts";
import { closeCodecProcesses, probe } from "../src/media/index.ts";

/** Ticks of a second in /proc; the same on all machines that Node supports. */
const TICKS = 100;

/** Processor time of a process and everything that it started, the ended ones included. */
function cpuSecs(pid = process.pid): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  let secs = fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const children = readFileSync(`/proc/${pid}/task/${task}/children`, "utf8");
    for (const child of children.split(" ").filter(Boolean)) secs += cpuSecs(Number(child));
  }
  return secs;
}

const isBare = process.argv.includes("--bare");
const videos = process.argv.slice(2).filter((word) => word !== "--bare");
if (videos.length === 0) {
  console.error("usage: taskset -c 0 npx tsx bench/data-speed.ts [--bare] VIDEO…");
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "vans-speed-"));
try {
  let videoSecs = 0;
  for (const [n, path] of videos.entries()) {
    symlinkSync(resolve(path), join(folder, `${n}-${basename(path)}`));
    const { durationSecs, width, height, frameRateHz } = await probe(path);
    console.log(`${basename(path)}: ${width}x${height}, ${frameRateHz} Hz, ${durationSecs.toFixed(1)} s`);
    videoSecs += durationSecs;
  }
  const report = (name: string, before: number): void => {
    const secs = cpuSecs() - before;
    console.log(
      `${name}: ${secs.toFixed(2)} s of processor, ${(videoSecs / secs).toFixed(1)} times real time`,
    );
  };
  const begin = cpuSecs();
  if (isBare) {
    for (const path of videos) await splitVideo(path, { id: "speed", steps: [], leastSecs: 3 });
    report("split and measures", begin);
  } else {
    const work = join(folder, "work");
    const settings = { annotations: "", videos: folder, licence: "unknown" };
    await writeImport(work, "videos", importItems("videos", settings));
    let listed = 0;
    for await (const _ of readVideoList(work)) listed++;
    if (listed !== videos.length) throw new Error(`${listed} of ${videos.length} videos were listed`);
    for (const stage of ["split", "select"] as const) {
      const before = cpuSecs();
      for await (const _ of curate({ folder: work, stages: [stage] }));
      report(stage, before);
    }
    report("both", begin);
    const before = cpuSecs();
    for await (const video of readVideoList(work)) {
      const selected = (await readResult(work, { name: "select", schema: selectSchema }, video.id))?.value;
      if (selected) await cutSelected(work, video, selected, selected.clips, undefined);
    }
    report("writing every selected clip", before);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
  closeCodecProcesses();
}
process.exit(0);
