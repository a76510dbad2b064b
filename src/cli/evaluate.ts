/**
 * `vans evaluate --data DIR --out REPORT`: how good a suite is, on samples of the simulated world.
 * @module
 */
import { Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { DEVICE_CHOICES } from "../answer/devices.ts";
import { isVansError, VansError } from "../base/errors.ts";
import type { EvaluateOptions, EvaluationEvent, EvaluationReport } from "../evaluate/index.ts";
import { EVALUATION_PARTS, type EvaluationPart } from "../evaluate/metric-table.ts";
import { SYSTEM_NAMES, SYSTEMS, type SystemName } from "../evaluate/systems.ts";
import { interruptible } from "./interrupt.ts";
import { decimalNumber, wholeNumber } from "./number-options.ts";

const HELP = `
The report is report.json, report.md, report.html and sheets of right and wrong answers. A run that was stopped goes on
where it was; so does one with more parts, samples, systems or baselines. docs/metrics.md explains every metric.

Parts: ${EVALUATION_PARTS.join(", ")}.
Systems:
${SYSTEM_NAMES.map((name) => `  ${name.padEnd(10)} ${SYSTEMS[name].about}`).join("\n")}

A baseline is another suite, or the folder of a finished report (FOLDER#SYSTEM for one of its other systems). Differences,
paired sample by sample, are taken to the first baseline; without one, to the suite itself.

Examples:
  vans world make --seed 900000 --count 400 --out out/eval
  vans evaluate --suite playroom --data out/eval --out out/report
  vans evaluate --data out/eval --out out/report --baseline playroom-sft
  vans evaluate --data out/eval --out out/report --samples 4 --pick rewards
  vans evaluate --data out/eval --out out/vae --only reconstruction --limit 40
  vans evaluate --compare out/report out/report-sft --out out/difference`;

function partList(text: string): EvaluationPart[] {
  const names = text.split(",").map((name) => name.trim());
  const isPart = (name: string): name is EvaluationPart => EVALUATION_PARTS.some((part) => part === name);
  const unknown = names.filter((name) => !isPart(name));
  if (unknown.length === 0) return names.filter(isPart);
  throw new InvalidArgumentError(`There is no part "${unknown[0]}". Parts: ${EVALUATION_PARTS.join(", ")}.`);
}

function systemList(text: string): SystemName[] {
  const names = text.split(",").map((name) => name.trim());
  const isSystem = (name: string): name is SystemName => SYSTEM_NAMES.some((system) => system === name);
  const unknown = names.filter((name) => !isSystem(name));
  if (unknown.length === 0) return names.filter(isSystem);
  throw new InvalidArgumentError(`There is no system "${unknown[0]}". Systems: ${SYSTEM_NAMES.join(", ")}.`);
}

const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  value,
];

/** The command `evaluate`. */
export function evaluateCommand() {
  return new Command("evaluate")
    .description("measure a suite on samples of the simulated world")
    .option("--data <dir>", "a folder that `vans world make` made")
    .option("--out <dir>", "folder of the report")
    .option("--suite <name>", "a bundled suite (vans suites) or the path of one", "playroom")
    .option("--only <parts>", "evaluate these parts, separated by commas (default: all)", partList)
    .option("--system <names>", "only what these systems need, separated by commas", systemList)
    .option("--baseline <suite>", "compare with this suite or finished report; may be repeated", collect)
    .option("--judges <suite>", "the suite whose CLIPs and I3D judge (default: the one that is evaluated)")
    .option("--samples <n>", "draw so many answers and judge the best of them as well", wholeNumber(1, 64))
    .addOption(
      new Option("--pick <how>", "how the best is picked: by the suite's rewards, the truth unseen")
        .choices(["rewards"] as const)
        .default("rewards" as const),
    )
    .option(
      "--compare <reports...>",
      "two finished reports: the first against the second, nothing computed again",
    )
    .option("--limit <n>", "only the first samples of the folder", wholeNumber(1))
    .option(
      "--threads <n>",
      "samples that are worked on at a time (default: one a core)",
      wholeNumber(1, 256),
    )
    .option("--steps <n>", "denoising steps (default: the suite's)", wholeNumber(1, 1000))
    .option("--guidance <g>", "guidance scale; 1 is off (default: the suite's)", decimalNumber(0))
    .addOption(
      new Option("--device <device>", "where to compute").choices(DEVICE_CHOICES).default("auto" as const),
    )
    .option(
      "--drawings <dir>",
      "keep what answers are compared with, for other suites with the same autoencoder",
    )
    .option("--fresh", "forget results of an earlier run in the folder", false)
    .option("--json", "one JSON event a line on the standard output", false)
    .addHelpText("after", HELP)
    .action(async (options, command) => {
      const { suite, data, out, only, limit, threads, steps, guidance, device, drawings, fresh, json } =
        options;
      const { system, baseline, judges, samples, compare } = options;
      if (compare) {
        const [first, reference, ...more] = compare;
        if (first === undefined || reference === undefined || more.length > 0)
          return command.error("error: --compare takes two reports", { code: "commander.invalidArgument" });
        await runComparison(first, reference, { out, isJson: json });
        return;
      }
      if (data === undefined || out === undefined) {
        const missing = data === undefined ? "--data <dir>" : "--out <dir>";
        return command.error(`error: required option '${missing}' not specified`, {
          code: "commander.missingMandatoryOptionValue",
        });
      }
      await runEvaluation(
        {
          suite,
          data,
          out,
          parts: only,
          systems: system,
          baselines: baseline,
          judges,
          answers: samples,
          limit,
          threads,
          device,
          drawings,
          fresh,
          steps,
          guidanceScale: guidance,
        },
        json,
      );
    });
}

async function runComparison(
  first: string,
  reference: string,
  { out, isJson }: { readonly out: string | undefined; readonly isJson: boolean },
): Promise<void> {
  const { compareReports, comparisonMarkdown, writeComparison } = await import("../evaluate/index.ts");
  const comparison = await compareReports(first, reference);
  console.log(isJson ? JSON.stringify(comparison) : comparisonMarkdown(comparison));
  if (out === undefined) return;
  const files = await writeComparison(out, comparison);
  if (!isJson) console.log(`${files.markdown}\n${files.json}`);
}

/** Options of which some may be undefined. */
type GivenOptions = {
  readonly [Name in Exclude<keyof EvaluateOptions, "signal">]: EvaluateOptions[Name] | undefined;
} & Pick<EvaluateOptions, "data" | "out">;

async function runEvaluation(options: GivenOptions, isJson: boolean): Promise<void> {
  const { evaluate } = await import("../evaluate/index.ts");
  const { steps, guidanceScale, ...rest } = options;
  const changes = {
    ...(steps !== undefined && { steps }),
    ...(guidanceScale !== undefined && { guidanceScale }),
  };
  const show = isJson
    ? (event: EvaluationEvent) => console.log(JSON.stringify(jsonOf(event)))
    : plainProgress();
  try {
    await interruptible(async (signal) => {
      for await (const event of evaluate({ ...rest, ...changes, signal })) show(event);
    });
  } catch (error) {
    if (!isVansError(error, "VANS_RUN_ABORTED")) throw error;
    throw new VansError("VANS_RUN_ABORTED", "stopped; the same command goes on from here", { cause: error });
  }
}

/** The report itself is in its file; the event names it. */
function jsonOf(event: EvaluationEvent): object {
  if (event.type !== "report") return event;
  const { metrics, targets, systems, comparisons, alarms, notes } = event.report;
  return { type: "report", files: event.files, metrics, targets, systems, comparisons, alarms, notes };
}

/** Progress on the error output: one line that changes on a terminal, else a line for every twentieth. */
function plainProgress(): (event: EvaluationEvent) => void {
  const isTerminal = process.stderr.isTTY === true && process.env["TERM"] !== "dumb";
  let told = 0;
  return (event) => {
    if (event.type === "opened") {
      const { suite, version, device, samples, parts, workers, done, total } = event;
      console.error(`Suite: ${suite} ${version} on ${device}, ${workers} at a time`);
      const before = done === 0 ? "" : `, ${done} of ${total} are there already`;
      console.error(`Samples: ${samples}, parts: ${parts.join(", ")}${before}`);
      told = 0;
    } else if (event.type === "part") {
      const { done, total, secsLeft, row } = event;
      const line = `${done} of ${total}  ${clock(secsLeft)} left  ${event.suite} ${row.seed} ${row.family} ${row.part}`;
      const isDue = done === total || done - told >= total / 20;
      // A line that wraps cannot be overwritten.
      const shown = line.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1));
      if (isTerminal) process.stderr.write(`\r\u001b[K${shown}${done === total ? "\n" : ""}`);
      else if (isDue) console.error(line);
      if (isDue) told = done;
    } else {
      console.log(resultLines(event.report).join("\n"));
      console.log(`\n${event.files.html}\n${event.files.markdown}\n${event.files.json}`);
    }
  };
}

function clock(secs: number): string {
  const whole = Math.max(0, Math.round(secs));
  return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`;
}

/** Values by kind, and the targets that are missed. */
function resultLines(report: EvaluationReport): string[] {
  const { metrics, targets } = report;
  const shown = (value: number | undefined): string =>
    (value === undefined ? "" : value.toFixed(3)).padStart(11);
  const lines = [`${"".padEnd(34)} procedural predictive        all`];
  for (const name of Object.keys(metrics.all) as (keyof typeof metrics.all)[]) {
    const values = (["procedural", "predictive", "all"] as const).map((kind) => metrics[kind][name]?.value);
    lines.push(`${name.padEnd(34)}${values.map(shown).join("")}`);
  }
  for (const { system, reference, metrics: found } of report.comparisons) {
    lines.push("", `${system} against ${reference}, all samples (* where the 95 % interval excludes 0):`);
    for (const [name, { value, low, high, excludesZero }] of Object.entries(found.all)) {
      const interval = `[${low.toFixed(3)}, ${high.toFixed(3)}]`;
      lines.push(`${name.padEnd(34)}${shown(value)} ${interval}${excludesZero ? " *" : ""}`);
    }
  }
  for (const { alarm, system, group, text } of report.alarms)
    lines.push("", `ALARM ${alarm}, ${system}, ${group}: ${text}`);
  for (const note of report.notes) lines.push("", `Note: ${note}`);
  if (targets.length === 0) return lines;
  const missed = targets.filter((target) => !target.isMet);
  lines.push("", `Targets: ${targets.length - missed.length} of ${targets.length} met`);
  for (const { target, group, value, bound } of missed)
    lines.push(`  missed: ${target} of ${group} is ${value.toFixed(3)}, at least ${bound} is wanted`);
  return lines;
}
