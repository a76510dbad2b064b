/**
 * What surrounds an event: colour and place of the main object, plain backdrop, one distractor, camera offset.
 * @module
 */
import type { Key } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { type Canvas, fillEllipse, fillRect, fillRoundRect, makeCanvas, type Rgb } from "./canvas.ts";
import { between, integerBetween, pick } from "./dice.ts";

/** Side of every frame in pixels. */
export const WORLD_SIZE = 64;
/** Frame rate of every clip. */
export const WORLD_FRAME_RATE_HZ = 8;
/** Frames of an input clip: 6 latent frames of the VAE, which are the 6 references. */
export const INPUT_FRAMES = 21;
/** Frames of an answer: 5 latent frames. */
export const ANSWER_FRAMES = 17;

/** The colours a main object can have, far apart from each other. */
export const mainColours = {
  red: [216, 40, 44],
  orange: [247, 130, 22],
  yellow: [250, 214, 40],
  green: [34, 154, 62],
  blue: [38, 84, 222],
  purple: [142, 52, 176],
} as const satisfies Record<string, Rgb>;

/** The name of a main object's colour. */
export type ColourName = keyof typeof mainColours;

/** All colour names, in a fixed order. */
export const colourNames = Object.keys(mainColours) as ColourName[];

/** Wall and floor colours by name; all pale, so that no object drowns in them. */
export const backdrops = {
  sky: { wall: [208, 228, 246], floor: [150, 150, 156] },
  cream: { wall: [246, 236, 212], floor: [186, 148, 108] },
  lilac: { wall: [232, 220, 244], floor: [146, 138, 160] },
  mint: { wall: [218, 240, 222], floor: [170, 158, 128] },
} as const satisfies Record<string, { wall: Rgb; floor: Rgb }>;

/** The name of a backdrop. */
export type BackdropName = keyof typeof backdrops;

/** Things that stand about and take no part. */
export const distractors = ["none", "cloud", "picture", "stone", "bush"] as const;

/** Everything that is the same in all frames of a sample. */
export interface Scene {
  readonly colour: ColourName;
  readonly backdrop: BackdropName;
  readonly distractor: (typeof distractors)[number];
  readonly distractorSide: "left" | "right";
  /** Camera offset in whole pixels. */
  readonly cameraX: number;
  readonly cameraY: number;
  /** Centre of the main object before the camera offset, in pixels from the left. */
  readonly x: number;
  /** Size of the main object relative to its drawing. */
  readonly scale: number;
}

/** The room a family's drawing needs: allowed centres and sizes. */
export interface Room {
  readonly x: readonly [number, number];
  readonly scale: readonly [number, number];
}

/** Top of the floor in pixels before the camera offset. */
export const FLOOR_Y = 55;

/** Draws a scene from a key. */
export function sampleScene(key: Key, room: Room): Scene {
  const x = between(key, "x", room.x[0], room.x[1]);
  return {
    colour: pick(key, "colour", colourNames),
    backdrop: pick(key, "backdrop", Object.keys(backdrops) as BackdropName[]),
    distractor: pick(key, "distractor", distractors),
    // On the emptier side, so that it does not touch the main object.
    distractorSide: x < 32 ? "right" : "left",
    cameraX: integerBetween(key, "camera x", -2, 2),
    cameraY: integerBetween(key, "camera y", -1, 1),
    x,
    scale: between(key, "scale", room.scale[0], room.scale[1]),
  };
}

/** Whether the main object stands left, in the middle or right, as a person would say it. */
export function placeName(scene: Scene): "left" | "middle" | "right" {
  return scene.x < 29.5 ? "left" : scene.x > 34.5 ? "right" : "middle";
}

/** Draws wall, floor and distractor. Leaves the canvas in pixel coordinates. */
export function drawBackdrop(canvas: Canvas, scene: Scene): void {
  const { wall, floor } = backdrops[scene.backdrop];
  canvas.originX = 0;
  canvas.originY = 0;
  canvas.scale = 1;
  fillRect(canvas, -4, -4, WORLD_SIZE + 4, WORLD_SIZE + 4, wall);
  fillRect(canvas, -4, FLOOR_Y - 2 + scene.cameraY, WORLD_SIZE + 4, WORLD_SIZE + 4, floor);
  const side = scene.distractorSide === "left" ? 8 : WORLD_SIZE - 8;
  const x = side + scene.cameraX;
  const y = 10 + scene.cameraY;
  if (scene.distractor === "cloud") {
    fillEllipse(canvas, x - 4, y + 1, 6, 4.5, [255, 255, 255]);
    fillEllipse(canvas, x + 4, y, 6.5, 5, [255, 255, 255]);
  } else if (scene.distractor === "picture") {
    fillRect(canvas, x - 6, y - 6, x + 6, y + 6, [120, 100, 90]);
    fillRect(canvas, x - 3, y - 3, x + 3, y + 3, [250, 250, 245]);
  } else if (scene.distractor === "stone") {
    fillEllipse(canvas, x, FLOOR_Y - 2 + scene.cameraY, 7, 5, [112, 112, 122]);
  } else if (scene.distractor === "bush") {
    fillRoundRect(
      canvas,
      x - 6,
      FLOOR_Y - 11 + scene.cameraY,
      x + 6,
      FLOOR_Y + scene.cameraY,
      5,
      [92, 130, 96],
    );
  }
}

/** Puts the canvas into the main object's coordinates: x from its centre, y from the floor, up is negative. */
export function enterScene(canvas: Canvas, scene: Scene): void {
  canvas.originX = scene.x + scene.cameraX;
  canvas.originY = FLOOR_Y + scene.cameraY;
  canvas.scale = scene.scale;
}

/**
 * Renders frames: `moment(frame)` says what a frame shows as a number, `draw` draws that moment into the scene.
 * Neighbouring frames that show the same moment are copied.
 */
export function renderClip(
  scene: Scene,
  frameCount: number,
  moment: (frame: number) => number,
  draw: (canvas: Canvas, scene: Scene, moment: number) => void,
): Clip {
  const canvas = makeCanvas(WORLD_SIZE, WORLD_SIZE);
  drawBackdrop(canvas, scene);
  const backdrop = canvas.pixels.slice();
  const frameBytes = WORLD_SIZE * WORLD_SIZE * 3;
  const rgb = new Uint8Array(frameCount * frameBytes);
  let previous = Number.NaN;
  for (let frame = 0; frame < frameCount; frame++) {
    const now = moment(frame);
    const at = frame * frameBytes;
    if (now === previous) {
      rgb.copyWithin(at, at - frameBytes, at);
      continue;
    }
    previous = now;
    canvas.pixels.set(backdrop);
    enterScene(canvas, scene);
    draw(canvas, scene, now);
    for (let i = 0; i < frameBytes; i++) rgb[at + i] = canvas.pixels[i]! + 0.5;
  }
  return { frameCount, height: WORLD_SIZE, width: WORLD_SIZE, frameRateHz: WORLD_FRAME_RATE_HZ, rgb };
}
