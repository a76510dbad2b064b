/**
 * The page's side of the worker that answers.
 * @module
 */
import type { AnswerEvent } from "../src/answer/answer-event.ts";
import type { Ask, Failure, Reply, Request, Running } from "./messages.ts";

/** How a question ended. */
export type Outcome =
  | { readonly type: "done" }
  | { readonly type: "cancelled" }
  | { readonly type: "failed"; readonly failure: Failure };

/** A {@link Failure} that is thrown. */
export class FailureError extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** True where the runtime or the code failed, and not the clip or the question. */
export const isOfRuntime = ({ code }: Failure): boolean =>
  code.startsWith("VANS_RUNTIME") || code === "VANS_INTERNAL_BUG" || code === "VANS_PAGE";

/** One worker at a time; another backend needs another one. */
export class AnswerClient {
  #worker: Worker | undefined;
  #running: string | undefined;
  #onReply: (reply: Reply) => void = () => undefined;
  #stopStart: (() => void) | undefined;

  /** Fetches the suite and the runtime, unless they are there. */
  async start(running: Running, onLoading: (done: number, total: number) => void): Promise<void> {
    const { backend, threads } = running;
    const key = `${backend} ${threads}`;
    if (this.#worker && this.#running === key) return;
    this.#end();
    const worker = new Worker(new URL("./answer-worker.ts", import.meta.url), { type: "module" });
    this.#worker = worker;
    worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => this.#onReply(data));
    worker.addEventListener("error", (event) => {
      this.#onReply({
        type: "failed",
        stage: "start",
        failure: { code: "VANS_PAGE", message: event.message || "the worker could not start", fix: "reload the page" },
      });
    });
    try {
      await new Promise<void>((done, fail) => {
        this.#stopStart = () => fail(new FailureError({ code: "VANS_RUN_ABORTED", message: "Cancelled before the models were there." }));
        this.#onReply = (reply) => {
          if (reply.type === "loading") onLoading(reply.done, reply.total);
          else if (reply.type === "ready") done();
          else if (reply.type === "failed") fail(new FailureError(reply.failure));
        };
        this.#send({ type: "start", running, base: document.baseURI });
      });
      this.#running = key;
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      this.#stopStart = undefined;
    }
  }

  /** Asks; events come one by one. */
  ask(request: Ask, onEvent: (event: AnswerEvent) => void): Promise<Outcome> {
    return new Promise((done) => {
      this.#onReply = (reply) => {
        if (reply.type === "event") {
          onEvent(reply.event);
          if (reply.event.type === "done") done({ type: "done" });
        } else if (reply.type === "cancelled") done({ type: "cancelled" });
        else if (reply.type === "failed") {
          // A runtime that has failed once is not trusted with a second question.
          if (isOfRuntime(reply.failure)) this.#end();
          done({ type: "failed", failure: reply.failure });
        }
      };
      this.#send({ type: "ask", ...request });
    });
  }

  /** The last answer as an mp4. */
  save(): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly mediaType: string }> {
    return new Promise((done, fail) => {
      this.#onReply = (reply) => {
        if (reply.type === "saved") done(reply);
        else if (reply.type === "failed") fail(new FailureError(reply.failure));
      };
      this.#send({ type: "save" });
    });
  }

  /** Ends what is being done within one step. */
  cancel(): void {
    if (this.#stopStart) this.#stopStart();
    else this.#send({ type: "cancel" });
  }

  #send(request: Request): void {
    this.#worker?.postMessage(request);
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#running = undefined;
  }
}
