/**
 * A server in a folder of its own, and the few requests that most tests make.
 * @module
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type RunningServer, type ServeOptions, startServer } from "../../src/serve/index.ts";

export const CLIP = fileURLToPath(new URL("../../examples/clips/gift.mp4", import.meta.url));

/** What tests read of an answer. */
export interface AnswerBody {
  readonly id: string;
  readonly state: string;
  readonly position: number | null;
  readonly result: {
    readonly caption: string;
    readonly reasoning: string;
    readonly files: { readonly answer: readonly string[]; readonly input: string; readonly json: string };
    readonly settings: { readonly seed: number };
  } | null;
  readonly error: { readonly code: string } | null;
  readonly request: { readonly question: string; readonly seed?: number };
}

/** A server that tests talk to. */
export class TestServer {
  readonly folder: string;
  #server: RunningServer;
  readonly #options: ServeOptions;

  private constructor(folder: string, server: RunningServer, options: ServeOptions) {
    this.folder = folder;
    this.#server = server;
    this.#options = options;
  }

  static async start(options: ServeOptions = {}): Promise<TestServer> {
    const folder = await mkdtemp(join(tmpdir(), "vans-serve-"));
    const full = {
      port: 0,
      workers: 1,
      data: folder,
      runs: folder,
      reports: folder,
      datasets: folder,
      graceSecs: 0,
      ...options,
    };
    return new TestServer(folder, await startServer(full), full);
  }

  get url(): string {
    return this.#server.url;
  }

  /** Stops and starts again on the same folder. */
  async restart(): Promise<void> {
    await this.#server.close();
    this.#server = await startServer(this.#options);
  }

  async close(): Promise<void> {
    await this.#server.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      method,
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  async json<T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<T> {
    return (await (await this.call(method, path, body, headers)).json()) as T;
  }

  async upload(bytes?: Uint8Array, name = "clip.mp4"): Promise<Response> {
    return fetch(`${this.url}/api/v1/uploads`, {
      method: "POST",
      headers: { "x-file-name": encodeURIComponent(name) },
      body: new Uint8Array(bytes ?? (await readFile(CLIP))),
    });
  }

  /** Waits for an answer to end. */
  async ended(id: string): Promise<AnswerBody> {
    for (;;) {
      const answer = await this.json<AnswerBody>("GET", `/api/v1/answers/${id}`);
      if (!["queued", "running"].includes(answer.state)) return answer;
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  /** All events of an answer after an id, until the stream ends. */
  async events(
    id: string,
    after?: number,
  ): Promise<{ readonly id: number; readonly event: string; readonly data: unknown }[]> {
    const response = await this.call("GET", `/api/v1/answers/${id}/events`, undefined, {
      ...(after !== undefined && { "last-event-id": String(after) }),
    });
    return (await response.text())
      .split("\n\n")
      .filter((block) => block.includes("data: "))
      .map((block) => {
        const field = (name: string): string => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1] ?? "";
        return { id: Number(field("id")), event: field("event"), data: JSON.parse(field("data")) as unknown };
      });
  }

  /** A request whose path, headers and length are sent as they are. */
  raw(options: {
    readonly path: string;
    readonly method?: string;
    readonly headers?: Record<string, string>;
    readonly send?: Uint8Array;
    /** Milliseconds after which the connection is dropped from here. */
    readonly giveUpMs?: number;
  }): Promise<{ readonly status: number; readonly text: string }> {
    const { hostname, port } = new URL(this.url);
    return new Promise((done, fail) => {
      const sent = request(
        { hostname, port, path: options.path, method: options.method ?? "GET", headers: options.headers },
        (response) => {
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (piece: string) => {
            text += piece;
          });
          response.on("end", () => {
            sent.destroy();
            done({ status: response.statusCode ?? 0, text });
          });
        },
      );
      sent.on("error", fail);
      if (options.giveUpMs !== undefined)
        setTimeout(() => sent.destroy(new Error("gave up")), options.giveUpMs);
      if (options.send) sent.write(options.send);
      else sent.end();
    });
  }
}
