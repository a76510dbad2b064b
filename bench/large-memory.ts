/**
 * What `vans plan` predicts beside what is measured: the peak of anonymous pages of stages of a large suite, each in a process
 * of its own. Needs a suite of `scripts/write-random-suite.ts`; one of few layers will do but for what grows with layers.
 *
 *   npx tsx bench/large-memory.ts --suite /tmp/few [--only dit,vae] [--repeat 2]
 */
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { HEAP_VALUE_BYTES } from "../src/answer/graph-memory.ts";
import { planMemory } from "../src/answer/plan.ts";
import { loadSuite, type Suite } from "../src/answer/suite.ts";

const { values } = parseArgs({
  options: {
    suite: { type: "string" },
    only: { type: "string" },
    repeat: { type: "string", default: "1" },
    threads: { type: "string", default: "2" },
  },
});
if (!values.suite) throw new Error("--suite FOLDER, made by scripts/write-random-suite.ts");
const suite = await loadSuite(values.suite, { needsFiles: false });

const references = suite.manifest.answer.referenceLatentFrames;

interface Case {
  readonly stage: "vision" | "prefill" | "decode" | "text-encoder" | "dit" | "vae-decode";
  readonly name: string;
  readonly args: readonly string[];
  readonly size?: { readonly frames: number; readonly height: number; readonly width: number };
  readonly promptTokens?: number;
  readonly weights?: "4bit" | "8bit";
}

const clip = (stage: "dit" | "vae-decode", frames: number, height: number, width: number): Case => ({
  stage,
  name: `${frames} frames of ${height}x${width}`,
  size: { frames, height, width },
  // An answer has all references of its suite, however few frames it has itself.
  args: `--frames ${frames} --height ${height} --width ${width} --references ${references}`.split(" "),
});
const text = (weights?: "4bit" | "8bit"): Case => ({
  stage: "text-encoder",
  name: weights ?? "as stored",
  args: [],
  ...(weights && { weights }),
});
/** Six frames of a size: patches of 14, of which 28x28 pixels of two frames make a token; 65 words beside them. */
const frames = (
  stage: "vision" | "prefill" | "decode",
  height: number,
  width: number,
  weights?: "4bit",
): Case => ({
  stage,
  name: `6 frames of ${height}x${width}${weights ? `, ${weights}` : ""}`,
  size: { frames: 5, height, width },
  promptTokens: (3 * height * width) / 28 ** 2 + 65,
  args: ["--vlm-size", `${height}x${width}`],
  ...(weights && { weights }),
});

const CASES: readonly Case[] = [
  frames("vision", 112, 196),
  frames("vision", 196, 364),
  frames("vision", 364, 644),
  frames("prefill", 112, 196),
  frames("prefill", 196, 364),
  frames("prefill", 364, 644),
  frames("prefill", 196, 364, "4bit"),
  frames("decode", 196, 364),
  frames("decode", 196, 364, "4bit"),
  text(),
  text("8bit"),
  text("4bit"),
  clip("dit", 5, 128, 128),
  clip("dit", 9, 128, 256),
  clip("dit", 9, 256, 256),
  clip("dit", 17, 256, 384),
  clip("vae-decode", 5, 64, 64),
  clip("vae-decode", 5, 96, 160),
  clip("vae-decode", 5, 128, 128),
  clip("vae-decode", 9, 96, 96),
  clip("vae-decode", 9, 128, 160),
];

/** The suite as if the language model's frames had that size. */
const seeing = (height: number, width: number): Suite => ({
  ...suite,
  manifest: {
    ...suite.manifest,
    answer: { ...suite.manifest.answer, height, width, vlmMinPixels: 1, vlmMaxPixels: 1e9 },
  },
});

/** Stages of `bench/large.ts` that are called otherwise there. */
const BENCH_STAGE: Readonly<Record<string, string>> = { prefill: "vlm", decode: "vlm", "vae-decode": "vae" };

function measure({ stage, args, weights }: Case): Record<string, number> | undefined {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [
      ...["--import", "tsx", "bench/large.ts", "--suite", values.suite!, "--json"],
      ...["--threads", values.threads, "--stage", BENCH_STAGE[stage] ?? stage],
      ...["--tokens", stage === "prefill" ? "1" : "4", ...(weights ? ["--weights", weights] : []), ...args],
    ],
    // As the first line of the command sets it.
    {
      encoding: "utf8",
      maxBuffer: 1e8,
      env: { ...process.env, MALLOC_MMAP_THRESHOLD_: `${HEAP_VALUE_BYTES}` },
    },
  );
  if (status === 0) return JSON.parse(stdout.trim().split("\n").at(-1)!) as Record<string, number>;
  console.error(stderr.trim().split("\n").slice(-3).join("\n"));
  return undefined;
}

const PEAK: Readonly<Record<string, string>> = {
  vision: "visionPeakBytes",
  prefill: "prefillPeakBytes",
  decode: "decodePeakBytes",
};
const gb = (bytes: number): string => (bytes / 1e9).toFixed(3);
console.log("| stage | size | measured GB | planned GB | off by |\n| --- | --- | --: | --: | --: |");
let misses = 0;
for (const one of CASES) {
  if (values.only && !values.only.split(",").some((word) => one.stage.includes(word))) continue;
  const part = one.stage === "text-encoder" ? "textEncoder" : "vlm";
  const seen = one.promptTokens !== undefined;
  const { stages } = await planMemory(seen ? seeing(one.size!.height, one.size!.width) : suite, {
    // Only the language model looks at frames of that size.
    ...(one.size && (seen ? { frames: 5, height: 64, width: 64 } : one.size)),
    ...(one.promptTokens !== undefined && { promptTokens: one.promptTokens, maxNewTokens: 4 }),
    ...(one.weights && { quantized: { [part]: one.weights } }),
  });
  const planned = stages.find(({ stage }) => stage === one.stage)!.anonymousBytes;
  const peaks: number[] = [];
  for (let i = 0; i < Number(values.repeat); i++) {
    const peak = measure(one)?.[PEAK[one.stage] ?? "peakAnonBytes"];
    if (peak !== undefined) peaks.push(peak);
  }
  // The plan has to hold for each run; the one it is farthest from counts, and a case that was not measured does not hold.
  if (peaks.length === 0) {
    misses++;
    console.log(`| ${one.stage} | ${one.name} | failed | ${gb(planned)} | |`);
    continue;
  }
  const off = Math.max(...peaks.map((peak) => Math.abs(planned / peak - 1)));
  const sign = planned < Math.max(...peaks) ? "-" : "+";
  if (off > 0.15) misses++;
  const measured = [...new Set([Math.min(...peaks), Math.max(...peaks)].map(gb))].join(" to ");
  console.log(
    `| ${one.stage} | ${one.name} | ${measured} | ${gb(planned)} | ${sign}${(off * 100).toFixed(0)} %${off <= 0.15 ? "" : ", **missed**"} |`,
  );
}
console.log(`\n${misses} of the cases are off by more than 15 %`);
process.exitCode = misses > 0 ? 1 : 0;
