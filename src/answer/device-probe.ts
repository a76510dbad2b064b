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

/** Side of the matrices; large enough to tell a GPU from its imitation in software, small enough for either. */
const SIDE = 768;
const RUNS = 5;

async function tryDevice(device: Provider): Promise<ProbeReply> {
  const shape = [SIDE, SIDE];
  const a = f32(uniform(keyFromSeed(1), SIDE * SIDE), shape);
  const b = f32(uniform(keyFromSeed(2), SIDE * SIDE), shape);
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
  for (let i = 0; i < SIDE; i++) expected += a.data[i]! * b.data[i * SIDE]!;
  const isRight = Math.abs(first - expected) <= 1e-3 * Math.abs(expected);
  if (!isRight) return { ok: false, found: `wrong numbers: ${first} instead of ${expected}` };
  return { ok: true, gigaflops: (2 * SIDE ** 3) / secs / 1e9 };
}

const provider = process.argv[2] as Provider;
let reply: ProbeReply;
try {
  reply = await tryDevice(provider);
} catch (error) {
  const found = isVansError(error) ? (error.details.found ?? error.message) : String(error);
  reply = { ok: false, found };
}
process.stdout.write(`\n${JSON.stringify(reply)}\n`);
