/**
 * Who a client is, and how often it may write.
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { HttpError } from "./http-error.ts";

/** Checks `Authorization: Bearer …`. @returns a name for the token that tells nothing about it. @throws a 401 */
export function clientOfToken(header: string | undefined, tokens: readonly string[]): string {
  const given = /^Bearer (.+)$/i.exec(header ?? "")?.[1];
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  if (given !== undefined) {
    const mine = digest(given);
    for (const token of tokens)
      if (timingSafeEqual(mine, digest(token))) return `token-${mine.toString("hex").slice(0, 12)}`;
  }
  throw new HttpError(401, "VANS_SERVE_UNAUTHORIZED", "this server asks for a token", {
    found: given === undefined ? "no bearer token" : "a token that it does not know",
    fix: "send Authorization: Bearer TOKEN with one of the tokens that the server was started with",
    headers: { "www-authenticate": "Bearer" },
  });
}

/** Buckets of clients that have not written for so long are dropped. */
const FORGET_MS = 120_000;

/** A bucket of writes for each client that fills up again over a minute. */
export class WriteLimits {
  readonly #perMinute: number;
  readonly #buckets = new Map<string, { left: number; at: number }>();

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** Takes one write. @throws a 429 */
  take(client: string, nowMs = performance.now()): void {
    for (const [name, bucket] of this.#buckets) if (nowMs - bucket.at > FORGET_MS) this.#buckets.delete(name);
    const bucket = this.#buckets.get(client) ?? { left: this.#perMinute, at: nowMs };
    bucket.left = Math.min(this.#perMinute, bucket.left + ((nowMs - bucket.at) / 60_000) * this.#perMinute);
    bucket.at = nowMs;
    this.#buckets.set(client, bucket);
    if (bucket.left < 1) {
      const waitSecs = Math.ceil(((1 - bucket.left) * 60) / this.#perMinute);
      throw new HttpError(429, "VANS_SERVE_TOO_MANY_REQUESTS", "too many requests in a short time", {
        found: `more than ${this.#perMinute} a minute`,
        fix: `wait ${waitSecs} s`,
        headers: { "retry-after": String(waitSecs) },
      });
    }
    bucket.left--;
  }
}
