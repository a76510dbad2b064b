/**
 * What a family of the world provides: situations with one right next event and four wrong ones.
 * @module
 */
import type { Key } from "../base/keys.ts";
import type { Canvas } from "./canvas.ts";
import type { Scene } from "./scene.ts";

/** Procedural samples ask for the next step; predictive ones for a consequence. */
export type WorldKind = "procedural" | "predictive";

/** Captions of one event by style. All mean the same event. */
export interface Captions {
  /** Plain words for what is seen. */
  readonly literal: readonly string[];
  /** More picture, with the colour of the main object. */
  readonly vivid: readonly string[];
  /** Short, figurative or elliptic: hard to draw from. */
  readonly abstract: readonly string[];
}

/** One thing that may happen next. */
export interface EventPlan {
  /** Stable name within the family, for example `add-lettuce` or `blow`. */
  readonly event: string;
  readonly captions: Captions;
  /** Draws the event at `progress` 0 (not begun) … 1 (over). */
  readonly draw: (canvas: Canvas, scene: Scene, progress: number) => void;
}

/** How one asks: `plain` questions are answered in full sentences, `elliptic` ones by annotators of few words. */
export type QuestionStyle = "plain" | "elliptic";

/** A question as a family may ask it. */
export interface Phrasing {
  readonly text: string;
  readonly style: QuestionStyle;
}

/** A situation: what the input shows, what is asked, what comes next and what does not. */
export interface Story {
  readonly scene: Scene;
  /** What the user is after, for example `make a sandwich`. */
  readonly goal: string;
  /** What the last input frame shows, as a name out of {@link Family.states}. */
  readonly state: string;
  /** Steps that happened between input and question. */
  readonly skipped: number;
  readonly question: string;
  readonly questionStyle: QuestionStyle;
  readonly reasoning: string;
  /** Draws the input at `moment` 0 (first frame) … 1 (last frame, at rest). */
  readonly drawInput: (canvas: Canvas, scene: Scene, moment: number) => void;
  readonly right: EventPlan;
  /** Exactly 4; the first is "nothing happens". */
  readonly wrong: readonly EventPlan[];
}

/** A family of situations that look alike. */
export interface Family {
  readonly name: string;
  readonly kind: WorldKind;
  /** All values of {@link Story.state}. */
  readonly states: readonly string[];
  /** All event names that can be right. */
  readonly events: readonly string[];
  /** Draws one situation from a key. */
  readonly tell: (key: Key) => Story;
}

/** "a red" but "an orange". */
export function withArticle(words: string): string {
  return `${/^[aeiou]/.test(words) ? "an" : "a"} ${words}`;
}

/** Replaces `{c}` by the colour in all captions. */
export function colourCaptions(captions: Captions, colour: string): Captions {
  const fill = (texts: readonly string[]) => texts.map((text) => text.replaceAll("{c}", colour));
  return { literal: fill(captions.literal), vivid: fill(captions.vivid), abstract: fill(captions.abstract) };
}

/** The captions of "nothing happens" for an object such as `the candle`. */
export function nothingCaptions(object: string): Captions {
  return {
    literal: [`nothing happens and ${object} stays as it is`, `${object} does not change at all`],
    vivid: [`${object} keeps still, just as before`],
    abstract: ["nothing happens", "all stays the same"],
  };
}

/** Joins words: `a`, `a and b`, `a, b and c`. */
export function listWords(words: readonly string[]): string {
  if (words.length < 2) return words[0] ?? "";
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}
