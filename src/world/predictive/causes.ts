/**
 * What the predictive families share: four causes with four different consequences for one calm situation.
 * The question names the cause, never the consequence.
 * @module
 */
import type { Key } from "../../base/keys.ts";
import type { Canvas } from "../canvas.ts";
import { pick } from "../dice.ts";
import {
  type Captions,
  colourCaptions,
  type EventPlan,
  type Family,
  nothingCaptions,
  type Phrasing,
  type Story,
  withArticle,
} from "../family.ts";
import { type Room, type Scene, sampleScene } from "../scene.ts";

/** A cause and its consequence. */
export interface Cause {
  readonly name: string;
  /** The cause as a condition, present tense, without the consequence: `someone blows hard`. */
  readonly conditions: readonly string[];
  /** Why the consequence follows, for the reasoning. */
  readonly because: string;
  readonly captions: Captions;
  readonly draw: (canvas: Canvas, scene: Scene, progress: number) => void;
}

/** What a predictive family declares. */
export interface Phenomenon {
  readonly name: string;
  /** `{a} candle` with `{a}` standing for "a red" or "an orange", `{c}` for "red". */
  readonly description: string;
  /** `the candle`. */
  readonly object: string;
  /** What is seen, for the reasoning. */
  readonly seen: string;
  readonly room: Room;
  readonly causes: readonly Cause[];
  /** Draws the calm object; `moment` runs 0 … 1 over the input, at rest at 1. */
  readonly drawCalm: (canvas: Canvas, scene: Scene, moment: number) => void;
}

const questions: readonly Phrasing[] = [
  { text: "what happens if {condition}?", style: "plain" },
  { text: "what will happen if {condition}?", style: "plain" },
  { text: "what do we see next if {condition}?", style: "plain" },
  { text: "suppose {condition}. what happens then?", style: "plain" },
  { text: "now {condition}. what comes next?", style: "elliptic" },
  { text: "imagine that {condition}. what do we see?", style: "elliptic" },
  { text: "what if {condition}?", style: "elliptic" },
  { text: "what comes next if {condition}?", style: "plain" },
  { text: "if {condition}, what happens?", style: "plain" },
];

/** Makes a family from what a phenomenon declares. */
export function predictiveFamily(phenomenon: Phenomenon): Family {
  const { causes } = phenomenon;
  const tell = (key: Key): Story => {
    const scene = sampleScene(key, phenomenon.room);
    const cause = pick(key, "cause", causes);
    const plan = (one: Cause): EventPlan => ({
      event: one.name,
      captions: colourCaptions(one.captions, scene.colour),
      draw: one.draw,
    });
    const thing = phenomenon.description
      .replace("{a}", withArticle(scene.colour))
      .replace("{c}", scene.colour);
    const opening = pick(key, "opening", ["the clip shows", "this is", "i see"]);
    const phrasing = pick(key, "question", questions);
    return {
      scene,
      goal: `see what happens to ${phenomenon.object}`,
      state: `${phenomenon.name}-calm`,
      skipped: 0,
      question: phrasing.text.replace("{condition}", pick(key, "condition", cause.conditions)),
      questionStyle: phrasing.style,
      reasoning: `${opening} ${thing}. ${phenomenon.seen}. ${cause.because}.`,
      drawInput: phenomenon.drawCalm,
      right: plan(cause),
      wrong: [
        {
          event: "nothing",
          captions: nothingCaptions(phenomenon.object),
          draw: (canvas, at) => phenomenon.drawCalm(canvas, at, 1),
        },
        ...causes.filter((one) => one !== cause).map(plan),
      ],
    };
  };
  return {
    name: phenomenon.name,
    kind: "predictive",
    states: [`${phenomenon.name}-calm`],
    events: causes.map((cause) => cause.name),
    tell,
  };
}
