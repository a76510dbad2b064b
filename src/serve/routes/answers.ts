/**
 * Answers: ask, follow, look, stop, delete.
 * @module
 */
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { bundledSuites, loadSuite } from "../../answer/index.ts";
import { ANSWER_SYSTEMS } from "../answer-systems.ts";
import { answerRequestSchema, answerSchema } from "../answers.ts";
import { EVENT_HEADERS, jobEvents } from "../event-stream.ts";
import { HttpError, notFound } from "../http-error.ts";
import { isFinal, JOB_STATES, type Job } from "../job.ts";
import { type Route, route } from "../route.ts";
import { fileResponses, sendFile } from "../send-file.ts";
import type { ServerContext } from "../server-context.ts";

/** Files of an answer that may be fetched. */
const FILES = /^(answer(-\d+)?\.mp4|sheet(-\d+)?\.png|answer\.json|input\.mp4)$/;

/** Routes of answers. */
export function answerRoutes(server: ServerContext): Route[] {
  const { store, queue, answers, events, config, uploads, examples, closing } = server;
  const get = (id: string): Job => {
    const job = store.get(id);
    if (job?.kind !== "answer") throw notFound("answer", id);
    return job;
  };
  const requireClip = (clip: string): void => {
    if (clip.startsWith("answer:")) {
      const before = get(clip.slice("answer:".length));
      if (before.state !== "done")
        throw new HttpError(409, "VANS_SERVE_NOT_DONE", "an answer that is not done cannot be gone on from", {
          found: `it is ${before.state}`,
          fix: "wait until it is done",
        });
    } else if (!examples.some(({ id }) => id === clip)) uploads.get(clip);
  };
  return [
    route({
      method: "post",
      path: "/api/v1/answers",
      tag: "answers",
      summary: "Ask a question about a clip; the answer is queued",
      body: answerRequestSchema,
      responses: { 202: { about: "It waits or runs", schema: answerSchema } },
      refusals: {
        404: "There is no such clip",
        409: "The answer to go on from is not done",
        422: "The server has no such suite",
        429: "Too many requests or unfinished answers of this client; Retry-After tells when to come back",
      },
      handle: async ({ context, body, client }) => {
        requireClip(body.clip);
        if (body.trim && body.trim.endSecs <= body.trim.startSecs)
          throw new HttpError(400, "VANS_SERVE_REQUEST", "the trimmed clip would be empty", {
            asked: `${body.trim.startSecs} s to ${body.trim.endSecs} s`,
            fix: "let endSecs be larger than startSecs",
          });
        const suites = await bundledSuites();
        const suite = body.suite ?? config.suite;
        if (suite !== config.suite && !suites.includes(suite))
          throw new HttpError(422, "VANS_SERVE_SUITE_UNKNOWN", "the server has no such suite", {
            asked: suite,
            found: suites.join(", "),
            fix: "choose one of them",
          });
        if (store.unfinished(client) >= config.maxClientJobs)
          throw new HttpError(429, "VANS_SERVE_TOO_MANY_JOBS", "too many of your answers are unfinished", {
            found: `${config.maxClientJobs}`,
            fix: "wait for some of them, or cancel some",
            headers: { "retry-after": "5" },
          });
        const job = await answers.ask(body, client);
        return context.json(answers.bodyOf(job), 202, {
          location: `/api/v1/answers/${job.id}`,
        });
      },
    }),
    route({
      method: "get",
      path: "/api/v1/answers",
      tag: "answers",
      summary: "Answers, the newest first",
      query: z.object({
        state: z.enum(JOB_STATES).optional(),
        group: z.string().max(64).optional(),
        before: z.string().max(64).optional(),
        limit: z.coerce.number().int().min(1).max(200).default(50),
      }),
      responses: { 200: { about: "Answers", schema: z.object({ answers: z.array(answerSchema) }) } },
      handle: ({ context, query }) =>
        context.json({ answers: store.list({ kind: "answer", ...query }).map((job) => answers.bodyOf(job)) }),
    }),
    route({
      method: "get",
      path: "/api/v1/answers/:id",
      tag: "answers",
      summary: "One answer",
      responses: { 200: { about: "Its state and result", schema: answerSchema } },
      handle: ({ context, params }) => context.json(answers.bodyOf(get(params["id"]!))),
    }),
    route({
      method: "get",
      path: "/api/v1/answers/:id/events",
      tag: "answers",
      summary: "Follow an answer: server-sent events, replayed from Last-Event-ID",
      responses: {
        200: {
          about: "state, loaded, input, warning, token, caption, step (with a preview), frames, state",
          contentType: "text/event-stream",
        },
        204: { about: "It has ended and there is nothing more to tell" },
      },
      headers: EVENT_HEADERS,
      handle: ({ context, params }) => jobEvents(context, events, get(params["id"]!).id, closing),
    }),
    route({
      method: "post",
      path: "/api/v1/answers/:id/cancel",
      tag: "answers",
      summary: "Stop an answer; one that has ended stays as it is",
      responses: { 202: { about: "It will stop within a step", schema: answerSchema } },
      handle: async ({ context, params }) => {
        const { id } = get(params["id"]!);
        await queue.cancel(id);
        return context.json(answers.bodyOf(get(id)), 202);
      },
    }),
    route({
      method: "delete",
      path: "/api/v1/answers/:id",
      tag: "answers",
      summary: "Delete an answer and its files",
      responses: { 204: { about: "It is gone" } },
      refusals: { 409: "It is not finished; cancel it first" },
      handle: async ({ context, params }) => {
        const job = get(params["id"]!);
        if (!isFinal(job.state))
          throw new HttpError(409, "VANS_SERVE_NOT_DONE", "an unfinished answer cannot be deleted", {
            fix: "cancel it first",
          });
        store.remove(job.id);
        events.forget(job.id);
        await rm(answers.folderOf(job.id), { recursive: true, force: true });
        return context.body(null, 204);
      },
    }),
    route({
      method: "get",
      path: "/api/v1/answers/:id/files/:name",
      tag: "answers",
      summary: "A file of an answer: answer.mp4, sheet.png, answer.json, input.mp4",
      query: z.object({ download: z.enum(["", "1"]).optional() }),
      responses: fileResponses("*/*"),
      handle: ({ context, params, query }) => {
        const job = get(params["id"]!);
        const name = params["name"]!;
        if (!FILES.test(name) || basename(name) !== name) throw notFound("file", name);
        return sendFile(context, join(answers.folderOf(job.id), name), {
          ...(query.download === "1" && { download: `vans-${job.id}-${name}` }),
        });
      },
    }),
    route({
      method: "get",
      path: "/api/v1/suites",
      tag: "suites",
      summary: "Suites of models that this server has",
      responses: {
        200: { about: "Suites", schema: z.object({ default: z.string(), suites: z.array(suiteSchema) }) },
      },
      handle: async ({ context }) => {
        const names = await bundledSuites();
        const suites = await Promise.all(names.map((name) => suiteFacts(name)));
        return context.json({ default: config.suite, suites });
      },
    }),
  ];
}

const suiteSchema = z.object({
  name: z.string(),
  about: z.string(),
  version: z.string(),
  isReady: z.boolean().describe("False where its weights have not been fetched"),
  systems: z.array(z.enum(ANSWER_SYSTEMS)),
  answer: z.record(z.string(), z.unknown()).nullable().describe("Defaults of steps, guidance, seed, sizes"),
});

async function suiteFacts(name: string): Promise<z.infer<typeof suiteSchema>> {
  try {
    const { manifest } = await loadSuite(name, { needsFiles: false });
    const isReady = await loadSuite(name).then(
      () => true,
      () => false,
    );
    return {
      name,
      about: manifest.about ?? "",
      version: manifest.version,
      isReady,
      systems: [...ANSWER_SYSTEMS],
      answer: { ...manifest.answer },
    };
  } catch {
    return { name, about: "", version: "", isReady: false, systems: [], answer: null };
  }
}
