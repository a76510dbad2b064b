/** Memory does not grow with the number of videos: neither in this process nor in those that decode and encode. @module */
import { readdirSync, readFileSync } from "node:fs";
import { link, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { closeCodecProcesses } from "../../media/index.ts";
import { curate, importItems, writeImport } from "../index.ts";
import { writeDrawnVideo } from "../testing/make-videos.ts";

const VIDEOS = 90;
/** Caches fill and compilers settle before this share of the videos. */
const SETTLED = VIDEOS / 3;
const MEBI = 2 ** 20;

/** Resident memory of everything that this process started, in MiB (Linux). */
function childrenMebi(pid = process.pid): number {
  let sum = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const children = readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean);
    for (const child of children) {
      const status = readFileSync(`/proc/${child}/status`, "utf8");
      sum += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024 + childrenMebi(Number(child));
    }
  }
  return sum;
}

describe.skipIf(process.platform !== "linux")("memory of the stages (measured through /proc)", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vans-memory-"));
    await mkdir(join(folder, "videos"));
    const first = join(folder, "first.mp4");
    const drawing = { seed: 7, width: 160, height: 96, frameRateHz: 10, dissolves: 0, fades: 0 };
    await writeDrawnVideo(first, { ...drawing, shots: 2, shotFrames: [34, 38], scenes: ["texture"] });
    for (let n = 0; n < VIDEOS; n++) await link(first, join(folder, "videos", `film-${n}.mp4`));
  });
  afterAll(async () => {
    closeCodecProcesses();
    await rm(folder, { recursive: true, force: true });
  });

  it("is the same after many videos as after a few", async () => {
    const work = join(folder, "work");
    const settings = { annotations: "", videos: join(folder, "videos"), licence: "CC0-1.0" };
    await writeImport(work, "videos", importItems("videos", settings));
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    // Buffers are given back a while after they are collected, 16 MiB at a time, so the least of some looks counts.
    const own = async (): Promise<number> => {
      let least = Number.POSITIVE_INFINITY;
      for (let look = 0; look < 6; look++) {
        collect();
        await sleep(25);
        const { heapUsed, arrayBuffers, external } = process.memoryUsage();
        least = Math.min(least, (heapUsed + arrayBuffers + external) / MEBI);
      }
      return least;
    };
    for (const stage of ["split", "select"] as const) {
      const seen: { own: number; children: number }[] = [];
      let done = 0;
      for await (const event of curate({ folder: work, stages: [stage] })) {
        if (event.type !== "done") continue;
        expect(event.failed).toBeUndefined();
        if (++done % 10 === 0 && done >= SETTLED) seen.push({ own: await own(), children: childrenMebi() });
      }
      expect(done).toBe(VIDEOS);
      const growth = (name: "own" | "children"): number => seen.at(-1)![name] - seen[0]![name];
      // 60 videos held whole would be 60 x 3 MiB of frames.
      expect(growth("own"), `${stage} ${JSON.stringify(seen)}`).toBeLessThan(8);
      expect(growth("children"), `${stage} ${JSON.stringify(seen)}`).toBeLessThan(60);
      if (process.env["VANS_SHOW_MEMORY"]) console.log(stage, JSON.stringify(seen));
    }
  });
});
