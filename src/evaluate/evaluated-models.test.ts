/** Models from weights in memory draw what the suite of the same weights draws. @module */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadSuite, openPart, type Suite, TextEncoder } from "../answer/index.ts";
import { writeRandomSuite } from "../answer/testing/random-suite.ts";
import { DitRunner, Vae } from "../models/wan/index.ts";
import { sampleForSeed } from "../world/index.ts";
import { videoModels } from "./evaluated-models.ts";
import { openSuiteModels } from "./suite-models.ts";

let folder: string;
let suite: Suite;
const run = { device: "cpu", threads: 1 } as const;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-models-"));
  suite = await loadSuite(await writeRandomSuite(folder, { answer: { height: 64, width: 64, steps: 2 } }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it.each([2.5, 1])("agree at guidance %d", async (guidanceScale) => {
  const settings = { ...suite.manifest.answer, guidanceScale };
  const fromSuite = await openSuiteModels(suite, settings, run);
  const text = await TextEncoder.open(suite, run);
  const vae = new Vae(suite.vae.config, (await openPart(suite, "vae")).binding, run);
  const dit = new DitRunner(suite.vdm.config, { weights: (await openPart(suite, "vdm")).binding, ...run });
  const embed = async (words: string) => (await text.encode(words)).context;
  const { steps, shift } = settings;
  const fromParts = videoModels({ vae, velocity: dit.velocity, embed, steps, shift, guidanceScale });
  try {
    const sample = sampleForSeed(900_003);
    const [a, b] = [
      await fromSuite.references(sample.input, {}),
      await fromParts.references(sample.input, {}),
    ];
    expect(b).toEqual(a);
    const order = { references: a, caption: sample.caption, seed: 7 };
    const drawn = await fromParts.draw(order, {});
    expect(drawn).toEqual(await fromSuite.draw(order, {}));
    expect(drawn).toMatchObject({ frameCount: 17, height: 64, width: 64, frameRateHz: 8 });
    expect((await fromParts.draw({ ...order, seed: 8 }, {})).rgb).not.toEqual(drawn.rgb);
    expect(await fromParts.throughAutoencoder(sample.output, {})).toEqual(
      await fromSuite.throughAutoencoder(sample.output, {}),
    );
  } finally {
    for (const model of [fromSuite, text, vae, dit]) await model.release();
  }
});
