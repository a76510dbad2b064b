/**
 * A glass of coloured juice: filled up, drunk, knocked over, mixed with milk.
 * @module
 */
import { type Canvas, fillEllipse, fillPolygon, fillRect, mix, mixRgb, phase, type Rgb } from "../canvas.ts";
import { mainColours } from "../scene.ts";
import { predictiveFamily } from "./causes.ts";

const WALL: Rgb = [126, 146, 166];
const INSIDE: Rgb = [242, 248, 252];
const MILK: Rgb = [255, 255, 255];
const STRAW: Rgb = [60, 60, 72];

const HALF = 14;
const HEIGHT = 32;
const SIDE = 4;
const HALF_FULL = 0.5;

/** A rectangle in the glass's own coordinates, turned by `angle` about its right (or left) foot. */
function fillTurned(
  canvas: Canvas,
  x0: number,
  y0: number,
  x1: number,
  y1: number,
  color: Rgb,
  angle: number,
  pivot: number,
): void {
  if (angle === 0) {
    fillRect(canvas, x0, y0, x1, y1, color);
    return;
  }
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const points: number[] = [];
  for (const [x, y] of [
    [x0, y0],
    [x1, y0],
    [x1, y1],
    [x0, y1],
  ] as const) {
    points.push(pivot + cos * (x - pivot) - sin * y, sin * (x - pivot) + cos * y);
  }
  fillPolygon(canvas, points, color);
}

function drawGlass(canvas: Canvas, level: number, juice: Rgb, angle = 0, pivot = 0): void {
  fillTurned(canvas, -HALF, -HEIGHT, HALF, 0, WALL, angle, pivot);
  fillTurned(canvas, -HALF + SIDE, -HEIGHT - 0.5, HALF - SIDE, -SIDE, INSIDE, angle, pivot);
  const top = -SIDE - (HEIGHT - SIDE - 1) * level;
  if (level > 0) fillTurned(canvas, -HALF + SIDE, top, HALF - SIDE, -SIDE, juice, angle, pivot);
}

/** A glass and what may happen to it. */
export const glass = predictiveFamily({
  name: "glass",
  description: "a glass of {c} juice",
  object: "the glass",
  seen: "it is about half full",
  room: { x: [19, 45], scale: [0.94, 1.06] },
  drawCalm: (canvas, scene, moment) => {
    drawGlass(canvas, mix(0.3, HALF_FULL, phase(moment, 0.1, 0.6)), mainColours[scene.colour]);
  },
  causes: [
    {
      name: "fill",
      conditions: [
        "more juice is poured in",
        "someone pours in the same juice",
        "i pour the whole bottle of juice in",
        "the bottle of juice is emptied into it",
      ],
      because: "more juice makes the level rise",
      captions: {
        literal: [
          "the juice rises until the glass is full",
          "the glass fills up to the rim",
          "the level climbs and the glass becomes full",
        ],
        vivid: ["a tall column of {c} fills the whole glass", "{c} juice climbs all the way to the rim"],
        abstract: ["to the very top", "no room for one drop more"],
      },
      draw: (canvas, scene, progress) => {
        const rgb = mainColours[scene.colour];
        drawGlass(canvas, mix(HALF_FULL, 1, progress), rgb);
        if (progress > 0 && progress < 1) fillRect(canvas, -3.5, -64, 3.5, -14 - 12 * progress, rgb);
      },
    },
    {
      name: "drink",
      conditions: [
        "a thirsty guest gets a straw",
        "someone drinks with a straw",
        "i am thirsty and take a straw",
        "a guest drinks from it",
      ],
      because: "drinking takes the juice out of the glass",
      captions: {
        literal: [
          "the juice sinks until the glass is empty",
          "the level drops and the glass becomes empty",
          "the glass is emptied and nothing stays inside",
        ],
        vivid: [
          "the last {c} juice vanishes and clear glass is left",
          "the {c} column sinks away to the ground",
        ],
        abstract: ["all gone", "that tasted good"],
      },
      draw: (canvas, scene, progress) => {
        drawGlass(canvas, mix(HALF_FULL, 0, phase(progress, 0.15, 1)), mainColours[scene.colour]);
        if (progress <= 0) return;
        const lift = 14 * (1 - phase(progress, 0, 0.6));
        fillPolygon(
          canvas,
          [-5, -5 - lift, 0, -5 - lift, 10, -44 - lift, 5, -44 - lift],
          STRAW,
          Math.min(1, progress * 4),
        );
      },
    },
    {
      name: "tip",
      conditions: [
        "someone knocks it over",
        "a dog runs into it",
        "someone hits it hard",
        "wind knocks it over",
      ],
      because: "a glass that is hit falls and spills",
      captions: {
        literal: [
          "the glass falls over and the juice spreads on the floor",
          "the glass tips over and a pool of juice lies beside it",
          "the glass lies on its side in a pool",
        ],
        vivid: [
          "a wide {c} pool runs from the fallen glass",
          "the glass falls and {c} juice floods the floor",
        ],
        abstract: ["what a mess", "time for a cloth"],
      },
      draw: (canvas, scene, progress) => {
        // It falls toward the side with more room.
        const toRight = scene.x < 32;
        const pivot = toRight ? HALF : -HALF;
        const turn = phase(progress, 0, 0.8);
        const spill = phase(progress, 0.35, 1);
        const shift = (toRight ? -1 : 1) * 14 * turn;
        canvas.originX += canvas.scale * shift;
        const rgb = mainColours[scene.colour];
        drawGlass(canvas, HALF_FULL * (1 - spill), rgb, (toRight ? 1 : -1) * (Math.PI / 2) * turn, pivot);
        canvas.originX -= canvas.scale * shift;
        if (spill > 0) fillEllipse(canvas, toRight ? 7 : -7, 1, 6 + 20 * spill, 6.5 * spill, rgb);
      },
    },
    {
      name: "milk",
      conditions: [
        "milk is poured in",
        "someone adds milk",
        "i pour milk into it",
        "someone pours milk into it",
      ],
      because: "white milk makes the juice pale and adds to it",
      captions: {
        literal: [
          "the juice turns pale and rises a little",
          "the drink becomes pale and higher than before",
          "the colour turns light and the level goes up a bit",
        ],
        vivid: ["the {c} juice fades and becomes soft and pale", "strong {c} softens to a pale cream"],
        abstract: ["softer now", "day breaks in the drink"],
      },
      draw: (canvas, scene, progress) => {
        const rgb = mainColours[scene.colour];
        drawGlass(canvas, mix(HALF_FULL, 0.75, progress), mixRgb(rgb, MILK, 0.62 * progress));
        if (progress > 0 && progress < 1) fillRect(canvas, -3.5, -64, 3.5, -14 - 6 * progress, MILK);
      },
    },
  ],
});
