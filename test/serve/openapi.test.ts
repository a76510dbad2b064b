/**
 * The API against its own description: requests are drawn from the schemas of /openapi.json, good and bad ones; every
 * answer must be described there and fit.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import type { RunningServer } from "../../src/serve/index.ts";
import { writeDataset, writeReport, writeRuns } from "./filled-folder.ts";
import { type Client, exampleBytes, type TestAnswer, testFolder, testServer } from "./testing.ts";

// Minutes, for machines that do much else: a time limit is no result.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

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
/** What is there, by the place in a path that wants it; answers, uploads and studies are told apart by the path's begin. */
let there: Readonly<Record<string, string>>;
beforeAll(async () => {
  home = await testFolder();
  await Promise.all([writeRuns, writeDataset, writeReport].map((write) => write(home.folder)));
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
  const study = (await client.post<{ id: string }>("/studies", { name: "one", fromAnswers: {} })).body;
  const next = await client.get<{ trial: { token: string } }>(`/studies/${study.id}/next?rater=Ada`);
  const evaluation = (
    await client.post<TestAnswer>("/evaluations", { suite: "playroom-sft", data: "small", limit: 1 })
  ).body;
  await client.post(`/evaluations/${evaluation.id}/cancel`);
  const page = await client.get<{ samples: { row: { id: string; input: string } }[] }>(
    "/datasets/small/samples",
  );
  const { row } = page.samples[0]!;
  there = {
    "uploads/id": id,
    "answers/id": asked.id,
    "answers/name": "answer.mp4",
    "examples/id": "example-gift",
    "evaluations/id": evaluation.id,
    "reports/name": "judged",
    "reports/folder": "videos",
    "reports/file": "report.json",
    "runs/name": "first",
    "runs/other": "second",
    "runs/file": "log.jsonl",
    "studies/id": study.id,
    "studies/token": next.trial.token,
    "datasets/name": "small",
    "datasets/id": row.id,
    "datasets/path": row.input,
  };
  known = [...Object.values(there), `answer:${asked.id}`, "gift-1-video.png", "010.png", "nothing"];
});

/** A value for a place in a path that names something that is there. */
function placed(path: string, name: string): string | undefined {
  if (path.includes("{folder}/{file}") && name === "file") return "gift-1-video.png";
  if (path.includes("sheets/{file}") && name === "file") return "010.png";
  return there[`${path.split("/")[3]}/${name}`];
}

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
  /** By name; only such as the operation heeds. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends it and holds the answer against the description; its status. */
async function answerOf({ operation, parameters, body, headers }: Drawn): Promise<number | undefined> {
  // The clip that others ask about stays, and so do open streams of unfinished answers.
  if (operation.method === "DELETE" && known.includes(String(parameters[0])) && parameters[0] !== "nothing")
    return undefined;
  let path = operation.path;
  const query = new URLSearchParams();
  for (const [i, { name, in: place }] of operation.parameters.entries()) {
    const value = parameters[i];
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(String(value)));
    else if (place === "query" && value !== undefined) query.set(name, String(value));
  }
  const response = await fetch(`${client.url}${path}?${query}`, {
    method: operation.method,
    headers: { ...headers, ...(operation.body !== undefined && { "content-type": "application/json" }) },
    ...(operation.body !== undefined && { body: JSON.stringify(body) }),
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
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  if (schema && isJson) {
    const value: unknown = await response.json();
    const fits = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(value);
    expect(fits.success ? "" : `${operation.method} ${path}: ${z.prettifyError(fits.error)}`).toBe("");
  } else await response.body?.cancel();
  return response.status;
}

/** Ranges of all kinds, now and then of a file as it was before. */
const HEADERS = fc.record(
  {
    range: fc.oneof(
      fc.constantFrom("bytes=0-9", "bytes=-5", "bytes=0-0,-1", "bytes=9-1", "bytes=999999999-", "lines=1-2"),
      fc
        .string({ unit: fc.constantFrom(..."bytes=0123-, ".split("")), maxLength: 20 })
        .map((text) => text.trim()),
    ),
    "if-range": fc.constantFrom('"before"'),
    "if-none-match": fc.constantFrom('"before"', "*"),
  },
  { requiredKeys: [] },
);

describe("the API and its description", () => {
  it("says nothing that is not described, whatever is asked", async () => {
    const request = fc.constantFrom(...operations).chain((operation) =>
      fc.record({
        operation: fc.constant(operation),
        parameters: fc.tuple(
          ...operation.parameters.map(({ name, in: place, schema }) =>
            place === "path"
              ? fc.oneof(
                  { weight: 5, arbitrary: fc.constantFrom(placed(operation.path, name) ?? "nothing") },
                  { weight: 2, arbitrary: fc.constantFrom(...known, "input.mp4") },
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
        headers: operation.parameters.some(({ name }) => name === "range") ? HEADERS : fc.constant({}),
      }),
    );
    await fc.assert(
      fc.asyncProperty(request, async (drawn) => {
        await answerOf(drawn);
      }),
      { numRuns: 600 },
    );
    // What is there is told, by every operation that only looks.
    for (const operation of operations.filter(({ method }) => method === "GET")) {
      const values = { rater: "Ada", path: there["datasets/path"] } as const;
      const parameters = operation.parameters.map(({ name, in: place }) =>
        place === "path"
          ? placed(operation.path, name)
          : place === "query"
            ? values[name as keyof typeof values]
            : undefined,
      );
      expect(await answerOf({ operation, parameters, body: undefined }), operation.path).toBe(200);
    }
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
