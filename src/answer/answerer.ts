/**
 * An open suite that answers questions: models stay compiled, and what is known of a clip is kept, so that the second
 * question costs less than the first.
 * @module
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { fold, type Key, keyFromSeed } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import type { Provider } from "../runtime/index.ts";
import {
  ANSWER_STAGES,
  type AnswerEvent,
  type AnsweredSample,
  type AnswerReport,
  type AnswerStage,
  type AnswerTimings,
  type AnswerWarning,
  type UsedSettings,
} from "./answer-event.ts";
import { captionOf, type WrittenAnswer } from "./caption-of.ts";
import { chooseDevice, type DeviceChoice } from "./devices.ts";
import { type DomainReason, domainReasons, reconstructionReason } from "./domain.ts";
import { type InputFrames, readInputFrames } from "./input-frames.ts";
import { LanguageModel, type Sight } from "./language-model.ts";
import { fitLatentPreview, type LatentPreview } from "./latent-preview.ts";
import { availableBytes } from "./peak-memory.ts";
import { planMemory } from "./plan.ts";
import { type QuantizedParts, quantizedFiles } from "./quantized-parts.ts";
import { checkedQuestion } from "./question.ts";
import { loadSuite, type Suite, weightBytes } from "./suite.ts";
import { type SuiteHashes, suiteHashes } from "./suite-hashes.ts";
import type { AnswerSettings } from "./suite-manifest.ts";
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

/** One question. Everything but clip and question has the suite's default. */
export interface AnswerRequest {
  /** Path of a video or picture, or frames. */
  readonly clip: string | Clip;
  readonly question: string;
  readonly seed?: number | undefined;
  readonly steps?: number | undefined;
  readonly guidanceScale?: number | undefined;
  /** Of the language model; 0 takes the likeliest token. */
  readonly temperature?: number | undefined;
  /** How many futures; default 1. */
  readonly samples?: number | undefined;
  /** Number of the first future; default 0. Future k is the same whether it is drawn alone or among others. */
  readonly firstSample?: number | undefined;
  /** `linear` adds small pictures to the steps; default `none`. */
  readonly preview?: "none" | "linear" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is known of a clip. */
interface KnownClip {
  readonly input: InputFrames;
  readonly domainReasons: readonly DomainReason[];
  sight?: Sight;
  latents?: ClipLatents;
  preview?: LatentPreview;
  /** Judged once; null where there is nothing to say. */
  reconstruction?: DomainReason | null;
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

/**
 * Refuses what would end in the middle of a stage.
 * @throws `VANS_MEMORY_TOO_SMALL`
 */
async function requireMemory(suite: Suite, options: AnswererOptions): Promise<void> {
  const memoryBytes = options.memoryBytes ?? availableBytes();
  if (memoryBytes === undefined) return;
  const { stages } = await planMemory(suite, { memoryBytes, quantized: options.quantized ?? {} });
  const worst = stages
    .filter((stage) => stage.fits === false)
    .sort((a, b) => b.anonymousBytes - a.anonymousBytes)[0];
  if (!worst) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new VansError("VANS_MEMORY_TOO_SMALL", `${suite.name} does not fit into the memory that is there`, {
    asked: `${gigabytes(worst.anonymousBytes)} for the stage ${worst.stage}`,
    found: `${gigabytes(memoryBytes)} available`,
    fix: `vans plan --suite ${suite.folder} --memory ${(memoryBytes / 1e9).toFixed(1)}GB finds settings that fit`,
    data: { stage: worst.stage, neededBytes: worst.anonymousBytes, memoryBytes },
  });
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
    yield* this.#inputWarnings(clip.input);
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

  *#inputWarnings(input: InputFrames): Generator<AnswerEvent, void> {
    const { frameRateHz, inputFrames } = this.#settings;
    if (input.lostFrames > 0) {
      yield* this.#warn({
        code: "VANS_CLIP_DAMAGED",
        message: `${input.lostFrames} of ${input.timesSecs.length} frames could not be decoded; their neighbours stand in`,
        data: { lostFrames: input.lostFrames },
      });
    }
    if (input.speed > 1) {
      const spanSecs = inputFrames / frameRateHz;
      yield* this.#warn({
        code: "VANS_CLIP_SPED_UP",
        message: `the clip lasts ${input.facts.durationSecs.toFixed(1)} s; its ${inputFrames} frames are spread over all of it, ${input.speed.toFixed(1)} times as fast as ${this.#answerer.suite.name} expects`,
        fix: `cut out the ${spanSecs.toFixed(1)} s that matter`,
        data: { durationSecs: input.facts.durationSecs, speed: input.speed },
      });
    }
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

/** Sums up seconds by stage. Time that the consumer of the events takes does not count for a stage. */
class StageClock {
  readonly #secs = new Map<AnswerStage, number>();
  readonly #started = performance.now();
  readonly #loadSecs: number;

  constructor(loadSecs: number) {
    this.#loadSecs = loadSecs;
  }

  /** Starts a stage's clock; the result stops it. */
  start(stage: AnswerStage): () => void {
    const from = performance.now();
    return () => this.#secs.set(stage, (this.#secs.get(stage) ?? 0) + (performance.now() - from) / 1000);
  }

  async measure<T>(stage: AnswerStage, work: () => Promise<T>): Promise<T> {
    const stop = this.start(stage);
    try {
      return await work();
    } finally {
      stop();
    }
  }

  timings(): AnswerTimings {
    const rounded = (secs: number): number => Math.round(secs * 1000) / 1000;
    const stages = ANSWER_STAGES.map((stage) => [
      stage,
      rounded(stage === "load" ? this.#loadSecs : (this.#secs.get(stage) ?? 0)),
    ]);
    const total = rounded(this.#loadSecs + (performance.now() - this.#started) / 1000);
    return { ...Object.fromEntries(stages), total } as AnswerTimings;
  }
}

function inputReport(input: InputFrames): AnswerReport["input"] {
  const { facts, isStill, file, frames } = input;
  return { ...facts, isStill, path: file?.path, sha256: file?.sha256, frames };
}

/** A clip's name in memory: the same file or the same frames. */
async function clipKey(clip: string | Clip): Promise<string> {
  if (typeof clip !== "string") {
    const { frameCount, height, width, frameRateHz, rgb } = clip;
    const hash = createHash("sha256").update(JSON.stringify([frameCount, height, width, frameRateHz]));
    return hash.update(rgb).digest("hex");
  }
  const found = await stat(clip).catch(() => undefined);
  return `${resolve(clip)}:${found?.size}:${found?.mtimeMs}`;
}

/** The suite's settings with those of the request. @throws `VANS_ANSWER_REQUEST` */
function settingsFor(defaults: AnswerSettings, request: AnswerRequest): UsedSettings {
  const { seed, steps, guidanceScale, temperature, samples = 1, firstSample = 0 } = request;
  const used: UsedSettings = {
    ...defaults,
    ...(seed !== undefined && { seed }),
    ...(steps !== undefined && { steps }),
    ...(guidanceScale !== undefined && { guidanceScale }),
    ...(temperature !== undefined && { temperature }),
    samples,
    firstSample,
  };
  const problems: string[] = [];
  const check = (isFine: boolean, problem: string): void => {
    if (!isFine) problems.push(problem);
  };
  const isCount = (value: number, most: number): boolean =>
    Number.isInteger(value) && value >= 1 && value <= most;
  check(Number.isSafeInteger(used.seed) && used.seed >= 0, `seed ${used.seed}: a whole number from 0 on`);
  check(isCount(used.steps, 1000), `steps ${used.steps}: a whole number from 1 to 1000`);
  check(
    Number.isFinite(used.guidanceScale) && used.guidanceScale >= 0,
    `guidanceScale ${used.guidanceScale}: a number from 0 on (1 is none)`,
  );
  check(
    Number.isFinite(used.temperature) && used.temperature >= 0,
    `temperature ${used.temperature}: a number from 0 on`,
  );
  check(isCount(samples, 1000), `samples ${samples}: a whole number from 1 to 1000`);
  check(
    Number.isSafeInteger(firstSample) && firstSample >= 0,
    `firstSample ${firstSample}: a whole number from 0 on`,
  );
  if (problems.length === 0) return used;
  throw new VansError("VANS_ANSWER_REQUEST", "the answer cannot be made with these settings", {
    found: problems.join("; "),
    data: { problems },
  });
}
