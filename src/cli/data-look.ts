/**
 * `vans data validate`, `stats`, `view`, `apply`, `export`: finished datasets.
 * @module
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command, Option } from "@commander-js/extra-typings";
import { interruptible } from "./interrupt.ts";
import { wholeNumber } from "./number-options.ts";

/** The command `data validate`. */
export function validateCommand() {
  return new Command("validate")
    .description("check everything that training relies on; exits 1 on any fault")
    .argument("<dir>", "a dataset")
    .option("--deep", "decode every clip whole", false)
    .option("--json", "one JSON event a line", false)
    .action(async (folder, { deep, json }) => {
      const { validate } = await import("../data/index.ts");
      const { closeCodecProcesses } = await import("../media/index.ts");
      try {
        await interruptible(async (signal) => {
          for await (const event of validate(folder, { deep, signal })) {
            if (json) console.log(JSON.stringify(event));
            else if (event.type === "finding")
              console.log(`${event.severity}  ${event.check}  ${event.item}: ${event.message}`);
            else if (event.type === "done")
              console.log(`${event.rows} samples, ${event.faults} faults, ${event.warnings} warnings`);
            if (event.type === "done" && event.faults > 0) process.exitCode = 1;
          }
        });
      } finally {
        closeCodecProcesses();
      }
    });
}

/** The command `data stats`. */
export function statsCommand() {
  return new Command("stats")
    .description("counts, durations, sources, vocabulary; printed, and drawn into stats.svg")
    .argument("<dir>", "a dataset")
    .option("--out <file>", "where to draw (default DIR/stats.svg)")
    .option("--json", "as JSON", false)
    .action(async (folder, { out, json }) => {
      const { datasetStats, decidedSamples, statsSvg, statsText } = await import("../data/index.ts");
      const { closeCodecProcesses, probe } = await import("../media/index.ts");
      const stats = await datasetStats(decidedSamples(folder), {
        clipSecs: (path) =>
          probe(join(folder, path)).then(
            ({ durationSecs }) => durationSecs,
            () => undefined,
          ),
      });
      closeCodecProcesses();
      const picture = out ?? join(folder, "stats.svg");
      await writeFile(picture, statsSvg(stats));
      console.log(json ? JSON.stringify(stats) : `${statsText(stats)}\n\nDrawn: ${picture}`);
    });
}

/** The command `data view`. */
export function viewCommand() {
  return new Command("view")
    .description("a local page to look, filter, mend and reject by hand; decisions go to DIR/overrides.jsonl")
    .argument("<dir>", "a dataset")
    .option("--port <n>", "port on this machine; 0 takes a free one", wholeNumber(0, 65_535), 0)
    .option("--json", "the address as JSON", false)
    .action(async (folder, { port, json }) => {
      const { openViewer } = await import("../data/view/viewer.ts");
      await interruptible(async (signal) => {
        const viewer = await openViewer(folder, { port });
        console.log(
          json ? JSON.stringify({ type: "listening", url: viewer.url }) : `${viewer.url}  (Ctrl-C ends)`,
        );
        await new Promise<void>((resolve) =>
          signal.addEventListener("abort", () => resolve(), { once: true }),
        );
        await viewer.close();
      });
    });
}

/** The command `data apply`. */
export function applyCommand() {
  return new Command("apply")
    .description("rewrite the table with the decisions made by hand")
    .argument("<dir>", "a dataset")
    .action(async (folder) => {
      const { applyOverrides } = await import("../data/index.ts");
      const { samples } = await applyOverrides(folder);
      console.log(`${samples} samples in ${folder}`);
    });
}

/** The command `data export`. */
export function exportCommand() {
  return new Command("export")
    .description("write the dataset in another form, decisions made by hand applied")
    .argument("<dir>", "a dataset")
    .requiredOption("--out <dir>", "where to")
    .addOption(
      new Option("--to <form>", "the form")
        .choices(["webdataset", "huggingface", "shards", "folder"] as const)
        .default("webdataset" as const),
    )
    .option("--split <name>", "only this split")
    .option("--shard-samples <n>", "samples of a shard", wholeNumber(1))
    .action(async (folder, { out, to, split, shardSamples }) => {
      const { exportDataset } = await import("../data/index.ts");
      await interruptible(async (signal) => {
        const options = { folder, out, format: to, split, shardSamples, signal };
        for await (const shard of exportDataset(options))
          console.log(`${shard.path}  ${shard.samples} samples`);
      });
    });
}
