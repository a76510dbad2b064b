/**
 * A balloon on a weight: pumped up, pricked, cut loose, let out.
 * @module
 */
import { type Canvas, fillEllipse, fillPolygon, fillRoundRect, mix, phase, type Rgb } from "../canvas.ts";
import { mainColours, type Scene } from "../scene.ts";
import { predictiveFamily } from "./causes.ts";

const STRING: Rgb = [96, 84, 80];
const WEIGHT: Rgb = [72, 72, 84];

function drawBalloon(canvas: Canvas, scene: Scene, x: number, y: number, size: number): void {
  const rgb = mainColours[scene.colour];
  fillPolygon(canvas, [x, y + 11 * size, x + 4, y + 14 * size + 3, x - 4, y + 14 * size + 3], rgb);
  fillEllipse(canvas, x, y, 12 * size, 14 * size, rgb);
  fillEllipse(canvas, x - 4.5 * size, y - 5.5 * size, 3 * size, 3.6 * size, [255, 255, 255], 0.8);
}

function drawWeight(canvas: Canvas, stringTop: number, topX = 0): void {
  if (stringTop < -7)
    fillPolygon(canvas, [topX - 1.8, stringTop, topX + 1.8, stringTop, 1.8, -6, -1.8, -6], STRING);
  fillRoundRect(canvas, -9, -8, 9, 1, 2, WEIGHT);
}

const CENTER = -34;
const KNOT = CENTER + 16;
const scraps = [
  [-19, 0, 0.3],
  [-11, 4, -0.2],
  [13, 3, 0.2],
  [20, -1, -0.3],
  [1, -10, 0.1],
] as const;

/** A balloon and what may happen to it. */
export const balloon = predictiveFamily({
  name: "balloon",
  description: "{a} balloon",
  object: "the balloon",
  seen: "it hangs on a string above a weight",
  room: { x: [23, 41], scale: [0.94, 1.04] },
  drawCalm: (canvas, scene, moment) => {
    const sway = moment < 0.8 ? 2.5 * Math.sin(moment * 14) * (1 - moment / 0.8) : 0;
    drawWeight(canvas, KNOT, sway);
    drawBalloon(canvas, scene, sway, CENTER, 1);
  },
  causes: [
    {
      name: "pump",
      conditions: [
        "more air is put in",
        "someone blows into it",
        "i add air with a pump",
        "the pump adds more and more air",
      ],
      because: "more air inside needs more room",
      captions: {
        literal: [
          "the balloon swells and becomes very big",
          "the balloon grows big and round",
          "the balloon gets much bigger",
        ],
        vivid: ["the {c} balloon swells until it fills the room", "a giant {c} ball grows and grows"],
        abstract: ["more, more, more", "a deep breath in"],
      },
      draw: (canvas, scene, progress) => {
        drawWeight(canvas, KNOT);
        drawBalloon(canvas, scene, 0, CENTER - 3 * progress, 1 + 0.45 * progress);
      },
    },
    {
      name: "prick",
      conditions: [
        "someone puts a pin into it",
        "a sharp pin touches it",
        "i touch it with a pin",
        "it falls on a sharp pin",
      ],
      because: "the skin tears at once",
      captions: {
        literal: [
          "the balloon bursts and its scraps fall to the floor",
          "the balloon pops and pieces lie on the floor",
          "the balloon bursts into pieces",
        ],
        vivid: ["a loud bang, and {c} scraps rain on the floor", "torn {c} scraps fly apart and drop down"],
        abstract: ["bang", "what was one is now many"],
      },
      draw: (canvas, scene, progress) => {
        drawWeight(canvas, mix(KNOT, -7, phase(progress, 0.3, 0.6)));
        const size = 1 - phase(progress, 0.1, 0.45);
        if (size > 0) drawBalloon(canvas, scene, 0, CENTER, size);
        const fall = phase(progress, 0.25, 1);
        if (fall <= 0) return;
        for (const [x, y, angle] of scraps) {
          fillEllipse(
            canvas,
            x,
            y - 22 * (1 - fall),
            6.5,
            4.2,
            mainColours[scene.colour],
            Math.min(1, fall * 3),
            angle,
          );
        }
      },
    },
    {
      name: "cut",
      conditions: ["the string is cut", "someone cuts the string", "i cut the string", "the string tears"],
      because: "nothing holds it down any more and it is light",
      captions: {
        literal: [
          "the balloon flies up and away",
          "the balloon rises to the top and leaves the weight",
          "the balloon floats up high",
        ],
        vivid: ["the {c} balloon flies up toward the sky", "free at last, the {c} balloon climbs high"],
        abstract: ["off it goes", "freedom"],
      },
      draw: (canvas, scene, progress) => {
        drawWeight(canvas, mix(KNOT, -7, phase(progress, 0, 0.5)));
        drawBalloon(canvas, scene, 0, CENTER - 21 * progress, 1);
      },
    },
    {
      name: "leak",
      conditions: [
        "the air is let out",
        "all its air is let out",
        "someone opens the knot a little",
        "it is left alone for a long time",
      ],
      because: "without air inside it cannot keep its form",
      captions: {
        literal: [
          "the balloon shrinks and sinks down small",
          "the balloon becomes small and hangs low",
          "the balloon gets smaller and sinks to the weight",
        ],
        vivid: ["the tired {c} balloon shrinks to a little bag", "a small tired {c} bag sinks on its string"],
        abstract: ["all puff is gone", "a sad little rest"],
      },
      draw: (canvas, scene, progress) => {
        const size = mix(1, 0.5, progress);
        const y = mix(CENTER, -19, progress);
        drawWeight(canvas, y + 16 * size);
        drawBalloon(canvas, scene, 0, y, size);
      },
    },
  ],
});
