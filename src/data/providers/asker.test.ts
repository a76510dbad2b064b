/** Limits, retries, repair, cache and budget against a stand-in over HTTP. @module */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { isVansError } from "../../base/errors.ts";
import { type StandInFaults, startStandIn } from "../testing/stand-in.ts";
import { Asker, type AskLimits } from "./asker.ts";
import { openaiProvider } from "./openai-provider.ts";
import { RequestCache, requestHash } from "./request-cache.ts";

let folder: string;
let number = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-asker-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const schema = z.object({ verdict: z.enum(["keep", "correct", "reject"]), reasons: z.array(z.string()) });
const request = (text: string) => ({
  task: "review" as const,
  item: text,
  system: "s",
  text,
  pictures: [],
  facts: {},
});

async function setUp(faults: StandInFaults, limits: AskLimits = {}, cacheName = `cache-${number++}`) {
  const stand = await startStandIn({ faults });
  const provider = await openaiProvider({
    name: "openai",
    baseUrl: stand.url,
    timeoutSecs: 3,
    price: { input: 1, output: 10 },
    environment: { OPENAI_API_KEY: "k" },
  });
  const cache = new RequestCache(join(folder, cacheName));
  return { stand, asker: new Asker(provider, cache, { backoffSecs: 0.01, ...limits }), cacheName };
}

describe("asking", () => {
  it.each(["timeout", "rateLimit", "serverError", "brokenBody"] as const)("gets over %s", async (fault) => {
    const { stand, asker } = await setUp({ [fault]: 100 });
    expect(await asker.ask(request("x"), schema)).toMatchObject({ kind: "answer", repaired: false });
    expect(stand.seen).toHaveLength(2);
    await stand.close();
  });

  it("repairs once, then sets aside; takes a refusal for an answer", async () => {
    for (const [fault, kind, requests] of [
      ["truncatedJson", "answer", 2],
      ["wrongSchema", "answer", 2],
      ["neverFits", "quarantine", 2],
      ["refusal", "refused", 1],
    ] as const) {
      const { stand, asker } = await setUp({ [fault]: 100 });
      expect(await asker.ask(request("x"), schema)).toMatchObject({ kind });
      expect(stand.seen, fault).toHaveLength(requests);
      await stand.close();
    }
  });

  it("takes a content filter's status for a refusal of the item, another 400 for the run's end", async () => {
    for (const [code, outcome] of [
      ["content_policy_violation", "refused"],
      ["invalid_image", "VANS_DATA_PROVIDER_REFUSED"],
    ]) {
      const server = createServer((_, response) => {
        response.writeHead(400, { "content-type": "application/json" });
        response.end(JSON.stringify({ error: { message: "declined", code } }));
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
      const provider = await openaiProvider({
        name: "openai",
        baseUrl,
        environment: { OPENAI_API_KEY: "k" },
      });
      const asker = new Asker(provider, new RequestCache(join(folder, `cache-${number++}`)));
      const asked = await asker.ask(request("x"), schema).catch((error: unknown) => error);
      expect(isVansError(asked) ? asked.code : (asked as { kind: string }).kind).toBe(outcome);
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  });

  it("asks once about two copies of a film, and counts what a dead process left unheard", async () => {
    const { stand, asker, cacheName } = await setUp({});
    await asker.ask({ ...request("same"), facts: { video: "film" } }, schema);
    await asker.ask({ ...request("same"), facts: { video: "copy" } }, schema);
    expect(stand.seen).toHaveLength(1);
    const cache = new RequestCache(join(folder, cacheName));
    const whole = { ...request("lost"), schema: z.toJSONSchema(schema) as Record<string, unknown> };
    await cache.markAsked(requestHash(asker.provider, whole));
    expect(await cache.lostRequests()).toBe(1);
    await asker.ask(request("lost"), schema);
    expect(await cache.lostRequests()).toBe(1);
    await stand.close();
  });

  it("asks nothing twice: at once, later, or by another process", async () => {
    const { stand, asker, cacheName } = await setUp({});
    await Promise.all([1, 2, 3].map(() => asker.ask(request("same"), schema)));
    expect(stand.seen).toHaveLength(1);
    await stand.close();
    const later = await setUp({}, {}, cacheName);
    expect(await later.asker.ask(request("same"), schema)).toMatchObject({ kind: "answer" });
    expect(later.stand.seen).toEqual([]);
    expect(later.asker.counts).toMatchObject({ asked: 0, fromCache: 1 });
    await later.stand.close();
  });

  it("stops at the budget, over all runs", async () => {
    // An answer of the stand-in costs 1000 tokens in at 1 USD and 100 out at 10 USD a million: 0.002 USD.
    const { stand, asker, cacheName } = await setUp({}, { budgetUsd: 0.0205, concurrency: 1 });
    const asked: string[] = [];
    const stopped = (async () => {
      for (let n = 0; n < 20; n++) {
        await asker.ask(request(`q${n}`), schema);
        asked.push(`q${n}`);
      }
    })();
    await expect(stopped).rejects.toSatisfy((error) => isVansError(error, "VANS_DATA_BUDGET_REACHED"));
    expect(asked.length).toBeGreaterThanOrEqual(6);
    expect(await asker.spentUsd()).toBeLessThanOrEqual(0.0205);
    await stand.close();
    const again = await setUp({}, { budgetUsd: 0.0205 }, cacheName);
    expect(await again.asker.spentUsd()).toBeCloseTo(0.002 * asked.length, 6);
    await again.stand.close();
  });

  it("gives up on a provider that is gone", async () => {
    const { stand, asker } = await setUp({}, { attempts: 2 });
    await stand.close();
    for (let n = 0; n < 4; n++)
      expect(await asker.ask(request(`q${n}`), schema)).toMatchObject({ kind: "quarantine" });
    await expect(asker.ask(request("q5"), schema)).rejects.toSatisfy((error) =>
      isVansError(error, "VANS_DATA_PROVIDER_UNAVAILABLE"),
    );
  });

  it("needs a key", async () => {
    await expect(openaiProvider({ name: "gemini", environment: {} })).rejects.toSatisfy((error) =>
      isVansError(error, "VANS_DATA_PROVIDER_KEY_MISSING"),
    );
  });
});
