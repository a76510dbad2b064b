/**
 * `vans demo`: answers the bundled clips, to see with one command what this is about.
 * @module
 */
import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, Option } from "@commander-js/extra-typings";
import { z } from "zod";
import { DEVICE_CHOICES } from "../answer/devices.ts";
import { VansError } from "../base/errors.ts";
import { answerProgress } from "./answer-progress.ts";
import { interruptible } from "./interrupt.ts";

/** The bundled clips: beside `src/` in a clone, beside `dist/` once installed. */
const CLIPS = fileURLToPath(new URL("../../examples/clips/", import.meta.url));

const demosSchema = z.array(
  z.object({
    name: z.string(),
    clip: z.string(),
    question: z.string(),
    about: z.string(),
    /** Seed of the world's sample that the clip shows. */
    worldSeed: z.int(),
  }),
);

/** The bundled questions. */
export async function bundledDemos(): Promise<z.infer<typeof demosSchema>> {
  try {
    return demosSchema.parse(JSON.parse(await readFile(join(CLIPS, "demo.json"), "utf8")));
  } catch (cause) {
    throw new VansError("VANS_DEMO_MISSING", "the bundled clips are not there", {
      asked: join(CLIPS, "demo.json"),
      fix: "reinstall the package, or make them in a clone: npx tsx scripts/build-demo-clips.ts",
      cause,
    });
  }
}

/** The command `demo`. */
export function demoCommand() {
  return new Command("demo")
    .description("answer the bundled clips: a procedure, one clip asked two ways, an image")
    .option("--suite <name>", "a bundled suite or the path of one", "playroom")
    .option("--out <dir>", "folder of the results", join("out", "demo"))
    .addOption(
      new Option("--device <device>", "where to compute").choices(DEVICE_CHOICES).default("auto" as const),
    )
    .option("--json", "one JSON event a line on the standard output", false)
    .action(async ({ suite, out, device, json }) => {
      const [{ openWorker }, { checkWritable, writeAnswer }] = await Promise.all([
        import("../answer/worker.ts"),
        import("../answer/answer-files.ts"),
      ]);
      const demos = await bundledDemos();
      await checkWritable(out);
      const worker = openWorker({ suite, device });
      const shown = (path: string): string => relative(process.cwd(), path) || path;
      const results: string[] = [];
      try {
        await interruptible(async (signal) => {
          for (const { name, clip, question, about } of demos) {
            if (!json) console.error(`\n${about}\n${question}`);
            const progress = await answerProgress({ isJson: json });
            try {
              for await (const event of worker.answer({ clip: join(CLIPS, clip), question, signal })) {
                progress.show(event);
                if (event.type !== "done") continue;
                const files = await writeAnswer(event.report, join(out, name), { signal });
                if (json) progress.written(event.report, files, { name });
                results.push(`${name}\n  ${shown(files.videos[0]!)}\n  ${shown(files.sheets[0]!)}`);
              }
            } finally {
              progress.end();
            }
          }
        }, "stopped; answers that were finished stay");
      } finally {
        await worker.close();
      }
      if (!json) console.log(`\nThe answers, each with a sheet of input over answer:\n${results.join("\n")}`);
    });
}
