/**
 * Samples of the simulated world: a pure function of the seed.
 * @module
 */
import { fold, keyFromSeed } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { integerBetween, pick } from "./dice.ts";
import { worldFamilies } from "./families.ts";
import type { Captions, EventPlan, QuestionStyle, WorldKind } from "./family.ts";
import { ANSWER_FRAMES, INPUT_FRAMES, placeName, renderClip, type Scene } from "./scene.ts";
import { CURATED_SEED_START, drawingVersion, worldVersion } from "./seeds.ts";

/** How a caption speaks. */
export type CaptionStyle = keyof Captions;

/** One event that may come next, with all ways to say it and its picture. */
export interface WorldEvent {
  readonly event: string;
  /** The caption chosen for this sample. */
  readonly caption: string;
  readonly captionStyle: CaptionStyle;
  /** All captions that mean this event, the chosen one included. */
  readonly paraphrases: readonly string[];
  /** The paraphrases by style. */
  readonly captions: Captions;
  /** Renders the 17 answer frames, `[17, 64, 64, 3]`; a new clip at each call. */
  readonly render: () => Clip;
}

/** What a person could say about the input; heads for auxiliary training and reports read it. */
export interface WorldAttributes {
  readonly family: string;
  readonly colour: string;
  /** What the last input frame shows: family and last step done. */
  readonly state: string;
  readonly place: string;
  readonly backdrop: string;
  readonly distractor: string;
  /** The right event with its family, for example `candle:blow`. Not visible in the input alone. */
  readonly next: string;
  /** How many steps were done between input and question: `0`, `1` or `2`. */
  readonly skipped: string;
}

/** One sample: what is shown, asked, thought, said and seen next, and what does not come next. */
export interface WorldSample {
  /** `playroom-v2-000042`. */
  readonly id: string;
  readonly kind: WorldKind;
  readonly family: string;
  readonly seed: number;
  readonly worldVersion: number;
  readonly goal: string;
  readonly question: string;
  readonly reasoning: string;
  readonly caption: string;
  readonly captionStyle: CaptionStyle;
  readonly paraphrases: readonly string[];
  /** Name of the right event within its family. */
  readonly event: string;
  /** `[21, 64, 64, 3]`, rendered at first use. */
  readonly input: Clip;
  /** `[17, 64, 64, 3]`, rendered at first use. */
  readonly output: Clip;
  readonly right: WorldEvent;
  /** Exactly 4 events of the same state and family; the first is "nothing". */
  readonly wrongEvents: readonly WorldEvent[];
  readonly attributes: WorldAttributes;
  readonly scene: Scene;
  /** Renders any event plan of this sample in another scene; for {@link identityProbes}. */
  readonly renderRight: (scene: Scene) => Clip;
}

/** How annotators write: who is asked in few words answers in few. */
const STYLE_DRAWS: Readonly<Record<QuestionStyle, readonly CaptionStyle[]>> = {
  plain: ["literal", "literal", "literal", "vivid"],
  elliptic: ["abstract", "abstract", "abstract", "abstract", "abstract", "abstract", "abstract", "literal"],
};

/** Frame `f` of an answer shows progress `(f - 1) / duration`, held at the ends. */
function answerMoment(duration: number): (frame: number) => number {
  return (frame) => Math.min(1, Math.max(0, (frame - 1) / duration));
}

/**
 * The sample of a seed. Even seeds are procedural, odd ones predictive; families rotate.
 *
 * @example
 * ```ts
 * import { sampleForSeed } from "vans/world";
 * const sample = sampleForSeed(1);
 * sample.kind; // => "predictive"
 * sample.wrongEvents.length; // => 4
 * ```
 */
export function sampleForSeed(seed: number): WorldSample {
  const kind: WorldKind = seed % 2 === 0 ? "procedural" : "predictive";
  const families = worldFamilies[kind];
  const family = families[Math.floor(seed / 2) % families.length]!;
  const key = fold(keyFromSeed(seed), "world", drawingVersion);
  const story = family.tell(fold(key, family.name));
  const { scene } = story;
  // Nothing moves faster than about 3 pixels a frame, and the final state stands for at least 6 frames.
  const duration =
    kind === "procedural" ? integerBetween(key, "duration", 7, 9) : integerBetween(key, "duration", 9, 10);
  const moment = answerMoment(duration);
  const toEvent = (plan: EventPlan, index: number): WorldEvent => {
    const captionKey = fold(key, "caption", index);
    const captionStyle =
      seed >= CURATED_SEED_START ? "literal" : pick(captionKey, "style", STYLE_DRAWS[story.questionStyle]);
    const caption = pick(captionKey, "text", plan.captions[captionStyle]);
    return {
      event: plan.event,
      caption: caption ?? "",
      captionStyle,
      paraphrases: [...plan.captions.literal, ...plan.captions.vivid, ...plan.captions.abstract],
      captions: plan.captions,
      render: () => renderClip(scene, ANSWER_FRAMES, moment, plan.draw),
    };
  };
  const right = toEvent(story.right, 0);
  let input: Clip | undefined;
  let output: Clip | undefined;
  return {
    id: `playroom-v${worldVersion}-${String(seed).padStart(6, "0")}`,
    kind,
    family: family.name,
    seed,
    worldVersion,
    goal: story.goal,
    question: story.question,
    reasoning: story.reasoning,
    caption: right.caption,
    captionStyle: right.captionStyle,
    paraphrases: right.paraphrases,
    event: right.event,
    get input() {
      input ??= renderClip(scene, INPUT_FRAMES, (frame) => frame / (INPUT_FRAMES - 1), story.drawInput);
      return input;
    },
    get output() {
      output ??= right.render();
      return output;
    },
    right,
    wrongEvents: story.wrong.map((plan, i) => toEvent(plan, i + 1)),
    attributes: {
      family: family.name,
      colour: scene.colour,
      state: story.state,
      place: placeName(scene),
      backdrop: scene.backdrop,
      distractor: scene.distractor,
      next: `${family.name}:${right.event}`,
      skipped: String(story.skipped),
    },
    scene,
    renderRight: (at) => renderClip(at, ANSWER_FRAMES, moment, story.right.draw),
  };
}

/** The right event followed by the 4 wrong ones. */
export function candidates(sample: WorldSample): readonly WorldEvent[] {
  return [sample.right, ...sample.wrongEvents];
}

/** The last input frame as a still clip of one frame: the picture form of the same question. */
export function stillInput(sample: WorldSample): Clip {
  const { input } = sample;
  const frameBytes = input.width * input.height * 3;
  return { ...input, frameCount: 1, rgb: input.rgb.slice((input.frameCount - 1) * frameBytes) };
}
