/**
 * Signing in from a browser, where a server asks for tokens.
 * @module
 */
import { z } from "zod";
import { clientOfRequest, requireToken, SESSION_COOKIE, sessionOfToken } from "../client-limits.ts";
import { type Route, route } from "../route.ts";
import type { ServerContext } from "../server-context.ts";

/** Seconds after which a browser asks for the token anew. */
const SESSION_SECS = 30 * 24 * 3600;

/** Routes of sessions. */
export function sessionRoutes({ config: { tokens } }: ServerContext): Route[] {
  const cookie = (value: string, secs: number): Record<string, string> => ({
    "set-cookie": `${SESSION_COOKIE}=${value}; Path=/; Max-Age=${secs}; HttpOnly; SameSite=Strict`,
  });
  return [
    route({
      method: "get",
      path: "/api/v1/session",
      tag: "system",
      summary: "Whether the server asks for a token, and whether it knows this client's",
      isOpen: true,
      responses: {
        200: { about: "Both", schema: z.object({ needsToken: z.boolean(), isKnown: z.boolean() }) },
      },
      handle: ({ context }) =>
        context.json({
          needsToken: tokens.length > 0,
          isKnown: tokens.length === 0 || clientOfRequest(context.req.raw.headers, tokens) !== undefined,
        }),
    }),
    route({
      method: "post",
      path: "/api/v1/session",
      tag: "system",
      summary: "Sign in: a cookie stands for the token, for videos and event streams that carry no headers",
      isOpen: true,
      body: z.strictObject({ token: z.string().min(1).max(500) }),
      responses: { 204: { about: "The cookie is set" } },
      refusals: { 401: "No token that the server knows" },
      handle: ({ context, body }) => {
        if (tokens.length === 0) return context.body(null, 204);
        requireToken(new Headers({ authorization: `Bearer ${body.token}` }), tokens);
        return context.body(null, 204, cookie(sessionOfToken(body.token), SESSION_SECS));
      },
    }),
    route({
      method: "delete",
      path: "/api/v1/session",
      tag: "system",
      summary: "Sign out",
      isOpen: true,
      responses: { 204: { about: "The cookie is gone" } },
      handle: ({ context }) => context.body(null, 204, cookie("", 0)),
    }),
  ];
}
