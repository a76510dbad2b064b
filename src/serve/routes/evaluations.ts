/**
 * Evaluations as jobs: a suite on a dataset, in a process of its own; the report is among the reports.
 * @module
 */
import { join } from "node:path";
import { z } from "zod";
import { bundledSuites } from "../../answer/index.ts";
import { EVALUATION_PARTS } from "../../evaluate/index.ts";
import { Datasets } from "../datasets/datasets.ts";
import { EVENT_HEADERS, jobEvents } from "../event-stream.ts";
import { HttpError, notFound } from "../http-error.ts";
import { JOB_STATES, type Job, jobSchema } from "../job.ts";
import { shownJob } from "../job-queue.ts";
import { type Route, route } from "../route.ts";
import { runVans } from "../runs/vans-command.ts";
import type { ServerContext } from "../server-context.ts";

const requestSchema = z.strictObject({
  suite: z.string().min(1).max(100),
  data: z.string().min(1).max(400).describe("Name of a dataset of this server"),
  limit: z.number().int().min(1).max(100_000).optional().describe("Only the first samples"),
  parts: z.array(z.enum(EVALUATION_PARTS)).min(1).max(EVALUATION_PARTS.length).optional(),
  baselines: z.array(z.string().min(1).max(100)).max(4).optional().describe("Bundled suites to compare with"),
});
type EvaluationRequest = z.infer<typeof requestSchema>;

const evaluationSchema = jobSchema.extend({
  kind: z.literal("evaluation"),
  request: requestSchema,
  result: z.object({ report: z.string().describe("Name of the report") }).nullable(),
});

/** Routes of evaluations. */
export function evaluationRoutes(server: ServerContext): Route[] {
  const { store, queue, config, events, closing } = server;
  const datasets = new Datasets(server);
  const reportOf = (job: Job): string => `evaluation-${job.id}`;
  queue.serve("evaluation", {
    places: 1,
    bodyOf: (job) => shownJob(job, store),
    run: async (job, _place, signal) => {
      const { suite, data, limit, parts, baselines = [] } = job.request as EvaluationRequest;
      const folder = await datasets.folder(data);
      const args = [
        "evaluate",
        "--suite",
        suite,
        "--data",
        folder,
        "--out",
        join(config.data, "reports", reportOf(job)),
        "--json",
      ];
      if (limit !== undefined) args.push("--limit", String(limit));
      if (parts) args.push("--only", parts.join(","));
      for (const baseline of baselines) args.push("--baseline", baseline);
      // One core: answers are asked for at the same time.
      args.push("--threads", "1");
      await runVans(args, {
        signal,
        onEvent: async (event) => {
          const { type, done, of, total } = event as Partial<
            Record<"type" | "done" | "of" | "total", unknown>
          >;
          const all = Number(of ?? total);
          if (typeof done === "number" && all > 0)
            store.setProgress(job.id, {
              stage: String(type),
              done,
              total: all,
              fraction: Math.min(1, done / all),
            });
          await events.add(job.id, "progress", { type, done, total: Number.isFinite(all) ? all : undefined });
        },
      });
      return { report: reportOf(job) };
    },
  });
  const get = (id: string): Job => {
    const job = store.get(id);
    if (job?.kind !== "evaluation") throw notFound("evaluation", id);
    return job;
  };
  const requireSuites = async (names: readonly string[]): Promise<void> => {
    const known = await bundledSuites();
    const unknown = names.find((name) => !known.includes(name));
    if (unknown !== undefined)
      throw new HttpError(422, "VANS_SERVE_SUITE_UNKNOWN", "the server has no such suite", {
        asked: unknown,
        found: known.join(", "),
        fix: "choose one of them",
      });
  };
  return [
    route({
      method: "post",
      path: "/api/v1/evaluations",
      tag: "evaluations",
      summary: "Evaluate a suite on a dataset; it is queued",
      body: requestSchema,
      responses: { 202: { about: "It waits or runs", schema: evaluationSchema } },
      refusals: {
        404: "There is no such dataset",
        422: "The server has no such suite",
        429: "Too many requests or unfinished jobs of this client; Retry-After tells when to come back",
      },
      handle: async ({ context, body, client }) => {
        await requireSuites([body.suite, ...(body.baselines ?? [])]);
        await datasets.folder(body.data);
        if (store.unfinished(client) >= config.maxClientJobs)
          throw new HttpError(429, "VANS_SERVE_TOO_MANY_JOBS", "too much of your work is unfinished", {
            found: `${config.maxClientJobs}`,
            headers: { "retry-after": "30" },
          });
        const job = await queue.add({ kind: "evaluation", client, group: null, parent: null, request: body });
        return context.json(queue.bodyOf(job), 202, { location: `/api/v1/evaluations/${job.id}` });
      },
    }),
    route({
      method: "get",
      path: "/api/v1/evaluations",
      tag: "evaluations",
      summary: "Evaluations, the newest first",
      query: z.object({
        state: z.enum(JOB_STATES).optional(),
        before: z.string().max(64).optional(),
        limit: z.coerce.number().int().min(1).max(200).default(50),
      }),
      responses: {
        200: { about: "Evaluations", schema: z.object({ evaluations: z.array(evaluationSchema) }) },
      },
      handle: ({ context, query }) =>
        context.json({
          evaluations: store.list({ kind: "evaluation", ...query }).map((job) => queue.bodyOf(job)),
        }),
    }),
    route({
      method: "get",
      path: "/api/v1/evaluations/:id",
      tag: "evaluations",
      summary: "One evaluation",
      responses: { 200: { about: "Its state", schema: evaluationSchema } },
      handle: ({ context, params }) => context.json(queue.bodyOf(get(params["id"]!))),
    }),
    route({
      method: "get",
      path: "/api/v1/evaluations/:id/events",
      tag: "evaluations",
      summary: "Follow an evaluation: server-sent events, replayed from Last-Event-ID",
      responses: {
        200: { about: "state, progress, state", contentType: "text/event-stream" },
        204: { about: "It has ended and there is nothing more to tell" },
      },
      headers: EVENT_HEADERS,
      handle: ({ context, params }) => jobEvents(context, events, get(params["id"]!).id, closing),
    }),
    route({
      method: "post",
      path: "/api/v1/evaluations/:id/cancel",
      tag: "evaluations",
      summary: "Stop an evaluation; one that has ended stays as it is",
      responses: { 202: { about: "It will stop within a sample", schema: evaluationSchema } },
      handle: async ({ context, params }) => {
        const { id } = get(params["id"]!);
        await queue.cancel(id);
        return context.json(queue.bodyOf(get(id)), 202);
      },
    }),
  ];
}
