/**
 * `vans answer CLIP "QUESTION"`: watches, reasons, and answers with a clip.
 * @module
 */
import { existsSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { Command, Option } from "@commander-js/extra-typings";
import { DEVICE_CHOICES } from "../answer/devices.ts";
import type { AnswerReport, AnswerRequest, PickedAnswer, WorkerOptions } from "../answer/index.ts";
import { checkedQuestion } from "../answer/question.ts";
import { answerProgress } from "./answer-progress.ts";
import { interruptible } from "./interrupt.ts";
import { decimalNumber, wholeNumber } from "./number-options.ts";

const HELP = `
The result is answer.mp4 (with all settings inside), answer.json (texts, settings, timings, versions, hashes) and
sheet.png (input over answer). With --samples N there are answer-1.mp4 to answer-N.mp4, each another future; --pick rewards
adds the best of them as answer.mp4. A temperature above 0 words each future anew.

Examples:
  vans answer clip.mp4 "What should I do next?"
  vans answer clip.mp4 "What happens if I let go?" --samples 3 --out futures
  vans answer clip.mp4 "What comes next?" --samples 4 --temperature 0.7 --pick rewards
  vans answer photo.jpg "What happens when it rains?" --json`;

/** The command `answer`. */
export function answerCommand() {
  return new Command("answer")
    .description("answer a question about a video or an image with a video")
    .argument("<clip>", "path of a video (mp4, mov, mkv, webm, gif) or an image")
    .argument("<question>", "what to answer, in quotes")
    .option("--suite <name>", "a bundled suite (vans suites) or the path of one", "playroom")
    .option("--out <dir>", "folder of the result (default out/<name of the clip>)")
    .option("--seed <n>", "another seed, another future (default: the suite's)", wholeNumber(0))
    .option("--steps <n>", "denoising steps (default: the suite's)", wholeNumber(1, 1000))
    .option(
      "--guidance <g>",
      "how closely the video follows the caption; 1 is off (default: the suite's)",
      decimalNumber(0),
    )
    .option("--samples <n>", "number of futures to draw", wholeNumber(1, 1000), 1)
    .option(
      "--temperature <t>",
      "how freely it writes; 0 takes the likeliest words (default: the suite's)",
      decimalNumber(0),
    )
    .addOption(
      new Option(
        "--pick <how>",
        "with --samples: the best future as answer.mp4, by the suite's rewards, the truth unseen",
      ).choices(["rewards"] as const),
    )
    .addOption(
      new Option("--device <device>", "where to compute").choices(DEVICE_CHOICES).default("auto" as const),
    )
    .option("--low-memory", "give each model back when it is done", false)
    .addOption(
      new Option(
        "--memory <mode>",
        "keep: models stay; low: each is given back; blocks: a block at a time (default: by size)",
      ).choices(["keep", "low", "blocks"] as const),
    )
    .addOption(
      new Option(
        "--weights <type>",
        "language model and text encoder in fewer bits (default: as they are stored)",
      ).choices(["4bit", "8bit", "8bit-fast"] as const),
    )
    .option("--json", "one JSON event a line on the standard output", false)
    .addHelpText("after", HELP)
    .action(async (clip, question, options) => {
      const { seed, steps, guidance, temperature, samples, device, suite } = options;
      // Before anything is loaded: the runtime crashes when it starts below a command line of some 16,000 characters.
      checkedQuestion(question);
      await runAnswer(
        {
          clip,
          question,
          suite,
          samples,
          device,
          ...(options.memory !== undefined && { memory: options.memory }),
          ...(options.lowMemory && { memory: "low" as const }),
          ...(options.weights !== undefined && {
            quantized: { vlm: options.weights, textEncoder: options.weights },
          }),
          ...(seed !== undefined && { seed }),
          ...(steps !== undefined && { steps }),
          ...(guidance !== undefined && { guidanceScale: guidance }),
          ...(temperature !== undefined && { temperature }),
        },
        { out: options.out || freeFolder(clip), isJson: options.json, picks: options.pick === "rewards" },
      );
    });
}

/** `out/<name of the clip>`, numbered where there is one already. */
function freeFolder(clip: string): string {
  const name = basename(clip, extname(clip)) || "answer";
  for (let number = 1; ; number++) {
    const folder = join("out", number === 1 ? name : `${name}-${number}`);
    if (!existsSync(folder)) return folder;
  }
}

async function picked(report: AnswerReport, signal: AbortSignal): Promise<PickedAnswer> {
  const { pickAnswer } = await import("../answer/pick-answer.ts");
  return pickAnswer(report, { signal });
}

/** Answers in a worker, so that progress and Ctrl-C stay live, and writes the result. */
async function runAnswer(
  request: AnswerRequest & WorkerOptions,
  { out, isJson, picks }: { readonly out: string; readonly isJson: boolean; readonly picks: boolean },
): Promise<void> {
  const [{ answerInWorker }, { checkWritable, writeAnswer }] = await Promise.all([
    import("../answer/worker.ts"),
    import("../answer/answer-files.ts"),
  ]);
  const progress = await answerProgress({ isJson });
  try {
    await interruptible(async (signal) => {
      await checkWritable(out);
      for await (const event of answerInWorker({ ...request, signal })) {
        progress.show(event);
        if (event.type !== "done") continue;
        const pick =
          picks && event.report.samples.length > 1 ? await picked(event.report, signal) : undefined;
        const files = await writeAnswer(event.report, out, { signal, pick });
        progress.written(event.report, files, pick && { pick });
      }
    });
  } finally {
    progress.end();
  }
}
