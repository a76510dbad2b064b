/**
 * What those who run a server look at.
 * @module
 */
import { z } from "zod";
import { packageVersion } from "../answer/index.ts";
import { type Route, route } from "./route.ts";
import type { ServerMetrics } from "./server-metrics.ts";

/** Health and metrics. */
export function systemRoutes(metrics: ServerMetrics): Route[] {
  return [
    route({
      method: "get",
      path: "/healthz",
      tag: "system",
      summary: "Whether the server answers",
      isOpen: true,
      responses: {
        200: { about: "It does", schema: z.object({ status: z.literal("ok"), version: z.string() }) },
      },
      handle: ({ context }) => context.json({ status: "ok", version: packageVersion() }),
    }),
    route({
      method: "get",
      path: "/metrics",
      tag: "system",
      summary: "Numbers for Prometheus",
      responses: { 200: { about: "Requests, jobs, memory, event loop", contentType: "text/plain" } },
      handle: async ({ context }) => {
        const { body, type } = await metrics.text();
        return context.body(body, 200, { "content-type": type });
      },
    }),
  ];
}
