/**
 * The description of the API, made of the routes themselves.
 * @module
 */
import { z } from "zod";
import { SESSION_COOKIE } from "./client-limits.ts";
import { errorSchema } from "./job.ts";
import { refusalsOf } from "./refusals.ts";
import type { Route } from "./route.ts";

type Json = Record<string, unknown>;

function schemaOf(schema: z.ZodType, io: "input" | "output"): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Json;
  return rest;
}

/** An OpenAPI 3.1 document. */
export function openApi(
  routes: readonly Route[],
  facts: { readonly version: string; readonly needsToken: boolean },
): Json {
  const paths: Record<string, Json> = {};
  for (const one of routes) {
    const path = one.path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}");
    paths[path] ??= {};
    paths[path][one.method] = operationOf(one, facts.needsToken);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "vans",
      version: facts.version,
      description:
        "Answers a question about a video with a video. Errors are `{ error: { code, message, … } }`.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    ...(facts.needsToken && { security: [{ bearer: [] }, { session: [] }] }),
    paths,
    components: {
      schemas: {
        Error: {
          type: "object",
          properties: { error: schemaOf(errorSchema, "output") },
          required: ["error"],
        },
      },
      ...(facts.needsToken && {
        securitySchemes: {
          bearer: { type: "http", scheme: "bearer" },
          session: { type: "apiKey", in: "cookie", name: SESSION_COOKIE },
        },
      }),
    },
  };
}

/** For example `getAnswersById`. */
function operationIdOf({ method, path }: Route): string {
  const words = path
    .replace(/^\/api\/v1/, "")
    .split(/[/.]/)
    .filter((word) => word !== "")
    .map((word) =>
      word.startsWith(":") ? `By${capital(word.slice(1).replace(/\W.*/, ""))}` : capital(word),
    );
  return `${method}${words.join("").replace(/\W/g, "")}`;
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** What files heed besides what their routes say. */
const RANGE_HEADERS: Readonly<Record<string, string>> = {
  range: "One or more ranges of bytes; those that make no sense are not heeded",
  "if-range": "The ETag that the ranges belong to; the whole file where it is another by now",
  "if-none-match": "The ETag that the client has",
};

function operationOf(one: Route, needsToken: boolean): Json {
  const parameters: Json[] = [...one.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  if (one.query) {
    const query = schemaOf(one.query, "input") as { properties?: Record<string, Json>; required?: string[] };
    for (const [name, schema] of Object.entries(query.properties ?? {}))
      parameters.push({ name, in: "query", required: query.required?.includes(name) ?? false, schema });
  }
  const headers = { ...(one.responses[206] && RANGE_HEADERS), ...one.headers };
  for (const [name, description] of Object.entries(headers))
    parameters.push({ name, in: "header", required: false, description, schema: { type: "string" } });
  const error = { content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } } };
  return {
    tags: [one.tag],
    operationId: operationIdOf(one),
    summary: one.summary,
    ...(one.isOpen === true && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(one.body && {
      requestBody: {
        required: true,
        content: { "application/json": { schema: schemaOf(one.body, "input") } },
      },
    }),
    ...(one.rawBody !== undefined && {
      requestBody: {
        required: true,
        description: one.rawBody,
        content: {
          "application/octet-stream": { schema: { type: "string", format: "binary" } },
          "multipart/form-data": {
            schema: {
              type: "object",
              properties: { file: { type: "string", format: "binary" } },
              required: ["file"],
            },
          },
        },
      },
    }),
    responses: {
      ...Object.fromEntries(
        Object.entries(one.responses).map(([status, response]) => [
          status,
          {
            description: response.about,
            ...("contentType" in response
              ? { content: { [response.contentType]: {} } }
              : response.schema && {
                  content: { "application/json": { schema: schemaOf(response.schema, "output") } },
                }),
          },
        ]),
      ),
      ...Object.fromEntries(
        Object.entries(refusalsOf(one, needsToken)).map(([status, description]) => [
          status,
          { description, ...error },
        ]),
      ),
      default: { description: "The server is at fault", ...error },
    },
  };
}

/** The description as a page without scripts. */
export function docsPage(document: Json): string {
  const escaped = (text: string): string =>
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
  const paths = document["paths"] as Record<string, Record<string, Json>>;
  const byTag = new Map<string, string[]>();
  for (const [path, operations] of Object.entries(paths))
    for (const [method, operation] of Object.entries(operations)) {
      const tag = String((operation["tags"] as string[])[0]);
      const detail = escaped(
        JSON.stringify(
          {
            parameters: operation["parameters"],
            requestBody: operation["requestBody"],
            responses: operation["responses"],
          },
          undefined,
          2,
        ),
      );
      const text = `<details><summary><b class="${method}">${method.toUpperCase()}</b> <code>${escaped(path)}</code> <span>${escaped(String(operation["summary"]))}</span></summary><pre>${detail}</pre></details>`;
      byTag.set(tag, [...(byTag.get(tag) ?? []), text]);
    }
  const sections = [...byTag].map(
    ([tag, items]) => `<section><h2>${escaped(tag)}</h2>${items.join("")}</section>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>vans API</title><style>
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
summary{cursor:pointer;padding:.4rem 0;overflow-wrap:anywhere}summary span{opacity:.8}details{border-bottom:1px solid #8884}
pre{overflow:auto;background:#8881;padding:1rem;border-radius:.5rem;font-size:.85rem}b{display:inline-block;min-width:4.5rem}
a{color:inherit}</style></head><body><h1>vans API</h1>
<p>Machine-readable: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1). The studio: <a href="/ask">/ask</a>.</p>
<pre tabindex="0">id=$(curl -s --data-binary @clip.mp4 -H 'X-File-Name: clip.mp4' localhost:4280/api/v1/uploads | jq -r .id)
answer=$(curl -s -H 'Content-Type: application/json' -d "{\\"clip\\":\\"$id\\",\\"question\\":\\"what comes next?\\"}" localhost:4280/api/v1/answers | jq -r .id)
curl -N localhost:4280/api/v1/answers/$answer/events</pre>
${sections.join("\n")}</body></html>`;
}
