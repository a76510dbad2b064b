/**
 * A burning candle: blown at, watered, left alone, covered.
 * @module
 */
import { type Canvas, fillEllipse, fillRect, fillRoundRect, mix, phase, type Rgb } from "../canvas.ts";
import { mainColours, type Scene } from "../scene.ts";
import { predictiveFamily } from "./causes.ts";

const DISH: Rgb = [120, 116, 124];
const WICK: Rgb = [40, 36, 40];
const FLAME: Rgb = [255, 140, 20];
const CORE: Rgb = [255, 240, 130];
const SMOKE: Rgb = [128, 128, 140];
const WATER: Rgb = [70, 176, 244];
const CUP: Rgb = [84, 92, 116];

const HEIGHT = 22;

function drawFlame(canvas: Canvas, base: number, size: number, lean: number): void {
  if (size <= 0) return;
  fillEllipse(canvas, lean, base - 7 * size, 6.5 * size, 8.5 * size, FLAME, 1, lean * 0.08);
  fillEllipse(canvas, lean * 0.7, base - 5 * size, 3.6 * size, 5 * size, CORE, 1, lean * 0.08);
}

function drawBody(canvas: Canvas, scene: Scene, height: number): void {
  fillRoundRect(canvas, -17, -5, 17, 1, 2.5, DISH);
  fillRoundRect(canvas, -9, -4 - height, 9, -2.5, 2, mainColours[scene.colour]);
  fillRect(canvas, -2, -8 - height, 2, -2.5 - height, WICK);
}

function drawCandle(canvas: Canvas, scene: Scene, height: number, flame: number, lean: number): void {
  drawBody(canvas, scene, height);
  drawFlame(canvas, -6 - height, flame, lean);
}

/** A candle and what may happen to it. */
export const candle = predictiveFamily({
  name: "candle",
  description: "{a} candle",
  object: "the candle",
  seen: "its flame burns quietly",
  room: { x: [20, 44], scale: [0.94, 1.06] },
  drawCalm: (canvas, scene, moment) => {
    const sway = moment < 0.8 ? Math.sin(moment * 20) * (1 - moment / 0.8) : 0;
    drawCandle(canvas, scene, HEIGHT, 1, 2 * sway);
  },
  causes: [
    {
      name: "blow",
      conditions: [
        "someone blows at the candle",
        "a strong wind blows in",
        "wind comes in at the window",
        "i blow hard",
      ],
      because: "the wind takes the flame away, so only smoke is left",
      captions: {
        literal: [
          "the flame goes out and grey smoke rises",
          "the flame dies and a grey cloud of smoke climbs up",
          "the light goes out and grey smoke stays above the candle",
        ],
        vivid: [
          "grey smoke curls up from the {c} candle",
          "a thick grey cloud hangs over the dark {c} candle",
        ],
        abstract: ["the light is gone in one breath", "darkness and smoke"],
      },
      draw: (canvas, scene, progress) => {
        const flame = 1 - phase(progress, 0, 0.4);
        const smoke = phase(progress, 0.3, 1);
        drawCandle(canvas, scene, HEIGHT, flame, 3 * phase(progress, 0, 0.25));
        if (smoke <= 0) return;
        const top = -8 - HEIGHT;
        const shown = Math.min(1, smoke * 2.5);
        fillEllipse(canvas, 1, top - 3 - 2 * smoke, 5, 3.5, SMOKE, shown);
        fillEllipse(canvas, 5, top - 4 - 6 * smoke, 5 + 2 * smoke, 3.5 + 1.5 * smoke, SMOKE, shown);
        fillEllipse(canvas, -2, top - 4 - 11 * smoke, 5 + 4 * smoke, 3.5 + 2.5 * smoke, SMOKE, shown);
      },
    },
    {
      name: "water",
      conditions: [
        "water is poured over it",
        "it begins to rain",
        "someone pours a glass of water over it",
        "i pour water on it",
      ],
      because: "the wet wick cannot burn and the water runs down",
      captions: {
        literal: [
          "blue drops put the flame out and a blue pool spreads",
          "the flame is put out and a wide blue pool lies below",
          "the flame goes out in a wide blue pool",
        ],
        vivid: [
          "a blue flood drowns the light of the {c} candle",
          "the {c} candle stands dark in a shiny blue pool",
        ],
        abstract: ["all wet and dark", "a cold bath for the flame"],
      },
      draw: (canvas, scene, progress) => {
        const flame = 1 - phase(progress, 0.4, 0.6);
        const pool = phase(progress, 0.45, 1);
        drawCandle(canvas, scene, HEIGHT, flame, 0);
        const drop = 1 - phase(progress, 0.6, 0.9);
        const fall = mix(-26, -6, phase(progress, 0, 0.75));
        const shown = drop * phase(progress, 0, 0.2);
        fillEllipse(canvas, -5, -14 - HEIGHT + fall + 12, 5, 7, WATER, shown);
        fillEllipse(canvas, 5, -18 - HEIGHT + fall + 12, 5, 7, WATER, shown);
        if (pool > 0) {
          fillEllipse(canvas, 0, -1, 8 + 17 * pool, 6.5 * pool, WATER);
          fillRoundRect(canvas, -9, -4 - HEIGHT, 9, -4 - HEIGHT + 6, 2, WATER, pool);
        }
      },
    },
    {
      name: "wait",
      conditions: [
        "it is left alone for a long time",
        "nobody touches it for a long time",
        "we wait all night",
        "we come back after a long time",
      ],
      because: "the flame eats up the wax hour after hour",
      captions: {
        literal: [
          "the candle melts down and becomes short",
          "the wax melts into a flat pool and the candle gets short",
          "the candle burns down to a short stub",
        ],
        vivid: ["the {c} candle melts low into soft {c} wax", "soft {c} wax runs down until a stub is left"],
        abstract: ["time makes it small", "tall becomes low"],
      },
      draw: (canvas, scene, progress) => {
        const height = mix(HEIGHT, 9, progress);
        drawCandle(canvas, scene, height, 1, 0);
        if (progress > 0) {
          fillEllipse(canvas, 0, -4, 9 + 8 * progress, 4.5 * progress, mainColours[scene.colour]);
        }
      },
    },
    {
      name: "cover",
      conditions: [
        "a metal cup is put over it",
        "someone puts a cup over it",
        "i put a big cup over it",
        "an empty cup is set over the flame",
      ],
      because: "under the cup there is no air, so the flame dies",
      captions: {
        literal: [
          "a dark cup sinks down and hides the candle",
          "the dark cup comes down until the flame is hidden",
          "the candle vanishes under a dark cup",
        ],
        vivid: ["a dark metal cup hides the {c} candle", "the {c} candle hides below a heavy dark cup"],
        abstract: ["hide and seek", "a hat for the fire"],
      },
      draw: (canvas, scene, progress) => {
        drawCandle(canvas, scene, HEIGHT, 1 - phase(progress, 0.6, 0.9), 0);
        if (progress <= 0) return;
        const bottom = mix(-36, -15, progress);
        fillRoundRect(canvas, -13, bottom - 32, 13, bottom, 3, CUP, Math.min(1, progress * 4));
      },
    },
  ],
});
