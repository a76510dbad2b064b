/**
 * Graphs compiled, run and released 250 times; prints how much the process grew after the first 50. Run with --expose-gc.
 * @module
 */
import { compile, liveSessions } from "../../../src/runtime/index.ts";
import { grad } from "../../../src/tensor/index.ts";
import { TINY, tinyBatch, tinyInitial, tinyLoss } from "../tiny-model.ts";

const rssMb = (): number => {
  globalThis.gc?.();
  return process.memoryUsage.rss() / 2 ** 20;
};

async function cycle(i: number): Promise<void> {
  // Every fifth graph has another size, so that not only equal graphs come and go.
  const sizes = { ...TINY, tokens: 8 + (i % 5) };
  const { loss, params } = tinyLoss(sizes);
  const gradients = grad(loss, [...params.values()]);
  const outputs = { loss, ...Object.fromEntries(gradients.map((g, k) => [`g${k}`, g])) };
  const executable = await compile(outputs, { threads: 1 });
  await executable.run({ ...tinyInitial(params), ...tinyBatch(i, sizes) });
  await executable.release();
}

let before = 0;
for (let i = 0; i < 250; i++) {
  if (i === 50) before = rssMb();
  await cycle(i);
}
console.log(JSON.stringify({ grownMb: rssMb() - before, before, live: liveSessions() }));
