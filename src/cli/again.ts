/**
 * `vans again answer.mp4`: makes an answer once more from the settings inside its file.
 * @module
 */
import { basename, dirname, join } from "node:path";
import { Command, Option } from "@commander-js/extra-typings";
import { DEVICE_CHOICES } from "../answer/devices.ts";
import { answerProgress } from "./answer-progress.ts";
import { interruptible } from "./interrupt.ts";

/** The command `again`. */
export function againCommand() {
  return new Command("again")
    .description("repeat an answer from the settings inside its mp4")
    .argument("<answer>", "an answer.mp4 that vans wrote")
    .option("--clip <path>", "where the input clip is now, if it was moved")
    .option("--suite <path>", "where the suite is now, if it was moved")
    .option("--out <dir>", "folder of the result (default: again/ beside the file)")
    .addOption(
      new Option("--device <device>", "where to compute (default: as before)").choices(DEVICE_CHOICES),
    )
    .option("--json", "one JSON event a line on the standard output", false)
    .addHelpText(
      "after",
      `
The clip and the suite must be the same files as before (their SHA-256 is in the mp4). The random numbers are then
the same everywhere; the answer itself is the same on the same machine with the same version.`,
    )
    .action(async (path, options) => {
      const [{ prepareAgain, sameAnswer }, { answerInWorker }, { checkWritable, writeAnswer }] =
        await Promise.all([
          import("../answer/repeat-answer.ts"),
          import("../answer/worker.ts"),
          import("../answer/answer-files.ts"),
        ]);
      const out = options.out ?? join(dirname(path), "again");
      const isJson = options.json;
      const progress = await answerProgress({ isJson });
      try {
        await interruptible(async (signal) => {
          const { request, metadata, notes } = await prepareAgain(path, { ...options, signal });
          await checkWritable(out);
          for (const note of notes) console.error(`Note: ${note}`);
          for await (const event of answerInWorker({ ...request, signal })) {
            progress.show(event);
            if (event.type !== "done") continue;
            const files = await writeAnswer(event.report, out, { signal });
            const identical = sameAnswer(metadata, event.report);
            progress.written(event.report, files, { identical, notes });
            if (isJson) continue;
            console.log(
              identical
                ? `Identical to ${basename(path)}: frames, caption and reasoning.`
                : `Not identical to ${basename(path)}; another machine, device or version rounds differently.`,
            );
          }
        });
      } finally {
        progress.end();
      }
    });
}
