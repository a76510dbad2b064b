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
  captionEventVerdict,
  type EventVerdict,
  IDENTITY_ALTERNATIVES,
  movingPixels,
  psnrDb,
  ssim,
  videoEventVerdict,
} from "../metrics/index.ts";
import { bestIndex, type Candidate, candidateScores, drawableCaption } from "../rewards/index.ts";
import { f32, type NdArray } from "../tensor/index.ts";
import { candidates, identityProbes } from "../world/index.ts";
import type { DrawingsName, DrawingsPlace } from "./drawings.ts";
import type { EvaluatedModels, Stoppable, Written } from "./evaluated-models.ts";
import type { EvaluationItem, SeenInput } from "./evaluation-item.ts";
import type { Judges } from "./judges.ts";
import { measureCaption } from "./measure-caption.ts";
import { type MetricValues, measureLikeness, measureVideo, packedFeatures } from "./measure-video.ts";
import { EVALUATION_PARTS, type EvaluationPart } from "./metric-table.ts";
import { otherFuture } from "./other-future.ts";
import type { PartOutcome } from "./part-row.ts";

/** A judged part, and the video that was drawn for it. */
export interface PartResult {
  readonly outcome: PartOutcome;
  readonly clip?: Clip;
}

/** How {@link evaluateParts} works. */
export interface EvaluatePartsOptions extends Stoppable {
  /**
   * Keeps drawings, so that the same samples can be judged again and again while the autoencoder stays as it is. Default:
   * nothing is kept.
   */
  readonly drawings?: DrawingsPlace | undefined;
  /** Models that judge videos; without them similarities by CLIP and Fréchet distances are not measured. */
  readonly judges?: Judges;
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

interface Judged {
  readonly values: MetricValues;
  readonly texts: Readonly<Record<string, string>>;
  readonly features?: Readonly<Record<string, string>>;
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
  readonly #references = new Map<SeenInput, Promise<NdArray>>();
  readonly #features = new WeakMap<Clip, string>();
  #caption: string | undefined;

  constructor(models: EvaluatedModels, item: EvaluationItem, options: EvaluatePartsOptions) {
    this.#models = models;
    this.#item = item;
    this.#options = options;
    this.#caption = item.caption;
  }

  async judge(part: EvaluationPart): Promise<PartResult> {
    const { seed, id, kind, family, event } = this.#item.sample;
    const { values, texts, clip, features } = await this.#judged(part);
    // Time since the last part: what two parts share counts for the first.
    const secs = this.#secs;
    this.#secs = {};
    const made = features && Object.keys(features).length > 0 ? { features: { ...features } } : {};
    const outcome = { seed, id, kind, family, part, values, texts: { event, ...texts }, ...made, secs };
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
      case "extension":
        return this.#extended();
      case "still":
        return this.#fromStill();
      case "multi-future":
        return this.#twoFutures();
      case "best-of":
        return this.#bestOf();
    }
  }

  async #reconstruction(): Promise<Judged> {
    const { sample } = this.#item;
    const shown = await this.#shownEvents();
    const seen = shown[0]!;
    const judged = await this.#measure("judge", async () => {
      const drawn = candidates(sample).map((event) => event.render());
      const truth = drawn[0]!;
      const verdict = videoEventVerdict(seen, drawn);
      return {
        values: {
          reconstructionEventAccuracy: asNumber(verdict.isRight),
          reconstructionEventAccuracySameVae: asNumber(videoEventVerdict(seen, shown).isRight),
          reconstructionPsnrDb: psnrDb(truth, seen),
          reconstructionMovingPsnrDb: psnrDb(truth, seen, movingPixels(truth)),
          reconstructionSsim: ssim(truth, seen),
        },
        texts: { nearest: this.#eventName(verdict) },
      };
    });
    const { clipV, clipVReward, clipT, clipTReward } = await this.#likeness(seen, null);
    return {
      ...judged,
      values: {
        ...judged.values,
        ...(clipV !== undefined && clipT !== undefined && { clipVCeiling: clipV, clipTCeiling: clipT }),
        ...(clipVReward !== undefined &&
          clipTReward !== undefined && { clipVCeilingReward: clipVReward, clipTCeilingReward: clipTReward }),
      },
      features: await this.#featuresOf(seen),
    };
  }

  async #written(): Promise<Judged> {
    const { sample } = this.#item;
    const written = await this.#write("caption", this.#input("caption"), sample.question);
    this.#caption = written.caption;
    const { values, event } = measureCaption(written.caption, written.wellFormed, sample);
    return { values, texts: { ...textsOf(written), nearest: this.#eventName(event) } };
  }

  async #fromTruth(): Promise<Judged> {
    const { caption } = this.#item.sample;
    const clip = await this.#video("video-from-truth", caption);
    const [truth] = await this.#shownEvents();
    const verdict = videoEventVerdict(clip, await this.#shownEvents());
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
    return this.#measured(await this.#video("video", caption), caption, this.#input("video"));
  }

  async #blind(): Promise<Judged> {
    const caption = this.#ownCaption("no-references");
    const clip = await this.#video("no-references", caption, "zero");
    const judged = await this.#measured(clip, caption, this.#input("no-references"));
    const { identityAccuracy } = judged.values;
    return {
      ...judged,
      values: { ...judged.values, identityAccuracyNoReferences: identityAccuracy! },
    };
  }

  async #extended(): Promise<Judged> {
    return this.#measured(await this.#video("extension", ""), null, this.#input("extension"));
  }

  async #fromStill(): Promise<Judged> {
    const { sample, still } = this.#item;
    if (!still) throw lacking("still", "the clip's last picture", "give the item a still");
    const written = await this.#write("still", still, sample.question);
    const { values } = measureCaption(written.caption, written.wellFormed, sample);
    const clip = await this.#video("still", written.caption, "seen", still);
    const judged = await this.#measured(clip, written.caption, still);
    return {
      ...judged,
      values: { ...values, ...judged.values },
      texts: { ...textsOf(written), ...judged.texts },
    };
  }

  /** Two questions, two answers: is each nearer to its own future? */
  async #twoFutures(): Promise<Judged> {
    const { sample } = this.#item;
    const other = otherFuture(sample);
    if (!other) return { values: {}, texts: { other: "there is no other future" } };
    const caption = this.#ownCaption("multi-future");
    const clip = await this.#video("multi-future", caption);
    const written = await this.#write("multi-future", this.#input("multi-future"), other.question);
    const otherClip = await this.#video("multi-future", written.caption);
    const truth = (await this.#shownEvents())[0]!;
    const otherTruth = await this.#measure("autoencoder", () =>
      this.#models.throughAutoencoder(other.renderRight(sample.scene), this.#stop),
    );
    const areTold =
      captionEventVerdict(caption, [sample.paraphrases, other.paraphrases]).isRight &&
      captionEventVerdict(written.caption, [other.paraphrases, sample.paraphrases]).isRight;
    const areShown =
      videoEventVerdict(clip, [truth, otherTruth]).isRight &&
      videoEventVerdict(otherClip, [otherTruth, truth]).isRight;
    return {
      values: { multiFutureAccuracy: asNumber(areShown), multiFutureCaptionAccuracy: asNumber(areTold) },
      texts: { caption, other: other.event, otherQuestion: other.question, otherCaption: written.caption },
      clip: otherClip,
    };
  }

  /** Answers of several draws; the pick knows nothing of the truth. */
  async #bestOf(): Promise<Judged> {
    const { sample, answers = 1 } = this.#item;
    const input = this.#input("best-of");
    const drawn: (Candidate & { readonly written: Written; readonly clip: Clip })[] = [];
    for (let answer = 0; answer < answers; answer++) {
      const written = await this.#write("best-of", input, sample.question, answer);
      const clip = await this.#video("best-of", written.caption, "seen", input, answer);
      const caption = drawableCaption(written.text);
      drawn.push({ text: written.text, caption, video: caption === null ? null : clip, written, clip });
    }
    const clipReward = this.#options.judges?.clipReward;
    const scores = await this.#measure("pick", () =>
      candidateScores(drawn, clipReward ? { clip: clipReward } : {}, this.#stop),
    );
    const picked = bestIndex(scores);
    const { written, clip } = drawn[picked]!;
    const { values } = measureCaption(written.caption, written.wellFormed, sample);
    const judged = await this.#measured(clip, written.caption, input);
    return {
      ...judged,
      values: { ...values, ...judged.values },
      texts: { ...textsOf(written), ...judged.texts, picked: String(picked), answers: String(answers) },
    };
  }

  /** All that is measured of a video. @param own what it was drawn from; null for no caption */
  async #measured(clip: Clip, own: string | null, input: SeenInput): Promise<Judged> {
    const truth = {
      events: await this.#shownEvents(),
      permuted: await this.#shownPermuted(),
      input: input.frames,
    };
    const { values, event, identity } = await this.#measure("judge", async () => measureVideo(clip, truth));
    const likeness = await this.#likeness(clip, own);
    return {
      values: { ...values, ...likeness },
      texts: {
        ...(own !== null && { caption: own }),
        nearest: this.#eventName(event),
        object: IDENTITY_ALTERNATIVES[identity.nearest] ?? String(identity.nearest),
      },
      features: await this.#featuresOf(clip),
      clip,
    };
  }

  #likeness(clip: Clip, own: string | null): Promise<MetricValues> {
    const { judges = {} } = this.#options;
    return this.#measure("clip", () => measureLikeness(clip, this.#item.sample, own, judges, this.#stop));
  }

  #featuresOf(clip: Clip): Promise<Record<string, string>> {
    const { judges = {} } = this.#options;
    const clips = { video: clip, truth: this.#item.sample.output };
    return this.#measure("i3d", () => packedFeatures(clips, judges, this.#features));
  }

  #write(part: EvaluationPart, seen: SeenInput, question: string, answer = 0): Promise<Written> {
    const { write } = this.#models;
    if (!write) throw lacking(part, "a language model", "give models that can write");
    const { seed } = this.#item.sample;
    return this.#measure("write", () =>
      write.call(this.#models, seen.vlmFrames ?? seen.frames, question, seed, { ...this.#stop, answer }),
    );
  }

  /** A video from a caption. Equal orders (the true caption may be the written one) are drawn once. */
  async #video(
    part: EvaluationPart,
    caption: string,
    references: "seen" | "zero" = "seen",
    input: SeenInput = this.#input(part),
    answer = 0,
  ): Promise<Clip> {
    const key = `${input === this.#item.still ? "still" : "clip"} ${references} ${answer} ${caption}`;
    const before = this.#videos.get(key);
    if (before) return before;
    const seen = await this.#seenReferences(input);
    const order = {
      references: references === "seen" ? seen : f32(new Float32Array(seen.data.length), seen.shape),
      caption,
      seed: this.#item.sample.seed,
    };
    const clip = await this.#measure("draw", () => this.#models.draw(order, { ...this.#stop, answer }));
    this.#videos.set(key, clip);
    return clip;
  }

  #seenReferences(input: SeenInput): Promise<NdArray> {
    const before = this.#references.get(input);
    if (before) return before;
    const made = this.#measure("references", () => this.#models.references(input.frames, this.#stop));
    this.#references.set(input, made);
    return made;
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

  /** Drawings through the autoencoder, from where they are kept or made now. */
  async #kept(which: DrawingsName, draw: () => readonly Clip[]): Promise<readonly Clip[]> {
    const { drawings } = this.#options;
    const { seed } = this.#item.sample;
    return this.#measure("autoencoder", async () => {
      const before = await drawings?.read(seed, which);
      if (before) return before;
      const clips: Clip[] = [];
      for (const clip of draw()) clips.push(await this.#models.throughAutoencoder(clip, this.#stop));
      await drawings?.write(seed, which, clips);
      return clips;
    });
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

function textsOf({ text, caption, captionFrom }: Written): Record<string, string> {
  return { text, caption, captionFrom };
}

function lacking(part: EvaluationPart, what: string, fix: string): VansError {
  return new VansError("VANS_EVALUATE_PART", `the part "${part}" cannot be evaluated without ${what}`, {
    fix,
  });
}
