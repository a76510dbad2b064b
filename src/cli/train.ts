/**
 * `vans train RECIPE`: runs a training recipe with progress, checkpoints and resume.
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { isVansError } from "../base/errors.ts";
import { readRecipe, runTraining, type TrainEvent, taskNamed } from "../train/index.ts";

function findRecipe(name: string): string {
  if (existsSync(name)) return name;
  const bundled = new URL(`../../recipes/${name}.yaml`, import.meta.url).pathname;
  return existsSync(bundled) ? bundled : name;
}

function clock(secs: number): string {
  const whole = Math.max(0, Math.round(secs));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}h${String(m).padStart(2, "0")}m` : `${m}m${String(s).padStart(2, "0")}s`;
}

const short = (metrics: Readonly<Record<string, number>>): string =>
  Object.entries(metrics)
    .map(
      ([name, value]) =>
        `${name} ${Math.abs(value) >= 0.001 || value === 0 ? value.toFixed(4) : value.toExponential(2)}`,
    )
    .join("  ");

function describe(event: TrainEvent, steps: number): string {
  if (event.type === "prepared")
    return `${event.parameterCount.toLocaleString("en")} parameters, steps ${event.fromStep} to ${event.steps}`;
  if (event.type === "step")
    return `step ${event.step}/${steps}  ${short(event.metrics)}  left ${clock(event.secsLeft)}`;
  if (event.type === "evaluated") return `held out at step ${event.step}: ${short(event.metrics)}`;
  if (event.type === "done") return `done at step ${event.step}: ${event.weightsPath}`;
  return `${event.type} ${event.path}`;
}

/** The command `train`. */
export function trainCommand() {
  return new Command("train")
    .description("train a model by a recipe (a YAML file, or a name from recipes/)")
    .argument("<recipe>", "path or name of a recipe")
    .option("--run <dir>", "folder of the run (default runs/<recipe name>)")
    .option("--resume", "continue from the run's checkpoint", false)
    .option("--until <step>", "stop with a checkpoint after this step", (text) => Number(text))
    .option("--json", "one JSON event a line", false)
    .action(async (name, options) => {
      const recipe = await readRecipe(findRecipe(name));
      const runFolder = options.run ?? join("runs", recipe.name);
      const stop = new AbortController();
      process.on("SIGINT", () => stop.abort());
      process.on("SIGTERM", () => stop.abort());
      try {
        const events = runTraining(recipe, taskNamed(recipe.task), {
          runFolder,
          resume: options.resume,
          signal: stop.signal,
          ...(options.until === undefined ? {} : { untilStep: options.until }),
        });
        for await (const event of events)
          console.log(options.json ? JSON.stringify(event) : describe(event, recipe.steps));
      } catch (error) {
        if (!isVansError(error, "VANS_RUN_ABORTED")) throw error;
        console.error(`stopped; continue with: vans train ${name} --run ${runFolder} --resume`);
        process.exitCode = 130;
      }
    });
}
