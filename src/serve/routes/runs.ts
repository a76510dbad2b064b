/**
 * Training runs: list, look, compare, start, stop.
 * @module
 */
import { basename, join } from "node:path";
import { z } from "zod";
import { notFound } from "../http-error.ts";
import { type Route, route } from "../route.ts";
import { machineUse, readResources } from "../runs/resources.ts";
import { runFacts } from "../runs/run-folders.ts";
import { seriesOf } from "../runs/run-log.ts";
import { recipeDifferences, recipeNames, recipeOfRun } from "../runs/run-recipe.ts";
import { Runs, runSchema, trainingRequestSchema } from "../runs/runs.ts";
import { explainScalar, SCALAR_GROUPS } from "../runs/scalars.ts";
import { fileResponses, sendFile } from "../send-file.ts";
import type { ServerContext } from "../server-context.ts";
import { runEventRoutes } from "./run-events.ts";
import { scalarSchema } from "./scalars.ts";

const seriesSchema = z.object({ steps: z.array(z.number()), values: z.array(z.number()) });
const sheetSchema = z.object({ step: z.number().int(), url: z.string() });
const recipeSchema = z.object({
  text: z.string().describe("YAML, with all defaults"),
  from: z.enum(["run", "recipes"]).describe("As the run was started, or as the package has it today"),
});
const useSchema = z.object({
  at: z.iso.datetime(),
  cores: z.number().describe("Cores in use on average"),
  memoryBytes: z.number(),
});

/** Files of a run that may be fetched. */
const FILES = /^(log\.jsonl|recipe\.json|resources\.jsonl|sheets\/\d+\.png)$/;

/** Routes of runs. */
export function runRoutes(server: ServerContext): Route[] {
  const runs = new Runs(server);
  const sheetsOf = async (name: string): Promise<z.infer<typeof sheetSchema>[]> => {
    const { path } = await runs.folder(name);
    const { sheets } = await runFacts(path);
    return sheets.map(({ step, file }) => ({ step, url: `/api/v1/runs/${name}/files/sheets/${file}` }));
  };
  return [
    route({
      method: "get",
      path: "/api/v1/runs",
      tag: "runs",
      summary: "Training runs, live ones first",
      responses: {
        200: {
          about: "Runs, and the recipes that can be started",
          schema: z.object({ runs: z.array(runSchema), recipes: z.array(z.string()) }),
        },
      },
      handle: async ({ context }) => context.json({ runs: await runs.list(), recipes: await recipeNames() }),
    }),
    route({
      method: "post",
      path: "/api/v1/runs",
      tag: "runs",
      summary: "Start a training, or go on with one; it is queued",
      body: trainingRequestSchema,
      responses: { 202: { about: "It waits or runs", schema: runSchema } },
      refusals: {
        404: "There is no such recipe, or no run to go on with",
        409: "The run waits or runs already, or there is one of this name",
        429: "Too many requests or unfinished jobs of this client; Retry-After tells when to come back",
      },
      handle: async ({ context, body, client }) => context.json(await runs.start(body, client), 202),
    }),
    route({
      method: "get",
      path: "/api/v1/runs/:name",
      tag: "runs",
      summary: "One run: state, recipe, what it takes of the machine",
      responses: {
        200: {
          about: "The run",
          schema: runSchema.extend({
            recipe: recipeSchema.nullable(),
            resources: z.array(useSchema),
            machine: z.object({
              cores: z.number(),
              loadOneMinute: z.number(),
              memoryBytes: z.number(),
              freeMemoryBytes: z.number(),
            }),
          }),
        },
      },
      handle: async ({ context, params }) => {
        const name = params["name"]!;
        const body = await runs.get(name);
        const { path } = await runs.folder(name);
        const recipe = await recipeOfRun(path);
        return context.json({
          ...body,
          recipe: recipe ? { text: recipe.text, from: recipe.from } : null,
          resources: await readResources(path),
          machine: machineUse(),
        });
      },
    }),
    route({
      method: "get",
      path: "/api/v1/runs/:name/log",
      tag: "runs",
      summary: "Curves of a run, each with its explanation",
      query: z.object({ after: z.coerce.number().int().min(-1).default(-1).describe("Only later steps") }),
      responses: {
        200: {
          about: "A series a scalar",
          schema: z.object({
            lastStep: z.number().int(),
            groups: z.array(z.string()),
            series: z.record(z.string(), seriesSchema),
            explanations: z.record(z.string(), scalarSchema),
          }),
        },
      },
      handle: async ({ context, params, query }) => {
        const { log } = await runs.folder(params["name"]!);
        const { lines } = await log.read();
        const series = seriesOf(lines, query.after);
        const explanations = Object.fromEntries(
          Object.keys(series).flatMap((name) => {
            const found = explainScalar(name);
            return found ? [[name, found]] : [];
          }),
        );
        const lastStep = lines.reduce((most, { step }) => Math.max(most, step), 0);
        return context.json({ lastStep, groups: SCALAR_GROUPS, series, explanations });
      },
    }),
    route({
      method: "get",
      path: "/api/v1/runs/:name/sheets",
      tag: "runs",
      summary: "Sheets of samples over time",
      responses: { 200: { about: "By step", schema: z.object({ sheets: z.array(sheetSchema) }) } },
      handle: async ({ context, params }) => context.json({ sheets: await sheetsOf(params["name"]!) }),
    }),
    route({
      method: "get",
      path: "/api/v1/runs/:name/files/sheets/:file",
      tag: "runs",
      summary: "A sheet",
      responses: fileResponses("image/png"),
      handle: async ({ context, params }) => {
        const { path } = await runs.folder(params["name"]!);
        return sendRunFile(context, path, `sheets/${params["file"]!}`);
      },
    }),
    route({
      method: "get",
      path: "/api/v1/runs/:name/files/:file",
      tag: "runs",
      summary: "A file of a run: log.jsonl, recipe.json, resources.jsonl",
      responses: fileResponses("*/*"),
      handle: async ({ context, params }) => {
        const { path } = await runs.folder(params["name"]!);
        return sendRunFile(context, path, params["file"]!);
      },
    }),
    route({
      method: "get",
      path: "/api/v1/runs/:name/diff/:other",
      tag: "runs",
      summary: "What the recipes of two runs differ in",
      responses: {
        200: {
          about: "Fields with other values; null where a recipe is not known",
          schema: z.object({
            fields: z
              .array(
                z.object({ field: z.string(), first: z.string().optional(), second: z.string().optional() }),
              )
              .nullable(),
          }),
        },
      },
      handle: async ({ context, params }) => {
        const [first, second] = await Promise.all(
          [params["name"]!, params["other"]!].map(async (name) =>
            recipeOfRun((await runs.folder(name)).path),
          ),
        );
        return context.json({
          fields: first && second ? recipeDifferences(first.fields, second.fields) : null,
        });
      },
    }),
    route({
      method: "post",
      path: "/api/v1/runs/:name/stop",
      tag: "runs",
      summary: "Stop a training; it writes a checkpoint first",
      responses: { 202: { about: "It will stop after the step at hand", schema: runSchema } },
      refusals: { 409: "It was started elsewhere, or does not run" },
      handle: async ({ context, params }) => context.json(await runs.stop(params["name"]!), 202),
    }),
    ...runEventRoutes(server, runs),
  ];
}

function sendRunFile(context: Parameters<typeof sendFile>[0], path: string, file: string): Promise<Response> {
  if (!FILES.test(file)) throw notFound("file", basename(file));
  return sendFile(context, join(path, file));
}
