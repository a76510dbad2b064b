/**
 * A whole answer of a large suite on a GPU: seconds beside the authors' 39, the speed of the video model's forward beside
 * the card's own matrix products, and where the time of the answer goes.
 *
 * npx tsx bench/large-gpu.ts --suite vans-3b --device webgpu|cuda [--frames 33 --height 352 --width 640 --steps 50]
 * Without weights: --suite FOLDER of scripts/write-random-suite.ts. Where there is no GPU, Chromium's SwiftShader runs it in
 * software (VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json): `--suite tiny` makes a suite of a few thousand
 * weights that shows that all of it works. Prints one line of JSON.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openAnswerer } from "../src/answer/answerer.ts";
import { planMemory } from "../src/answer/plan.ts";
import { loadSuite, type Suite } from "../src/answer/suite.ts";
import { writeRandomSuite } from "../src/answer/testing/random-suite.ts";
import { keyFromSeed, uniform } from "../src/base/keys.ts";
import { compile } from "../src/runtime/index.ts";
import { add, f32, input, matmul, mul, type Tensor } from "../src/tensor/index.ts";

/** Seconds of one answer on one GPU, as the paper states for 352x640, 33 frames, 50 steps. */
const AUTHORS_SECS = 39;
/** Products in a row, so that moving numbers to the card and back does not count. */
const PRODUCTS = 8;

const { values } = parseArgs({
  options: {
    suite: { type: "string", default: "vans-3b" },
    device: { type: "string", default: "webgpu" },
    memory: { type: "string", default: "low" },
    frames: { type: "string" },
    height: { type: "string" },
    width: { type: "string" },
    steps: { type: "string" },
    "matrix-side": { type: "string", default: "4096" },
  },
});
const device = values.device as "cpu" | "webgpu" | "cuda";
const round = (value: number): number => Number(value.toPrecision(4));

/** TFLOP/s of square f32 products on the device, the best of three rows. */
async function matmulRate(side: number): Promise<number> {
  const shape = [side, side];
  const scale = Math.sqrt(3 / side);
  const data = uniform(keyFromSeed(1), side * side).map((u) => (2 * u - 1) * scale);
  const chain = async (count: number): Promise<number> => {
    let y: Tensor = input("a", shape);
    for (let i = 0; i < count; i++) y = add(mul(matmul(y, input("a", shape)), 0.5), 0.001);
    const products = await compile({ y }, { device });
    let best = Number.POSITIVE_INFINITY;
    for (let run = 0; run < 4; run++) {
      const started = performance.now();
      await products.run({ a: f32(data, shape) });
      if (run > 0) best = Math.min(best, (performance.now() - started) / 1000);
    }
    await products.release();
    return best;
  };
  const secs = (await chain(1 + PRODUCTS)) - (await chain(1));
  return (PRODUCTS * 2 * side ** 3) / Math.max(secs, 1e-9) / 1e12;
}

const folder = await mkdtemp(join(tmpdir(), "vans-large-gpu-"));
try {
  const named = values.suite === "tiny" ? await writeRandomSuite(join(folder, "suite")) : values.suite;
  const loaded = await loadSuite(named);
  const { answer } = loaded.manifest;
  const own = {
    answerFrames: Number(values.frames ?? answer.answerFrames),
    height: Number(values.height ?? answer.height),
    width: Number(values.width ?? answer.width),
    steps: Number(values.steps ?? answer.steps),
  };
  const suite: Suite = { ...loaded, manifest: { ...loaded.manifest, answer: { ...answer, ...own } } };
  const plan = await planMemory(suite, { device });
  const matmulTflops = await matmulRate(Number(values["matrix-side"]));
  const answerer = await openAnswerer(suite, { device, memory: values.memory as "low" | "keep" | "blocks" });
  const { inputFrames, frameRateHz, guidanceScale } = suite.manifest.answer;
  const { height, width } = own;
  const rgb = Uint8Array.from({ length: inputFrames * height * width * 3 }, (_, i) => (i * 31) % 256);
  const clip = { frameCount: inputFrames, height, width, rgb, frameRateHz };
  const started = performance.now();
  const stepEnds: number[] = [];
  let timingsSecs: unknown;
  for await (const event of answerer.answer({ clip: clip as never, question: "What happens next?" })) {
    if (event.type === "step") stepEnds.push(performance.now());
    if (event.type === "done") timingsSecs = event.report.timingsSecs;
  }
  const answerSecs = (performance.now() - started) / 1000;
  await answerer.release();
  // The first step compiles; the middle one of the others counts, with one forward a branch.
  const gaps = stepEnds.slice(1).map((end, i) => (end - stepEnds[i]!) / 1000);
  gaps.sort((a, b) => a - b);
  const stepSecs = gaps[Math.floor(gaps.length / 2)];
  const forwardTflop = plan.stages.find(({ stage }) => stage === "dit")!.flops / 1e12;
  const ditTflops =
    stepSecs === undefined ? undefined : (forwardTflop * (guidanceScale === 1 ? 1 : 2)) / stepSecs;
  console.log(
    JSON.stringify({
      suite: suite.name,
      device,
      ...own,
      answerSecs: round(answerSecs),
      authorsSecs: AUTHORS_SECS,
      stepSecs: stepSecs && round(stepSecs),
      ditTflops: ditTflops && round(ditTflops),
      matmulTflops: round(matmulTflops),
      shareOfMatmul: ditTflops && round(ditTflops / matmulTflops),
      plannedBytes: plan.peakBytes,
      timingsSecs,
    }),
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exit(0);
