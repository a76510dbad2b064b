/**
 * A flower in a coloured pot: soil, seed, water, sprout, flower.
 * @module
 */
import { type Canvas, fillEllipse, fillPolygon, fillRect, fillRoundRect, type Rgb } from "../canvas.ts";
import { mainColours, type Scene } from "../scene.ts";
import { type Amounts, type Misstep, proceduralFamily, type Step } from "./steps.ts";

const SOIL: Rgb = [112, 72, 44];
const SEED: Rgb = [34, 30, 36];
const WATER: Rgb = [70, 176, 244];
const LEAF: Rgb = [64, 176, 72];
const PETAL: Rgb = [250, 120, 186];
const HEART: Rgb = [255, 226, 80];

const steps: readonly Step[] = [
  {
    name: "soil",
    part: "the soil",
    past: "filled in the soil",
    seen: "it holds only brown soil",
    captions: {
      literal: ["only brown soil is left in the pot", "all is taken out but the soil"],
      vivid: ["the bare brown soil shows again"],
      abstract: ["back to the start", "bare earth again"],
    },
  },
  {
    name: "seed",
    part: "the seed",
    past: "put in the seed",
    seen: "a black seed lies on the soil",
    captions: {
      literal: [
        "a big black seed comes down onto the soil",
        "the black seed is put on the soil",
        "the pot gets a big black seed",
      ],
      vivid: ["a big black seed sinks down into the {c} pot", "a shiny black seed lands in the {c} pot"],
      abstract: ["a sleeper goes to bed", "a small start is made"],
    },
  },
  {
    name: "water",
    part: "the water",
    past: "poured the water",
    seen: "blue water stands on the soil",
    captions: {
      literal: [
        "blue water drops fall and cover the soil",
        "the pot is watered and blue water stands on the soil",
        "blue water is poured over the soil",
      ],
      vivid: ["cool blue drops rain down into the {c} pot", "blue water fills the top of the {c} pot"],
      abstract: ["something to drink", "rain for the thirsty"],
    },
  },
  {
    name: "sprout",
    part: "the sprout",
    past: "let the sprout grow",
    seen: "a green sprout stands in the soil",
    captions: {
      literal: [
        "a green sprout with two leaves grows up",
        "a green stem with leaves comes out of the pot",
        "the plant sprouts and grows green leaves",
      ],
      vivid: ["a fresh green sprout climbs out of the {c} pot", "two green leaves open above the {c} pot"],
      abstract: ["the sleeper wakes up", "first sign of life"],
    },
  },
  {
    name: "flower",
    part: "the flower",
    past: "let the flower open",
    seen: "a pink flower stands in the pot",
    captions: {
      literal: [
        "a big pink flower opens at the top",
        "the plant blooms with a pink flower",
        "a round pink flower opens above the leaves",
      ],
      vivid: [
        "a bright pink flower opens wide above the {c} pot",
        "pink petals spread high over the {c} pot",
      ],
      abstract: ["now the bees will come", "a feast for the eyes"],
    },
  },
];

// Amounts: soil, seed, buried seed, water poured, water soaked in, sprout, flower.
const stages: readonly Amounts[] = [
  [0, 0, 0, 0, 0, 0, 0],
  [1, 0, 0, 0, 0, 0, 0],
  [1, 1, 0, 0, 0, 0, 0],
  [1, 1, 1, 1, 0, 0, 0],
  [1, 1, 1, 1, 1, 1, 0],
  [1, 1, 1, 1, 1, 1, 1],
];

function after(count: number): Amounts {
  return stages[count]!;
}

function missteps(next: number): readonly Misstep[] {
  return steps.flatMap((step, i) => {
    const stage = i + 1;
    if (stage === next || stage === next - 1) return [];
    return [
      {
        event: `${stage > next ? "jump" : "back"}-${step.name}`,
        captions: step.captions,
        target: after(stage),
      },
    ];
  });
}

function draw(canvas: Canvas, scene: Scene, amounts: Amounts): void {
  const rgb = mainColours[scene.colour];
  const [soil = 0, seed = 0, buried = 0, water = 0, soaked = 0, sprout = 0, flower = 0] = amounts;
  if (sprout > 0) {
    const top = -20 - 20 * sprout;
    fillRect(canvas, -2.5, top, 2.5, -16, LEAF);
    const size = sprout;
    fillEllipse(canvas, -7 * size, top + 7, 8 * size, 4 * size, LEAF, 1, 0.5);
    fillEllipse(canvas, 7 * size, top + 7, 8 * size, 4 * size, LEAF, 1, -0.5);
    if (flower > 0) {
      for (let i = 0; i < 5; i++) {
        const angle = (2 * Math.PI * i) / 5 - Math.PI / 2;
        const reach = 7 * flower;
        fillEllipse(
          canvas,
          reach * Math.cos(angle),
          top + reach * Math.sin(angle),
          5.6 * flower,
          5.6 * flower,
          PETAL,
        );
      }
      fillEllipse(canvas, 0, top, 4.6 * flower, 4.6 * flower, HEART);
    }
  }
  if (seed > 0 && buried < 1) {
    const y = -30 - 20 * (1 - seed) + 10 * buried;
    fillEllipse(canvas, 0, y, 8.5, 6, SEED, Math.min(1, seed * 4));
  }
  if (soil > 0) {
    fillEllipse(canvas, 0, -19, 13 * soil, 8 * soil, SOIL);
  }
  if (water > 0 && soaked < 1) {
    // Two large drops fall while the level rises.
    const fall = 18 * (1 - water);
    const drop = soaked > 0 || water >= 1 ? 0 : Math.min(1, water * 4);
    fillEllipse(canvas, -6, -27 - fall, 3.5, 4.5, WATER, drop);
    fillEllipse(canvas, 6, -32 - fall, 3.5, 4.5, WATER, drop);
    const level = water * (1 - soaked);
    fillEllipse(canvas, 0, -20, 14 * level, 9 * level, WATER);
  }
  fillRoundRect(canvas, -15, -20, 15, -13, 1.5, rgb);
  fillPolygon(canvas, [-13, -17, 13, -17, 9.5, 0, -9.5, 0], rgb);
}

/** Growing a plant. */
export const plant = proceduralFamily({
  name: "plant",
  description: "{a} pot",
  object: "the pot",
  goal: "grow a plant",
  doing: ["growing a plant", "making a plant grow"],
  room: { x: [19, 45], scale: [0.94, 1.04] },
  steps,
  after,
  missteps,
  draw,
});
