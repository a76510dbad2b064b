/**
 * A provider for tests that speaks the OpenAI protocol on this machine and misbehaves on purpose: time-outs, 429, 500,
 * bodies that break off, JSON that breaks off, wrong schemas, refusals. What a request gets depends on its content and
 * on how often it was asked, so that a run that was killed sees the same world as one that was not.
 * @module
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Misbehaviours, and how often of 100 requests each is drawn. */
export interface StandInFaults {
  /** The first time only; then an answer. */
  readonly timeout?: number;
  readonly rateLimit?: number;
  readonly serverError?: number;
  readonly brokenBody?: number;
  /** Until the repair. */
  readonly truncatedJson?: number;
  readonly wrongSchema?: number;
  /** For good. */
  readonly refusal?: number;
  readonly neverFits?: number;
}

/** A request that was seen. */
export interface SeenRequest {
  readonly hash: string;
  readonly task: string;
  /** 200 where a whole answer was sent. */
  readonly status: number;
}

/** Writes the answer to a task. */
export type StandInAnswer = (task: string, text: string) => unknown;

/** A running stand-in. */
export interface StandIn {
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  close(): Promise<void>;
}

/** Starts a stand-in. */
export async function startStandIn(
  options: {
    readonly faults?: StandInFaults;
    readonly answer?: StandInAnswer;
    readonly delayMs?: number;
  } = {},
): Promise<StandIn> {
  const { faults = {}, answer = plainAnswer, delayMs = 0 } = options;
  const seen: SeenRequest[] = [];
  const times = new Map<string, number>();
  const server = createServer((request, response) => {
    void serve(request, response);
  });
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    const body = JSON.parse(Buffer.concat(pieces).toString("utf8")) as {
      messages: { role: string; content: string | { type: string; text?: string }[] }[];
      response_format: { json_schema: { name: string } };
    };
    const hash = createHash("sha256").update(JSON.stringify(body)).digest("hex");
    const task = body.response_format.json_schema.name;
    const user = body.messages[1]!.content;
    const text = typeof user === "string" ? user : (user[0]?.text ?? "");
    const isRepair = body.messages.length > 2;
    // Drawn by the first request's content, so that a repair knows what it repairs.
    const first = createHash("sha256")
      .update(JSON.stringify(body.messages.slice(0, 2)))
      .digest();
    const time = (times.get(hash) ?? 0) + 1;
    times.set(hash, time);
    const fault = draw(faults, first.readUInt32LE(0) % 100);
    const note = (status: number): void => {
      seen.push({ hash, task, status });
    };
    const send = (content: string | null, more: object = {}): void => {
      note(200);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(
        JSON.stringify({
          id: "stand-in",
          object: "chat.completion",
          created: 0,
          model: "stand-in",
          choices: [
            {
              index: 0,
              finish_reason: "stop",
              message: { role: "assistant", content, refusal: null, ...more },
            },
          ],
          usage: { prompt_tokens: 1000, completion_tokens: 100, total_tokens: 1100 },
        }),
      );
    };
    const good = JSON.stringify(answer(task, text));
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    if (!isRepair && time === 1) {
      if (fault === "timeout") return note(0);
      if (fault === "rateLimit" || fault === "serverError") {
        const status = fault === "rateLimit" ? 429 : 500;
        note(status);
        response.writeHead(status, { "content-type": "application/json", "retry-after": "0.01" });
        response.end(JSON.stringify({ error: { message: fault } }));
        return;
      }
      if (fault === "brokenBody") {
        note(-1);
        response.writeHead(200, { "content-type": "application/json" });
        response.end('{"id":"stand-in","choices":[{"mess');
        return;
      }
    }
    if (fault === "truncatedJson" && !isRepair) return send(good.slice(0, Math.floor(good.length / 2)));
    if (fault === "wrongSchema" && !isRepair) return send('{"something":"else"}');
    if (fault === "neverFits") return send('{"never":"fits"}');
    if (fault === "refusal") return send(null, { refusal: "I cannot help with that." });
    send(good);
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

function draw(faults: StandInFaults, number: number): keyof StandInFaults | undefined {
  let below = 0;
  for (const [name, share] of Object.entries(faults)) {
    below += share ?? 0;
    if (number < below) return name as keyof StandInFaults;
  }
  return undefined;
}

/** Sensible answers that leak nothing. */
function plainAnswer(task: string, text: string): unknown {
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 6);
  switch (task) {
    case "select":
      return { choice: 0, quality: 0.9, match: 0.8, description: "something is done", reason: "clear" };
    case "annotate":
      return {
        samples: [
          {
            question: "What should I do now?",
            reasoning: "The part is ready, so the following part is due.",
            caption: `the object of number ${digest} is moved to the left`,
          },
        ],
        reject: null,
      };
    case "reason":
      return { reasoning: "One thing leads to the other." };
    default:
      return { verdict: "keep", reasons: ["sound"] };
  }
}
