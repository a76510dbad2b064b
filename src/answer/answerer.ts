/**
 * An open suite that answers questions: models stay compiled, and what is known of a clip is kept, so that the second
 * question costs less than the first.
 * @module
 */
import { createHash } from "node:crypto";
import { throwIfAborted } from "../base/abort.ts";
import { fold, type Key, keyFromSeed } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import type { Provider } from "../runtime/index.ts";
import type {
  AnswerEvent,
  AnsweredSample,
  AnswerReport,
  AnswerWarning,
  UsedSettings,
} from "./answer-event.ts";
import { type AnswerRequest, settingsFor } from "./answer-request.ts";
import { captionOf, type WrittenAnswer } from "./caption-of.ts";
import { chooseDevice, type DeviceChoice } from "./devices.ts";
import { type DomainReason, domainReasons, reconstructionReason } from "./domain.ts";
import { readInputFrames } from "./input-frames.ts";
import { inputReport, inputWarnings } from "./input-report.ts";
import { clipKey, type KnownClip } from "./known-clip.ts";
import { LanguageModel } from "./language-model.ts";
import { fitLatentPreview } from "./latent-preview.ts";
import { type QuantizedParts, quantizedFiles } from "./quantized-parts.ts";
import { checkedQuestion } from "./question.ts";
import { requireMemory } from "./require-memory.ts";
import { StageClock } from "./stage-clock.ts";
import { loadSuite, type Suite, weightBytes } from "./suite.ts";
import { type SuiteHashes, suiteHashes } from "./suite-hashes.ts";
import { TextEncoder } from "./text-encoder.ts";
import { answerVersions } from "./versions.ts";
import { type ClipLatents, VideoModel } from "./video-model.ts";

/** How a suite is opened. */
export interface AnswererOptions {
  /** Default `auto`: the CPU for small suites, else the best device that works. */
  readonly device?: DeviceChoice;
  /**
   * `keep` holds all compiled models for the next question; `low` gives each stage's models back when the stage is done
   * and runs the guidance branches one after the other; `blocks` moreover runs the large models block by block over mapped
   * weights. Default `keep` for small suites, `blocks` for those with more than 2 GB of weights.
   */
  readonly memory?: MemoryMode;
  /** Parts whose linear layers run in 4 or 8 bits; files are made at the first use. Default none. */
  readonly quantized?: QuantizedParts;
  /** Bytes that a suite run block by block may plan with; default what the system has available. */
  readonly memoryBytes?: number;
  /** Threads inside one op; default one a core. */
  readonly threads?: number;
}

/** How much memory an answerer may hold on to. */
export type MemoryMode = "keep" | "low" | "blocks";

/** Suites with more weights than this run block by block unless told otherwise, in bytes. */
const LARGE_BYTES = 2e9;

/** Clips that are remembered. */
const KEPT_CLIPS = 4;

/** Opens a suite, by name, by path, or as {@link loadSuite} gives it. */
export async function openAnswerer(
  suite: Suite | string | undefined = undefined,
  options: AnswererOptions = {},
): Promise<Answerer> {
  const started = performance.now();
  const loaded = typeof suite === "object" ? suite : await loadSuite(suite);
  const device = await chooseDevice(options.device ?? "auto", loaded);
  const memory = options.memory ?? ((await weightBytes(loaded)) > LARGE_BYTES ? "blocks" : "keep");
  if (memory === "blocks") await requireMemory(loaded, options);
  const run = {
    device,
    ...(options.threads !== undefined && { threads: options.threads }),
    isBlockwise: memory === "blocks",
    quantized: await quantizedFiles(loaded, options.quantized ?? {}),
  };
  const [language, text, video] = await Promise.all([
    LanguageModel.open(loaded, run),
    TextEncoder.open(loaded, run),
    VideoModel.open(loaded, run),
  ]);
  const secs = (performance.now() - started) / 1000;
  return new Answerer(loaded, device, { language, text, video }, memory, secs);
}

interface Models {
  readonly language: LanguageModel;
  readonly text: TextEncoder;
  readonly video: VideoModel;
}

/** See {@link openAnswerer}. Answers one question at a time; further ones wait. Release it when done. */
export class Answerer {
  readonly suite: Suite;
  readonly device: Provider;
  /** Seconds that opening took; they count for the first answer. */
  readonly openedInSecs: number;
  readonly #models: Models;
  readonly #memory: MemoryMode;
  readonly #clips = new Map<string, KnownClip>();
  #hashes: Promise<SuiteHashes> | undefined;
  #turn: Promise<void> = Promise.resolve();
  #isFirst = true;

  constructor(suite: Suite, device: Provider, models: Models, memory: MemoryMode, openedInSecs: number) {
    this.suite = suite;
    this.device = device;
    this.openedInSecs = openedInSecs;
    this.#models = models;
    this.#memory = memory;
  }

  /**
   * Answers a question about a clip, as a stream of events; returns the report that the last event carries.
   *
   * @throws `VANS_ANSWER_REQUEST`, `VANS_RUN_ABORTED` within one step of the signal, and what reading the clip throws
   */
  async *answer(request: AnswerRequest): AsyncGenerator<AnswerEvent, AnswerReport> {
    const settings = settingsFor(this.suite.manifest.answer, request);
    const question = checkedQuestion(request.question);
    const before = this.#turn;
    let finished = (): void => undefined;
    this.#turn = new Promise((done) => {
      finished = done;
    });
    await before;
    try {
      const loadSecs = this.#isFirst ? this.openedInSecs : 0;
      this.#isFirst = false;
      return yield* new Run(this, request, question, settings, loadSecs).events();
    } finally {
      if (this.#memory !== "keep") await this.#releaseModels();
      finished();
    }
  }

  /** Gives compiled models back and forgets clips. The answerer can still be used; it compiles anew. */
  async release(): Promise<void> {
    this.#clips.clear();
    await this.#releaseModels();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  async #releaseModels(): Promise<void> {
    const { language, text, video } = this.#models;
    await Promise.all([language.release(), text.release(), video.release()]);
  }

  /** @internal What a run of this answerer works with. */
  get inner(): {
    readonly models: Models;
    readonly isLow: boolean;
    readonly clips: Map<string, KnownClip>;
    hashes(): Promise<SuiteHashes>;
  } {
    return {
      models: this.#models,
      isLow: this.#memory !== "keep",
      clips: this.#clips,
      hashes: () => {
        this.#hashes ??= suiteHashes(this.suite);
        return this.#hashes;
      },
    };
  }
}

/** One answer on its way. */
class Run {
  readonly #answerer: Answerer;
  readonly #request: AnswerRequest;
  readonly #question: string;
  readonly #settings: UsedSettings;
  readonly #key: Key;
  readonly #loadSecs: number;
  readonly #clock: StageClock;
  readonly #warnings: AnswerWarning[] = [];

  constructor(
    answerer: Answerer,
    request: AnswerRequest,
    question: string,
    settings: UsedSettings,
    loadSecs: number,
  ) {
    this.#answerer = answerer;
    this.#request = request;
    this.#question = question;
    this.#settings = settings;
    this.#key = keyFromSeed(settings.seed);
    this.#loadSecs = loadSecs;
    this.#clock = new StageClock(loadSecs);
  }

  async *events(): AsyncGenerator<AnswerEvent, AnswerReport> {
    const { suite, device, inner } = this.#answerer;
    const { samples, firstSample } = this.#settings;
    const hashes = inner.hashes();
    // Awaited at the end; a failure before that must not count as unhandled.
    hashes.catch(() => undefined);
    const { name, version } = suite.manifest;
    yield { type: "loaded", suite: name, version, device, secs: this.#loadSecs };
    const clip = await this.#clock.measure("read", () => this.#readClip());
    const input = inputReport(clip.input);
    yield { type: "input", input };
    for (const warning of inputWarnings(clip.input, this.#settings, name)) yield* this.#warn(warning);
    yield* this.#domainWarning(clip.domainReasons);
    const answered: AnsweredSample[] = [];
    let written: WrittenAnswer | undefined;
    for (let sample = firstSample; sample < firstSample + samples; sample++) {
      // The likeliest text is the same for every future.
      if (!written || this.#settings.temperature > 0) written = yield* this.#write(clip, sample);
      const frames = yield* this.#draw(clip, written.caption, sample);
      const framesSha256 = createHash("sha256").update(frames.rgb).digest("hex");
      answered.push({ ...written, sample, clip: frames, framesSha256 });
      yield { type: "frames", sample, clip: frames };
    }
    const report: AnswerReport = {
      question: this.#question,
      suite: { name, version, folder: suite.folder, hashes: await hashes },
      input,
      settings: this.#settings,
      device,
      samples: answered,
      warnings: this.#warnings,
      timingsSecs: this.#clock.timings(),
      versions: answerVersions(),
    };
    yield { type: "done", report };
    return report;
  }

  async #readClip(): Promise<KnownClip> {
    const { suite, inner } = this.#answerer;
    const { clips } = inner;
    const { clip, signal } = this.#request;
    const key = await clipKey(clip);
    const before = clips.get(key);
    if (before) return before;
    const { patchSize, mergeSize } = suite.vlm.config.vision;
    const settings = suite.manifest.answer;
    const input = await readInputFrames(clip, { settings, vlmCell: patchSize * mergeSize, signal });
    const { domain } = suite.manifest;
    const known: KnownClip = { input, domainReasons: domain ? domainReasons(domain, input.frames) : [] };
    if (clips.size >= KEPT_CLIPS) clips.delete(clips.keys().next().value!);
    clips.set(key, known);
    return known;
  }

  *#warn(warning: AnswerWarning): Generator<AnswerEvent, void> {
    this.#warnings.push(warning);
    yield { type: "warning", warning };
  }

  *#domainWarning(reasons: readonly DomainReason[]): Generator<AnswerEvent, void> {
    const { name, manifest } = this.#answerer.suite;
    const [first] = reasons;
    if (!first || !manifest.domain || this.#warnings.some((one) => one.code === "VANS_OUT_OF_DOMAIN")) return;
    const { elsewhere } = manifest.domain;
    yield* this.#warn({
      code: "VANS_OUT_OF_DOMAIN",
      message: `this footage is unlike what ${name} was trained on, so the answer is not to be trusted (${first.text})`,
      fix: `use a suite made for such footage: --suite ${elsewhere}`,
      data: {
        suite: name,
        elsewhere,
        reasons: reasons.map(({ measure, value, low, high }) => ({ measure, value, low, high })),
      },
    });
  }

  /** The language model's part of one future. */
  async *#write(clip: KnownClip, sample: number): AsyncGenerator<AnswerEvent, WrittenAnswer> {
    const { inner } = this.#answerer;
    const { signal } = this.#request;
    const { language } = inner.models;
    if (!clip.sight)
      clip.sight = await this.#clock.measure("see", () => language.see(clip.input.vlmFrames, { signal }));
    const stop = this.#clock.start("write");
    const key = fold(this.#key, "tokens", sample);
    const text = yield* withSample(
      language.write(clip.sight, this.#question, this.#settings, key, { signal }),
      sample,
    );
    stop();
    if (inner.isLow) await language.release();
    const written = captionOf(text, this.#question);
    if (written.captionFrom !== "answer") {
      yield* this.#warn({
        code: "VANS_ANSWER_TEMPLATE",
        message: `the language model did not keep to its format; the video is drawn from its ${written.captionFrom}`,
        fix: "try another seed, or ask in other words",
        data: { sample, captionFrom: written.captionFrom, text },
      });
    }
    yield { type: "caption", sample, ...written };
    return written;
  }

  /** The video model's part of one future. */
  async *#draw(clip: KnownClip, caption: string, sample: number): AsyncGenerator<AnswerEvent, Clip> {
    const { suite, inner } = this.#answerer;
    const { text, video } = inner.models;
    const { signal } = this.#request;
    const { guidanceScale, negativePrompt } = this.#settings;
    const [encoded, negative] = await this.#clock.measure("text", async () => [
      await text.encode(caption, { signal }),
      guidanceScale === 1 ? undefined : await text.encode(negativePrompt, { signal }),
    ]);
    if (inner.isLow) await text.release();
    if (encoded!.isCut) {
      yield* this.#warn({
        code: "VANS_CAPTION_CUT",
        message: `the caption is longer than the ${suite.textEncoder.maxLength} tokens that the video model reads; its end is left out`,
        data: { sample },
      });
    }
    clip.latents ??= await this.#clock.measure("references", () =>
      video.references(clip.input.frames, { signal }),
    );
    yield* this.#judgeReconstruction(clip, clip.latents);
    const latents = yield* this.#denoise(
      clip,
      { references: clip.latents.references, context: encoded!.context, negativeContext: negative?.context },
      sample,
    );
    throwIfAborted(signal);
    const frames = await this.#clock.measure("decode", () => video.decode(latents, { signal }));
    if (inner.isLow) await video.release("vae");
    return frames;
  }

  async *#judgeReconstruction(clip: KnownClip, latents: ClipLatents): AsyncGenerator<AnswerEvent, void> {
    const { suite, inner } = this.#answerer;
    const { domain } = suite.manifest;
    if (!domain?.reconstruction || clip.domainReasons.length > 0) return;
    if (clip.reconstruction === undefined) {
      const { signal } = this.#request;
      const error = await this.#clock.measure("references", () =>
        inner.models.video.reconstructionError(clip.input.frames, latents, { signal }),
      );
      clip.reconstruction = reconstructionReason(domain, error) ?? null;
    }
    if (clip.reconstruction) yield* this.#domainWarning([clip.reconstruction]);
  }

  async *#denoise(
    clip: KnownClip,
    request: Omit<Parameters<VideoModel["draw"]>[0], "key">,
    sample: number,
  ): AsyncGenerator<AnswerEvent, ClipLatents["all"]> {
    const { inner } = this.#answerer;
    const { video } = inner.models;
    const { preview, signal } = this.#request;
    if (inner.isLow) await video.release("vae");
    if (preview === "linear") clip.preview ??= fitLatentPreview(clip.latents!.all, clip.input.frames);
    const key = fold(this.#key, "noise", sample);
    const steps = video.draw({ ...request, key }, this.#settings, { signal, batchBranches: !inner.isLow });
    let latents: ClipLatents["all"] | undefined;
    let stop = this.#clock.start("denoise");
    for await (const step of steps) {
      stop();
      latents = step.latents;
      yield {
        type: "step",
        sample,
        step: step.step,
        steps: step.total,
        sigma: step.sigma,
        ...(preview === "linear" && { preview: clip.preview!(step.preview) }),
      };
      stop = this.#clock.start("denoise");
    }
    stop();
    if (inner.isLow) await video.release("dit");
    return latents!;
  }
}

/** Text events of one future. */
async function* withSample(
  deltas: ReturnType<LanguageModel["write"]>,
  sample: number,
): AsyncGenerator<AnswerEvent, string> {
  for (;;) {
    const next = await deltas.next();
    if (next.done) return next.value;
    yield { type: "token", sample, ...next.value };
  }
}
