/**
 * Any endpoint that speaks the OpenAI chat protocol, Gemini's included, through the `openai` SDK. Keys come from the
 * environment and are written nowhere.
 * @module
 */
import type OpenAI from "openai";
import type {
  ChatCompletionContentPart,
  ChatCompletionMessageParam,
} from "openai/resources/chat/completions";
import { VansError } from "../../base/errors.ts";
import {
  type AskRequest,
  type Provider,
  type ProviderAnswer,
  type TokenPrice,
  TransientProviderError,
} from "./provider.ts";

/** Endpoints by name. */
export const ENDPOINTS = {
  openai: {
    baseUrl: "https://api.openai.com/v1",
    keys: ["OPENAI_API_KEY"],
    model: "gpt-4.1-mini",
  },
  gemini: {
    baseUrl: "https://generativelanguage.googleapis.com/v1beta/openai/",
    keys: ["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    model: "gemini-2.5-flash",
  },
} as const;

/** USD per million tokens, as published in 2025; `--price` overrides them. */
const PRICES: Readonly<Record<string, TokenPrice>> = {
  "gemini-2.5-flash": { input: 0.3, output: 2.5 },
  "gemini-2.5-pro": { input: 1.25, output: 10 },
  "gpt-4.1-mini": { input: 0.4, output: 1.6 },
  "gpt-4.1": { input: 2, output: 8 },
};

/** Error codes of content filters. */
const POLICY = /^(?:content_policy_violation|content_filter|moderation_blocked|safety)$/i;

/** Options of {@link openaiProvider}. */
export interface OpenaiProviderOptions {
  readonly name: keyof typeof ENDPOINTS;
  readonly model?: string | undefined;
  /** Another endpoint that speaks the protocol. */
  readonly baseUrl?: string | undefined;
  readonly price?: TokenPrice | undefined;
  /** Seconds until a request counts as lost. Default 120. */
  readonly timeoutSecs?: number | undefined;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * A provider over HTTP.
 *
 * @throws VansError `VANS_DATA_PROVIDER_KEY_MISSING`
 */
export async function openaiProvider(options: OpenaiProviderOptions): Promise<Provider> {
  const endpoint = ENDPOINTS[options.name];
  const environment = options.environment ?? process.env;
  const baseUrl = options.baseUrl ?? environment["VANS_PROVIDER_URL"] ?? endpoint.baseUrl;
  const isLocal = /^https?:\/\/(localhost|127\.|\[::1\])/.test(baseUrl);
  const key = endpoint.keys
    .map((name) => environment[name])
    .find((value) => value !== undefined && value !== "");
  if (key === undefined && !isLocal) {
    throw new VansError("VANS_DATA_PROVIDER_KEY_MISSING", `no key for the provider ${options.name}`, {
      asked: baseUrl,
      found: `${endpoint.keys.join(" and ")} not set`,
      fix: `export ${endpoint.keys[0]}=…, or use a model on this machine: --provider local`,
    });
  }
  const { default: Client, APIConnectionError, APIConnectionTimeoutError, APIError } = await import("openai");
  const timeout = (options.timeoutSecs ?? 120) * 1000;
  // Waiting and asking again is ours, so that it is recorded and bounded in one place.
  const client: OpenAI = new Client({ apiKey: key ?? "none", baseURL: baseUrl, maxRetries: 0, timeout });
  const model = options.model ?? endpoint.model;
  return {
    name: options.name,
    model,
    price: options.price ?? PRICES[model],
    async ask(request, signal): Promise<ProviderAnswer> {
      try {
        const completion = await client.chat.completions.create(
          {
            model,
            messages: messagesOf(request),
            temperature: 0,
            response_format: {
              type: "json_schema",
              json_schema: { name: request.task, schema: { ...request.schema } },
            },
          },
          { timeout, ...(signal === undefined ? {} : { signal }) },
        );
        const choice = completion.choices?.[0];
        if (choice === undefined) throw new TransientProviderError("an answer without choices");
        const { refusal, content } = choice.message;
        const refused = Boolean(refusal) || choice.finish_reason === "content_filter";
        return {
          text: refusal || content || "",
          refused,
          inputTokens: completion.usage?.prompt_tokens ?? 0,
          outputTokens: completion.usage?.completion_tokens ?? 0,
        };
      } catch (error) {
        if (error instanceof TransientProviderError || signal?.aborted) throw error;
        if (error instanceof APIConnectionTimeoutError)
          throw new TransientProviderError("time-out", { cause: error });
        if (error instanceof APIConnectionError)
          throw new TransientProviderError(error.message, { cause: error });
        // Some endpoints decline with a status instead of an answer: the item's fault, not the run's end.
        if (error instanceof APIError && POLICY.test(String(error.code)))
          return { text: error.message.slice(0, 300), refused: true, inputTokens: 0, outputTokens: 0 };
        if (error instanceof APIError) throw ofStatus(error, baseUrl);
        // A body that breaks off cannot be parsed.
        throw new TransientProviderError(error instanceof Error ? error.message : String(error), {
          cause: error,
        });
      }
    },
  };
}

function messagesOf(request: AskRequest): ChatCompletionMessageParam[] {
  const content: ChatCompletionContentPart[] = [
    { type: "text", text: request.text },
    ...request.pictures.flatMap(({ label, jpeg }): ChatCompletionContentPart[] => [
      { type: "text", text: label },
      {
        type: "image_url",
        image_url: { url: `data:image/jpeg;base64,${Buffer.from(jpeg).toString("base64")}` },
      },
    ]),
  ];
  const messages: ChatCompletionMessageParam[] = [
    { role: "system", content: request.system },
    { role: "user", content },
  ];
  if (request.repair !== undefined) {
    messages.push(
      { role: "assistant", content: request.repair.answer },
      {
        role: "user",
        content: `That answer cannot be used: ${request.repair.fault}. Answer again with one JSON object that fits the schema, and nothing else.`,
      },
    );
  }
  return messages;
}

function ofStatus(
  error: { readonly status?: number | undefined; readonly message: string; readonly headers?: unknown },
  baseUrl: string,
): Error {
  const { status } = error;
  if (status === undefined || status === 408 || status === 409 || status === 429 || status >= 500) {
    const wait = Number((error.headers as Headers | undefined)?.get?.("retry-after"));
    return new TransientProviderError(`status ${status ?? "unknown"}`, {
      waitSecs: Number.isFinite(wait) && wait > 0 ? wait : undefined,
      cause: error,
    });
  }
  return new VansError("VANS_DATA_PROVIDER_REFUSED", "the provider does not take the request", {
    asked: baseUrl,
    found: `status ${status}: ${error.message.slice(0, 300)}`,
    fix: status === 401 || status === 403 ? "check the key" : "check --model and --base-url",
    cause: error,
    data: { status },
  });
}
