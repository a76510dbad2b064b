/**
 * Training steps, 1,000 at a time after 100 to warm up; prints how much the process grew over each thousand, until one
 * shows no growth or there were three. A leak grows over every one of them; a busy machine, where collections come late,
 * over some. Run with --expose-gc.
 * @module
 */
import { liveSessions } from "../../../src/runtime/index.ts";
import { tinyBatch, tinyStep } from "../tiny-model.ts";
import { residentMb } from "./resident.ts";

const step = await tinyStep({ ema: true });
const losses: number[] = [];
const windowsMb: number[] = [];
let beforeMb = 0;
for (let i = 0; i <= 3100; i++) {
  if (i % 1000 === 100) {
    const residentNowMb = residentMb();
    if (i > 100) windowsMb.push(residentNowMb - beforeMb);
    if (windowsMb.some((grownMb) => grownMb < 8)) break;
    beforeMb = residentNowMb;
  }
  const { loss } = await step.step(tinyBatch(i % 50), { learningRate: 1e-3 });
  losses.push(loss!.data[0]!);
}
if (windowsMb.length === 0) throw new Error("no window was measured");
await step.release();
console.log(
  JSON.stringify({
    grownMb: Math.min(...windowsMb),
    windowsMb,
    first: losses[0],
    last: losses[1099],
    live: liveSessions(),
  }),
);
