/**
 * A process of its own that tries one device: a missing GPU may abort the whole process, and then only this one is lost.
 * Started by `devices.ts` with the provider's name; prints one line of JSON.
 * @module
 */
import { isVansError } from "../base/errors.ts";
import { keyFromSeed, uniform } from "../base/keys.ts";
import { compile, type Provider } from "../runtime/index.ts";
import { f32, input, matmul } from "../tensor/index.ts";
import type { ProbeReply } from "./devices.ts";

/** Side of the first matrices; small enough for an imitation of a GPU in software. */
const SMALL = 256;
/** Side of the second ones; large enough to keep a GPU busy. */
const LARGE = 1536;
/** A device that needs longer than this for the small product is not asked for the large one. */
const QUICK_SECS = 0.02;
const RUNS = 4;

/** Best time of a product of two square matrices, and whether its first number is right. */
async function multiply(
  device: Provider,
  side: number,
): Promise<{ secs: number; problem: string | undefined }> {
  const shape = [side, side];
  const a = f32(uniform(keyFromSeed(1), side * side), shape);
  const b = f32(uniform(keyFromSeed(2), side * side), shape);
  const product = await compile({ y: matmul(input("a", shape), input("b", shape)) }, { device });
  let secs = Number.POSITIVE_INFINITY;
  let first = 0;
  for (let run = 0; run <= RUNS; run++) {
    const started = performance.now();
    const { y } = await product.run({ a, b });
    first = y!.data[0]!;
    // The first run compiles kernels.
    if (run > 0) secs = Math.min(secs, (performance.now() - started) / 1000);
  }
  await product.release();
  let expected = 0;
  for (let i = 0; i < side; i++) expected += a.data[i]! * b.data[i * side]!;
  const isRight = Math.abs(first - expected) <= 1e-3 * Math.abs(expected);
  return { secs, problem: isRight ? undefined : `wrong numbers: ${first} instead of ${expected}` };
}

async function tryDevice(device: Provider): Promise<ProbeReply> {
  let side = SMALL;
  let result = await multiply(device, side);
  if (result.problem === undefined && result.secs < QUICK_SECS) {
    side = LARGE;
    result = await multiply(device, side);
  }
  if (result.problem !== undefined) return { ok: false, found: result.problem };
  return { ok: true, gigaflops: (2 * side ** 3) / result.secs / 1e9 };
}

/** The runtime's own words without the place in its sources. */
const short = (words: string): string => words.replace(/^\S*onnxruntime_src.*was false\.\s*/s, "");

const provider = process.argv[2] as Provider;
let reply: ProbeReply;
try {
  reply = await tryDevice(provider);
} catch (error) {
  const found = isVansError(error) ? (error.details.found ?? error.message) : String(error);
  reply = { ok: false, found: short(found) };
}
process.stdout.write(`\n${JSON.stringify(reply)}\n`);
