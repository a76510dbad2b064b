/** A whole answer block by block is the answer of the whole models. @module */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openAnswerer } from "./answerer.ts";
import { writeRandomSuite } from "./testing/random-suite.ts";

it("refuses to begin where a stage does not fit", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vans-blocks-"));
  try {
    const suite = await writeRandomSuite(join(folder, "suite"));
    await expect(
      openAnswerer(suite, { device: "cpu", memory: "blocks", memoryBytes: 1e8 }),
    ).rejects.toMatchObject({
      code: "VANS_MEMORY_TOO_SMALL",
      message: expect.stringContaining("vans plan"),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

it("writes the same text and draws the same video", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vans-blocks-"));
  try {
    const suite = await writeRandomSuite(join(folder, "suite"));
    const rgb = Uint8Array.from({ length: 5 * 32 * 32 * 3 }, (_, i) => (i * 13) % 256);
    const clip = { frameCount: 5, height: 32, width: 32, frameRateHz: 8, rgb };
    const answers = [];
    for (const memory of ["keep", "blocks"] as const) {
      const answerer = await openAnswerer(suite, { device: "cpu", memory });
      const events = answerer.answer({ clip, question: "what happens next?", steps: 2 });
      let step = await events.next();
      while (!step.done) step = await events.next();
      answers.push(step.value.samples[0]!);
      await answerer.release();
    }
    const [whole, blocks] = answers as [(typeof answers)[0], (typeof answers)[0]];
    expect(blocks.caption).toBe(whole.caption);
    let worst = 0;
    for (let i = 0; i < whole.clip.rgb.length; i++)
      worst = Math.max(worst, Math.abs(whole.clip.rgb[i]! - blocks.clip.rgb[i]!));
    expect(worst).toBeLessThanOrEqual(1);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
