/**
 * A ball on a stand: pushed from the right, pushed from the left, the stand taken away, pressed.
 * @module
 */
import { type Canvas, fillEllipse, fillRoundRect, mix, phase, type Rgb } from "../canvas.ts";
import { mainColours, type Scene } from "../scene.ts";
import { predictiveFamily } from "./causes.ts";

const STAND: Rgb = [104, 96, 110];
const BLOCK: Rgb = [60, 62, 76];
const RADIUS = 9;
const STAND_HEIGHT = 20;
const REACH = 19.5;

function drawStand(canvas: Canvas, height: number): void {
  if (height > 0) fillRoundRect(canvas, -9, -height, 9, 0, 2, STAND);
}

function drawBall(canvas: Canvas, scene: Scene, x: number, y: number, turn = 0): void {
  fillEllipse(canvas, x, y, RADIUS, RADIUS, mainColours[scene.colour]);
  const angle = turn - 2.2;
  fillEllipse(canvas, x + 4 * Math.cos(angle), y + 4 * Math.sin(angle), 2.8, 2.8, [255, 255, 255], 0.85);
}

/** Rolls off the stand to one side and falls beside it, at an even pace along its path. */
function drawRoll(canvas: Canvas, scene: Scene, side: 1 | -1, progress: number): void {
  drawStand(canvas, STAND_HEIGHT);
  const top = -STAND_HEIGHT - RADIUS;
  // A quarter of an ellipse from the stand's top to the floor.
  const angle = (Math.PI / 2) * progress;
  const x = side * REACH * Math.sin(angle);
  const y = mix(top, -RADIUS, 1 - Math.cos(angle));
  drawBall(canvas, scene, x, y, side * progress * 3);
}

/** A ball and what may happen to it. */
export const ball = predictiveFamily({
  name: "ball",
  description: "{a} ball",
  object: "the ball",
  seen: "it rests on top of a stand",
  room: { x: [27, 37], scale: [0.94, 1.06] },
  drawCalm: (canvas, scene, moment) => {
    drawStand(canvas, STAND_HEIGHT);
    drawBall(canvas, scene, 0, -STAND_HEIGHT - RADIUS - 12 * (1 - phase(moment, 0.05, 0.5)));
  },
  causes: [
    {
      name: "push-left",
      conditions: [
        "it is pushed from the right",
        "wind blows from the right",
        "i hit it from the right side",
        "a dog runs into it from the right",
      ],
      because: "a push from the right sends it to the left",
      captions: {
        literal: [
          "the ball rolls off and lands on the left",
          "the ball falls down on the left side of the stand",
          "the ball drops to the floor at the left",
        ],
        vivid: ["the {c} ball tumbles down at the left", "the {c} ball leaps off to the left"],
        abstract: ["left and down", "to the left it goes"],
      },
      draw: (canvas, scene, progress) => drawRoll(canvas, scene, -1, progress),
    },
    {
      name: "push-right",
      conditions: [
        "it is pushed from the left",
        "wind blows from the left",
        "i hit it from the left side",
        "a dog runs into it from the left",
      ],
      because: "a push from the left sends it to the right",
      captions: {
        literal: [
          "the ball rolls off and lands on the right",
          "the ball falls down on the right side of the stand",
          "the ball drops to the floor at the right",
        ],
        vivid: ["the {c} ball tumbles down at the right", "the {c} ball leaps off to the right"],
        abstract: ["right and down", "to the right it goes"],
      },
      draw: (canvas, scene, progress) => drawRoll(canvas, scene, 1, progress),
    },
    {
      name: "remove",
      conditions: [
        "the stand is taken away",
        "the stand sinks into the ground",
        "someone pulls the stand out",
        "i take the stand from below it",
      ],
      because: "with nothing below, it goes straight down",
      captions: {
        literal: [
          "the ball sinks straight down to the floor",
          "the ball comes down and lies in the middle of the floor",
          "the ball lies on the floor and no stand is left",
        ],
        vivid: ["the {c} ball comes straight down and rests below", "the {c} ball sinks down like a lift"],
        abstract: ["back on the ground", "straight below"],
      },
      draw: (canvas, scene, progress) => {
        drawStand(canvas, STAND_HEIGHT * (1 - progress));
        drawBall(canvas, scene, 0, -STAND_HEIGHT * (1 - progress) - RADIUS);
      },
    },
    {
      name: "press",
      conditions: [
        "a heavy block is set on it",
        "someone puts a heavy block on it",
        "i put a heavy weight on it",
        "a heavy weight comes from above",
      ],
      because: "the ball is soft and the weight is heavy",
      captions: {
        literal: [
          "the ball is pressed flat under a dark block",
          "the dark block squeezes the ball flat",
          "the ball becomes flat and wide below the block",
        ],
        vivid: ["the {c} ball is squeezed into a flat cake", "a dark block squeezes the soft {c} ball"],
        abstract: ["round no more", "flat as a cake"],
      },
      draw: (canvas, scene, progress) => {
        drawStand(canvas, STAND_HEIGHT);
        const press = phase(progress, 0.3, 1);
        const radiusY = mix(RADIUS, 4.5, press);
        const ballTop = -STAND_HEIGHT - 2 * radiusY;
        if (press === 0) drawBall(canvas, scene, 0, -STAND_HEIGHT - RADIUS);
        else
          fillEllipse(
            canvas,
            0,
            -STAND_HEIGHT - radiusY,
            mix(RADIUS, 15, press),
            radiusY,
            mainColours[scene.colour],
          );
        if (progress > 0) {
          const y = ballTop - 6 * (1 - phase(progress, 0, 0.3));
          fillRoundRect(canvas, -12, y - 15, 12, y + 1, 2, BLOCK, Math.min(1, progress * 4));
        }
      },
    },
  ],
});
