/**
 * Who a client is, and how often it may write.
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { HttpError } from "./http-error.ts";

/** The cookie of browsers that have signed in. */
export const SESSION_COOKIE = "vans_session";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
const isEqual = (one: string, other: string): boolean => timingSafeEqual(digest(one), digest(other));

/** What the cookie holds: nothing from which the token could be told. */
export function sessionOfToken(token: string): string {
  return digest(`vans session ${token}`).toString("hex");
}

/** Looks for a token, or for the cookie of one. @returns a name for it that tells nothing about it */
export function clientOfRequest(headers: Headers, tokens: readonly string[]): string | undefined {
  const given = /^Bearer (.+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  const session = new RegExp(`(?:^|;\\s*)${SESSION_COOKIE}=([0-9a-f]{64})(?:;|$)`).exec(
    headers.get("cookie") ?? "",
  )?.[1];
  for (const token of tokens)
    if (
      (given !== undefined && isEqual(given, token)) ||
      (session !== undefined && isEqual(session, sessionOfToken(token)))
    )
      return `token-${digest(token).toString("hex").slice(0, 12)}`;
  return undefined;
}

/** As {@link clientOfRequest}. @throws a 401 where there is none */
export function requireToken(headers: Headers, tokens: readonly string[]): string {
  const client = clientOfRequest(headers, tokens);
  if (client !== undefined) return client;
  const given = headers.get("authorization") ?? undefined;
  throw new HttpError(401, "VANS_SERVE_UNAUTHORIZED", "this server asks for a token", {
    found: given === undefined ? "no token" : "a token that it does not know",
    fix: "sign in on a page of the studio, or send Authorization: Bearer TOKEN with one of the tokens that the server was started with",
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
