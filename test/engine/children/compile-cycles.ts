/**
 * A training graph compiled, run and released 250 times; prints how much the process grew over the last 200.
 * Run with --expose-gc.
 * @module
 */
import { compile, liveSessions } from "../../../src/runtime/index.ts";
import { grad } from "../../../src/tensor/index.ts";
import { TINY, tinyBatch, tinyInitial, tinyLoss } from "../tiny-model.ts";
import { residentMb } from "./resident.ts";

async function cycle(i: number): Promise<void> {
  // Five sizes take turns, so that not only equal graphs come and go.
  const sizes = { ...TINY, layers: 1, tokens: 8 + (i % 5) };
  const { loss, params } = tinyLoss(sizes);
  const gradients = grad(loss, [...params.values()]);
  const outputs = { loss, ...Object.fromEntries(gradients.map((g, k) => [`g${k}`, g])) };
  const executable = await compile(outputs, { threads: 1 });
  await executable.run({ ...tinyInitial(params), ...tinyBatch(i, sizes) });
  await executable.release();
}

let beforeMb = 0;
for (let i = 0; i < 250; i++) {
  if (i === 50) beforeMb = residentMb();
  await cycle(i);
}
console.log(JSON.stringify({ grownMb: residentMb() - beforeMb, live: liveSessions() }));
