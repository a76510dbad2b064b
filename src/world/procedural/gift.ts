/**
 * A present in a coloured box: box, bear, lid, ribbon, bow.
 * @module
 */
import { type Canvas, fillEllipse, fillRect, fillRoundRect, mixRgb, type Rgb } from "../canvas.ts";
import { mainColours, type Scene } from "../scene.ts";
import {
  type Amounts,
  type Misstep,
  proceduralFamily,
  repeatCaptions,
  type Step,
  undoCaptions,
} from "./steps.ts";

const BEAR: Rgb = [150, 100, 58];
const SNOUT: Rgb = [232, 200, 160];
const RIBBON: Rgb = [255, 255, 255];
const BOW: Rgb = [250, 110, 190];
const DARK: Rgb = [20, 20, 30];

const steps: readonly Step[] = [
  {
    name: "box",
    part: "the box",
    past: "put down the box",
    seen: "the open box is empty",
    captions: { literal: [], vivid: [], abstract: [] },
  },
  {
    name: "bear",
    part: "the bear",
    past: "put in the bear",
    seen: "a brown bear looks out of the open box",
    captions: {
      literal: [
        "a brown bear comes down into the box",
        "the brown toy bear is put into the box",
        "the bear is packed and looks out of the box",
      ],
      vivid: ["a round brown bear sinks down into the {c} box", "a soft bear climbs into the {c} box"],
      abstract: ["the guest takes a seat", "someone with round ears moves in"],
    },
  },
  {
    name: "lid",
    part: "the lid",
    past: "closed the lid",
    seen: "the lid is on but there is no ribbon",
    captions: {
      literal: [
        "the dark lid comes down and closes the box",
        "the lid is put on the box",
        "the box is closed with its wide lid",
      ],
      vivid: ["a wide dark lid sinks down onto the {c} box", "a heavy lid shuts the {c} box"],
      abstract: ["shut tight", "good night inside"],
    },
  },
  {
    name: "ribbon",
    part: "the ribbon",
    past: "tied the ribbon",
    seen: "a white ribbon runs over the closed box",
    captions: {
      literal: [
        "a white ribbon runs down over the box",
        "the white ribbon is tied over the front",
        "the box gets a broad white ribbon",
      ],
      vivid: ["a broad white ribbon rolls down the {c} box", "a white stripe wraps the {c} box"],
      abstract: ["a belt for the present", "wrapped in silk"],
    },
  },
  {
    name: "bow",
    part: "the bow",
    past: "set the bow on top",
    seen: "a pink bow sits on top",
    captions: {
      literal: [
        "a big pink bow comes down on top",
        "the pink bow is set on the box",
        "the present gets a big pink bow",
      ],
      vivid: ["a big pink bow sinks down and crowns the {c} box", "a pink bow lands on the {c} box"],
      abstract: ["the last touch of pink", "now it can be given away"],
    },
  },
];

// Amounts: box, bear, lid, ribbon, bow, second bear on top.
function after(count: number): Amounts {
  return [0, 1, 2, 3, 4, 9].map((i) => (i < count ? 1 : 0));
}

const SECOND_BEAR = 5;

function missteps(next: number): readonly Misstep[] {
  const start = after(next - 1);
  const withAmount = (index: number, amount: number) => start.map((one, i) => (i === index ? amount : one));
  const later = steps.flatMap((step, i) =>
    i > next - 1 ? [{ event: `add-${step.name}`, captions: step.captions, target: withAmount(i, 1) }] : [],
  );
  // A closed lid hides the bear, so taking the bear away would not be seen.
  const undone = steps.flatMap((step, i) =>
    i >= 1 && i < next - 1 && (i > 1 || next === 3)
      ? [{ event: `undo-${step.name}`, captions: undoCaptions(step.part), target: withAmount(i, 0) }]
      : [],
  );
  const again =
    next > 3
      ? [{ event: "repeat-bear", captions: repeatCaptions("brown bear"), target: withAmount(SECOND_BEAR, 1) }]
      : [];
  return [...later, ...undone, ...again];
}

function drawBear(canvas: Canvas, y: number, alpha: number): void {
  fillEllipse(canvas, -7.5, y - 7, 4.5, 4.5, BEAR, alpha);
  fillEllipse(canvas, 7.5, y - 7, 4.5, 4.5, BEAR, alpha);
  fillEllipse(canvas, 0, y, 10.5, 9.5, BEAR, alpha);
  fillEllipse(canvas, 0, y + 2.5, 5.5, 4, SNOUT, alpha);
}

function draw(canvas: Canvas, scene: Scene, amounts: Amounts): void {
  const rgb = mainColours[scene.colour];
  const shade = mixRgb(rgb, DARK, 0.4);
  const [box = 0, bear = 0, lid = 0, ribbon = 0, bow = 0, second = 0] = amounts;
  if (box <= 0) return;
  const alpha = Math.min(1, box * 4);
  const lift = 20 * (1 - box);
  fillRect(canvas, -17, -23 - lift, 17, -18 - lift, shade, alpha);
  if (bear > 0 && lid < 1) drawBear(canvas, -24 - 20 * (1 - bear), Math.min(1, bear * 4));
  fillRect(canvas, -17, -20 - lift, 17, -lift, rgb, alpha);
  if (lid > 0) {
    const y = -20 - 18 * (1 - lid);
    fillRoundRect(canvas, -19.5, y - 9, 19.5, y + 1.5, 1.5, shade, Math.min(1, lid * 4));
  }
  const top = lid > 0 ? -29 : -21;
  if (ribbon > 0) fillRect(canvas, -4, top, 4, top * (1 - ribbon), RIBBON);
  if (second > 0) drawBear(canvas, top - 8 - 18 * (1 - second), Math.min(1, second * 4));
  if (bow > 0) {
    const y = top - 5 - 18 * (1 - bow);
    const shown = Math.min(1, bow * 4);
    fillEllipse(canvas, -8, y - 1, 8, 5.5, BOW, shown, 0.35);
    fillEllipse(canvas, 8, y - 1, 8, 5.5, BOW, shown, -0.35);
    fillEllipse(canvas, 0, y, 4, 4, mixRgb(BOW, DARK, 0.35), shown);
  }
}

/** Packing a present. */
export const gift = proceduralFamily({
  name: "gift",
  description: "{a} box for a present",
  object: "the box",
  goal: "pack a present",
  doing: ["packing a present", "making a present"],
  room: { x: [22, 42], scale: [0.94, 1.04] },
  steps,
  after,
  missteps,
  draw,
});
