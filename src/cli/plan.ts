/**
 * `vans plan`: what a suite needs in memory, before anything is loaded.
 * @module
 */
import { Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import type { MemoryPlan } from "../answer/plan-types.ts";
import type { QuantizedParts } from "../answer/quantized-parts.ts";
import { VansError } from "../base/errors.ts";
import { wholeNumber } from "./number-options.ts";

/** The command `plan`. */
export function planCommand() {
  return new Command("plan")
    .description("say what each stage of an answer, or a training step, needs in memory; loads nothing")
    .option("--suite <name>", "a bundled suite (vans suites) or the path of one (default: vans-3b)")
    .option("--frames <n>", "frames of the answer (default: the suite's)", wholeNumber(1))
    .option("--height <pixels>", "height (default: the suite's)", wholeNumber(8))
    .option("--width <pixels>", "width (default: the suite's)", wholeNumber(8))
    .addOption(
      new Option("--device <device>", "where to compute")
        .choices(["cpu", "webgpu", "cuda"] as const)
        .default("cpu" as const),
    )
    .option(
      "--memory <size>",
      "memory that is there, like 8GB: says what fits, and what makes it fit",
      byteSize,
    )
    .addOption(
      new Option("--weights <type>", "language model and text encoder in fewer bits").choices([
        "4bit",
        "8bit",
        "8bit-fast",
      ] as const),
    )
    .option("--train <recipe>", "plan one training step of a recipe instead of an answer")
    .option("--json", "as JSON", false)
    .action(async ({ json, ...options }) => {
      const { loadSuite } = await import("../answer/suite.ts");
      if (options.train !== undefined) {
        await planTrain(options.train, { ...options, json });
        return;
      }
      const { planMemory, fittingPlan } = await import("../answer/plan.ts");
      const suite = await loadSuite(options.suite ?? "vans-3b", { needsFiles: false });
      const quantized: QuantizedParts =
        options.weights === undefined ? {} : { vlm: options.weights, textEncoder: options.weights };
      const asked = {
        frames: options.frames,
        height: options.height,
        width: options.width,
        device: options.device,
        memoryBytes: options.memory,
        quantized,
      };
      const plan = await planMemory(suite, asked);
      const fitting = plan.fits === false ? await fittingPlan(suite, asked) : undefined;
      if (json) console.log(JSON.stringify({ ...plan, ...refused(plan.fits, fitting) }));
      else console.log([...lines(plan), ...advice(plan, fitting)].join("\n"));
      if (plan.fits === false) process.exitCode = 1;
    });
}

interface TrainAsked {
  readonly suite?: string | undefined;
  readonly frames?: number | undefined;
  readonly height?: number | undefined;
  readonly width?: number | undefined;
  readonly device: string;
  readonly weights?: string | undefined;
  readonly memory?: number | undefined;
  readonly json: boolean;
}

async function planTrain(recipe: string, asked: TrainAsked): Promise<void> {
  const { suite, frames, height, width, memory: memoryBytes } = asked;
  if (asked.device !== "cpu" || asked.weights !== undefined)
    throw new VansError("VANS_PLAN_TRAIN", "training runs on the CPU, over weights as they are stored", {
      asked: asked.weights === undefined ? `--device ${asked.device}` : `--weights ${asked.weights}`,
      fix: "leave --device and --weights out",
    });
  const { loadSuite } = await import("../answer/suite.ts");
  const { fittingTraining, planTraining, trainingPlanLines } = await import("../train/large-plan.ts");
  const options = {
    override: { frames, height, width },
    ...(suite !== undefined && { suite: await loadSuite(suite, { needsFiles: false }) }),
  };
  const plan = await planTraining(recipe, { ...options, memoryBytes });
  const fitting =
    plan.fits === false && memoryBytes !== undefined
      ? await fittingTraining(recipe, { ...options, memoryBytes })
      : undefined;
  if (asked.json) console.log(JSON.stringify({ ...plan, ...refused(plan.fits, fitting) }));
  else console.log(trainingPlanLines(plan, fitting).join("\n"));
  if (plan.fits === false) process.exitCode = 1;
}

/** Fields of the JSON where a plan does not fit: the code that an answer would be refused with, and what fits instead. */
const refused = (fits: boolean | undefined, fitting: object | undefined): object =>
  fits === false ? { code: "VANS_MEMORY_TOO_SMALL", ...(fitting && { fitting }) } : {};

/** `8GB`, `512 MB`, `7.5GiB` or bytes. */
export function byteSize(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*$/i.exec(text);
  if (!match) throw new InvalidArgumentError("Give a size like 8GB, 512MB or 7.5GiB.");
  const power = " kmgt".indexOf(match[2]!.toLowerCase() || " ");
  return Math.round(Number(match[1]) * (match[3] ? 1024 : 1000) ** power);
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

function lines(plan: MemoryPlan): string[] {
  const { frames, height, width } = plan.settings;
  const stored = Object.entries(plan.quantized).map(([part, to]) => `${part} ${to}`);
  return [
    `${plan.suite} on ${plan.device}: ${frames} frames of ${width}x${height}${stored.length > 0 ? `, ${stored.join(", ")}` : ""}`,
    `on disk ${gigabytes(plan.diskBytes)}; needed at once at most ${gigabytes(plan.peakBytes)}`,
    "",
    `${"stage".padEnd(14)}${"memory".padStart(10)}${"mapped".padStart(10)}${"TFLOP".padStart(10)}`,
    ...plan.stages.map(
      ({ stage, anonymousBytes, mappedBytes, flops, fits }) =>
        `${stage.padEnd(14)}${gigabytes(anonymousBytes).padStart(10)}${gigabytes(mappedBytes).padStart(10)}${(flops / 1e12).toFixed(2).padStart(10)}${fits === false ? "  does not fit" : ""}`,
    ),
    "",
    plan.device === "cpu"
      ? "memory: anonymous pages, block by block; mapped: weights in the page cache, given back when memory is short"
      : "memory: on the device, one stage at a time, weights in f32 there",
  ];
}

function advice(plan: MemoryPlan, fitting: MemoryPlan | undefined): string[] {
  if (plan.fits === undefined) return [];
  const there = gigabytes(plan.memoryBytes!);
  if (plan.fits) return [`fits into ${there}`];
  if (!fitting) return [`VANS_MEMORY_TOO_SMALL: does not fit into ${there}, and no setting makes it fit`];
  const { frames, height, width } = fitting.settings;
  const weights = Object.values(fitting.quantized)[0];
  return [
    `VANS_MEMORY_TOO_SMALL: does not fit into ${there}; this does (${gigabytes(fitting.peakBytes)}):`,
    `  --frames ${frames} --height ${height} --width ${width}${weights ? ` --weights ${weights}` : ""}`,
  ];
}
