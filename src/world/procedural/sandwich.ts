/**
 * A sandwich on a coloured plate: bread, lettuce, tomato, cheese, bun.
 * @module
 */
import { type Canvas, fillEllipse, fillRect, fillRoundRect, type Rgb } from "../canvas.ts";
import { mainColours, type Scene } from "../scene.ts";
import { type Amounts, type Misstep, proceduralFamily, repeatCaptions, type Step } from "./steps.ts";

interface Layer {
  readonly name: string;
  readonly one: string;
  readonly halfWidth: number;
  readonly thickness: number;
  readonly color: Rgb;
}

const layers: readonly Layer[] = [
  { name: "bread", one: "slice of bread", halfWidth: 15, thickness: 8, color: [226, 180, 116] },
  { name: "lettuce", one: "leaf of lettuce", halfWidth: 18, thickness: 7, color: [88, 190, 64] },
  { name: "tomato", one: "slice of tomato", halfWidth: 15, thickness: 7, color: [228, 62, 48] },
  { name: "cheese", one: "slice of cheese", halfWidth: 18, thickness: 7, color: [255, 204, 44] },
  { name: "bun", one: "round bun", halfWidth: 15.5, thickness: 11, color: [176, 106, 48] },
];

const steps: readonly Step[] = [
  {
    name: "bread",
    part: "the bread",
    past: "put down the bread",
    seen: "only the bread lies there",
    captions: { literal: [], vivid: [], abstract: [] },
  },
  {
    name: "lettuce",
    part: "the lettuce",
    past: "added the lettuce",
    seen: "the top layer is green lettuce",
    captions: {
      literal: [
        "a green leaf of lettuce comes down on top",
        "green lettuce is laid on the sandwich",
        "the lettuce is added as a green layer",
      ],
      vivid: [
        "fresh green lettuce sinks down over the {c} plate",
        "a wide green leaf settles above the {c} plate",
      ],
      abstract: ["time for something green", "the salad joins in"],
    },
  },
  {
    name: "tomato",
    part: "the tomato",
    past: "added the tomato",
    seen: "the top layer is red tomato",
    captions: {
      literal: [
        "a red slice of tomato comes down on top",
        "red tomato is laid on the sandwich",
        "the tomato is added as a red layer",
      ],
      vivid: [
        "a juicy red tomato slice sinks down over the {c} plate",
        "ripe tomato settles above the {c} plate",
      ],
      abstract: ["time for something juicy", "the ripe fruit joins in"],
    },
  },
  {
    name: "cheese",
    part: "the cheese",
    past: "added the cheese",
    seen: "the top layer is yellow cheese",
    captions: {
      literal: [
        "a yellow slice of cheese comes down on top",
        "yellow cheese is laid on the sandwich",
        "the cheese is added as a yellow layer",
      ],
      vivid: [
        "a soft yellow cheese slice sinks down over the {c} plate",
        "mild cheese settles above the {c} plate",
      ],
      abstract: ["time for something mild", "what a mouse loves joins in"],
    },
  },
  {
    name: "bun",
    part: "the bun",
    past: "closed it with the bun",
    seen: "the brown bun is on top",
    captions: {
      literal: [
        "the round brown bun comes down on top",
        "the bun closes the sandwich",
        "the brown bun is put on as a lid",
      ],
      vivid: [
        "a big brown bun sinks down and crowns the {c} plate",
        "a warm brown bun closes all above the {c} plate",
      ],
      abstract: ["the roof of the meal", "ready to eat"],
    },
  },
];

const COUNT = layers.length;

function after(count: number): Amounts {
  // The second half holds second helpings, which only wrong events use.
  return Array.from({ length: 2 * COUNT }, (_, i) => (i < count ? 1 : 0));
}

function withPart(amounts: Amounts, index: number): Amounts {
  return amounts.map((amount, i) => (i === index ? 1 : amount));
}

function missteps(next: number): readonly Misstep[] {
  const start = after(next - 1);
  const later = layers.flatMap((layer, i) =>
    i > next - 1
      ? [{ event: `add-${layer.name}`, captions: steps[i]!.captions, target: withPart(start, i) }]
      : [],
  );
  const again = layers.flatMap((layer, i) =>
    i < next - 1
      ? [
          {
            event: `repeat-${layer.name}`,
            captions: repeatCaptions(layer.one),
            target: withPart(start, COUNT + i),
          },
        ]
      : [],
  );
  return [...later, ...again];
}

function drawLayer(canvas: Canvas, index: number, bottom: number, amount: number): void {
  const { halfWidth, thickness, color } = layers[index]!;
  const alpha = Math.min(1, amount * 4);
  const y = bottom - 20 * (1 - amount);
  if (index === COUNT - 1) {
    fillRoundRect(canvas, -halfWidth, y - 6, halfWidth, y + 1.5, 2, color, alpha);
    fillEllipse(canvas, 0, y - 5.5, halfWidth, thickness - 5.5, color, alpha);
  } else if (index === 1) {
    fillRect(canvas, -halfWidth + 2, y - thickness, halfWidth - 2, y + 1.5, color, alpha);
    for (let x = -12; x <= 12; x += 8) fillEllipse(canvas, x, y - 3, 6, 4, color, alpha);
  } else {
    fillRoundRect(canvas, -halfWidth, y - thickness, halfWidth, y + 1.5, index === 0 ? 3 : 2, color, alpha);
  }
}

function draw(canvas: Canvas, scene: Scene, amounts: Amounts): void {
  const rgb = mainColours[scene.colour];
  fillRoundRect(canvas, -21, -7, 21, 0, 3.5, rgb);
  fillRect(canvas, -12, -4, 12, 2, rgb);
  let bottom = -7;
  for (let i = 0; i < amounts.length; i++) {
    const amount = amounts[i]!;
    if (amount <= 0) continue;
    drawLayer(canvas, i % COUNT, bottom, amount);
    bottom -= layers[i % COUNT]!.thickness;
  }
}

/** Stacking a sandwich. */
export const sandwich = proceduralFamily({
  name: "sandwich",
  description: "a sandwich on {a} plate",
  object: "the sandwich",
  goal: "make a sandwich",
  doing: ["making a sandwich", "building a sandwich", "making lunch"],
  room: { x: [23.5, 40.5], scale: [0.94, 1.04] },
  steps,
  after,
  missteps,
  draw,
});
