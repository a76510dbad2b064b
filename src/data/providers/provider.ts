/**
 * What a provider of judgement is: something that reads a prompt with pictures and writes JSON. Endpoints over HTTP and
 * models on this machine look the same from here.
 * @module
 */

/** A picture of a request. */
export interface RequestPicture {
  /** Named before the picture, for example `input 2.5 s`. */
  readonly label: string;
  readonly jpeg: Uint8Array;
}

/** Which question is asked. */
export const ASK_TASKS = ["select", "annotate", "reason", "review"] as const;
export type AskTask = (typeof ASK_TASKS)[number];

/** One request. Everything in it that changes the answer is part of its content address. */
export interface AskRequest {
  readonly task: AskTask;
  /** What is asked about; for the record and for the item's error messages, not sent. */
  readonly item: string;
  readonly system: string;
  readonly text: string;
  readonly pictures: readonly RequestPicture[];
  /** JSON Schema of the answer. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** Facts for providers on this machine, which read no prose. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** An answer that did not fit the schema, and why; makes the request a repair. */
  readonly repair?: { readonly answer: string; readonly fault: string };
}

/** What came back. */
export interface ProviderAnswer {
  readonly text: string;
  /** The provider declined to answer; `text` holds what it said instead. */
  readonly refused: boolean;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** A provider of answers. */
export interface Provider {
  /** `openai`, `gemini`, `local`. */
  readonly name: string;
  /** The model's name; part of every content address. */
  readonly model: string;
  /** True where answers depend on a request's facts; over HTTP they are not sent. */
  readonly readsFacts?: boolean | undefined;
  /** USD per million tokens, where known. */
  readonly price: TokenPrice | undefined;
  /**
   * Asks once.
   *
   * @throws {@link TransientProviderError} where asking again may help; VansError where it will not
   */
  ask(request: AskRequest, signal: AbortSignal | undefined): Promise<ProviderAnswer>;
  close?(): Promise<void>;
}

/** USD per million tokens. */
export interface TokenPrice {
  readonly input: number;
  readonly output: number;
}

/** A failure that may pass: time-outs, 429, 5xx, broken connections, bodies that break off. */
export class TransientProviderError extends Error {
  override readonly name = "TransientProviderError";
  /** What the provider asked to wait, if it said so. */
  readonly waitSecs: number | undefined;

  constructor(
    message: string,
    options: { readonly waitSecs?: number | undefined; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.waitSecs = options.waitSecs;
  }
}
