/**
 * Requests to routes: who asks, what is allowed, which route, and errors as answers.
 * @module
 */
import { type Context, Hono } from "hono";
import { packageVersion } from "../answer/index.ts";
import { requireToken, WriteLimits } from "./client-limits.ts";
import { errorBody, HttpError, statusOf } from "./http-error.ts";
import { docsPage, openApi } from "./openapi.ts";
import { callRoute, type Route } from "./route.ts";
import { isLoopback, type ServeConfig } from "./serve-config.ts";
import type { ServerMetrics } from "./server-metrics.ts";
import type { StudioFile } from "./studio-files.ts";
import { systemRoutes } from "./system-routes.ts";

/** Pages of the studio; all are the same document. */
export const STUDIO_PAGES = ["/ask", "/compare", "/runs", "/rate", "/data"] as const;

/** Everything comes from here; pictures and clips may also be made in the page. */
const CONTENT_POLICY =
  "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** What an app is made of. */
export interface AppOptions {
  readonly config: ServeConfig;
  readonly routes: readonly Route[];
  readonly metrics: ServerMetrics;
  readonly studio: ReadonlyMap<string, StudioFile>;
  /** Address of the peer of a request. */
  peerOf(context: Context): string;
}

/** Makes the app. */
export function makeApp(options: AppOptions): Hono {
  const { config, routes, metrics, studio, peerOf } = options;
  const app = new Hono();
  const limits = new WriteLimits(config.maxWritesPerMinute);
  const all = [...routes, ...systemRoutes(metrics)];
  const description = openApi(all, { version: packageVersion(), needsToken: config.tokens.length > 0 });
  const docs = docsPage(description);

  const addressOf = (context: Context): string => `address-${peerOf(context)}`;
  /** The name of the client. @throws a 401 where tokens are asked for */
  const requireClient = (context: Context): string =>
    config.tokens.length > 0 ? requireToken(context.req.raw.headers, config.tokens) : addressOf(context);

  app.use(async (context, next) => {
    await next();
    context.header("x-content-type-options", "nosniff");
    context.header("referrer-policy", "no-referrer");
    context.header("content-security-policy", CONTENT_POLICY);
    context.header("cross-origin-resource-policy", "same-origin");
    context.header("cross-origin-opener-policy", "same-origin");
    metrics.request(context.req.method, String(context.get("route" as never) ?? "other"), context.res.status);
  });
  app.use(async (context, next) => {
    requireOwnHost(context, config);
    await next();
  });
  app.onError((error, context) => {
    const status = statusOf(error);
    // Clients that go away in the middle of a body are nobody's fault here.
    if (status === 500 && !context.req.raw.signal.aborted) console.error(error);
    const headers = error instanceof HttpError ? error.headers : {};
    return context.json({ error: errorBody(error, config.data) }, status as 500, headers);
  });
  app.notFound((context) =>
    context.json(
      {
        error: {
          code: "VANS_SERVE_NOT_FOUND",
          message: "there is nothing here",
          asked: context.req.path.slice(0, 200),
          fix: "/docs lists what there is",
        },
      },
      404,
    ),
  );

  app.get("/openapi.json", (context) => context.json(description));
  app.get("/docs", (context) => context.html(docs));
  for (const one of all)
    app.on(one.method.toUpperCase(), one.path, async (context) => {
      context.set("route" as never, one.path as never);
      const client = one.isOpen === true ? addressOf(context) : requireClient(context);
      if (one.method !== "get") limits.take(client);
      return callRoute(one, context, client);
    });

  for (const path of new Set(all.map((one) => one.path))) {
    const methods = all.filter((one) => one.path === path).map(({ method }) => method.toUpperCase());
    const allow = methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])).join(", ");
    app.all(path, (context) => {
      throw new HttpError(405, "VANS_SERVE_METHOD", "this resource does not know the method", {
        asked: `${context.req.method} ${context.req.path.slice(0, 200)}`,
        found: allow,
        fix: "use one of its methods; /docs lists them",
        headers: { allow },
      });
    });
  }
  app.get("/", (context) => context.redirect("/ask"));
  app.get("*", async (context, next) => {
    const { path } = context.req;
    const isPage = STUDIO_PAGES.some((page) => path === page || path.startsWith(`${page}/`));
    const file = studio.get(isPage ? "/index.html" : path);
    if (!file) {
      if (!isPage) return next();
      return context.html(
        "<!doctype html><title>vans</title><p>The studio is not built. Run <code>npm run build</code>. The API is at <a href='/docs'>/docs</a>.",
        503,
      );
    }
    const isGzip = /\bgzip\b/.test(context.req.header("accept-encoding") ?? "");
    return context.body(new Uint8Array(isGzip ? file.gzip : file.bytes), 200, {
      "content-type": file.type,
      "cache-control": file.isImmutable ? "public, max-age=31536000, immutable" : "no-cache",
      vary: "accept-encoding",
      ...(isGzip && { "content-encoding": "gzip" }),
    });
  });
  return app;
}

/**
 * On loopback only names of this machine are answered: a page elsewhere could otherwise point its own name here and read
 * everything. Pages of other sites may not write either.
 */
function requireOwnHost(context: Context, config: ServeConfig): void {
  const host = context.req.header("host") ?? "";
  const forbidden = (message: string, found: string): HttpError =>
    new HttpError(403, "VANS_SERVE_FORBIDDEN", message, {
      found: found.slice(0, 100),
      fix: "open the address that the server printed when it started",
    });
  if (isLoopback(config.host) && !isLoopback(host.replace(/:\d+$/, "")))
    throw forbidden("the server answers to names of this machine only", host);
  const origin = context.req.header("origin");
  if (origin !== undefined && context.req.method !== "GET" && !isSameOrigin(origin, host))
    throw forbidden("pages of other sites may not use this server", origin);
}

function isSameOrigin(origin: string, host: string): boolean {
  try {
    return new URL(origin).host === host;
  } catch {
    return false;
  }
}
