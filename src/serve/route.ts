/**
 * A route: what it takes, what it gives, and what it does. Requests are checked by the same schemas that the API's
 * description is made of.
 * @module
 */
import type { Context } from "hono";
import { z } from "zod";
import { HttpError } from "./http-error.ts";

export const METHODS = ["get", "post", "patch", "delete"] as const;
export type Method = (typeof METHODS)[number];

/** Who asks, and with what. */
export interface RouteInput {
  readonly context: Context;
  /** Of the token, or of the address. */
  readonly client: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

/** What an answer holds: JSON by a schema, or bytes of a type. */
export type RouteResponse =
  | { readonly about: string; readonly schema?: z.ZodType }
  | { readonly about: string; readonly contentType: string };

/** One path with one method. */
export interface Route {
  readonly method: Method;
  /** With `:name` for parameters. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  /** Needs no token. */
  readonly isOpen?: boolean;
  /** A body that the handler reads itself, as a stream. */
  readonly rawBody?: string;
  /** By status; the first is what a good request gets. */
  readonly responses: Readonly<Record<number, RouteResponse>>;
  /** Errors that only this route gives, by status; `refusalsOf` knows those that follow from what it takes. */
  readonly refusals?: Readonly<Record<number, string>>;
  /** Headers that it heeds, by name. */
  readonly headers?: Readonly<Record<string, string>>;
  handle(input: RouteInput): Promise<Response> | Response;
}

/** What a handler gets when the schemas of its route are known. */
export interface TypedInput<Query, Body> extends Omit<RouteInput, "query" | "body"> {
  readonly query: Query;
  readonly body: Body;
}

/** Makes a route whose handler knows the types of its query and body. */
export function route<
  Query extends z.ZodType = z.ZodType<unknown>,
  Body extends z.ZodType = z.ZodType<unknown>,
>(
  definition: Omit<Route, "handle" | "query" | "body"> & {
    readonly query?: Query;
    readonly body?: Body;
    handle(input: TypedInput<z.infer<Query>, z.infer<Body>>): Promise<Response> | Response;
  },
): Route {
  return definition as unknown as Route;
}

/** Largest JSON body, in bytes. */
const MAX_JSON_BYTES = 1_000_000;
/** Seconds that a JSON body may take to arrive. */
const JSON_SECS = 20;

/** Checks a request and hands it to its route. */
export async function callRoute(one: Route, context: Context, client: string): Promise<Response> {
  const query = one.query
    ? checked(one.query, context.req.query(), "the query")
    : (context.req.query() as unknown);
  const body = one.body ? checked(one.body, await jsonBody(context), "the body") : undefined;
  return one.handle({
    context,
    client,
    params: context.req.param() as Record<string, string>,
    query: query as Record<string, unknown>,
    body,
  });
}

function checked(schema: z.ZodType, value: unknown, what: string): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new HttpError(400, "VANS_SERVE_REQUEST", `${what} of the request is not as described`, {
    found: z.prettifyError(result.error).slice(0, 1000),
    fix: "see /docs for what this request takes",
  });
}

async function withinMs<T>(work: Promise<T> | undefined, ms: number): Promise<T | undefined | "late"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((done) => {
    timer = setTimeout(() => done("late"), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function jsonBody(context: Context): Promise<unknown> {
  const type = context.req.header("content-type") ?? "";
  if (!/^application\/json\b/i.test(type))
    throw new HttpError(415, "VANS_SERVE_REQUEST", "this request takes JSON", {
      found: `Content-Type ${type.slice(0, 100) || "(none)"}`,
      fix: "send Content-Type: application/json",
    });
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  const reader = context.req.raw.body?.getReader();
  const deadline = performance.now() + JSON_SECS * 1000;
  for (;;) {
    const piece = await withinMs(reader?.read(), deadline - performance.now());
    if (piece === "late") {
      void reader?.cancel().catch(() => undefined);
      throw new HttpError(408, "VANS_SERVE_REQUEST", "the body of the request took too long to arrive", {
        found: `more than ${JSON_SECS} s`,
        headers: { connection: "close" },
      });
    }
    if (!piece || piece.done) break;
    bytes += piece.value.length;
    if (bytes > MAX_JSON_BYTES) {
      await reader?.cancel();
      throw new HttpError(413, "VANS_SERVE_BODY_TOO_LARGE", "the JSON of the request is too large", {
        found: `more than ${MAX_JSON_BYTES} bytes`,
        headers: { connection: "close" },
      });
    }
    pieces.push(piece.value);
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString("utf8")) as unknown;
  } catch {
    throw new HttpError(400, "VANS_SERVE_REQUEST", "the body of the request is no JSON", {
      fix: "send valid JSON in UTF-8",
    });
  }
}
