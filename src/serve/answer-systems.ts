/**
 * Other ways to answer with the same models, to compare with: the cascade draws the caption without seeing the clip, the
 * extension goes on with the clip without a caption. Weights and compiled graphs are shared with the suite's own answerer.
 * @module
 */
import { Answerer } from "../answer/index.ts";

/** Ways to answer; the names and meanings are those of evaluations. */
export const ANSWER_SYSTEMS = ["suite", "cascade", "extension"] as const;
export type AnswerSystem = (typeof ANSWER_SYSTEMS)[number];

type Models = Answerer["inner"]["models"];

/** What stands where the extension has no caption. */
const NO_CAPTION = "(no caption: the clip is continued)";

/** An answerer of a suite for a system. */
export function answererFor(system: AnswerSystem, suite: Answerer): Answerer {
  if (system === "suite") return suite;
  const { models, isLow } = suite.inner;
  const { negativePrompt } = suite.suite.manifest.answer;
  const changed = system === "cascade" ? withoutClip(models) : withoutCaption(models, negativePrompt);
  return new Answerer(suite.suite, suite.device, changed, isLow ? "low" : "keep", 0);
}

/** The video model gets zeros where the clip's latents belong, as evaluations draw it. */
function withoutClip(models: Models): Models {
  const { video } = models;
  const references: typeof video.references = async (frames, options) => {
    const { all, references } = await video.references(frames, options);
    const data = new Float32Array(references.data.length);
    return { all, references: { ...references, data } };
  };
  return { ...models, video: replaced(video, { references }) };
}

/** Nothing is written, and the video model gets the empty text. */
function withoutCaption(models: Models, negativePrompt: string): Models {
  const { language, text } = models;
  type See = typeof language.see;
  const see = (async () => ({})) as unknown as See;
  // biome-ignore lint/correctness/useYield: there is nothing to tell on the way.
  const write: typeof language.write = async function* () {
    return `[Think][/Think][Ans]${NO_CAPTION}[/Ans]`;
  };
  const encode: typeof text.encode = (words, options) =>
    text.encode(words === negativePrompt ? words : "", options);
  return { ...models, language: replaced(language, { see, write }), text: replaced(text, { encode }) };
}

/** The same object with some methods replaced. */
function replaced<T extends object>(original: T, methods: Partial<T>): T {
  return new Proxy(original, {
    get: (target, name) => {
      const changed = methods[name as keyof T];
      if (changed !== undefined) return changed;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
