/**
 * The API against its own description: requests are drawn from the schemas of /openapi.json, good and bad ones; every
 * answer must be described there and fit.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { RunningServer } from "../../src/serve/index.ts";
import { type Client, exampleBytes, testFolder, testServer } from "./testing.ts";

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

let home: Awaited<ReturnType<typeof testFolder>>;
let server: RunningServer;
let client: Client;
let operations: Operation[];
let known: string[];
beforeAll(async () => {
  home = await testFolder();
  ({ server, client } = await testServer({ ...home, maxClientJobs: 200, maxWritesPerMinute: 100_000 }));
  const document = await client.get<{ paths: Record<string, Record<string, Json>> }>("/openapi.json");
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
  const { id } = (await client.upload(await exampleBytes("gift.mp4"))).body;
  const asked = await client.answered({ clip: id, question: "?", steps: 1 });
  known = [id, asked.id, "example-gift", `answer:${asked.id}`, "nothing"];
});
afterAll(async () => {
  await server?.close();
  await home?.remove();
});

/** What is drawn beside the ids that are known where a name of something that exists is wanted. */
const KNOWN_VALUES: Readonly<Record<string, readonly string[]>> = {
  clip: ["example-candle"],
  suite: ["playroom-sft", "playroom"],
};

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
            KNOWN_VALUES[name] ? fc.constantFrom(...KNOWN_VALUES[name], ...known) : valuesOf(inner),
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

/** A request that was drawn. */
interface Drawn {
  readonly operation: Operation;
  readonly parameters: readonly unknown[];
  readonly body: unknown;
}

/** Sends it and holds the answer against the description; its status. */
async function answerOf({ operation, parameters, body }: Drawn): Promise<number | undefined> {
  // The clip that others ask about stays, and so do open streams of unfinished answers.
  if (operation.method === "DELETE" && known.includes(String(parameters[0])) && parameters[0] !== "nothing")
    return undefined;
  let path = operation.path;
  const query = new URLSearchParams();
  for (const [i, { name, in: place }] of operation.parameters.entries()) {
    const value = parameters[i];
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(String(value)));
    else if (value !== undefined) query.set(name, String(value));
  }
  const response = await fetch(`${client.url}${path}?${query}`, {
    method: operation.method,
    ...(operation.body !== undefined && {
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
    ...(operation.isRaw && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
  });
  const status = String(response.status);
  expect(response.status, `${operation.method} ${path}`).toBeLessThan(500);
  const described = operation.responses[status];
  const hasRoute = response.status !== 404 || (await response.clone().text()).includes('"error"');
  expect(hasRoute).toBe(true);
  expect(described, `${operation.method} ${path} answered ${status}, which is not described`).toBeDefined();
  if (response.status >= 400) {
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect(error.code).toMatch(/^VANS_/);
    return response.status;
  }
  const schema = described!.content?.["application/json"]?.schema;
  if (schema) {
    const value: unknown = await response.json();
    const fits = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(value);
    expect(fits.success ? "" : `${operation.method} ${path}: ${z.prettifyError(fits.error)}`).toBe("");
  } else await response.body?.cancel();
  return response.status;
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
    await fc.assert(
      fc.asyncProperty(request, async (drawn) => {
        await answerOf(drawn);
      }),
      { numRuns: 400 },
    );
    // Good requests are answered well.
    const good = async (
      method: string,
      path: string,
      parameters: unknown[],
      body: unknown,
      status: number,
    ) => {
      const operation = operations.find((one) => one.method === method && one.path === path)!;
      const places = operation.parameters.map((_, i) => parameters[i]);
      expect(await answerOf({ operation, parameters: places, body }), `${method} ${path}`).toBe(status);
    };
    const asked = { clip: known[0], question: "and now?", seed: 3, steps: 1, samples: 2 };
    await good("POST", "/api/v1/answers", [], asked, 202);
    await good("GET", "/api/v1/answers", [], undefined, 200);
    await good("GET", "/api/v1/answers/{id}", [known[1]], undefined, 200);
    await good("GET", "/api/v1/uploads/{id}", [known[0]], undefined, 200);
  });
});
