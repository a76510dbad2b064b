/**
 * `vans data split`, `select`, `annotate`, `review`, and `curate`: all of them.
 * @module
 */
import { Command, Option } from "@commander-js/extra-typings";
import { isVansError, VansError } from "../base/errors.ts";
import type { CurateEvent, StageName } from "../data/index.ts";
import { chosenProvider, PROVIDER_CHOICES, tokenPrice } from "./data-provider.ts";
import { interruptible } from "./interrupt.ts";
import { decimalNumber, wholeNumber } from "./number-options.ts";

const HELP = `
Work is sharded by video. Stopped or killed at any moment, the same command goes on; several may run at once on one folder.
Every answer of a provider is kept in DIR/cache: nothing is asked twice. Prompts can be changed in DIR/prompts/<name>.md
(see docs/data.md).

Keys come from the environment: OPENAI_API_KEY, GEMINI_API_KEY.

Examples:
  vans data split work/films
  vans data curate work/films --provider gemini --budget 5
  vans data curate work/films --provider openai --base-url http://localhost:8000/v1 --model my-vlm --price 0,0
  vans data curate work/play --provider local`;

/** One command for a stage, or for all. */
function stageCommand(name: StageName | "curate", description: string) {
  const { stages } = { stages: name === "curate" ? undefined : [name] };
  return new Command(name)
    .description(description)
    .argument("<dir>", "folder with videos.jsonl (vans data import)")
    .addOption(
      new Option("--provider <name>", "who judges and writes")
        .choices(PROVIDER_CHOICES)
        .default("none" as const),
    )
    .option("--model <name>", "model of the provider, or suite of `local`")
    .option("--base-url <url>", "another endpoint that speaks the OpenAI protocol")
    .option("--price <in,out>", "USD per million tokens, where the model is not known", tokenPrice)
    .option("--budget <usd>", "stop before more than this is spent on the dataset", decimalNumber(0))
    .option("--estimate", "only say what the requests will cost", false)
    .option("--concurrency <n>", "requests (and videos) at a time", wholeNumber(1, 256), 4)
    .option("--rpm <n>", "requests a minute at most", wholeNumber(1))
    .option("--attempts <n>", "tries before an item is set aside", wholeNumber(1, 100), 6)
    .option("--backoff <secs>", "first wait after a failure; doubles", decimalNumber(0), 1)
    .option("--timeout <secs>", "a request without an answer for this long is lost", decimalNumber(0.1), 120)
    .option("--questions <n>", "samples for one pair of clips", wholeNumber(1, 16), 1)
    .option("--least-secs <s>", "shorter segments are dropped", decimalNumber(0), 3)
    .option("--most-secs <s>", "longest clip; longer segments give windows", decimalNumber(0.1), 5)
    .option("--height <px>", "clips are at most this high", wholeNumber(16), 480)
    .option("--shots", "look for shots even where steps are annotated", false)
    .option("--json", "one JSON event a line", false)
    .addHelpText("after", HELP)
    .action(async (folder, options) => {
      const { curate } = await import("../data/index.ts");
      const provider = await chosenProvider({ ...options, folder });
      const show = options.json
        ? (event: CurateEvent) => console.log(JSON.stringify(event))
        : plainProgress();
      try {
        await interruptible(async (signal) => {
          const events = curate({
            folder,
            stages,
            provider,
            questions: options.questions,
            leastSecs: options.leastSecs,
            mostSecs: options.mostSecs,
            windowSecs: Math.min(4, options.mostSecs),
            mostHeight: options.height,
            ignoreSteps: options.shots,
            concurrency: options.concurrency,
            requestsPerMinute: options.rpm,
            attempts: options.attempts,
            backoffSecs: options.backoff,
            budgetUsd: options.budget,
            estimateOnly: options.estimate,
            signal,
          });
          for await (const event of events) show(event);
        });
      } catch (error) {
        if (!isVansError(error, "VANS_RUN_ABORTED")) throw error;
        throw new VansError("VANS_RUN_ABORTED", "stopped; the same command goes on from here", {
          cause: error,
        });
      } finally {
        await provider?.close?.();
        const { closeCodecProcesses } = await import("../media/index.ts");
        closeCodecProcesses();
      }
    });
}

/** Commands of the four stages and `curate`. */
export function curateCommands() {
  return [
    stageCommand("split", "stage 1: cut videos into segments, by annotated steps or by shots"),
    stageCommand("select", "stage 2: the best 3 to 5 seconds of each segment"),
    stageCommand("annotate", "stage 3: questions, reasoning, answers"),
    stageCommand("review", "stage 4: leakage, logic, answerability; then the dataset"),
    stageCommand("curate", "all four stages"),
  ];
}

function plainProgress(): (event: CurateEvent) => void {
  let total = 0;
  let done = 0;
  return (event) => {
    switch (event.type) {
      case "stage":
        total = event.videos;
        done = 0;
        console.error(`${event.stage}: ${total} videos`);
        return;
      case "done":
      case "kept": {
        done++;
        if (event.type === "done" && event.failed) console.error(`  ${event.video}: ${event.failed}`);
        if (done === total || done % Math.max(1, Math.floor(total / 20)) === 0)
          console.error(`  ${done} of ${total}`);
        return;
      }
      case "held":
        return;
      case "estimate": {
        const { requests, inputTokens, outputTokens, usd, spentUsd, budgetUsd } = event.estimate;
        const cost = usd === undefined ? "price not known" : `${usd.toFixed(4)} USD`;
        console.error(
          `Estimate: at most ${requests} requests, ${inputTokens} tokens in, ${outputTokens} out: ${cost}; spent so far ${spentUsd.toFixed(4)} USD` +
            (budgetUsd === undefined ? "" : `, budget ${budgetUsd} USD`),
        );
        return;
      }
      case "requests": {
        const { asked, fromCache, retried, repaired } = event.counts;
        console.error(
          `Requests: ${asked} sent, ${fromCache} answered from the cache, ${retried} failed and tried again, ${repaired} repaired; ${event.spentUsd.toFixed(4)} USD spent on this dataset`,
        );
        if (event.lost > 0)
          console.error(`  ${event.lost} were on their way when a process died, or were given up`);
        return;
      }
      case "dataset": {
        const { videos, segments, pairs, samples, reasons } = event.account;
        const rows = { videos, segments, pairs, samples };
        for (const [name, count] of Object.entries(rows))
          console.log(
            `${name.padEnd(9)} ${count.total}: ${count.kept} kept, ${count.dropped} dropped, ${count.quarantined} quarantined`,
          );
        for (const [reason, count] of Object.entries(reasons)) console.log(`  ${reason}: ${count}`);
        console.log(`Dataset: ${event.folder}`);
      }
    }
  };
}
