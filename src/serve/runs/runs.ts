/**
 * Runs as the API shows them: what their folders tell, together with trainings that this server queued.
 * @module
 */
import { mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { readRecipe } from "../../train/index.ts";
import { HttpError, notFound } from "../http-error.ts";
import { isFinal, type Job, progressSchema } from "../job.ts";
import { shownJob } from "../job-queue.ts";
import type { ServerContext } from "../server-context.ts";
import { keepResources, ResourceMeter } from "./resources.ts";
import { findRuns, folderOfName, logOfRun, RUN_STATES, runFacts, stateOf } from "./run-folders.ts";
import { type LogLine, RunLog } from "./run-log.ts";
import { recipeFile, recipeOfRun } from "./run-recipe.ts";
import { runVans } from "./vans-command.ts";

/** Milliseconds between measurements of a training that this server runs. */
const METER_MS = 5000;
/** Logs that are kept in memory. */
const MOST_LOGS = 200;

/** A run in a list. */
export const runSchema = z.object({
  name: z.string(),
  title: z.string(),
  group: z.string().describe("Folder of the run inside the folder of runs; empty at the top"),
  state: z.enum([...RUN_STATES, "queued", "failed"]),
  lastStep: z.number().int(),
  steps: z.number().int().nullable().describe("Of the recipe, where it is known"),
  task: z.string().nullable(),
  about: z.string(),
  startedAt: z.iso.datetime().nullable(),
  updatedAt: z.iso.datetime(),
  sheets: z.number().int().describe("How many there are"),
  job: z.string().nullable().describe("The training job of this server, where it has one"),
  progress: progressSchema.nullable(),
  error: z
    .object({
      code: z.string(),
      message: z.string(),
      found: z.string().optional(),
      fix: z.string().optional(),
    })
    .nullable(),
  canResume: z.boolean(),
  key: z
    .object({ name: z.string(), steps: z.array(z.number()), values: z.array(z.number()) })
    .nullable()
    .describe("A small curve for the list: reward, or loss"),
});
export type RunBody = z.infer<typeof runSchema>;

/** What a training is asked for. */
export const trainingRequestSchema = z.strictObject({
  recipe: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]*$/)
    .max(100)
    .describe("A bundled recipe"),
  name: z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/)
    .max(100)
    .optional()
    .describe("Folder of the run; default the recipe's name"),
  resume: z.boolean().default(false).describe("Go on from the checkpoint of the folder"),
  untilStep: z
    .number()
    .int()
    .positive()
    .max(1e9)
    .optional()
    .describe("Stop with a checkpoint after this step"),
});
type TrainingRequest = z.infer<typeof trainingRequestSchema>;

/** All runs of a server. */
export class Runs {
  readonly #server: ServerContext;
  readonly #logs = new Map<string, RunLog>();
  readonly meter = new ResourceMeter();

  constructor(server: ServerContext) {
    this.#server = server;
    const { store, config, queue } = server;
    queue.serve("training", {
      places: 1,
      bodyOf: (job) => shownJob(job, store),
      run: async (job, _place, signal) => {
        const { recipe, name, resume, untilStep } = job.request as TrainingRequest;
        const folder = join(config.runs, name ?? recipe);
        const goesOn = resume || job.attempts > 1;
        const file = (await recipeFile(recipe)) ?? recipe;
        await mkdir(folder, { recursive: true });
        if (!goesOn)
          await writeFile(
            join(folder, "recipe.json"),
            `${JSON.stringify(await readRecipe(file), undefined, 2)}\n`,
          );
        let timer: NodeJS.Timeout | undefined;
        try {
          await runVans(trainArguments(file, folder, { goesOn, untilStep }), {
            signal,
            onEvent: (event) => this.#follow(job.id, event),
            onProcess: (pid) => {
              timer = setInterval(() => {
                this.meter
                  .measure(pid)
                  .then((use) => use && keepResources(folder, use))
                  .catch(() => undefined);
              }, METER_MS);
              timer.unref();
            },
          });
        } finally {
          clearInterval(timer);
        }
        return { folder };
      },
    });
  }

  #follow(id: string, event: Readonly<Record<string, unknown>>): void {
    const { store } = this.#server;
    const { type, steps, fromStep, step } = event as Partial<
      Record<"type" | "steps" | "fromStep" | "step", number | string>
    >;
    const before = store.get(id)?.progress;
    if (type === "prepared" && typeof steps === "number") {
      const done = Number(fromStep ?? 0);
      store.setProgress(id, { stage: "train", done, total: steps, fraction: Math.min(1, done / steps) });
    } else if (type === "step" && typeof step === "number" && before)
      store.setProgress(id, { ...before, done: step, fraction: Math.min(1, step / before.total) });
  }

  /** Queues a training. @throws a 404 for an unknown recipe, a 409 where the run exists or runs */
  async start(request: TrainingRequest, client: string): Promise<RunBody> {
    const { store, config } = this.#server;
    if ((await recipeFile(request.recipe)) === undefined) throw notFound("recipe", request.recipe);
    const name = request.name ?? request.recipe;
    const known = await this.#bodyAt(name, join(config.runs, name));
    if (known && (known.state === "running" || known.state === "queued"))
      throw new HttpError(409, "VANS_SERVE_RUN_BUSY", "this run already waits or runs", {
        asked: name,
        fix: "follow it, or give the new run another name",
      });
    if (known && known.lastStep > 0 && !request.resume)
      throw new HttpError(409, "VANS_SERVE_RUN_EXISTS", "there already is a run of this name", {
        asked: name,
        found: `${known.lastStep} steps`,
        fix: "go on with resume, or give the new run another name",
      });
    if (store.unfinished(client) >= config.maxClientJobs)
      throw new HttpError(429, "VANS_SERVE_TOO_MANY_JOBS", "too much of your work is unfinished", {
        found: `${config.maxClientJobs}`,
        headers: { "retry-after": "30" },
      });
    await this.#server.queue.add({ kind: "training", client, group: name, parent: null, request });
    return (await this.#bodyAt(name, join(config.runs, name)))!;
  }

  /** Stops a run that this server started. @throws a 404, a 409 for a run of somebody else */
  async stop(name: string): Promise<RunBody> {
    const { path } = await this.folder(name);
    const job = this.#jobOf(name);
    if (!job || isFinal(job.state)) {
      const body = await this.#bodyAt(name, path);
      if (body?.state !== "running") return body!;
      throw new HttpError(409, "VANS_SERVE_RUN_FOREIGN", "this run was started elsewhere", {
        asked: name,
        fix: "stop it where it was started (Ctrl-C); it writes a checkpoint first",
      });
    }
    await this.#server.queue.cancel(job.id);
    return (await this.#bodyAt(name, path))!;
  }

  /** All runs, the newest first. */
  async list(): Promise<RunBody[]> {
    const found = await findRuns(this.#server.config.runs);
    const bodies: RunBody[] = [];
    for (const { name, path } of found) {
      const body = await this.#bodyAt(name, path);
      if (body) bodies.push(body);
    }
    const names = new Set(found.map(({ name }) => name));
    const jobs = this.#server.store.list({ kind: "training", limit: 200 });
    for (const name of new Set(jobs.map(({ group }) => group ?? "")))
      if (name !== "" && !names.has(name)) {
        const body = await this.#bodyAt(name, join(this.#server.config.runs, name));
        if (body) bodies.unshift(body);
      }
    const isLive = ({ state }: RunBody): number => Number(state === "running" || state === "queued");
    return bodies.sort((a, b) => isLive(b) - isLive(a) || (a.updatedAt < b.updatedAt ? 1 : -1));
  }

  /** A run by name. @throws a 404 */
  async folder(name: string): Promise<{ readonly path: string; readonly log: RunLog }> {
    const path = folderOfName(this.#server.config.runs, name);
    const file = path === undefined ? undefined : await logOfRun(path);
    if (path === undefined || (file === undefined && !this.#jobOf(name))) throw notFound("run", name);
    return { path, log: this.#logAt(file ?? join(path, "log.jsonl")) };
  }

  /** A run by name. @throws a 404 */
  async get(name: string): Promise<RunBody> {
    const { path } = await this.folder(name);
    return (await this.#bodyAt(name, path))!;
  }

  #jobOf(name: string): Job | undefined {
    return this.#server.store.list({ kind: "training", group: name, limit: 1 })[0];
  }

  #logAt(path: string): RunLog {
    const known = this.#logs.get(path);
    if (known) return known;
    const fresh = new RunLog(path);
    this.#logs.set(path, fresh);
    for (const old of this.#logs.keys()) {
      if (this.#logs.size <= MOST_LOGS) break;
      this.#logs.delete(old);
    }
    return fresh;
  }

  async #bodyAt(name: string, path: string): Promise<RunBody | undefined> {
    const job = this.#jobOf(name);
    const file = await logOfRun(path);
    if (file === undefined && !job) return undefined;
    const [{ lines }, facts, recipe] = await Promise.all([
      this.#logAt(file ?? join(path, "log.jsonl")).read(),
      runFacts(path),
      recipeOfRun(path),
    ]);
    const lastStep = lines.reduce((most, { step }) => Math.max(most, step), 0);
    const request = job?.request as TrainingRequest | undefined;
    const steps = recipe?.steps ?? null;
    const found = stateOf(facts, { lastStep, steps, nowMs: Date.now() });
    const parts = name.split("~");
    return {
      name,
      title: parts.at(-1)!,
      group: parts.slice(0, -1).join("/"),
      state:
        job?.state === "queued" || job?.state === "running"
          ? job.state
          : job?.state === "failed" && found !== "running"
            ? "failed"
            : found,
      lastStep,
      steps,
      task: textOf(recipe?.fields["task"]),
      about: textOf(recipe?.fields["about"]) ?? (request ? `Training of ${request.recipe}` : ""),
      startedAt: facts.startedAt ?? job?.startedAt ?? null,
      updatedAt: file === undefined && job ? job.createdAt : facts.updatedAt,
      sheets: facts.sheets.length,
      job: job?.id ?? null,
      progress: job?.progress ?? null,
      error: job?.state === "failed" ? job.error : null,
      canResume:
        facts.hasCheckpoint && parts.length === 1 && (await recipeFile(basename(path))) !== undefined,
      key: keyCurve(lines),
    };
  }
}

function trainArguments(
  file: string,
  folder: string,
  { goesOn, untilStep }: { readonly goesOn: boolean; readonly untilStep: number | undefined },
): string[] {
  return [
    "train",
    file,
    "--run",
    folder,
    "--json",
    ...(goesOn ? ["--resume"] : []),
    ...(untilStep === undefined ? [] : ["--until", String(untilStep)]),
  ];
}

const textOf = (value: unknown): string | null => (typeof value === "string" ? value : null);

/** Points of the small curve. */
const KEY_POINTS = 60;

/** The curve that tells most about a run, in few points: means of equal stretches. */
function keyCurve(lines: readonly LogLine[]): RunBody["key"] {
  const name = ["reward", "loss"].find((one) => lines.some(({ values }) => values[one] !== undefined));
  if (name === undefined) return null;
  const points = lines.flatMap(({ step, values }) =>
    values[name] === undefined ? [] : [{ step, value: values[name] }],
  );
  const size = Math.max(1, Math.ceil(points.length / KEY_POINTS));
  const steps: number[] = [];
  const means: number[] = [];
  for (let at = 0; at < points.length; at += size) {
    const part = points.slice(at, at + size);
    steps.push(part.at(-1)!.step);
    means.push(part.reduce((sum, { value }) => sum + value, 0) / part.length);
  }
  return { name, steps, values: means };
}
