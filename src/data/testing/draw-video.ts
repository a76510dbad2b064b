/**
 * Draws long videos with known shots for tests and benchmarks: made scenes (textures, shapes, playroom samples) under
 * pans, zooms, shake, noise, flashes and changes of light, joined by hard cuts, dissolves and fades.
 * @module
 */
import { fold, integer, type Key, keyFromSeed, uniform } from "../../base/keys.ts";
import { resizeImage } from "../../media/resize.ts";
import { sampleForSeed } from "../../world/index.ts";

/** A transition of a drawn video. Frames are counted from 0; `last` is the first frame of the new scene alone. */
export interface DrawnTransition {
  readonly kind: "cut" | "dissolve" | "fade";
  /** Last frame of the old scene alone. */
  readonly first: number;
  /** First frame of the new scene alone; `first + 1` for a cut. */
  readonly last: number;
}

/** What to draw. */
export interface DrawVideoOptions {
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  readonly frameRateHz: number;
  readonly shots: number;
  /** Frames of a shot, least and most. */
  readonly shotFrames: readonly [number, number];
  /** Shares of transitions; the rest are hard cuts. */
  readonly dissolves?: number;
  readonly fades?: number;
  /** Kinds of scenes to draw from. */
  readonly scenes?: readonly SceneKind[];
  /** Whether shots flash, shake, change their light. Default true. */
  readonly disturbed?: boolean;
}

export const SCENE_KINDS = ["texture", "shapes", "similar", "playroom"] as const;
export type SceneKind = (typeof SCENE_KINDS)[number];

/** Frames one by one, with the truth about the transitions at the end. */
export interface DrawnVideo {
  readonly frameCount: number;
  readonly transitions: readonly DrawnTransition[];
  /** RGB of frame `index`; a new array at each call. */
  readonly frame: (index: number) => Uint8Array;
}

type Shot = (at: number, out: Float32Array) => void;

const random = (key: Key, name: string, low = 0, high = 1): number =>
  low + uniform(fold(key, name), 1)[0]! * (high - low);

/** Plans and draws a video. The same options give the same frames. */
export function drawVideo(options: DrawVideoOptions): DrawnVideo {
  const { seed, width, height, shots, shotFrames, dissolves = 0.3, fades = 0.05 } = options;
  const kinds = options.scenes ?? SCENE_KINDS;
  const root = fold(keyFromSeed(seed), "drawn-video");
  const transitions: DrawnTransition[] = [];
  const starts: number[] = [0];
  let at = 0;
  for (let s = 0; s < shots; s++) {
    const key = fold(root, "length", s);
    const frames = shotFrames[0] + integer(key, shotFrames[1] - shotFrames[0] + 1);
    if (s === shots - 1) {
      at += frames;
      break;
    }
    const draw = random(key, "kind");
    const seconds = random(key, "secs", 0.4, 1.6);
    const long = Math.max(
      4,
      Math.min(Math.round(seconds * options.frameRateHz), Math.floor(shotFrames[0] * 0.6)),
    );
    at += frames;
    if (draw < dissolves) transitions.push({ kind: "dissolve", first: at - 1, last: at + long });
    else if (draw < dissolves + fades) transitions.push({ kind: "fade", first: at - 1, last: at + long });
    else transitions.push({ kind: "cut", first: at - 1, last: at });
    const gap = transitions.at(-1)!;
    at = gap.last;
    starts.push(at);
  }
  const frameCount = at;
  const made = new Map<number, Shot>();
  const shotAt = (s: number): Shot => {
    let shot = made.get(s);
    if (shot === undefined) {
      for (const old of made.keys()) if (old < s - 1) made.delete(old);
      const kind = kinds[integer(fold(root, "scene", s), kinds.length)]!;
      shot = disturb(sceneShot(kind, root, s, options), fold(root, "disturb", s), options);
      made.set(s, shot);
    }
    return shot;
  };
  const a = new Float32Array(width * height * 3);
  const b = new Float32Array(width * height * 3);
  const frame = (index: number): Uint8Array => {
    let s = 0;
    while (s + 1 < starts.length && starts[s + 1]! <= index) s++;
    const gap = transitions[s];
    const local = index - starts[s]!;
    shotAt(s)(local, a);
    if (gap !== undefined && index > gap.first) {
      const alpha = (index - gap.first) / (gap.last - gap.first);
      shotAt(s + 1)(index - gap.last, b);
      if (gap.kind === "fade") {
        const level = Math.abs(1 - 2 * alpha);
        const from = alpha < 0.5 ? a : b;
        for (let i = 0; i < a.length; i++) a[i] = from[i]! * level;
      } else for (let i = 0; i < a.length; i++) a[i] = a[i]! * (1 - alpha) + b[i]! * alpha;
    }
    const out = new Uint8Array(a.length);
    for (let i = 0; i < a.length; i++) out[i] = Math.max(0, Math.min(255, a[i]! + 0.5));
    return out;
  };
  return { frameCount, transitions, frame };
}

interface Backdrop {
  readonly width: number;
  readonly height: number;
  readonly rgb: Float32Array;
}

function sceneShot(kind: SceneKind, root: Key, s: number, options: DrawVideoOptions): Shot {
  if (kind === "playroom") return playroomShot(fold(root, "playroom", s), options);
  const key = fold(root, "shot", s);
  // Similar scenes share palette and layout with all others of the video, but not their shapes.
  const palette = kind === "similar" ? fold(root, "palette") : fold(key, "palette");
  const { width, height } = options;
  const world = backdrop(key, palette, kind === "texture" ? 14 : 6, {
    width: Math.round(width * 1.8),
    height: Math.round(height * 1.8),
  });
  const motion = random(key, "motion");
  // Pixels a frame: a third stands nearly still, some pan fast.
  const speed = motion < 0.35 ? 0.02 : motion < 0.8 ? 0.25 : 1;
  const limit = (width * 0.8) / Math.max(options.shotFrames[1] * 1.5, 1);
  const dx = random(key, "dx", -1, 1) * speed * limit * 1.2;
  const dy = random(key, "dy", -1, 1) * speed * limit * 0.5;
  const zoom = random(key, "zoom") < 0.35 ? random(key, "zoom-rate", -0.004, 0.004) : 0;
  const shake = random(key, "shake") < 0.25 ? random(key, "shake-size", 0.3, 2) * (width / 160) : 0;
  const movers = moversOf(key, options);
  return (at, out) => {
    const scale = Math.max(0.55, Math.min(1.5, Math.exp(zoom * at)));
    const w = width * scale;
    const h = height * scale;
    const jitter = uniform(fold(key, "jitter", at + 10_000), 2);
    const x = world.width / 2 - w / 2 + dx * at + shake * (jitter[0]! - 0.5);
    const y = world.height / 2 - h / 2 + dy * at + shake * (jitter[1]! - 0.5);
    look(world, { x, y, scale }, options, out);
    for (const mover of movers) mover(at, out);
  };
}

function backdrop(key: Key, palette: Key, shapes: number, size: { width: number; height: number }): Backdrop {
  const { width, height } = size;
  const rgb = new Float32Array(width * height * 3);
  const colour = (name: string): number[] => [0, 1, 2].map((c) => random(palette, `${name}${c}`, 20, 235));
  const top = colour("top");
  const bottom = colour("bottom");
  const noise = [40, 16, 6].map((cell, i) => ({
    cell: (cell * width) / 288,
    grid: fold(key, "noise", i),
    weight: [0.6, 0.3, 0.15][i]!,
  }));
  const depth = random(palette, "depth", 10, 80);
  const lattice = noise.map(({ cell, grid }) => ({
    columns: Math.ceil(width / cell) + 2,
    values: uniform(grid, (Math.ceil(width / cell) + 2) * (Math.ceil(height / cell) + 2)),
  }));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let texture = 0;
      noise.forEach(({ cell, weight }, i) => {
        const { columns, values } = lattice[i]!;
        const gx = x / cell;
        const gy = y / cell;
        const ix = Math.floor(gx);
        const iy = Math.floor(gy);
        const fx = gx - ix;
        const fy = gy - iy;
        const at = iy * columns + ix;
        texture +=
          weight *
          (values[at]! * (1 - fx) * (1 - fy) +
            values[at + 1]! * fx * (1 - fy) +
            values[at + columns]! * (1 - fx) * fy +
            values[at + columns + 1]! * fx * fy -
            0.5);
      });
      const mix = y / height;
      const p = (y * width + x) * 3;
      for (let c = 0; c < 3; c++) rgb[p + c] = top[c]! * (1 - mix) + bottom[c]! * mix + depth * texture * 2;
    }
  }
  for (let n = 0; n < shapes; n++) {
    const one = fold(key, "shape", n);
    const cx = random(one, "x", 0, width);
    const cy = random(one, "y", 0, height);
    const rx = random(one, "rx", 0.03, 0.16) * width;
    const ry = random(one, "ry", 0.04, 0.22) * height;
    const isBox = random(one, "box") < 0.5;
    const fill = [0, 1, 2].map((c) => random(one, `c${c}`, 0, 255));
    for (let y = Math.max(0, Math.floor(cy - ry)); y < Math.min(height, cy + ry); y++)
      for (let x = Math.max(0, Math.floor(cx - rx)); x < Math.min(width, cx + rx); x++) {
        if (!isBox && ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 > 1) continue;
        const p = (y * width + x) * 3;
        for (let c = 0; c < 3; c++) rgb[p + c] = 0.2 * rgb[p + c]! + 0.8 * fill[c]!;
      }
  }
  return { width, height, rgb };
}

/** Copies the camera's window of a world, bilinear, mirrored at the edges. */
function look(
  world: Backdrop,
  camera: { x: number; y: number; scale: number },
  { width, height }: DrawVideoOptions,
  out: Float32Array,
): void {
  const fold1 = (value: number, size: number): number => {
    const period = 2 * (size - 1);
    const inside = ((value % period) + period) % period;
    return inside < size - 1 ? inside : period - inside;
  };
  for (let y = 0; y < height; y++) {
    const wy = fold1(camera.y + y * camera.scale, world.height);
    const y0 = Math.min(world.height - 2, Math.floor(wy));
    const fy = wy - y0;
    for (let x = 0; x < width; x++) {
      const wx = fold1(camera.x + x * camera.scale, world.width);
      const x0 = Math.min(world.width - 2, Math.floor(wx));
      const fx = wx - x0;
      const p = (y0 * world.width + x0) * 3;
      const q = p + world.width * 3;
      const to = (y * width + x) * 3;
      for (let c = 0; c < 3; c++)
        out[to + c] =
          (world.rgb[p + c]! * (1 - fx) + world.rgb[p + 3 + c]! * fx) * (1 - fy) +
          (world.rgb[q + c]! * (1 - fx) + world.rgb[q + 3 + c]! * fx) * fy;
    }
  }
}

/** Things that cross the picture, some of them large and near. */
function moversOf(key: Key, { width, height }: DrawVideoOptions): Shot[] {
  const count = integer(fold(key, "movers"), 3);
  return Array.from({ length: count }, (_, n) => {
    const one = fold(key, "mover", n);
    const size = random(one, "size", 0.06, n === 0 && random(one, "near") < 0.3 ? 0.45 : 0.2);
    const rx = size * width * 0.5;
    const ry = size * height;
    const speed = random(one, "speed", -1, 1) * width * 0.03;
    const start = random(one, "start", -0.3, 1.3) * width;
    const cy = random(one, "y", 0.2, 0.9) * height;
    const fill = [0, 1, 2].map((c) => random(one, `c${c}`, 0, 255));
    const period = width * 1.8;
    return (at: number, out: Float32Array) => {
      const cx = ((((start + speed * at) % period) + period) % period) - width * 0.4;
      for (let y = Math.max(0, Math.floor(cy - ry)); y < Math.min(height, cy + ry); y++)
        for (let x = Math.max(0, Math.floor(cx - rx)); x < Math.min(width, cx + rx); x++) {
          if (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 > 1) continue;
          const p = (y * width + x) * 3;
          for (let c = 0; c < 3; c++) out[p + c] = fill[c]!;
        }
    };
  });
}

/** Input and answer of a playroom sample, one after the other, enlarged; the last frame stands on. */
function playroomShot(key: Key, { width, height, frameRateHz }: DrawVideoOptions): Shot {
  const { input, output } = sampleForSeed(integer(key, 800_000));
  const bytes = input.width * input.height * 3;
  const frames = [input, output].flatMap((clip) =>
    Array.from({ length: clip.frameCount }, (_, i) => clip.rgb.subarray(i * bytes, (i + 1) * bytes)),
  );
  const shown = new Map<number, Uint8Array>();
  return (at, out) => {
    const index = Math.max(0, Math.min(frames.length - 1, Math.floor((at * 8) / frameRateHz)));
    let image = shown.get(index);
    if (image === undefined) {
      shown.clear();
      const small = { width: input.width, height: input.height, rgb: frames[index]! };
      image = resizeImage(small, { width, height }, "pil-bilinear").rgb;
      shown.set(index, image);
    }
    out.set(image);
  };
}

/** Flashes, changes of light, grain. */
function disturb(shot: Shot, key: Key, options: DrawVideoOptions): Shot {
  if (options.disturbed === false) return shot;
  const length = options.shotFrames[1];
  const flash = random(key, "flash") < 0.3 ? Math.floor(random(key, "flash-at", 0.2, 0.8) * length) : -100;
  const flashFrames = 1 + integer(fold(key, "flash-frames"), 4);
  const flashGain = random(key, "flash-gain", 1.6, 4);
  const ramp = random(key, "ramp") < 0.25 ? random(key, "ramp-size", -0.6, 0.6) : 0;
  const step = random(key, "step") < 0.12 ? random(key, "step-size", 0.55, 1.5) : 1;
  const stepAt = Math.floor(random(key, "step-at", 0.3, 0.7) * length);
  const grain = random(key, "grain") < 0.5 ? random(key, "grain-size", 2, 14) : 0;
  return (at, out) => {
    shot(at, out);
    let gain = 1 + ramp * Math.min(1, Math.max(0, at / length));
    if (at >= stepAt) gain *= step;
    const isFlash = at >= flash && at < flash + flashFrames;
    if (isFlash) gain *= flashGain;
    const lift = isFlash ? 40 : 0;
    if (gain !== 1 || lift !== 0)
      for (let i = 0; i < out.length; i++) out[i] = Math.min(255, out[i]! * gain + lift);
    if (grain > 0) {
      const noise = uniform(fold(key, "noise", at + 10_000), 4096);
      let shift = integer(fold(key, "noise-shift", at + 10_000), 4096);
      for (let i = 0; i < out.length; i++) {
        shift = (shift * 5 + 2741) & 4095;
        out[i] = out[i]! + (noise[(shift + i) & 4095]! - 0.5) * 2 * grain;
      }
    }
  };
}
