/**
 * Makes the clips that `vans demo` answers, from evaluation seeds of the world, which no training sees.
 * Run: npx tsx scripts/build-demo-clips.ts
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { frameOf, writeMp4, writePng } from "../src/media/index.ts";
import { sampleForSeed, stillInput } from "../src/world/index.ts";

const folder = new URL("../examples/clips/", import.meta.url).pathname;

const DEMOS = [
  {
    name: "procedure",
    worldSeed: 900_006,
    clip: "gift.mp4",
    question: "what should i do next?",
    about: "A procedure: a present is being packed.",
  },
  {
    name: "what-if-blown",
    worldSeed: 900_033,
    clip: "candle.mp4",
    question: "what happens if someone blows at the candle?",
    about: "A prediction: one candle, two questions. The first:",
  },
  {
    name: "what-if-watered",
    worldSeed: 900_033,
    clip: "candle.mp4",
    question: "what happens if someone pours a glass of water over it?",
    about: "The same candle, the second question:",
  },
  {
    name: "image",
    worldSeed: 900_036,
    clip: "plant.png",
    question: "we are making a plant grow. which step follows?",
    about: "A still image instead of a clip.",
  },
];

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
for (const { clip, worldSeed } of DEMOS) {
  const sample = sampleForSeed(worldSeed);
  const path = `${folder}${clip}`;
  if (clip.endsWith(".png")) await writePng(path, frameOf(stillInput(sample), 0));
  else {
    const metadata = JSON.stringify({
      source: "playroom",
      seed: worldSeed,
      worldVersion: sample.worldVersion,
    });
    await writeMp4(path, sample.input, { metadata });
  }
}
await writeFile(`${folder}demo.json`, `${JSON.stringify(DEMOS, undefined, 2)}\n`);
console.log(`${DEMOS.length} demos in ${folder}`);
process.exit(0);
