/**
 * The evaluation itself: samples through models, judged part by part. It knows neither files nor suites, so training can
 * use it on weights in memory.
 *
 * Truth and candidates are drawn again from the seed and, as answers are made of what the autoencoder can show, compared
 * after they went through it.
 * @module
 */
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import type { Clip } from "../media/clip.ts";
import {
  bestRougeL,
  captionEventVerdict,
  type EventVerdict,
  IDENTITY_ALTERNATIVES,
  identityVerdict,
  motionEnergy,
  movingPixels,
  nltkBleu,
  psnrDb,
  videoEventVerdict,
} from "../metrics/index.ts";
import { f32, type NdArray } from "../tensor/index.ts";
import { candidates, identityProbes, type WorldSample } from "../world/index.ts";
import type { EvaluatedModels, Stoppable } from "./evaluated-models.ts";
import { EVALUATION_PARTS, type EvaluationPart, type MetricName } from "./metric-table.ts";
import type { PartOutcome } from "./part-row.ts";

/** One sample to evaluate. */
export interface EvaluationItem {
  readonly sample: WorldSample;
  /** Evaluated in the order of `EVALUATION_PARTS`. */
  readonly parts: readonly EvaluationPart[];
  /** The input as the models see it (decoded from its mp4); all parts but `reconstruction` need it. */
  readonly input?: {
    readonly frames: Clip;
    /** For the language model; default `frames`. */
    readonly vlmFrames?: Clip;
  };
  /** What the language model wrote before, for `video` and `no-references` without `caption`. */
  readonly caption?: string | undefined;
}

/** A judged part, and the video that was drawn for it. */
export interface PartResult {
  readonly outcome: PartOutcome;
  readonly clip?: Clip;
}

/** Drawings of the world after the autoencoder. */
export interface Drawings {
  /** The right event and the 4 wrong ones. */
  readonly events: readonly Clip[];
  /** The right event with permuted objects. */
  readonly permuted: readonly Clip[];
}

/** How {@link evaluateParts} works. */
export interface EvaluatePartsOptions extends Stoppable {
  /**
   * Keeps drawings by seed, so that the same samples can be judged again and again while the autoencoder stays as it is.
   * 1.7 MB a sample. Default: nothing is kept.
   */
  readonly drawings?: Map<number, Drawings>;
}

/**
 * Evaluates samples one after the other, yielding a result for every part.
 *
 * @throws `VANS_EVALUATE_PART` where a part lacks its input, caption or model; `VANS_RUN_ABORTED` within one step
 */
export async function* evaluateParts(
  models: EvaluatedModels,
  items: Iterable<EvaluationItem>,
  options: EvaluatePartsOptions = {},
): AsyncGenerator<PartResult, void> {
  for (const item of items) {
    const run = new SampleRun(models, item, options);
    for (const part of EVALUATION_PARTS) {
      if (!item.parts.includes(part)) continue;
      throwIfAborted(options.signal);
      yield await run.judge(part);
    }
  }
}

type Values = Partial<Record<MetricName, number>>;

interface Judged {
  readonly values: Values;
  readonly texts: Readonly<Record<string, string>>;
  readonly clip?: Clip;
}

const asNumber = (isTrue: boolean): number => (isTrue ? 1 : 0);

/** One sample on its way through its parts; what two parts need is computed once. */
class SampleRun {
  readonly #models: EvaluatedModels;
  readonly #item: EvaluationItem;
  readonly #options: EvaluatePartsOptions;
  readonly #videos = new Map<string, Clip>();
  #secs: Record<string, number> = {};
  #events: Promise<readonly Clip[]> | undefined;
  #permuted: Promise<readonly Clip[]> | undefined;
  #references: NdArray | undefined;
  #caption: string | undefined;

  constructor(models: EvaluatedModels, item: EvaluationItem, options: EvaluatePartsOptions) {
    this.#models = models;
    this.#item = item;
    this.#options = options;
    this.#caption = item.caption;
  }

  async judge(part: EvaluationPart): Promise<PartResult> {
    const { seed, id, kind, family, event } = this.#item.sample;
    const { values, texts, clip } = await this.#judged(part);
    // Time since the last part: what two parts share counts for the first.
    const secs = this.#secs;
    this.#secs = {};
    const outcome = { seed, id, kind, family, part, values, texts: { event, ...texts }, secs };
    return { outcome, ...(clip && { clip }) };
  }

  #judged(part: EvaluationPart): Promise<Judged> {
    switch (part) {
      case "reconstruction":
        return this.#reconstruction();
      case "caption":
        return this.#written();
      case "video-from-truth":
        return this.#fromTruth();
      case "video":
        return this.#endToEnd();
      case "no-references":
        return this.#blind();
    }
  }

  async #reconstruction(): Promise<Judged> {
    const { sample } = this.#item;
    const shown = await this.#shownEvents();
    return this.#measure("judge", async () => {
      const drawn = candidates(sample).map((event) => event.render());
      const [truth, seen] = [drawn[0]!, shown[0]!];
      const verdict = videoEventVerdict(seen, drawn);
      return {
        values: {
          reconstructionEventAccuracy: asNumber(verdict.isRight),
          reconstructionEventAccuracySameVae: asNumber(videoEventVerdict(seen, shown).isRight),
          reconstructionPsnrDb: psnrDb(truth, seen),
          reconstructionMovingPsnrDb: psnrDb(truth, seen, movingPixels(truth)),
        },
        texts: { nearest: this.#eventName(verdict) },
      };
    });
  }

  async #written(): Promise<Judged> {
    const { sample } = this.#item;
    const { frames, vlmFrames } = this.#input("caption");
    const { write } = this.#models;
    if (!write) throw lacking("caption", "a language model", "give models that can write");
    const written = await this.#measure("write", () =>
      write.call(this.#models, vlmFrames ?? frames, sample.question, sample.seed, this.#stop),
    );
    const { caption } = written;
    this.#caption = caption;
    const verdict = captionEventVerdict(
      caption,
      candidates(sample).map((event) => event.paraphrases),
    );
    const references = sample.paraphrases;
    return {
      values: {
        templateRate: asNumber(written.wellFormed),
        captionEventAccuracy: asNumber(verdict.isRight),
        rougeL: bestRougeL(references, caption),
        bleu4: nltkBleu([{ references, hypothesis: caption }], { smoothing: "method1" }),
        captionLengthWords: caption.split(/\s+/).filter((word) => word !== "").length,
      },
      texts: {
        text: written.text,
        caption,
        captionFrom: written.captionFrom,
        nearest: this.#eventName(verdict),
      },
    };
  }

  async #fromTruth(): Promise<Judged> {
    const { caption } = this.#item.sample;
    const clip = await this.#video("video-from-truth", caption, "seen");
    const verdict = await this.#eventVerdict(clip);
    const [truth] = await this.#shownEvents();
    return {
      values: {
        videoEventAccuracyFromTruth: asNumber(verdict.isRight),
        videoPsnrDbFromTruth: psnrDb(truth!, clip),
      },
      texts: { caption, nearest: this.#eventName(verdict) },
      clip,
    };
  }

  async #endToEnd(): Promise<Judged> {
    const caption = this.#ownCaption("video");
    const clip = await this.#video("video", caption, "seen");
    const verdict = await this.#eventVerdict(clip);
    const identity = await this.#identity(clip);
    const [truth] = await this.#shownEvents();
    return {
      values: {
        videoEventAccuracy: asNumber(verdict.isRight),
        videoPsnrDb: psnrDb(truth!, clip),
        identityAccuracy: asNumber(identity.isRight),
        motionEnergy: motionEnergy(clip),
        motionEnergyTruth: motionEnergy(truth!),
      },
      texts: { caption, nearest: this.#eventName(verdict), object: objectName(identity) },
      clip,
    };
  }

  async #blind(): Promise<Judged> {
    const caption = this.#ownCaption("no-references");
    const clip = await this.#video("no-references", caption, "zero");
    const identity = await this.#identity(clip);
    return {
      values: { identityAccuracyNoReferences: asNumber(identity.isRight) },
      texts: { caption, object: objectName(identity) },
      clip,
    };
  }

  /** A video from a caption. Equal orders (the true caption may be the written one) are drawn once. */
  async #video(part: EvaluationPart, caption: string, references: "seen" | "zero"): Promise<Clip> {
    const key = `${references} ${caption}`;
    const before = this.#videos.get(key);
    if (before) return before;
    const seen = await this.#seenReferences(part);
    const order = {
      references: references === "seen" ? seen : f32(new Float32Array(seen.data.length), seen.shape),
      caption,
      seed: this.#item.sample.seed,
    };
    const clip = await this.#measure("draw", () => this.#models.draw(order, this.#stop));
    this.#videos.set(key, clip);
    return clip;
  }

  async #seenReferences(part: EvaluationPart): Promise<NdArray> {
    const { frames } = this.#input(part);
    this.#references ??= await this.#measure("references", () => this.#models.references(frames, this.#stop));
    return this.#references;
  }

  async #eventVerdict(clip: Clip): Promise<EventVerdict> {
    const shown = await this.#shownEvents();
    return this.#measure("judge", async () => videoEventVerdict(clip, shown));
  }

  async #identity(clip: Clip): Promise<EventVerdict> {
    const [truth] = await this.#shownEvents();
    const permuted = await this.#shownPermuted();
    return this.#measure("judge", async () => identityVerdict(clip, truth!, permuted));
  }

  #shownEvents(): Promise<readonly Clip[]> {
    const { sample } = this.#item;
    this.#events ??= this.#kept("events", () => candidates(sample).map((event) => event.render()));
    return this.#events;
  }

  #shownPermuted(): Promise<readonly Clip[]> {
    const { sample } = this.#item;
    this.#permuted ??= this.#kept("permuted", () => [...identityProbes(sample).alternatives]);
    return this.#permuted;
  }

  /** Drawings through the autoencoder, from the caller's memory or made now. */
  async #kept(which: keyof Drawings, draw: () => readonly Clip[]): Promise<readonly Clip[]> {
    const { drawings } = this.#options;
    const { seed } = this.#item.sample;
    const before = drawings?.get(seed)?.[which] ?? [];
    if (before.length > 0) return before;
    const shown = await this.#measure("autoencoder", async () => {
      const clips: Clip[] = [];
      for (const clip of draw()) clips.push(await this.#models.throughAutoencoder(clip, this.#stop));
      return clips;
    });
    drawings?.set(seed, { events: [], permuted: [], ...drawings.get(seed), [which]: shown });
    return shown;
  }

  get #stop(): Stoppable {
    return { signal: this.#options.signal };
  }

  #input(part: EvaluationPart): NonNullable<EvaluationItem["input"]> {
    const { input } = this.#item;
    if (input) return input;
    throw lacking(part, "the input clip", "give the item an input");
  }

  #ownCaption(part: EvaluationPart): string {
    if (this.#caption !== undefined) return this.#caption;
    throw lacking(part, "what the language model wrote", 'evaluate "caption" as well, or give a caption');
  }

  #eventName({ nearest }: EventVerdict): string {
    return candidates(this.#item.sample)[nearest]!.event;
  }

  async #measure<T>(stage: string, work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    const result = await work();
    this.#secs[stage] = (this.#secs[stage] ?? 0) + (performance.now() - started) / 1000;
    return result;
  }
}

function objectName({ nearest }: EventVerdict): string {
  return IDENTITY_ALTERNATIVES[nearest] ?? String(nearest);
}

function lacking(part: EvaluationPart, what: string, fix: string): VansError {
  return new VansError("VANS_EVALUATE_PART", `the part "${part}" cannot be evaluated without ${what}`, {
    fix,
  });
}
