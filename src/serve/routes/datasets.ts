/**
 * Datasets over HTTP.
 * @module
 */
import { z } from "zod";
import { sampleRowSchema } from "../../data/index.ts";
import { Datasets, decisionSchema, sampleQuerySchema } from "../datasets/datasets.ts";
import { type Route, route } from "../route.ts";
import { fileResponses, sendFile } from "../send-file.ts";
import type { ServerContext } from "../server-context.ts";

const facetSchema = z.array(z.object({ value: z.string(), count: z.number().int() }));
const overrideSchema = z.object({
  id: z.string(),
  rejected: z.boolean(),
  note: z.string(),
  fields: z.record(z.string(), z.string()),
});
const sampleSchema = z.object({
  row: sampleRowSchema.describe("As the table has it"),
  override: overrideSchema.nullable().describe("What was decided by hand"),
});
const datasetSchema = z.object({
  name: z.string(),
  samples: z.number().int(),
  rejected: z.number().int(),
  edited: z.number().int(),
});

/** Routes of datasets. */
export function datasetRoutes(server: ServerContext): Route[] {
  const datasets = new Datasets(server);
  return [
    route({
      method: "get",
      path: "/api/v1/datasets",
      tag: "datasets",
      summary: "Datasets of this machine",
      responses: { 200: { about: "Datasets", schema: z.object({ datasets: z.array(datasetSchema) }) } },
      handle: async ({ context }) => {
        const found = [];
        for (const { name, path } of await datasets.list()) {
          const counts = await datasets.counts(path).catch(() => undefined);
          if (counts) found.push({ name, ...counts });
        }
        return context.json({ datasets: found });
      },
    }),
    route({
      method: "get",
      path: "/api/v1/datasets/:name/samples",
      tag: "datasets",
      summary: "Samples that fit, a page of them",
      query: sampleQuerySchema,
      responses: {
        200: {
          about: "A page",
          schema: z.object({
            total: z.number().int(),
            fitting: z.number().int(),
            page: z.number().int(),
            pages: z.number().int(),
            facets: z.object({ kind: facetSchema, split: facetSchema, source: facetSchema }),
            samples: z.array(sampleSchema),
          }),
        },
      },
      handle: async ({ context, params, query }) =>
        context.json(await datasets.find(await datasets.folder(params["name"]!), query)),
    }),
    route({
      method: "patch",
      path: "/api/v1/datasets/:name/samples/:id",
      tag: "datasets",
      summary: "Decide about a sample: reject it, mend its texts, put it into another split",
      body: decisionSchema,
      responses: { 200: { about: "It is kept", schema: sampleSchema } },
      handle: async ({ context, params, body }) =>
        context.json(await datasets.decide(await datasets.folder(params["name"]!), params["id"]!, body)),
    }),
    route({
      method: "post",
      path: "/api/v1/datasets/:name/apply",
      tag: "datasets",
      summary: "Rewrite the table with all decisions",
      responses: { 200: { about: "Samples that are left", schema: z.object({ samples: z.number().int() }) } },
      handle: async ({ context, params }) =>
        context.json(await datasets.apply(await datasets.folder(params["name"]!))),
    }),
    route({
      method: "get",
      path: "/api/v1/datasets/:name/clip",
      tag: "datasets",
      summary: "A clip of a dataset",
      query: z.object({ path: z.string().min(1).max(500) }),
      responses: fileResponses("video/mp4"),
      handle: async ({ context, params, query }) =>
        sendFile(context, datasets.clipPath(await datasets.folder(params["name"]!), query.path)),
    }),
  ];
}
