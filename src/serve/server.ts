/**
 * A server: everything put together, started and stopped.
 * @module
 */
import { setMaxListeners } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import { VansError } from "../base/errors.ts";
import { closeCodecProcesses } from "../media/index.ts";
import { Answers } from "./answers.ts";
import { makeApp } from "./app.ts";
import { EventLog } from "./event-log.ts";
import { readExamples } from "./examples.ts";
import { JobQueue } from "./job-queue.ts";
import { JobStore } from "./job-store.ts";
import { ROUTE_MAKERS } from "./routes/index.ts";
import { type ServeConfig, type ServeOptions, serveConfig } from "./serve-config.ts";
import type { ServerContext } from "./server-context.ts";
import { ServerMetrics } from "./server-metrics.ts";
import { readStudio } from "./studio-files.ts";
import { Uploads } from "./uploads.ts";

/** How often connections are looked at that are slow to say what they want. */
const CHECK_MS = 2000;

/** How long a connection may lie idle between two requests. */
const KEEP_ALIVE_MS = 65_000;

/** A running server. */
export interface RunningServer {
  readonly url: string;
  readonly config: ServeConfig;
  /** Takes no more requests, lets running answers end for a while, keeps the rest in the queue. */
  close(): Promise<void>;
}

/**
 * Starts a server.
 *
 * @throws `VANS_SERVE_CONFIG`, `VANS_SERVE_DATA_IN_USE`, `VANS_SERVE_DATA_UNWRITABLE`, `VANS_SERVE_PORT_IN_USE`
 *
 * @example
 * ```ts
 * import { startServer } from "vans/serve";
 * const server = await startServer({ port: 0, data: "out/doc-server" });
 * const { status } = await (await fetch(`${server.url}/healthz`)).json();
 * status; // => "ok"
 * await server.close();
 * ```
 */
export async function startServer(options: ServeOptions = {}): Promise<RunningServer> {
  const config = serveConfig(options);
  const store = new JobStore(config.data);
  const metrics = new ServerMetrics(() => store);
  const closing = new AbortController();
  // Every open stream of events listens.
  setMaxListeners(0, closing.signal);
  const hooks: (() => Promise<void> | void)[] = [];
  try {
    const events = new EventLog((job) => join(config.data, "answers", job, "events.ndjson"));
    const uploads = new Uploads(config, store);
    await uploads.clean();
    const examples = await readExamples();
    const queue = new JobQueue({
      store,
      events,
      folder: config.data,
      onEnd: (kind, state, secs) => metrics.job(kind, state, secs),
    });
    const answers = new Answers({
      config,
      store,
      events,
      queue,
      clipPath: (id) => {
        if (id.startsWith("answer:")) return answerVideo(config, store, id.slice("answer:".length));
        return examples.find((example) => example.id === id)?.path ?? uploads.pathOf(uploads.get(id).id);
      },
    });
    const context: ServerContext = {
      config,
      store,
      queue,
      events,
      uploads,
      answers,
      examples,
      closing: closing.signal,
      onClose: (hook) => hooks.push(hook),
    };
    const app = makeApp({
      config,
      routes: ROUTE_MAKERS.flatMap((make) => make(context)),
      metrics,
      studio: await readStudio(),
      peerOf: (request: Context) => (request.env as HttpBindings).incoming.socket.remoteAddress ?? "unknown",
    });
    const http = await listen(
      createServer({ connectionsCheckingInterval: CHECK_MS }, getRequestListener(app.fetch)),
      config,
    );
    queue.start();
    const { port } = http.address() as AddressInfo;
    const host = config.host.includes(":") ? `[${config.host}]` : config.host;
    let closed: Promise<void> | undefined;
    return {
      url: `http://${host}:${port}`,
      config,
      close: () => {
        closed ??= (async () => {
          const stopped = new Promise<void>((done) => http.close(() => done()));
          await queue.close(config.graceSecs);
          closing.abort();
          await Promise.allSettled(hooks.map(async (hook) => hook()));
          await uploads.close();
          http.closeIdleConnections();
          setTimeout(() => http.closeAllConnections(), 1000).unref();
          await stopped;
          await events.flush();
          await closeCodecProcesses();
          metrics.close();
          store.close();
        })();
        return closed;
      },
    };
  } catch (error) {
    metrics.close();
    store.close();
    throw error;
  }
}

/** The first video of a finished answer. */
function answerVideo(config: ServeConfig, store: JobStore, id: string): string {
  const files = (store.get(id)?.result as { readonly files?: { readonly answer?: string[] } } | null)?.files;
  return join(config.data, "answers", id, files?.answer?.[0]?.split("/").at(-1) ?? "answer.mp4");
}

async function listen(http: Server, config: ServeConfig): Promise<Server> {
  // A client that sends a byte a minute must not hold a connection for ever.
  http.requestTimeout = config.requestSecs * 1000;
  http.headersTimeout = Math.min(15_000, config.requestSecs * 1000);
  // Node's five seconds are over before a client on a busy machine has looked at its answer: its next request meets a
  // connection that is being closed.
  http.keepAliveTimeout = KEEP_ALIVE_MS;
  http.maxHeadersCount = 100;
  http.maxConnections = 2000;
  await new Promise<void>((done, fail) => {
    http.once("error", (cause: NodeJS.ErrnoException) => {
      fail(
        new VansError("VANS_SERVE_PORT_IN_USE", "the server cannot listen at this address", {
          asked: `${config.host}:${config.port}`,
          found: cause.code ?? cause.message,
          fix: "choose another --port (0 takes a free one), or stop what uses it",
          cause,
        }),
      );
    });
    http.listen(config.port, config.host, () => done());
  });
  return http;
}
