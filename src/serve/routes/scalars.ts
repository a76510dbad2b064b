/**
 * Explanations of scalars.
 * @module
 */
import { z } from "zod";
import { type Route, route } from "../route.ts";
import { SCALAR_GROUPS, SCALARS } from "../runs/scalars.ts";
import type { ServerContext } from "../server-context.ts";

/** An explained scalar. */
export const scalarSchema = z.object({
  pattern: z.string().describe("With <name> for any name and <i> for a number"),
  group: z.enum(SCALAR_GROUPS),
  about: z.string(),
  unit: z.string().optional(),
  wish: z.enum(["up", "down"]).nullable().describe("What is better"),
});

/** Routes of scalars. */
export function scalarRoutes(_server: ServerContext): Route[] {
  return [
    route({
      method: "get",
      path: "/api/v1/scalars",
      tag: "runs",
      summary: "What every logged scalar means",
      responses: {
        200: {
          about: "Explanations; the first pattern that fits counts",
          schema: z.object({ groups: z.array(z.string()), scalars: z.array(scalarSchema) }),
        },
      },
      handle: ({ context }) => context.json({ groups: SCALAR_GROUPS, scalars: SCALARS }),
    }),
  ];
}
