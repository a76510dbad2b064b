/**
 * What the procedural families share: five fixed steps, an input that shows the last one done, steps skipped
 * between input and question, and wrong events made of later, repeated or undone steps.
 *
 * The answer starts from the state that the question implies: skipped steps are already in place at its first frame.
 * @module
 */
import type { Key } from "../../base/keys.ts";
import { type Canvas, mix, phase } from "../canvas.ts";
import { between, integerBetween, pick, pickSome } from "../dice.ts";
import {
  type Captions,
  colourCaptions,
  type EventPlan,
  type Family,
  listWords,
  nothingCaptions,
  type Phrasing,
  type Story,
  withArticle,
} from "../family.ts";
import { type Room, type Scene, sampleScene } from "../scene.ts";

/** How much of each part is there, 0 … 1, in the family's own order. */
export type Amounts = readonly number[];

/** One step of a procedure. */
export interface Step {
  /** Name in event ids and states, for example `lettuce`. */
  readonly name: string;
  /** The part, for example `the lettuce`. */
  readonly part: string;
  /** What the user did, for example `added the lettuce`. */
  readonly past: string;
  /** What is seen when this is the last step done, for example `the top layer is green lettuce`. */
  readonly seen: string;
  readonly captions: Captions;
}

/** A wrong event: another target state with its captions. */
export interface Misstep {
  readonly event: string;
  readonly captions: Captions;
  readonly target: Amounts;
}

/** What a procedural family declares. */
export interface Procedure {
  readonly name: string;
  /** `a sandwich on {a} plate` with `{a}` standing for "a red" or "an orange". */
  readonly description: string;
  /** `the sandwich`. */
  readonly object: string;
  /** `make a sandwich`. */
  readonly goal: string;
  /** Ways to say what one is doing, for example `making a sandwich`. */
  readonly doing: readonly string[];
  readonly room: Room;
  readonly steps: readonly Step[];
  /** The amounts after the first `count` steps. */
  readonly after: (count: number) => Amounts;
  /** Wrong next events when `next` (1-based) would be right; at least 3. */
  readonly missteps: (next: number) => readonly Misstep[];
  readonly draw: (canvas: Canvas, scene: Scene, amounts: Amounts) => void;
}

const namedQuestions: readonly Phrasing[] = [
  "i am {doing}. what should i do next?",
  "i am {doing}. what comes next?",
  "what is the next step in {doing}?",
  "how do i go on with {doing}?",
  "help me with {doing}. what is next?",
  "we are {doing}. which step follows?",
].map((text) => ({ text, style: "plain" }));
const impliedQuestions: readonly Phrasing[] = [
  { text: "what should i do next?", style: "plain" },
  { text: "what comes next here?", style: "elliptic" },
  { text: "what is the next step?", style: "plain" },
  { text: "how do i go on from here?", style: "plain" },
  { text: "which step follows?", style: "elliptic" },
  { text: "and now?", style: "elliptic" },
  { text: "what is next?", style: "plain" },
];
const skippedPrefixes = [
  "i have already {past}.",
  "since then i {past}.",
  "meanwhile i {past}.",
  "after the clip i {past}.",
];

function questionOf(key: Key, procedure: Procedure, pasts: readonly string[]): Phrasing {
  const isNamed = between(key, "named goal", 0, 1) < 0.5;
  const { text, style } = pick(key, "question", isNamed ? namedQuestions : impliedQuestions);
  const question = text.replace("{doing}", pick(key, "doing", procedure.doing));
  if (pasts.length === 0) return { text: question, style };
  const prefix = pick(key, "skipped", skippedPrefixes).replace("{past}", listWords(pasts));
  return { text: `${prefix} ${question}`, style };
}

function reasoningOf(
  key: Key,
  thing: string,
  seen: string,
  skippedParts: readonly string[],
  nextPart: string,
): string {
  const opening = pick(key, "opening", ["the clip shows", "this is", "i see"]);
  if (skippedParts.length > 0) {
    const done = `${listWords(skippedParts)} ${skippedParts.length > 1 ? "are" : "is"} already done`;
    return `${opening} ${thing}. ${seen}. ${done}, so ${nextPart} comes next.`;
  }
  return pick(key, "closing", [
    `${opening} ${thing}. ${seen}. so the next step is ${nextPart}.`,
    `${opening} ${thing}. ${seen}, so ${nextPart} comes next.`,
    `${opening} ${thing}. ${seen}. after that comes ${nextPart}.`,
  ]);
}

/** The amounts on the way from one state to another. */
function blend(from: Amounts, to: Amounts, progress: number): Amounts {
  return from.map((amount, i) => mix(amount, to[i]!, progress));
}

/** Makes a family from what a procedure declares. */
export function proceduralFamily(procedure: Procedure): Family {
  const { steps } = procedure;
  const last = steps.length;
  const tell = (key: Key): Story => {
    const scene = sampleScene(key, procedure.room);
    // Which step is next is drawn first, so that every step is right equally often.
    const next = integerBetween(key, "next", 2, last);
    const wanted = pick(key, "skips", [0, 0, 0, 1, 1, 2]);
    const skipped = Math.min(wanted, next - 2);
    const shown = next - 1 - skipped;
    const step = steps[next - 1]!;
    const between_ = steps.slice(shown, next - 1);
    const start = procedure.after(next - 1);
    const plan = (event: string, captions: Captions, target: Amounts): EventPlan => ({
      event,
      captions: colourCaptions(captions, scene.colour),
      draw: (canvas, at, progress) => procedure.draw(canvas, at, blend(start, target, progress)),
    });
    const inputStart = between(key, "input start", 0.12, 0.25);
    const before = procedure.after(shown - 1);
    const now = procedure.after(shown);
    const asked = questionOf(
      key,
      procedure,
      between_.map((one) => one.past),
    );
    return {
      scene,
      goal: procedure.goal,
      state: `${procedure.name}-${steps[shown - 1]!.name}`,
      skipped,
      question: asked.text,
      questionStyle: asked.style,
      reasoning: reasoningOf(
        key,
        procedure.description.replace("{a}", withArticle(scene.colour)),
        steps[shown - 1]!.seen,
        between_.map((one) => one.part),
        step.part,
      ),
      drawInput: (canvas, at, moment) =>
        procedure.draw(canvas, at, blend(before, now, phase(moment, inputStart, inputStart + 0.4))),
      right: plan(`add-${step.name}`, step.captions, procedure.after(next)),
      wrong: [
        plan("nothing", nothingCaptions(procedure.object), start),
        ...pickSome(key, "missteps", procedure.missteps(next), 3).map((one) =>
          plan(one.event, one.captions, one.target),
        ),
      ],
    };
  };
  return {
    name: procedure.name,
    kind: "procedural",
    states: steps.slice(0, last - 1).map((step) => `${procedure.name}-${step.name}`),
    events: steps.slice(1).map((step) => `add-${step.name}`),
    tell,
  };
}

/** Captions of a step taken back. */
export function undoCaptions(part: string): Captions {
  return {
    literal: [`${part} is taken away again`, `${part} is removed and gone`],
    vivid: [`${part} lifts off and leaves again`],
    abstract: [`${part}? gone`, `off with ${part}`],
  };
}

/** Captions of a step done a second time. */
export function repeatCaptions(one: string): Captions {
  return {
    literal: [`a second ${one} is put on top`, `one more ${one} comes down on top`],
    vivid: [`yet another ${one} lands on the pile`],
    abstract: [`the same ${one} twice`, `${one} again`],
  };
}
