/**
 * Stages of a large suite by themselves, each in a process of its own: seconds and the peak of anonymous pages.
 *
 * npx tsx bench/large.ts --suite /tmp/random-3b --stage text-encoder [--weights 4bit|8bit|8bit-fast]
 * stages: text-encoder (512 tokens), vlm (6 frames of --vlm-size 364x644, then --tokens 32), vision (its tower alone), dit (--frames 33 --height 352
 * --width 640 with 6 latent frames of references, or --references N; --blocks N times some blocks only), vae (decode of --frames, tiled); a whole answer: bench/large-gpu.ts
 * --device webgpu|cuda on a machine that has one; --json one line.
 */
import { parseArgs } from "node:util";
import { PeakWatch } from "../src/answer/peak-memory.ts";
import { type PartOptions, type QuantizablePart, quantizePart } from "../src/answer/quantized-parts.ts";
import { loadSuite } from "../src/answer/suite.ts";
import { openPart } from "../src/answer/suite-weights.ts";
import { fold, keyFromSeed, normal } from "../src/base/keys.ts";
import { BlockwiseQwen, generate, patchify } from "../src/models/qwen25vl/index.ts";
import { BlockwiseUmt5 } from "../src/models/umt5/index.ts";
import { BlockwiseDit, latentFrameCount, VANS_TILING, Vae } from "../src/models/wan/index.ts";
import { f32, i32, type NdArray } from "../src/tensor/index.ts";
import type { QuantizationName } from "../src/weights/index.ts";

const { values } = parseArgs({
  options: {
    suite: { type: "string", default: "vans-3b" },
    stage: { type: "string" },
    weights: { type: "string" },
    frames: { type: "string", default: "33" },
    height: { type: "string", default: "352" },
    width: { type: "string", default: "640" },
    "vlm-size": { type: "string", default: "364x644" },
    tokens: { type: "string", default: "32" },
    blocks: { type: "string" },
    references: { type: "string" },
    length: { type: "string", default: "512" },
    repeat: { type: "string", default: "1" },
    threads: { type: "string", default: "2" },
    device: { type: "string", default: "cpu" },
    json: { type: "boolean", default: false },
  },
});

const key = keyFromSeed(1);
const random = (name: string, shape: readonly number[]): NdArray =>
  f32(
    normal(
      fold(key, name),
      shape.reduce((a, b) => a * b, 1),
    ),
    shape,
  );
const threads = Number(values.threads);
const device = values.device as "cpu" | "webgpu" | "cuda";
const frames = Number(values.frames);
const height = Number(values.height);
const width = Number(values.width);
const watch = new PeakWatch();
const result: Record<string, unknown> = { stage: values.stage, weights: values.weights ?? "stored" };
const round = (value: number): number => Math.round(value * 1000) / 1000;

async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  let best = Number.POSITIVE_INFINITY;
  let last: T | undefined;
  for (let i = 0; i < Number(values.repeat); i++) {
    const start = performance.now();
    last = await work();
    best = Math.min(best, (performance.now() - start) / 1000);
  }
  result[`${name}Secs`] = round(best);
  return last as T;
}

/** Prints the result and ends; a stage may end before the others. */
function finish(): never {
  result["peakAnonBytes"] = Math.max(
    watch.bytes,
    Number(result["visionPeakBytes"] ?? 0),
    Number(result["prefillPeakBytes"] ?? 0),
  );
  console.log(values.json ? JSON.stringify(result) : result);
  process.exit(0);
}

result["startBytes"] = watch.bytes;
const suite = await loadSuite(values.suite, { needsFiles: false });
async function optionsFor(
  part: QuantizablePart,
): Promise<PartOptions & { quantized: Partial<Record<QuantizablePart, string>> }> {
  const quantized = values.weights
    ? { [part]: await quantizePart(suite, part, values.weights as QuantizationName) }
    : {};
  return { threads, isBlockwise: true, quantized };
}

if (values.stage === "text-encoder") {
  const { quantized } = await optionsFor("textEncoder");
  const { binding, stored } = await openPart(suite, "textEncoder", { quantized: quantized.textEncoder });
  const encoder = new BlockwiseUmt5(suite.textEncoder.config, stored("shared.weight"), {
    threads,
    device,
    weights: binding,
    keep: values.weights === undefined,
  });
  const length = Number(values.length);
  const ids = i32(
    Int32Array.from({ length }, (_, i) => 3 + ((i * 7919) % 250000)),
    [1, length],
  );
  watch.reset();
  const context = await timed("encode", () =>
    encoder.encode(ids, f32(new Float32Array(length).fill(1), [1, length])),
  );
  result["finite"] = context.data.every((value) => Number.isFinite(value));
  result["tokens"] = length;
} else if (values.stage === "vlm" || values.stage === "vision") {
  const { quantized } = await optionsFor("vlm");
  const { binding, stored } = await openPart(suite, "vlm", { quantized: quantized.vlm });
  const { config } = suite.vlm;
  const model = new BlockwiseQwen(config, stored("model.embed_tokens.weight"), {
    threads,
    device,
    weights: binding,
    hasOwnHead: quantized.vlm !== undefined,
  });
  const [rows, columns] = values["vlm-size"].split("x").map(Number) as [number, number];
  const rgb = Uint8Array.from({ length: 6 * rows * columns * 3 }, (_, i) => (i * 31) % 256);
  const { patches, grid } = patchify({ frameCount: 6, height: rows, width: columns, rgb }, config.vision);
  watch.reset();
  const features = await timed("vision", () => model.features(patches, [grid]));
  result["visionPeakBytes"] = watch.bytes;
  if (values.stage === "vision") finish();
  const vision = new Array<number>(features.shape[0]!).fill(config.videoTokenId);
  const ids = [
    1,
    2,
    3,
    config.visionStartTokenId,
    ...vision,
    config.visionEndTokenId,
    ...Array.from({ length: 60 }, (_, i) => 100 + i),
  ];
  result["promptTokens"] = ids.length;
  const tokens = Number(values.tokens);
  const prompt = [{ ids, features, grids: [grid] }];
  watch.reset();
  // A prompt alone, as often as asked: the best of several, as a peer that is warm.
  let bestPrefill = Number.POSITIVE_INFINITY;
  let start = performance.now();
  for (let i = 1; i < Number(values.repeat); i++) {
    for await (const _ of generate(model, prompt, { maxNewTokens: 1, temperature: 0, stopTokenIds: [] }))
      bestPrefill = Math.min(bestPrefill, (performance.now() - start) / 1000);
    start = performance.now();
  }
  let decodeSecs = 0;
  const steps = generate(model, prompt, {
    maxNewTokens: tokens,
    temperature: 0,
    stopTokenIds: [],
  });
  let count = 0;
  let best = Number.POSITIVE_INFINITY;
  for await (const _ of steps) {
    const secs = (performance.now() - start) / 1000;
    if (count === 0) {
      result["prefillSecs"] = round(Math.min(secs, bestPrefill));
      result["prefillPeakBytes"] = watch.bytes;
      watch.reset();
    } else {
      decodeSecs += secs;
      best = Math.min(best, secs);
    }
    count++;
    start = performance.now();
  }
  result["decodeTokensPerSec"] = round((count - 1) / decodeSecs);
  result["bestTokenSecs"] = round(best);
  result["decodePeakBytes"] = watch.bytes;
} else if (values.stage === "dit") {
  const { quantized } = await optionsFor("vdm");
  const { binding } = await openPart(suite, "vdm", { quantized: quantized.vdm });
  const layerCount = values.blocks === undefined ? suite.vdm.config.layerCount : Number(values.blocks);
  const config = { ...suite.vdm.config, layerCount };
  const model = new BlockwiseDit(config, {
    threads,
    device,
    weights: binding,
    keep: values.weights === undefined,
  });
  const latentFrames = latentFrameCount(suite.vae.config, frames);
  const shape = [1, 16, latentFrames, height / 8, width / 8];
  const references = Number(values.references ?? Math.min(6, latentFrames));
  const secs: number[] = [];
  result["tokens"] = ((latentFrames + references) * height * width) / 256;
  watch.reset();
  const velocity = await timed("forward", () =>
    model.velocity(
      {
        references: random("references", [1, 16, references, height / 8, width / 8]),
        noisy: random("noisy", shape),
        timestep: f32([700]),
        context: random("context", [1, 512, config.textWidth]),
      },
      { onBlock: (_, one) => secs.push(one) },
    ),
  );
  secs.sort((a, b) => a - b);
  result["blockSecs"] = {
    best: round(secs[0]!),
    count: secs.length,
  };
  // The last block draws the noisy tokens alone; most blocks have all of them, so the median is a whole one's.
  result["medianBlockSecs"] = round(secs[Math.floor(secs.length / 2)]!);
  result["finite"] = velocity.data.every((value) => Number.isFinite(value));
} else if (values.stage === "vae") {
  const { binding } = await openPart(suite, "vae");
  const vae = new Vae(suite.vae.config, binding, { threads, device, mapped: true });
  const latents = random("latents", [
    1,
    16,
    latentFrameCount(suite.vae.config, frames),
    height / 8,
    width / 8,
  ]);
  watch.reset();
  const video = await timed("decode", () => vae.decode(latents, { tiling: VANS_TILING }));
  result["shape"] = video.shape.join("x");
} else throw new Error("--stage text-encoder|vlm|dit|vae");
finish();
