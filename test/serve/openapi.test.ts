/**
 * The API against its own description: requests are drawn from the schemas of /openapi.json, good and bad ones; every
 * answer must be described there and fit.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { TestServer } from "./testing.ts";

type Json = Record<string, unknown>;
interface Operation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: Json }[];
  readonly body: Json | undefined;
  readonly isRaw: boolean;
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: Json }>> }>
  >;
}

let server: TestServer;
let operations: Operation[];
let known: string[];
beforeAll(async () => {
  server = await TestServer.start({ maxClientJobs: 3, maxWritesPerMinute: 100_000 });
  const document = await server.json<{ paths: Record<string, Record<string, Json>> }>("GET", "/openapi.json");
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const content = (operation["requestBody"] as { content: Record<string, { schema: Json }> } | undefined)
        ?.content;
      return {
        method: method.toUpperCase(),
        path,
        parameters: (operation["parameters"] ?? []) as Operation["parameters"],
        body: content?.["application/json"]?.schema,
        isRaw: content?.["application/octet-stream"] !== undefined,
        responses: operation["responses"] as Operation["responses"],
      };
    }),
  );
  const { id } = (await (await server.upload()).json()) as { id: string };
  const asked = await server.json<{ id: string }>("POST", "/api/v1/answers", {
    clip: id,
    question: "?",
    steps: 1,
  });
  await server.ended(asked.id);
  known = [id, asked.id, "example-gift", `answer:${asked.id}`, "nothing"];
});
afterAll(() => server.close());

/** Values of a JSON schema, now and then of none. */
function valuesOf(schema: Json | undefined): fc.Arbitrary<unknown> {
  if (!schema) return fc.jsonValue();
  if (Array.isArray(schema["enum"])) return fc.constantFrom(...(schema["enum"] as unknown[]));
  if ("const" in schema) return fc.constant(schema["const"]);
  const options = (schema["anyOf"] ?? schema["oneOf"]) as Json[] | undefined;
  if (options) return fc.oneof(...options.map((one) => valuesOf(one)));
  switch (schema["type"]) {
    case "object": {
      const required = new Set((schema["required"] ?? []) as string[]);
      const properties = Object.entries((schema["properties"] ?? {}) as Record<string, Json>);
      return fc.record(
        Object.fromEntries(
          properties.map(([name, inner]) => [
            name,
            name === "clip" ? fc.constantFrom(...known) : valuesOf(inner),
          ]),
        ),
        { requiredKeys: properties.map(([name]) => name).filter((name) => required.has(name)) },
      );
    }
    case "array":
      return fc.array(valuesOf(schema["items"] as Json), { maxLength: 3 });
    case "integer":
    case "number": {
      const least = Number(schema["minimum"] ?? 0);
      // Few steps: these requests are carried out.
      const most = Math.min(Number(schema["maximum"] ?? 5), least + 4);
      return schema["type"] === "integer"
        ? fc.integer({ min: least, max: most })
        : fc.double({ min: least, max: most, noNaN: true });
    }
    case "boolean":
      return fc.boolean();
    default:
      return fc.string({
        unit: "grapheme",
        minLength: Number(schema["minLength"] ?? 0),
        maxLength: Math.min(60, Number(schema["maxLength"] ?? 60)),
      });
  }
}

describe("the API and its description", () => {
  it("says nothing that is not described, whatever is asked", async () => {
    const request = fc.constantFrom(...operations).chain((operation) =>
      fc.record({
        operation: fc.constant(operation),
        parameters: fc.tuple(
          ...operation.parameters.map(({ in: place, schema }) =>
            place === "path"
              ? fc.oneof(
                  { weight: 5, arbitrary: fc.constantFrom(...known, "answer.mp4", "input.mp4") },
                  { weight: 1, arbitrary: fc.string({ minLength: 1, maxLength: 20 }) },
                )
              : fc.option(
                  fc.oneof({ weight: 3, arbitrary: valuesOf(schema) }, { weight: 1, arbitrary: fc.string() }),
                  { nil: undefined },
                ),
          ),
        ),
        body: fc.oneof(
          { weight: 4, arbitrary: valuesOf(operation.body) },
          { weight: 1, arbitrary: fc.jsonValue() },
        ),
      }),
    );
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(request, async ({ operation, parameters, body }) => {
        // The clip that others ask about stays, and so do open streams of unfinished answers.
        if (
          operation.method === "DELETE" &&
          known.includes(String(parameters[0])) &&
          parameters[0] !== "nothing"
        )
          return;
        let path = operation.path;
        const query = new URLSearchParams();
        for (const [i, { name, in: place }] of operation.parameters.entries()) {
          const value = parameters[i];
          if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(String(value)));
          else if (value !== undefined) query.set(name, String(value));
        }
        const response = await fetch(`${server.url}${path}?${query}`, {
          method: operation.method,
          ...(operation.body !== undefined && {
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body),
          }),
          ...(operation.isRaw && { body: JSON.stringify(body) }),
          signal: AbortSignal.timeout(30_000),
        });
        const status = String(response.status);
        seen.add(`${operation.method} ${operation.path} ${status}`);
        expect(response.status, `${operation.method} ${path}`).toBeLessThan(500);
        const described =
          operation.responses[status] ??
          (response.status >= 400 ? operation.responses["default"] : undefined);
        const hasRoute = response.status !== 404 || (await response.clone().text()).includes('"error"');
        expect(hasRoute).toBe(true);
        if ([206, 304].includes(response.status)) return;
        expect(
          described,
          `${operation.method} ${path} answered ${status}, which is not described`,
        ).toBeDefined();
        if (response.status >= 400) {
          const { error } = (await response.json()) as { error: { code: string; message: string } };
          expect(error.code).toMatch(/^VANS_/);
          return;
        }
        const schema = described!.content?.["application/json"]?.schema;
        if (schema) {
          const value: unknown = await response.json();
          const fits = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(value);
          expect(fits.success ? "" : `${operation.method} ${path}: ${z.prettifyError(fits.error)}`).toBe("");
        } else await response.body?.cancel();
      }),
      { numRuns: 400 },
    );
    // The drawing reached good answers too.
    for (const wanted of [
      "POST /api/v1/answers 202",
      "GET /api/v1/answers 200",
      "GET /api/v1/uploads/{id} 200",
    ])
      expect(seen).toContain(wanted);
  });
});
