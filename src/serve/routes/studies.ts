/**
 * Studies: people rate answers without knowing who made them.
 * @module
 */
import { z } from "zod";
import { WORLD_FRAME_RATE_HZ } from "../../world/index.ts";
import { notFound } from "../http-error.ts";
import { Studies, studyRequestSchema } from "../rate/studies.ts";
import {
  CRITERIA,
  CRITERION_QUESTIONS,
  lastRatings,
  marksSchema,
  orderFor,
  ratingSchema,
  type Study,
  studyCsv,
  studySchema,
  summariseStudy,
} from "../rate/study.ts";
import { type Route, route } from "../route.ts";
import { fileResponses, sendFile } from "../send-file.ts";
import type { ServerContext } from "../server-context.ts";

const estimateSchema = z.object({
  value: z.number(),
  low: z.number(),
  high: z.number(),
  n: z.number().int(),
});
const byCriterion = <Schema extends z.ZodType>(schema: Schema) =>
  z.object({ semantic: schema, visual: schema, overall: schema });
const summarySchema = z.object({
  raters: z.number().int(),
  ratings: z.number().int(),
  systems: z.array(
    z.object({
      name: z.string(),
      ratings: z.number().int(),
      means: byCriterion(estimateSchema).nullable().describe("With 95 % intervals, bootstrapped over items"),
    }),
  ),
  agreement: byCriterion(z.number().nullable()).describe("Krippendorff's alpha for ordinal ratings"),
});
const listedSchema = z.object({
  id: z.string(),
  name: z.string(),
  createdAt: z.iso.datetime(),
  items: z.number().int(),
  trials: z.number().int(),
  raters: z.number().int(),
  ratings: z.number().int(),
});
const trialSchema = z.object({
  index: z.number().int(),
  token: z.string(),
  question: z.string(),
  input: z.string(),
  answer: z.string(),
  frameRateHz: z.number(),
  marks: byCriterion(z.number().int()).nullable().describe("What this rater gave before"),
});
const nextSchema = z.object({
  study: z.object({ id: z.string(), name: z.string() }),
  criteria: z.array(z.object({ name: z.enum(CRITERIA), title: z.string(), about: z.string() })),
  total: z.number().int(),
  done: z.number().int(),
  trial: trialSchema.nullable().describe("Null when all is rated"),
});
const rater = z.string().trim().min(1).max(60);

/** Routes of studies. */
export function studyRoutes(server: ServerContext): Route[] {
  const studies = new Studies(server);
  const listed = async (study: Study): Promise<z.infer<typeof listedSchema>> => {
    const ratings = lastRatings(await studies.ratings(study.id));
    return {
      id: study.id,
      name: study.name,
      createdAt: study.createdAt,
      items: study.items.length,
      trials: study.items.reduce((sum, { systems }) => sum + systems.length, 0),
      raters: new Set(ratings.map((one) => one.rater)).size,
      ratings: ratings.length,
    };
  };
  /** The trial that a rater has not rated yet, or the one at a place of the rater's order. */
  const next = async (id: string, name: string, at?: number): Promise<z.infer<typeof nextSchema>> => {
    const study = await studies.get(id);
    const order = orderFor(study, name);
    const own = lastRatings(await studies.ratings(id)).filter((one) => one.rater === name);
    const marksOf = (index: number) =>
      own.find(({ item, system }) => item === order[index]?.item && system === order[index]?.system);
    const index = at ?? order.findIndex((_, i) => marksOf(i) === undefined);
    const trial = order[index];
    const marks = marksOf(index);
    const clip = (which: string): string => `/api/v1/studies/${id}/clips/${trial?.token}/${which}.mp4`;
    return {
      study: { id, name: study.name },
      criteria: CRITERIA.map((criterion) => ({ name: criterion, ...CRITERION_QUESTIONS[criterion] })),
      total: order.length,
      done: own.length,
      trial: trial
        ? {
            index,
            token: trial.token,
            question: study.items[trial.item]!.question,
            input: clip("input"),
            answer: clip("answer"),
            frameRateHz: study.items[trial.item]!.systems[trial.system]!.frameRateHz ?? WORLD_FRAME_RATE_HZ,
            marks: marks ? { semantic: marks.semantic, visual: marks.visual, overall: marks.overall } : null,
          }
        : null,
    };
  };
  return [
    route({
      method: "post",
      path: "/api/v1/studies",
      tag: "studies",
      summary: "Make a study of finished answers",
      body: studyRequestSchema,
      responses: { 201: { about: "It can be rated", schema: listedSchema } },
      refusals: {
        404: "There is no such answer or report",
        409: "An answer is not finished",
        422: "There is nothing to rate, or too much",
      },
      handle: async ({ context, body }) => {
        const study = await studies.make(body);
        return context.json(await listed(study), 201, { location: `/api/v1/studies/${study.id}` });
      },
    }),
    route({
      method: "get",
      path: "/api/v1/studies",
      tag: "studies",
      summary: "Studies, the newest first",
      responses: { 200: { about: "Studies", schema: z.object({ studies: z.array(listedSchema) }) } },
      handle: async ({ context }) =>
        context.json({ studies: await Promise.all((await studies.list()).map((one) => listed(one))) }),
    }),
    route({
      method: "get",
      path: "/api/v1/studies/:id",
      tag: "studies",
      summary: "Results of a study: they tell systems by name, raters should not look",
      responses: {
        200: {
          about: "Means, intervals, agreement",
          schema: listedSchema.extend({ summary: summarySchema }),
        },
      },
      handle: async ({ context, params }) => {
        const study = await studies.get(params["id"]!);
        return context.json({
          ...(await listed(study)),
          summary: summariseStudy(study, await studies.ratings(study.id)),
        });
      },
    }),
    route({
      method: "delete",
      path: "/api/v1/studies/:id",
      tag: "studies",
      summary: "Delete a study with its ratings",
      responses: { 204: { about: "It is gone" } },
      handle: async ({ context, params }) => {
        await studies.remove(params["id"]!);
        return context.body(null, 204);
      },
    }),
    route({
      method: "get",
      path: "/api/v1/studies/:id/next",
      tag: "studies",
      summary: "What a rater rates next, in an own random order, blind",
      query: z.object({
        rater,
        at: z.coerce
          .number()
          .int()
          .min(0)
          .max(10_000)
          .optional()
          .describe("Another place of the order, to look again"),
      }),
      responses: { 200: { about: "A trial, or none when all are rated", schema: nextSchema } },
      handle: async ({ context, params, query }) =>
        context.json(await next(params["id"]!, query.rater, query.at)),
    }),
    route({
      method: "post",
      path: "/api/v1/studies/:id/ratings",
      tag: "studies",
      summary: "Marks for a trial; later ones replace earlier ones",
      body: marksSchema,
      responses: { 201: { about: "They are kept; the next trial", schema: nextSchema } },
      handle: async ({ context, params, body }) => {
        const study = await studies.get(params["id"]!);
        const trial = orderFor(study, body.rater).find(({ token }) => token === body.token);
        if (!trial) throw notFound("trial", body.token);
        const { semantic, visual, overall } = body;
        await studies.rate(study.id, {
          rater: body.rater,
          item: trial.item,
          system: trial.system,
          semantic,
          visual,
          overall,
          at: new Date().toISOString(),
        });
        return context.json(await next(study.id, body.rater), 201);
      },
    }),
    ...(["input", "answer"] as const).map((which) =>
      route({
        method: "get",
        path: `/api/v1/studies/:id/clips/:token/${which}.mp4`,
        tag: "studies",
        summary: `The ${which} of a trial; its address does not tell the system`,
        responses: fileResponses("video/mp4"),
        handle: async ({ context, params }) =>
          sendFile(context, studies.clipPath(await studies.get(params["id"]!), params["token"]!, which), {
            isImmutable: true,
          }),
      }),
    ),
    route({
      method: "get",
      path: "/api/v1/studies/:id/export.json",
      tag: "studies",
      summary: "All of a study: plan, ratings, means, intervals, agreement",
      responses: {
        200: {
          about: "The study",
          schema: z.object({ study: studySchema, summary: summarySchema, ratings: z.array(ratingSchema) }),
        },
      },
      handle: async ({ context, params }) => {
        const study = await studies.get(params["id"]!);
        const ratings = await studies.ratings(study.id);
        return context.json(
          { study, summary: summariseStudy(study, ratings), ratings: lastRatings(ratings) },
          200,
          { "content-disposition": `attachment; filename="vans-study-${study.id}.json"` },
        );
      },
    }),
    route({
      method: "get",
      path: "/api/v1/studies/:id/export.csv",
      tag: "studies",
      summary: "The same as one table in long form",
      responses: { 200: { about: "Ratings, means with intervals, agreement", contentType: "text/csv" } },
      handle: async ({ context, params }) => {
        const study = await studies.get(params["id"]!);
        return context.body(studyCsv(study, await studies.ratings(study.id)), 200, {
          "content-type": "text/csv; charset=utf-8",
          "content-disposition": `attachment; filename="vans-study-${study.id}.csv"`,
        });
      },
    }),
  ];
}
