/**
 * A toy house with a coloured wall: wall, roof, door, window, chimney.
 * @module
 */
import { type Canvas, fillEllipse, fillPolygon, fillRect, type Rgb } from "../canvas.ts";
import { mainColours, type Scene } from "../scene.ts";
import { type Amounts, type Misstep, proceduralFamily, type Step, undoCaptions } from "./steps.ts";

const ROOF: Rgb = [74, 74, 92];
const DOOR: Rgb = [106, 62, 34];
const WINDOW: Rgb = [236, 248, 255];
const CHIMNEY: Rgb = [150, 84, 62];
const SMOKE: Rgb = [150, 150, 158];

const steps: readonly Step[] = [
  {
    name: "wall",
    part: "the wall",
    past: "built the wall",
    seen: "only the bare wall stands",
    captions: { literal: [], vivid: [], abstract: [] },
  },
  {
    name: "roof",
    part: "the roof",
    past: "put on the roof",
    seen: "the roof is on but there is no door",
    captions: {
      literal: [
        "a dark roof comes down onto the house",
        "the dark roof is set on the wall",
        "the house gets a pointed dark roof",
      ],
      vivid: ["a pointed dark roof sinks down onto the {c} wall", "a pointed dark hat covers the {c} wall"],
      abstract: ["now the rain stays out", "the house puts on its hat"],
    },
  },
  {
    name: "door",
    part: "the door",
    past: "put in the door",
    seen: "the roof and the door are there but no window",
    captions: {
      literal: [
        "a brown door grows up in the wall",
        "the brown door is put into the house",
        "the house gets a tall brown door",
      ],
      vivid: ["a tall brown door opens the {c} wall", "a strong brown door rises in the {c} wall"],
      abstract: ["now one can walk in", "a way to come home"],
    },
  },
  {
    name: "window",
    part: "the window",
    past: "put in the window",
    seen: "roof, door and window are there",
    captions: {
      literal: [
        "a bright window opens beside the door",
        "the white window is put into the house",
        "the house gets a square white window",
      ],
      vivid: ["a bright white window lights up the {c} wall", "a square of glass opens in the {c} wall"],
      abstract: ["now one can look out", "let there be light inside"],
    },
  },
  {
    name: "chimney",
    part: "the chimney",
    past: "built the chimney",
    seen: "the chimney smokes on the roof",
    captions: {
      literal: [
        "a chimney with grey smoke grows on the roof",
        "the chimney is built and grey smoke comes out",
        "the house gets a smoking chimney",
      ],
      vivid: ["a smoking chimney rises high above the {c} wall", "grey smoke curls up above the {c} house"],
      abstract: ["now a fire can burn inside", "the house begins to breathe"],
    },
  },
];

function after(count: number): Amounts {
  return steps.map((_, i) => (i < count ? 1 : 0));
}

function missteps(next: number): readonly Misstep[] {
  const start = after(next - 1);
  return steps.flatMap((step, i) => {
    if (i === 0 || i === next - 1) return [];
    const isLater = i > next - 1;
    return [
      {
        event: `${isLater ? "add" : "undo"}-${step.name}`,
        captions: isLater ? step.captions : undoCaptions(step.part),
        target: start.map((amount, j) => (j === i ? (isLater ? 1 : 0) : amount)),
      },
    ];
  });
}

function draw(canvas: Canvas, scene: Scene, amounts: Amounts): void {
  const rgb = mainColours[scene.colour];
  const [wall = 0, roof = 0, door = 0, window = 0, chimney = 0] = amounts;
  if (chimney > 0) {
    const top = -22 - 20 * chimney;
    fillRect(canvas, 6, top, 15, -20, CHIMNEY);
    const puff = Math.max(0, 2 * chimney - 1);
    fillEllipse(canvas, 10.5, top - 4 * puff, 7 * puff, 4.5 * puff, SMOKE);
    fillEllipse(canvas, 5, top - 8 * puff, 7 * puff, 4.5 * puff, SMOKE);
  }
  if (wall > 0) fillRect(canvas, -17, -25 * wall, 17, 0, rgb);
  if (roof > 0) {
    const lift = 16 * (1 - roof);
    const alpha = Math.min(1, roof * 4);
    fillPolygon(canvas, [-22, -23 - lift, 22, -23 - lift, 3, -39 - lift, -3, -39 - lift], ROOF, alpha);
  }
  if (door > 0) fillRect(canvas, -13, -18 * door, -2, 0, DOOR);
  if (window > 0) {
    const half = 6 * window;
    fillRect(canvas, 8 - half, -13 - half, 8 + half, -13 + half, WINDOW);
  }
}

/** Building a toy house. */
export const house = proceduralFamily({
  name: "house",
  description: "a house with {a} wall",
  object: "the house",
  goal: "build a house",
  doing: ["building a house", "making a toy house", "drawing a house"],
  room: { x: [23.5, 40.5], scale: [0.94, 1.04] },
  steps,
  after,
  missteps,
  draw,
});
