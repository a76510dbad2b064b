/**
 * What one step of a recipe costs: from runs that were made, or from a few steps taken to measure.
 *
 * A budget buys the same steps wherever a row is trained: where an experiment goes on on another machine, one of the recipes that
 * are known is measured there too, and what else is measured there is told in seconds of the first machine.
 * @module
 */
import { readFile, rm } from "node:fs/promises";
import { cpus, hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { throwIfAborted } from "../base/abort.ts";
import { takeLock } from "../base/process-lock.ts";
import { type Recipe, runTraining, taskNamed } from "../train/index.ts";
import { CostMeter, settingsHash, writeJson } from "./run-state.ts";
import { shareCache } from "./shared-cache.ts";

const costsSchema = z.record(
  z.string(),
  z.strictObject({
    recipe: z.string(),
    /** Processor and wall seconds of a step, and of what comes before the first one. */
    cpuSecs: z.number().positive(),
    wallSecs: z.number().positive(),
    startCpuSecs: z.number().min(0),
    /** Steps that were measured. */
    steps: z.int().positive(),
    /** Machine whose seconds these are; "" in files from before this was told. */
    machine: z.string().default(""),
  }),
);

/** What a step costs. */
export type StepCost = z.infer<typeof costsSchema>[string];

/** A recipe of an experiment whose cost may be known from another machine. */
export interface Yardstick {
  readonly recipe: Recipe;
  /** The recipe as it would be run. */
  readonly start: () => Promise<Recipe>;
}

/** Steps that are measured, and the seconds after which fewer will do. */
const MOST_STEPS = 10;
const LEAST_STEPS = 2;
const ENOUGH_SECS = 30;
/** How often a process looks for what another one measures. */
const WAIT_MS = 1000;

const COSTS_NAME = "step-costs.json";

/** Recipes that differ in seed, length or rates alone take the same time a step. */
export function costKey({ task, batch, model, settings, threads }: Recipe): string {
  const { suite: _, ...others } = settings;
  return settingsHash({ task, batch, model, settings: others, threads }).slice(0, 16);
}

/** This machine since it was started: another virtual machine may have the same name and processor. */
async function thisMachine(): Promise<string> {
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "");
  return settingsHash([hostname(), cpus()[0]?.model, boot.trim()]).slice(0, 8);
}

async function readCosts(folder: string): Promise<Record<string, StepCost>> {
  const text = await readFile(join(folder, COSTS_NAME), "utf8").catch(() => "{}");
  return costsSchema.catch({}).parse(JSON.parse(text));
}

/** Costs that are known in an experiment's folder. */
export class StepCosts {
  readonly #folder: string;
  readonly #known: Record<string, StepCost>;
  readonly #yardsticks: readonly Yardstick[];

  private constructor(folder: string, known: Record<string, StepCost>, yardsticks: readonly Yardstick[]) {
    this.#folder = folder;
    this.#known = known;
    this.#yardsticks = yardsticks;
  }

  /** @param yardsticks recipes; one whose cost was measured on another machine tells how fast this one is */
  static async open(folder: string, yardsticks: readonly Yardstick[] = []): Promise<StepCosts> {
    return new StepCosts(folder, await readCosts(folder), yardsticks);
  }

  /** The cost of a step, if it is known. */
  of(recipe: Recipe): StepCost | undefined {
    return this.#known[costKey(recipe)];
  }

  /**
   * The cost of a step; measured by some steps of a training of its own where it is not known. Of several processes one
   * measures and the others wait for what it finds.
   *
   * @throws what training throws; `VANS_RUN_ABORTED`
   */
  async measure(recipe: Recipe, signal?: AbortSignal): Promise<StepCost> {
    const key = costKey(recipe);
    for (;;) {
      const before = this.of(recipe);
      if (before) return before;
      const lock = await takeLock(join(this.#folder, "locks"), `cost-${key}`);
      try {
        Object.assign(this.#known, await readCosts(this.#folder));
        if (lock && !this.of(recipe)) await this.#add(recipe, signal);
      } finally {
        await lock?.release();
      }
      if (!lock) await sleep(WAIT_MS, undefined, signal ? { signal } : {}).catch(() => undefined);
      throwIfAborted(signal);
    }
  }

  /** Measures a recipe, and a known one first where that was measured elsewhere. */
  async #add(recipe: Recipe, signal: AbortSignal | undefined): Promise<void> {
    const here = await thisMachine();
    const elsewhere = this.#yardsticks.filter((one) => {
      const known = this.of(one.recipe);
      return known !== undefined && known.machine !== here;
    });
    const yardstick = elsewhere.find((one) => one.recipe.task === recipe.task) ?? elsewhere[0];
    if (!yardstick) {
      await this.#save(costKey(recipe), { ...(await this.#measureNow(recipe, signal)), machine: here });
      return;
    }
    const known = this.of(yardstick.recipe)!;
    const hereKey = `${costKey(yardstick.recipe)}@${here}`;
    if (!this.#known[hereKey])
      await this.#save(hereKey, {
        ...(await this.#measureNow(await yardstick.start(), signal)),
        machine: here,
      });
    const faster = known.cpuSecs / this.#known[hereKey]!.cpuSecs;
    const found = await this.#measureNow(recipe, signal);
    await this.#save(costKey(recipe), {
      ...found,
      cpuSecs: found.cpuSecs * faster,
      wallSecs: found.wallSecs * faster,
      startCpuSecs: found.startCpuSecs * faster,
      machine: known.machine,
    });
  }

  async #save(key: string, cost: StepCost): Promise<void> {
    // Another process may have measured another recipe meanwhile.
    Object.assign(this.#known, await readCosts(this.#folder), { [key]: cost });
    await writeJson(join(this.#folder, COSTS_NAME), this.#known);
  }

  async #measureNow(recipe: Recipe, signal: AbortSignal | undefined): Promise<Omit<StepCost, "machine">> {
    const probes = join(this.#folder, "probes");
    const runFolder = join(probes, costKey(recipe));
    await shareCache(probes);
    const meter = new CostMeter();
    let first: { readonly cpuSecs: number; readonly wallSecs: number } | undefined;
    let cost: Omit<StepCost, "machine"> | undefined;
    // The first step also warms up, so it counts as part of the start.
    const quiet = { logEvery: 1, sheetEvery: recipe.steps + 1, checkpointEvery: recipe.steps + 1 };
    for await (const event of runTraining({ ...recipe, ...quiet }, taskNamed(recipe.task), {
      runFolder,
      untilStep: Math.min(recipe.steps, MOST_STEPS + 1),
      signal,
    })) {
      if (event.type !== "step") continue;
      const now = meter.read();
      if (!first) {
        first = now;
        continue;
      }
      const steps = event.step - 1;
      cost = {
        recipe: recipe.name,
        cpuSecs: Math.max(1e-6, (now.cpuSecs - first.cpuSecs) / steps),
        wallSecs: Math.max(1e-6, (now.wallSecs - first.wallSecs) / steps),
        startCpuSecs: first.cpuSecs,
        steps,
      };
      if (steps >= LEAST_STEPS && now.wallSecs - first.wallSecs > ENOUGH_SECS) break;
    }
    throwIfAborted(signal);
    await rm(runFolder, { recursive: true, force: true });
    return (
      cost ?? {
        recipe: recipe.name,
        cpuSecs: Math.max(1e-6, first?.cpuSecs ?? 1),
        wallSecs: Math.max(1e-6, first?.wallSecs ?? 1),
        startCpuSecs: 0,
        steps: 1,
      }
    );
  }
}
