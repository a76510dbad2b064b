/**
 * Asks a provider under all limits: concurrency, rate, budget; waits and asks again where that may help; keeps every
 * answer; repairs an answer that does not fit once.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { throwIfAborted } from "../../base/abort.ts";
import { VansError } from "../../base/errors.ts";
import { type AskRequest, type Provider, type ProviderAnswer, TransientProviderError } from "./provider.ts";
import { type RequestCache, requestHash } from "./request-cache.ts";

/** Limits of an {@link Asker}. */
export interface AskLimits {
  /** Requests on their way at a time. Default 4. */
  readonly concurrency?: number | undefined;
  /** Requests begun in any minute. Default: no limit. */
  readonly requestsPerMinute?: number | undefined;
  /** Times that a request is tried before its item is set aside. Default 6. */
  readonly attempts?: number | undefined;
  /** First wait; doubles each time. Default 1. */
  readonly backoffSecs?: number | undefined;
  /** USD that all answers of the dataset together may cost. */
  readonly budgetUsd?: number | undefined;
}

/** What became of a request. */
export type Asked<T> =
  | { readonly kind: "answer"; readonly value: T; readonly repaired: boolean }
  | { readonly kind: "refused"; readonly reason: string }
  /** The answer fits no schema, or the provider could not be reached. */
  | { readonly kind: "quarantine"; readonly reason: string; readonly answers: readonly string[] };

/** What the asker did, for logs. */
export interface AskCounts {
  asked: number;
  fromCache: number;
  retried: number;
  repaired: number;
  inputTokens: number;
  outputTokens: number;
}

const MAX_WAIT_SECS = 60;
/** Items in a row whose every attempt failed: then it is the provider, not the item. */
const FAILURES_IN_A_ROW = 5;
/** Tokens of a picture; providers count 85 to 765, Gemini 258. */
const TOKENS_PER_PICTURE = 258;
const CHARACTERS_PER_TOKEN = 4;
/** What an answer takes at most in estimates. */
const ANSWER_TOKENS = 600;

/** Tokens of a request, estimated. */
export function estimateTokens(request: AskRequest): { readonly input: number; readonly output: number } {
  const characters = request.system.length + request.text.length + JSON.stringify(request.schema).length;
  return {
    input: Math.ceil(characters / CHARACTERS_PER_TOKEN) + request.pictures.length * TOKENS_PER_PICTURE,
    output: ANSWER_TOKENS,
  };
}

/** USD of tokens at a provider's price; 0 where it has none. */
export function costUsd(
  provider: Pick<Provider, "price">,
  tokens: { input: number; output: number },
): number {
  const { price } = provider;
  return price === undefined ? 0 : (tokens.input * price.input + tokens.output * price.output) / 1e6;
}

/** Asks, within limits. One for a run. */
export class Asker {
  readonly provider: Provider;
  readonly counts: AskCounts = {
    asked: 0,
    fromCache: 0,
    retried: 0,
    repaired: 0,
    inputTokens: 0,
    outputTokens: 0,
  };
  readonly #cache: RequestCache;
  readonly #limits: AskLimits;
  readonly #signal: AbortSignal | undefined;
  readonly #waiting: (() => void)[] = [];
  readonly #underway = new Map<string, Promise<ProviderAnswer | undefined>>();
  #running = 0;
  #begun: number[] = [];
  #spentUsd: Promise<number> | undefined;
  #extraUsd = 0;
  #reservedUsd = 0;
  #failuresInARow = 0;

  constructor(
    provider: Provider,
    cache: RequestCache,
    options: AskLimits & { readonly signal?: AbortSignal | undefined } = {},
  ) {
    this.provider = provider;
    this.#cache = cache;
    this.#limits = options;
    this.#signal = options.signal;
    if (options.budgetUsd !== undefined && provider.price === undefined && provider.name !== "local") {
      throw new VansError("VANS_DATA_PRICE_UNKNOWN", `a budget needs the price of ${provider.model}`, {
        asked: `at most ${options.budgetUsd} USD`,
        fix: "give it in USD per million tokens, input and output: --price 0.3,2.5",
      });
    }
  }

  /** USD spent so far on the dataset, by the answers that are kept. */
  async spentUsd(): Promise<number> {
    this.#spentUsd ??= (async () => {
      let spent = 0;
      if (this.provider.price === undefined) return 0;
      for await (const { answer } of this.#cache.entries())
        spent += costUsd(this.provider, { input: answer.inputTokens, output: answer.outputTokens });
      return spent;
    })();
    return (await this.#spentUsd) + this.#extraUsd;
  }

  /**
   * Asks for an answer of a schema.
   *
   * @throws VansError `VANS_DATA_BUDGET_REACHED`, `VANS_DATA_PROVIDER_UNAVAILABLE`, `VANS_DATA_PROVIDER_REFUSED`,
   * `VANS_RUN_ABORTED`
   */
  async ask<T>(request: Omit<AskRequest, "schema">, schema: z.ZodType<T>): Promise<Asked<T>> {
    const whole: AskRequest = { ...request, schema: z.toJSONSchema(schema) as Record<string, unknown> };
    const first = await this.#answer(whole);
    if (first === undefined)
      return { kind: "quarantine", reason: "the provider could not be reached", answers: [] };
    if (isRefusal(first)) return { kind: "refused", reason: first.text.trim().slice(0, 300) };
    const parsed = parseAnswer(first.text, schema);
    if (parsed.value !== undefined) return { kind: "answer", value: parsed.value, repaired: false };
    const second = await this.#answer({ ...whole, repair: { answer: first.text, fault: parsed.fault } });
    const answers = [first.text];
    if (second === undefined)
      return { kind: "quarantine", reason: "the provider could not be reached", answers };
    if (isRefusal(second)) return { kind: "refused", reason: second.text.trim().slice(0, 300) };
    const again = parseAnswer(second.text, schema);
    if (again.value !== undefined) {
      this.counts.repaired++;
      return { kind: "answer", value: again.value, repaired: true };
    }
    return {
      kind: "quarantine",
      reason: `the answer fits no schema: ${again.fault}`,
      answers: [...answers, second.text],
    };
  }

  /** An answer out of the cache or from the provider; undefined where all attempts failed. */
  async #answer(request: AskRequest): Promise<ProviderAnswer | undefined> {
    const hash = requestHash(this.provider, request);
    const kept = await this.#cache.get(hash);
    if (kept !== undefined) {
      this.counts.fromCache++;
      return kept;
    }
    // The same request twice at once is asked once.
    const underway = this.#underway.get(hash);
    if (underway !== undefined) return underway;
    const answer = this.#slot(() => this.#fetch(hash, request)).finally(() => this.#underway.delete(hash));
    this.#underway.set(hash, answer);
    return answer;
  }

  async #slot<T>(work: () => Promise<T>): Promise<T> {
    const limit = Math.max(1, this.#limits.concurrency ?? 4);
    while (this.#running >= limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #fetch(hash: string, request: AskRequest): Promise<ProviderAnswer | undefined> {
    const attempts = Math.max(1, this.#limits.attempts ?? 6);
    const reserved = costUsd(this.provider, estimateTokens(request));
    await this.#reserve(reserved);
    try {
      let last: unknown;
      for (let attempt = 0; attempt < attempts; attempt++) {
        await this.#rate();
        throwIfAborted(this.#signal);
        try {
          await this.#cache.markAsked(hash);
          this.counts.asked++;
          const answer = await this.provider.ask(request, this.#signal);
          await this.#cache.put(
            hash,
            request,
            { provider: this.provider.name, model: this.provider.model },
            answer,
          );
          this.counts.inputTokens += answer.inputTokens;
          this.counts.outputTokens += answer.outputTokens;
          this.#extraUsd += costUsd(this.provider, {
            input: answer.inputTokens,
            output: answer.outputTokens,
          });
          this.#failuresInARow = 0;
          return answer;
        } catch (error) {
          throwIfAborted(this.#signal);
          if (!(error instanceof TransientProviderError)) throw error;
          last = error;
          this.counts.retried++;
          const wait = error.waitSecs ?? (this.#limits.backoffSecs ?? 1) * 2 ** attempt;
          if (attempt + 1 < attempts) await this.#sleep(Math.min(MAX_WAIT_SECS, wait));
        }
      }
      this.#failuresInARow++;
      if (this.#failuresInARow >= FAILURES_IN_A_ROW) {
        throw new VansError("VANS_DATA_PROVIDER_UNAVAILABLE", "the provider answers nothing any more", {
          found: `${this.#failuresInARow} requests in a row failed ${attempts} times each; last: ${last instanceof Error ? last.message : String(last)}`,
          fix: "run the same command again later; it goes on from here",
          cause: last,
        });
      }
      return undefined;
    } finally {
      this.#reservedUsd -= reserved;
    }
  }

  async #reserve(usd: number): Promise<void> {
    const budget = this.#limits.budgetUsd;
    if (budget === undefined) return;
    const spent = await this.spentUsd();
    if (spent + this.#reservedUsd + usd > budget) {
      throw new VansError("VANS_DATA_BUDGET_REACHED", "the budget does not allow another request", {
        asked: `at most ${budget} USD`,
        found: `${spent.toFixed(4)} USD spent, ${(this.#reservedUsd + usd).toFixed(4)} USD for requests on their way and the next one`,
        fix: "run the same command again with a higher --budget; nothing is asked twice",
      });
    }
    this.#reservedUsd += usd;
  }

  async #rate(): Promise<void> {
    const limit = this.#limits.requestsPerMinute;
    if (limit === undefined) return;
    while (true) {
      const now = performance.now();
      this.#begun = this.#begun.filter((time) => now - time < 60_000);
      if (this.#begun.length < limit) {
        this.#begun.push(now);
        return;
      }
      await this.#sleep((60_000 - (now - this.#begun[0]!)) / 1000 + 0.01);
    }
  }

  async #sleep(secs: number): Promise<void> {
    const options = this.#signal === undefined ? {} : { signal: this.#signal };
    await sleep(secs * 1000, undefined, options).catch(() => throwIfAborted(this.#signal));
  }
}

/** Phrases with which models decline in plain text instead of JSON. */
const REFUSAL =
  /^\s*(?:i['’]?m sorry|sorry|i apologi[sz]e|i can(?:no|['’]?)t|i(?: am|['’]m) (?:unable|not able)|as an ai|i won['’]?t)\b/i;

function isRefusal(answer: ProviderAnswer): boolean {
  return answer.refused || REFUSAL.test(answer.text);
}

/** The JSON object of an answer, checked; models like to wrap it in prose or fences. */
function parseAnswer<T>(text: string, schema: z.ZodType<T>): { value?: T; fault: string } {
  const start = text.indexOf("{");
  const end = text.lastIndexOf("}");
  if (start < 0 || end <= start) return { fault: "it holds no JSON object" };
  let json: unknown;
  try {
    json = JSON.parse(text.slice(start, end + 1));
  } catch (error) {
    return { fault: `its JSON cannot be read (${error instanceof Error ? error.message : String(error)})` };
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return { value: parsed.data, fault: "" };
  const issues = parsed.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join(".") || "it"}: ${issue.message}`);
  return { fault: issues.join("; ") };
}
