/**
 * 1,000 training steps; prints how much the process grew after the first 200. Run with --expose-gc.
 * @module
 */
import { liveSessions } from "../../../src/runtime/index.ts";
import { tinyBatch, tinyStep } from "../tiny-model.ts";

const rssMb = (): number => {
  globalThis.gc?.();
  return process.memoryUsage.rss() / 2 ** 20;
};

async function main(): Promise<void> {
  const step = await tinyStep({ ema: true });
  const losses: number[] = [];
  let before = 0;
  for (let i = 0; i < 1200; i++) {
    if (i === 200) before = rssMb();
    const { loss } = await step.step(tinyBatch(i % 50), { learningRate: 1e-3 });
    losses.push(loss!.data[0]!);
  }
  const grownMb = rssMb() - before;
  await step.release();
  console.log(
    JSON.stringify({ grownMb, before, first: losses[0], last: losses.at(-1), live: liveSessions() }),
  );
}

await main();
