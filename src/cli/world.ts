/**
 * `vans world show` and `vans world make`: samples of the simulated world.
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "@commander-js/extra-typings";
import type { SampleDescription, WorldSample } from "../world/index.ts";
import { interruptible } from "./interrupt.ts";
import { wholeNumber } from "./number-options.ts";

/** The command `world`. */
export function worldCommand() {
  return new Command("world")
    .description("look at samples of the simulated world, or make many")
    .addCommand(showCommand())
    .addCommand(makeCommand());
}

function showCommand() {
  return new Command("show")
    .description("show the sample of a seed: question, reasoning, caption, and what does not come next")
    .requiredOption("--seed <n>", "the sample's number; from 900000 on for evaluation", wholeNumber(0))
    .option("--out <dir>", "write input.mp4, output.mp4 and sheet.png into this folder")
    .option("--json", "as JSON", false)
    .action(async ({ seed, out, json }) => {
      const { describeSample, sampleForSeed } = await import("../world/index.ts");
      const described = describeSample(seed);
      console.log(json ? JSON.stringify(described) : textOf(described));
      if (out === undefined) return;
      await interruptible((signal) => writeSample(sampleForSeed(seed), out, signal));
      if (!json)
        console.log(
          `\nWritten: ${["input.mp4", "output.mp4", "sheet.png"].map((name) => join(out, name)).join(", ")}`,
        );
    });
}

function textOf(sample: SampleDescription): string {
  const [, ...wrong] = sample.candidates;
  return [
    `${sample.id}  (${sample.kind}, ${sample.family})`,
    `Question:  ${sample.question}`,
    `Reasoning: ${sample.reasoning}`,
    `Next:      ${sample.caption}`,
    `Event:     ${sample.event}; not ${wrong.map((one) => one.event).join(", ")}`,
  ].join("\n");
}

async function writeSample(sample: WorldSample, out: string, signal: AbortSignal): Promise<void> {
  const { writeContactSheet, writeMp4 } = await import("../media/index.ts");
  await mkdir(out, { recursive: true });
  await writeMp4(join(out, "input.mp4"), sample.input, { signal });
  await writeMp4(join(out, "output.mp4"), sample.output, { signal });
  await writeContactSheet(join(out, "sheet.png"), {
    title: sample.question,
    rows: [
      { label: "input", frames: sample.input },
      { label: "output", frames: sample.output },
      ...sample.wrongEvents.map((one) => ({ label: `not: ${one.event}`, frames: one.render() })),
    ],
    maxColumns: 7,
    captions: [`Reasoning: ${sample.reasoning}`, `Next: ${sample.caption}`],
  });
}

function makeCommand() {
  return new Command("make")
    .description("make the samples of consecutive seeds into a folder: mp4 clips and manifest.parquet")
    .requiredOption("--seed <n>", "first seed", wholeNumber(0))
    .requiredOption("--count <m>", "number of samples", wholeNumber(1))
    .requiredOption("--out <dir>", "the folder")
    .option("--json", "one JSON event a line", false)
    .action(async ({ seed, count, out, json }) => {
      const { makeWorldDataset } = await import("../data/world-dataset.ts");
      await interruptible(async (signal) => {
        for await (const event of makeWorldDataset({ seed, count, out, signal })) {
          if (json) console.log(JSON.stringify(event));
          else if (event.type === "manifest") console.log(`${event.count} samples in ${event.folder}`);
          else if (event.done % Math.max(1, Math.floor(count / 20)) === 0)
            console.error(`${event.done} of ${count}`);
        }
      });
    });
}
