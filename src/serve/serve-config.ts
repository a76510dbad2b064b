/**
 * Settings of a server, with what is sane for one person on one machine.
 * @module
 */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { VansError } from "../base/errors.ts";

/** What may be set. */
export interface ServeOptions {
  /** Default 4280; 0 takes any free one. */
  readonly port?: number | undefined;
  /** Address to bind to. Default 127.0.0.1: nobody else can reach it. */
  readonly host?: string | undefined;
  /** Suite of answers that name none. Default `playroom`. */
  readonly suite?: string | undefined;
  /** Answers at a time, each in a thread of its own. Default half the cores, at least 1. */
  readonly workers?: number | undefined;
  /** Where uploads, answers, studies and the queue are kept. Default `vans-data`. */
  readonly data?: string | undefined;
  /** Run folders of `vans train`. Default `runs`. */
  readonly runs?: string | undefined;
  /** Reports of `vans evaluate`, searched two levels deep. Default `out`. */
  readonly reports?: string | undefined;
  /** Datasets of `vans data` and `vans world make`, searched two levels deep. Default `out`. */
  readonly datasets?: string | undefined;
  /** Bearer tokens, one a client; with none, everybody who can reach the address may use it. */
  readonly tokens?: readonly string[] | undefined;
  /** Largest upload in bytes. Default 200 MB. */
  readonly maxUploadBytes?: number | undefined;
  /** Longest clip in seconds. Default 600. */
  readonly maxClipSecs?: number | undefined;
  /** Most pixels of a frame. Default 4096 x 2304. */
  readonly maxPixels?: number | undefined;
  /** Unfinished answers and evaluations a client may have. Default 256 on an address that only this machine reaches, else 32. */
  readonly maxClientJobs?: number | undefined;
  /** Writing requests a client may make a minute. Default 2400 on an address that only this machine reaches, else 240. */
  readonly maxWritesPerMinute?: number | undefined;
  /** Seconds that a request may take to arrive. Default 600. */
  readonly requestSecs?: number | undefined;
  /** Seconds that a running answer may still take when the server is told to stop. Default 20. */
  readonly graceSecs?: number | undefined;
}

/** All settings, filled in. */
export type ServeConfig = {
  readonly [Name in keyof ServeOptions]-?: Exclude<ServeOptions[Name], undefined>;
};

/** Fills in defaults. @throws `VANS_SERVE_CONFIG` */
export function serveConfig(options: ServeOptions = {}): ServeConfig {
  const host = options.host ?? "127.0.0.1";
  // Without a network between, all clients are one person's.
  const isOwn = isLoopback(host);
  const config: ServeConfig = {
    port: options.port ?? 4280,
    host,
    suite: options.suite ?? "playroom",
    workers: options.workers ?? Math.max(1, Math.floor(availableParallelism() / 2)),
    data: resolve(options.data ?? "vans-data"),
    runs: resolve(options.runs ?? "runs"),
    reports: resolve(options.reports ?? "out"),
    datasets: resolve(options.datasets ?? "out"),
    tokens: options.tokens ?? [],
    maxUploadBytes: options.maxUploadBytes ?? 200e6,
    maxClipSecs: options.maxClipSecs ?? 600,
    maxPixels: options.maxPixels ?? 4096 * 2304,
    maxClientJobs: options.maxClientJobs ?? (isOwn ? 256 : 32),
    maxWritesPerMinute: options.maxWritesPerMinute ?? (isOwn ? 2400 : 240),
    requestSecs: options.requestSecs ?? 600,
    graceSecs: options.graceSecs ?? 20,
  };
  if (config.tokens.some((token) => token.length < 16))
    throw new VansError("VANS_SERVE_CONFIG", "a bearer token is too short to be a secret", {
      found: "a token of less than 16 characters",
      fix: "make one with: openssl rand -hex 24",
    });
  return config;
}

/** True for addresses that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127\./.test(host);
}
