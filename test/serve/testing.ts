/**
 * A server with a tiny suite, and what its clients do, for tests.
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeRandomSuite } from "../../src/answer/testing/random-suite.ts";
import { type RunningServer, type ServeOptions, startServer } from "../../src/serve/index.ts";

/** The package's folder. */
export const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));

/** One server-sent event. */
export interface SentEvent {
  readonly id: number;
  readonly name: string;
  readonly data: Record<string, unknown>;
}

/** An answer, as far as tests look at it. */
export interface TestAnswer {
  readonly id: string;
  readonly state: string;
  readonly position: number | null;
  readonly request: { readonly question: string; readonly seed?: number };
  readonly result: {
    readonly caption: string;
    readonly settings: { readonly seed: number };
    readonly warnings: readonly { readonly code: string }[];
    readonly files: { readonly answer: readonly string[]; readonly sheet: string; readonly json: string };
  } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly parent: string | null;
}

/** A client of a server. */
export class Client {
  readonly url: string;
  readonly #token: string | undefined;

  constructor(url: string, token?: string) {
    this.url = url;
    this.#token = token;
  }

  /** A request; `path` begins after `/api/v1` unless it is one of the server's own. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const full = /^\/(api|healthz|metrics|openapi|docs|ask)/.test(path) ? path : `/api/v1${path}`;
    const headers = new Headers(init.headers);
    if (this.#token !== undefined) headers.set("authorization", `Bearer ${this.#token}`);
    return fetch(this.url + full, { ...init, headers });
  }

  async get<T>(path: string): Promise<T> {
    return (await this.fetch(path)).json() as Promise<T>;
  }

  /** A JSON body; the status comes with the answer. */
  async post<T>(path: string, body?: unknown): Promise<{ readonly status: number; readonly body: T }> {
    const response = await this.fetch(path, {
      method: "POST",
      ...(body !== undefined && {
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }),
    });
    return { status: response.status, body: (await response.json()) as T };
  }

  async upload(
    bytes: Uint8Array,
    name = "clip.mp4",
  ): Promise<{ readonly status: number; readonly body: { id: string; error?: { code: string } } }> {
    const response = await this.fetch("/uploads", {
      method: "POST",
      headers: { "x-file-name": encodeURIComponent(name), "content-type": "application/octet-stream" },
      body: bytes as Uint8Array<ArrayBuffer>,
    });
    return { status: response.status, body: (await response.json()) as { id: string } };
  }

  /** Follows an answer to its end, or until `until` says so. */
  async events(
    id: string,
    options: { readonly after?: number; until?(event: SentEvent): boolean } = {},
  ): Promise<SentEvent[]> {
    const response = await this.fetch(`/answers/${id}/events`, {
      headers: { "last-event-id": String(options.after ?? 0) },
    });
    const events: SentEvent[] = [];
    if (response.status === 204) return events;
    let rest = "";
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return events;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop()!;
      for (const block of blocks) {
        const field = (name: string): string => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1] ?? "";
        if (field("event") === "") continue;
        const event = {
          id: Number(field("id")),
          name: field("event"),
          data: JSON.parse(field("data")) as Record<string, unknown>,
        };
        events.push(event);
        if (options.until?.(event)) {
          await reader.cancel();
          return events;
        }
      }
    }
  }

  /** Asks and waits. */
  async answered(request: object): Promise<TestAnswer> {
    const { status, body } = await this.post<TestAnswer>("/answers", request);
    if (status !== 202) throw new Error(`${status}: ${JSON.stringify(body)}`);
    await this.events(body.id);
    return this.get<TestAnswer>(`/answers/${body.id}`);
  }
}

/** A folder with a tiny suite in it. */
export async function testFolder(): Promise<{
  readonly folder: string;
  readonly suite: string;
  remove(): Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), "vans-serve-"));
  const suite = await writeRandomSuite(join(folder, "random"));
  return { folder, suite, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** A server in this process. */
export async function testServer(
  options: ServeOptions & { readonly folder: string; readonly suite: string },
): Promise<{ readonly server: RunningServer; readonly client: Client }> {
  const { folder, ...rest } = options;
  const server = await startServer({
    port: 0,
    data: join(folder, "data"),
    runs: join(folder, "runs"),
    reports: join(folder, "reports"),
    datasets: join(folder, "datasets"),
    workers: 1,
    graceSecs: 0,
    ...rest,
  });
  return { server, client: new Client(server.url, options.tokens?.[0]) };
}

/** A server in a process of its own, which can be killed. */
export async function serverProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly child: ChildProcess; readonly url: string; ended(): Promise<number | null> }> {
  const child = spawn(
    process.execPath,
    ["--import", "tsx", "src/cli/main.ts", "serve", "--port", "0", ...args],
    {
      cwd: PACKAGE,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const end = new Promise<number | null>((done) => child.once("exit", done));
  const url = await new Promise<string>((done, fail) => {
    let text = "";
    child.stdout!.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
      const found = /Studio: (http\S+)\/ask/.exec(text)?.[1];
      if (found !== undefined) done(found);
    });
    void end.then((code) => fail(new Error(`the server ended with ${code}: ${text}`)));
  });
  return { child, url, ended: () => end };
}

/** A bundled clip. */
export async function exampleBytes(name: string): Promise<Buffer> {
  return readFile(join(PACKAGE, "examples/clips", name));
}

/** The 99th percentile. */
export function percentile99(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))]!;
}
