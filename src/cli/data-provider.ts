/**
 * Which provider judges and writes: options of the curation commands, and a model on this machine as provider.
 * @module
 */
import { join } from "node:path";
import { InvalidArgumentError } from "@commander-js/extra-typings";
import { VansError } from "../base/errors.ts";
import type { AskRequest, Provider, TokenPrice } from "../data/index.ts";

/** Providers that can be named. `local` uses a suite's language model, `none` only measures and rules. */
export const PROVIDER_CHOICES = ["none", "openai", "gemini", "local"] as const;

/** How a provider is chosen. */
export interface ProviderOptions {
  readonly provider: (typeof PROVIDER_CHOICES)[number];
  readonly model?: string | undefined;
  readonly baseUrl?: string | undefined;
  readonly price?: TokenPrice | undefined;
  readonly timeout?: number | undefined;
  /** The dataset's folder, where clips lie. */
  readonly folder: string;
}

/** A parser of `input,output`. */
export function tokenPrice(text: string): TokenPrice {
  const [input, output] = text.split(",").map(Number);
  if (input !== undefined && output !== undefined && input >= 0 && output >= 0) return { input, output };
  throw new InvalidArgumentError("Give two prices in USD per million tokens, for example 0.3,2.5.");
}

/** The provider; undefined for `none`. */
export async function chosenProvider(options: ProviderOptions): Promise<Provider | undefined> {
  const { provider, model, baseUrl, price, timeout, folder } = options;
  if (provider === "none") return undefined;
  if (provider === "local") return localProvider(model ?? "playroom", folder);
  const { openaiProvider } = await import("../data/index.ts");
  return openaiProvider({ name: provider, model, baseUrl, price, timeoutSecs: timeout });
}

/** What the small models were taught to be asked. */
const ASKED = { procedural: "what should i do next?", predictive: "what happens next?" } as const;

/**
 * A suite's language model as provider. It writes reasoning and answer to a plain question about the input clip; it
 * cannot compare clips, so it takes the first candidate, and keeps what the rules of the review let pass.
 */
async function localProvider(suiteName: string, folder: string): Promise<Provider> {
  const { captionOf, LanguageModel, loadSuite, readInputFrames } = await import("../answer/index.ts");
  const { keyFromSeed } = await import("../base/keys.ts");
  const suite = await loadSuite(suiteName);
  const language = await LanguageModel.open(suite, { device: "cpu" });
  const { patchSize, mergeSize } = suite.vlm.config.vision;
  const settings = suite.manifest.answer;
  const write = async (request: AskRequest, question: string, signal: AbortSignal | undefined) => {
    const clip = request.facts["inputClip"];
    if (typeof clip !== "string") {
      throw new VansError("VANS_DATA_PROVIDER_REFUSED", "a model on this machine needs the input clip", {
        found: request.item,
      });
    }
    const input = { settings, vlmCell: patchSize * mergeSize, signal };
    const { vlmFrames } = await readInputFrames(join(folder, clip), input);
    const sight = await language.see(vlmFrames, { signal });
    const pieces = language.write(sight, question, { ...settings, temperature: 0 }, keyFromSeed(0), {
      signal,
    });
    for (;;) {
      const next = await pieces.next();
      if (next.done) return captionOf(next.value, question);
    }
  };
  const answers: Readonly<
    Record<AskRequest["task"], (request: AskRequest, signal: AbortSignal | undefined) => Promise<unknown>>
  > = {
    select: async () => ({
      choice: 0,
      quality: 1,
      match: 1,
      description: "",
      reason: "a model on this machine takes what measures best",
    }),
    annotate: async (request: AskRequest, signal: AbortSignal | undefined) => {
      const kind = request.facts["kind"] === "predictive" ? "predictive" : "procedural";
      const done = (request.facts["skipped"] as readonly string[] | undefined) ?? [];
      const question =
        done.length === 0 ? ASKED[kind] : `i have already done this: ${done.join(", ")}. ${ASKED[kind]}`;
      const { reasoning, caption, wellFormed } = await write(request, question, signal);
      if (!wellFormed) return { samples: [], reject: "the model's answer keeps no format" };
      return { samples: [{ question, reasoning, caption }], reject: null };
    },
    reason: async (request: AskRequest, signal: AbortSignal | undefined) => {
      const { reasoning } = await write(request, String(request.facts["question"] ?? ""), signal);
      return { reasoning };
    },
    review: async (request: AskRequest) => {
      const leaks = (request.facts["leaks"] as readonly string[] | undefined) ?? [];
      return leaks.length === 0 ? { verdict: "keep", reasons: [] } : { verdict: "reject", reasons: leaks };
    },
  };
  // One sequence at a time: the models share the processor.
  let last: Promise<unknown> = Promise.resolve();
  return {
    name: "local",
    model: `${suite.name}@local`,
    readsFacts: true,
    price: { input: 0, output: 0 },
    async ask(request, signal) {
      const mine = last.then(() => answers[request.task](request, signal));
      last = mine.catch(() => {});
      const text = JSON.stringify(await mine);
      return { text, refused: false, inputTokens: 0, outputTokens: 0 };
    },
    close: () => language.release(),
  };
}
