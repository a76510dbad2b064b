/**
 * 1,000 training steps; prints how much the process grew over them after 100 to warm up. Run with --expose-gc.
 * @module
 */
import { liveSessions } from "../../../src/runtime/index.ts";
import { tinyBatch, tinyStep } from "../tiny-model.ts";
import { residentMb } from "./resident.ts";

const step = await tinyStep({ ema: true });
const losses: number[] = [];
let beforeMb = 0;
for (let i = 0; i < 1100; i++) {
  if (i === 100) beforeMb = residentMb();
  const { loss } = await step.step(tinyBatch(i % 50), { learningRate: 1e-3 });
  losses.push(loss!.data[0]!);
}
const grownMb = residentMb() - beforeMb;
await step.release();
console.log(JSON.stringify({ grownMb, first: losses[0], last: losses.at(-1), live: liveSessions() }));
