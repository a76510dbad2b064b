/**
 * A small anti-aliased rasteriser: rectangles, rounded rectangles, ellipses and convex polygons, drawn with
 * analytic pixel coverage (no supersampling) into a float RGB buffer.
 * @module
 */

/** Red, green, blue in 0 … 255. */
export type Rgb = readonly [number, number, number];

/** A drawing surface. Local coordinates map to pixels by `origin + scale * local`. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  /** `[H, W, 3]`, 0 … 255, unrounded. */
  readonly pixels: Float32Array;
  originX: number;
  originY: number;
  scale: number;
}

/** A black canvas whose local coordinates are pixels. */
export function makeCanvas(width: number, height: number): Canvas {
  return { width, height, pixels: new Float32Array(width * height * 3), originX: 0, originY: 0, scale: 1 };
}

function clamp01(value: number): number {
  return value < 0 ? 0 : Math.min(value, 1);
}

/**
 * Width in pixels of the ramp from outside to inside at every edge. Wider than 1 on purpose: soft edges are what a
 * small autoencoder can keep, and they move smoothly.
 */
export const EDGE_WIDTH_PX = 2.4;
const SLOPE = 1 / EDGE_WIDTH_PX;
const REACH = EDGE_WIDTH_PX / 2;

/** Coverage of the pixel `[i, i + 1]` by the interval `[low, high]` with soft ends. */
function overlap(i: number, low: number, high: number): number {
  const center = i + 0.5;
  const cover = clamp01((center - low) * SLOPE + 0.5) - clamp01((center - high) * SLOPE + 0.5);
  return Math.max(cover, 0);
}

/** Fills the rectangle between two corners; coverage is the exact area. */
export function fillRect(
  canvas: Canvas,
  x0: number,
  y0: number,
  x1: number,
  y1: number,
  color: Rgb,
  alpha = 1,
): void {
  const { width, height, pixels, originX, originY, scale } = canvas;
  const left = originX + scale * x0;
  const right = originX + scale * x1;
  const top = originY + scale * y0;
  const bottom = originY + scale * y1;
  const [r, g, b] = color;
  const yEnd = Math.min(height, Math.ceil(bottom + REACH));
  const xStart = Math.max(0, Math.floor(left - REACH));
  const xEnd = Math.min(width, Math.ceil(right + REACH));
  for (let y = Math.max(0, Math.floor(top - REACH)); y < yEnd; y++) {
    const rows = overlap(y, top, bottom) * alpha;
    if (rows <= 0) continue;
    for (let x = xStart; x < xEnd; x++) {
      const cover = rows * overlap(x, left, right);
      const at = (y * width + x) * 3;
      pixels[at] = pixels[at]! + (r - pixels[at]!) * cover;
      pixels[at + 1] = pixels[at + 1]! + (g - pixels[at + 1]!) * cover;
      pixels[at + 2] = pixels[at + 2]! + (b - pixels[at + 2]!) * cover;
    }
  }
}

/** Fills a rectangle with round corners of the given radius. */
export function fillRoundRect(
  canvas: Canvas,
  x0: number,
  y0: number,
  x1: number,
  y1: number,
  radius: number,
  color: Rgb,
  alpha = 1,
): void {
  const { width, height, pixels, originX, originY, scale } = canvas;
  if (x1 <= x0 || y1 <= y0) return;
  const centerX = originX + (scale * (x0 + x1)) / 2;
  const centerY = originY + (scale * (y0 + y1)) / 2;
  const halfX = (scale * (x1 - x0)) / 2;
  const halfY = (scale * (y1 - y0)) / 2;
  const round = Math.min(radius * scale, halfX, halfY);
  const [r, g, b] = color;
  const yEnd = Math.min(height, Math.ceil(centerY + halfY + REACH));
  const xStart = Math.max(0, Math.floor(centerX - halfX - REACH));
  const xEnd = Math.min(width, Math.ceil(centerX + halfX + REACH));
  for (let y = Math.max(0, Math.floor(centerY - halfY - REACH)); y < yEnd; y++) {
    const qy = Math.abs(y + 0.5 - centerY) - halfY + round;
    for (let x = xStart; x < xEnd; x++) {
      const qx = Math.abs(x + 0.5 - centerX) - halfX + round;
      // Signed distance to a rounded box: https://iquilezles.org/articles/distfunctions2d/
      const outside = qx > 0 && qy > 0 ? Math.sqrt(qx * qx + qy * qy) : Math.max(qx, qy);
      const cover = clamp01((round - outside) * SLOPE + 0.5) * alpha;
      if (cover <= 0) continue;
      const at = (y * width + x) * 3;
      pixels[at] = pixels[at]! + (r - pixels[at]!) * cover;
      pixels[at + 1] = pixels[at + 1]! + (g - pixels[at + 1]!) * cover;
      pixels[at + 2] = pixels[at + 2]! + (b - pixels[at + 2]!) * cover;
    }
  }
}

/** Fills an ellipse; `angle` in radians turns it clockwise on the screen. */
export function fillEllipse(
  canvas: Canvas,
  cx: number,
  cy: number,
  radiusX: number,
  radiusY: number,
  color: Rgb,
  alpha = 1,
  angle = 0,
): void {
  const { width, height, pixels, originX, originY, scale } = canvas;
  const rx = radiusX * scale;
  const ry = radiusY * scale;
  if (rx < 0.1 || ry < 0.1 || alpha <= 0) return;
  const centerX = originX + scale * cx;
  const centerY = originY + scale * cy;
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const reachX = Math.sqrt(rx * rx * cos * cos + ry * ry * sin * sin) + REACH;
  const reachY = Math.sqrt(rx * rx * sin * sin + ry * ry * cos * cos) + REACH;
  const [r, g, b] = color;
  const yEnd = Math.min(height, Math.ceil(centerY + reachY));
  const xStart = Math.max(0, Math.floor(centerX - reachX));
  const xEnd = Math.min(width, Math.ceil(centerX + reachX));
  for (let y = Math.max(0, Math.floor(centerY - reachY)); y < yEnd; y++) {
    const dy = y + 0.5 - centerY;
    for (let x = xStart; x < xEnd; x++) {
      const dx = x + 0.5 - centerX;
      const u = (cos * dx + sin * dy) / rx;
      const v = (cos * dy - sin * dx) / ry;
      const f = Math.sqrt(u * u + v * v);
      // First-order distance f (1 - f) / |grad|: https://iquilezles.org/articles/ellipsedist/
      const slope = Math.sqrt((u * u) / (rx * rx) + (v * v) / (ry * ry));
      const cover = (slope < 1e-9 ? 1 : clamp01(((f * (1 - f)) / slope) * SLOPE + 0.5)) * alpha;
      if (cover <= 0) continue;
      const at = (y * width + x) * 3;
      pixels[at] = pixels[at]! + (r - pixels[at]!) * cover;
      pixels[at + 1] = pixels[at + 1]! + (g - pixels[at + 1]!) * cover;
      pixels[at + 2] = pixels[at + 2]! + (b - pixels[at + 2]!) * cover;
    }
  }
}

/** Fills a convex polygon given as `[x0, y0, x1, y1, …]`, in either winding. */
export function fillPolygon(canvas: Canvas, points: readonly number[], color: Rgb, alpha = 1): void {
  const { width, height, pixels, originX, originY, scale } = canvas;
  const count = points.length / 2;
  let left = Infinity;
  let right = -Infinity;
  let top = Infinity;
  let bottom = -Infinity;
  let area = 0;
  for (let i = 0; i < count; i++) {
    const x = originX + scale * points[2 * i]!;
    const y = originY + scale * points[2 * i + 1]!;
    const j = (i + 1) % count;
    area += x * (originY + scale * points[2 * j + 1]!) - y * (originX + scale * points[2 * j]!);
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  if (Math.abs(area) < 0.2) return;
  const sign = area > 0 ? 1 : -1;
  // Edge i: distance inside = normalX * x + normalY * y + offset.
  const edges = new Float64Array(count * 3);
  for (let i = 0; i < count; i++) {
    const j = (i + 1) % count;
    const x = originX + scale * points[2 * i]!;
    const y = originY + scale * points[2 * i + 1]!;
    const dx = originX + scale * points[2 * j]! - x;
    const dy = originY + scale * points[2 * j + 1]! - y;
    const length = Math.max(1e-9, Math.sqrt(dx * dx + dy * dy));
    edges[3 * i] = (-sign * dy) / length;
    edges[3 * i + 1] = (sign * dx) / length;
    edges[3 * i + 2] = (sign * (dy * x - dx * y)) / length;
  }
  const [r, g, b] = color;
  const yEnd = Math.min(height, Math.ceil(bottom + REACH));
  const xStart = Math.max(0, Math.floor(left - REACH));
  const xEnd = Math.min(width, Math.ceil(right + REACH));
  for (let y = Math.max(0, Math.floor(top - REACH)); y < yEnd; y++) {
    for (let x = xStart; x < xEnd; x++) {
      let inside = EDGE_WIDTH_PX;
      for (let e = 0; e < edges.length && inside > -REACH; e += 3) {
        const distance = edges[e]! * (x + 0.5) + edges[e + 1]! * (y + 0.5) + edges[e + 2]!;
        if (distance < inside) inside = distance;
      }
      const cover = clamp01(inside * SLOPE + 0.5) * alpha;
      if (cover <= 0) continue;
      const at = (y * width + x) * 3;
      pixels[at] = pixels[at]! + (r - pixels[at]!) * cover;
      pixels[at + 1] = pixels[at + 1]! + (g - pixels[at + 1]!) * cover;
      pixels[at + 2] = pixels[at + 2]! + (b - pixels[at + 2]!) * cover;
    }
  }
}

/** A colour between two others: `a` at 0, `b` at 1. */
export function mixRgb(a: Rgb, b: Rgb, amount: number): Rgb {
  return [a[0] + (b[0] - a[0]) * amount, a[1] + (b[1] - a[1]) * amount, a[2] + (b[2] - a[2]) * amount];
}

/** Where `value` lies between `from` and `to`, held at 0 and 1 outside. */
export function phase(value: number, from: number, to: number): number {
  return clamp01((value - from) / (to - from));
}

/** A number between two others: `a` at 0, `b` at 1. */
export function mix(a: number, b: number, amount: number): number {
  return a + (b - a) * amount;
}
