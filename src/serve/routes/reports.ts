/**
 * Reports of evaluations over HTTP.
 * @module
 */
import { z } from "zod";
import { reportSchema } from "../../evaluate/index.ts";
import { Reports, reportPartSchema, reportQuerySchema } from "../reports/reports.ts";
import { type Route, route } from "../route.ts";
import { fileResponses, sendFile } from "../send-file.ts";
import type { ServerContext } from "../server-context.ts";

const listedSchema = z.object({
  name: z.string(),
  suite: z.string(),
  version: z.string(),
  evaluated: z.number().int(),
  systems: z.array(z.string()),
});

/** Routes of reports. */
export function reportRoutes(server: ServerContext): Route[] {
  const reports = new Reports(server);
  return [
    route({
      method: "get",
      path: "/api/v1/reports",
      tag: "evaluations",
      summary: "Finished evaluations",
      responses: { 200: { about: "Reports", schema: z.object({ reports: z.array(listedSchema) }) } },
      handle: async ({ context }) => {
        const found = [];
        for (const { name } of await reports.list()) {
          const report = await reports.read(name).catch(() => undefined);
          if (!report) continue;
          const { suite, data, systems } = report;
          found.push({
            name,
            suite: suite.name,
            version: suite.version,
            evaluated: data.evaluated,
            systems: systems.map((one) => one.name),
          });
        }
        return context.json({ reports: found });
      },
    }),
    route({
      method: "get",
      path: "/api/v1/reports/:name",
      tag: "evaluations",
      summary: "A report: report.json",
      responses: { 200: { about: "The report", schema: reportSchema } },
      handle: async ({ context, params }) => context.json(await reports.read(params["name"]!)),
    }),
    route({
      method: "get",
      path: "/api/v1/reports/:name/samples",
      tag: "evaluations",
      summary: "Samples of a report by family, kind, metric and failure",
      query: reportQuerySchema,
      responses: {
        200: {
          about: "A page",
          schema: z.object({
            total: z.number().int(),
            pages: z.number().int(),
            page: z.number().int(),
            families: z.array(z.string()),
            metrics: z.array(z.string()),
            videos: z.array(z.string()).describe("Parts of which videos were kept"),
            samples: z.array(
              z.object({
                id: z.string(),
                seed: z.number().int(),
                kind: z.string(),
                family: z.string(),
                parts: z.array(reportPartSchema),
              }),
            ),
          }),
        },
      },
      handle: async ({ context, params, query }) => context.json(await reports.find(params["name"]!, query)),
    }),
    route({
      method: "get",
      path: "/api/v1/reports/:name/files/:file",
      tag: "evaluations",
      summary: "report.json, report.md, samples.jsonl",
      responses: fileResponses("*/*"),
      handle: async ({ context, params }) =>
        sendFile(context, await reports.filePath(params["name"]!, params["file"]!)),
    }),
    route({
      method: "get",
      path: "/api/v1/reports/:name/files/:folder/:file",
      tag: "evaluations",
      summary: "A picture of a report, in sheets or videos",
      responses: fileResponses("image/png"),
      handle: async ({ context, params }) =>
        sendFile(context, await reports.filePath(params["name"]!, `${params["folder"]!}/${params["file"]!}`)),
    }),
  ];
}
