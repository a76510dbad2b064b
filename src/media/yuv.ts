/**
 * Between RGB and the luma/chroma planes that video codecs store.
 *
 * Video stores chroma at half size, which blurs the edges between colours: on flat drawings of 64x64 with edges at odd
 * pixels, repeating chroma gives 27 dB and interpolating it 29 dB against the drawing, however finely it is coded.
 * Guiding it by the luma gives 40 dB.
 * @module
 */
import type { RgbImage } from "./resize.ts";

/** Weights of red and blue in luma. ITU-R BT.601, BT.709, BT.2020; SMPTE 240M; FCC. */
const LUMA_WEIGHTS = {
  bt601: { red: 0.299, blue: 0.114 },
  bt709: { red: 0.2126, blue: 0.0722 },
  bt2020: { red: 0.2627, blue: 0.0593 },
  smpte240m: { red: 0.212, blue: 0.087 },
  fcc: { red: 0.3, blue: 0.11 },
} as const;
export type YuvMatrix = keyof typeof LUMA_WEIGHTS;

/** How colours are stored. `isFullRange`: 0 … 255 rather than 16 … 235. */
export interface YuvColour {
  readonly matrix: YuvMatrix;
  readonly isFullRange: boolean;
}

/** What files without colour tags mean, and what we write: BT.601, limited range (also swscale's default). */
export const DEFAULT_YUV_COLOUR: YuvColour = { matrix: "bt601", isFullRange: false };

/** Our name for a matrix as WebCodecs or ffmpeg spell it; BT.601 where the file does not say. */
export function yuvMatrixFrom(name: string | null | undefined): YuvMatrix {
  if (name?.startsWith("bt2020")) return "bt2020";
  if (name === "bt709" || name === "smpte240m" || name === "fcc") return name;
  return "bt601";
}

/** Chroma layouts: how many luma pixels one chroma sample covers, as powers of two. */
export const YUV_LAYOUTS = {
  I420: { columnShift: 1, rowShift: 1 },
  I422: { columnShift: 1, rowShift: 0 },
  I444: { columnShift: 0, rowShift: 0 },
} as const;
export type YuvLayout = keyof typeof YUV_LAYOUTS;

/** Rows and columns of a chroma plane (rounded up). */
function chromaSize(layout: YuvLayout, height: number, width: number): { rows: number; columns: number } {
  const { columnShift, rowShift } = YUV_LAYOUTS[layout];
  return { rows: (height + rowShift) >> rowShift, columns: (width + columnShift) >> columnShift };
}

/** Bytes of the three planes, one after the other without padding. */
export function yuvByteCount(layout: YuvLayout, height: number, width: number): number {
  const { rows, columns } = chromaSize(layout, height, width);
  return height * width + 2 * rows * columns;
}

/** Fixed-point fraction of the conversion tables. */
const SHIFT = 16;

/**
 * How chroma comes back to full size.
 * - `guided`: follows the luma, see {@link guidedChroma}.
 * - `repeat`: every chroma sample covers its 2x2 (or 2x1) pixels, as ffmpeg's default does.
 */
export const CHROMA_MODES = ["guided", "repeat"] as const;
export type ChromaMode = (typeof CHROMA_MODES)[number];

/** Where the planes lie. */
export interface YuvSize {
  readonly height: number;
  readonly width: number;
  readonly layout: YuvLayout;
}

/** Planes to RGB. */
export function rgbFromYuv(
  planes: Uint8Array,
  size: YuvSize,
  colour: YuvColour,
  chroma: ChromaMode,
): RgbImage {
  const { height, width, layout } = size;
  const tables = conversionTables(colour);
  const [u, v] =
    chroma === "guided" && layout !== "I444" ? guidedChroma(planes, size) : repeatedChroma(planes, size);
  const rgb = new Uint8Array(height * width * 3);
  for (let i = 0, at = 0; i < height * width; i++, at += 3) {
    const luma = tables.luma[planes[i]!]!;
    const red = (luma + tables.redFromV[v[i]!]!) >> SHIFT;
    const green = (luma + tables.greenFromU[u[i]!]! + tables.greenFromV[v[i]!]!) >> SHIFT;
    const blue = (luma + tables.blueFromU[u[i]!]!) >> SHIFT;
    rgb[at] = red < 0 ? 0 : Math.min(red, 255);
    rgb[at + 1] = green < 0 ? 0 : Math.min(green, 255);
    rgb[at + 2] = blue < 0 ? 0 : Math.min(blue, 255);
  }
  return { height, width, rgb };
}

function repeatedChroma(planes: Uint8Array, { height, width, layout }: YuvSize): [Uint8Array, Uint8Array] {
  const { columnShift, rowShift } = YUV_LAYOUTS[layout];
  const { rows, columns } = chromaSize(layout, height, width);
  const uStart = height * width;
  const vStart = uStart + rows * columns;
  const u = new Uint8Array(height * width);
  const v = new Uint8Array(height * width);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const from = (y >> rowShift) * columns + (x >> columnShift);
      u[at] = planes[uStart + from]!;
      v[at] = planes[vStart + from]!;
    }
  }
  return [u, v];
}

/** Keeps the fitted slope small where the luma is flat (variance of luma levels). */
const FLATNESS = 10;

/**
 * Brings chroma to full size along the luma: around every chroma sample (3x3) chroma is fitted as a straight line
 * over the luma averaged to chroma size, and the line is read at each pixel's own luma; the result stays within the
 * range of the 3x3 samples. Where two colours meet, luma and chroma change together, and the edge gets back its
 * place. A guided filter (He et al., "Guided Image Filtering", 2010) used for upsampling, as in AV1's chroma from luma.
 */
function guidedChroma(planes: Uint8Array, { height, width, layout }: YuvSize): [Uint8Array, Uint8Array] {
  const { columnShift, rowShift } = YUV_LAYOUTS[layout];
  const { rows, columns } = chromaSize(layout, height, width);
  const luma = lumaAtChromaSize(planes, { height, width, layout });
  const outputs: [Uint8Array, Uint8Array] = [new Uint8Array(height * width), new Uint8Array(height * width)];
  outputs.forEach((output, plane) => {
    const start = height * width + plane * rows * columns;
    for (let row = 0; row < rows; row++) {
      const top = Math.max(row - 1, 0);
      const bottom = Math.min(row + 1, rows - 1);
      for (let column = 0; column < columns; column++) {
        const left = Math.max(column - 1, 0);
        const right = Math.min(column + 1, columns - 1);
        let sumL = 0;
        let sumC = 0;
        let sumLL = 0;
        let sumLC = 0;
        let least = 255;
        let most = 0;
        for (let y = top; y <= bottom; y++) {
          for (let x = left; x <= right; x++) {
            const l = luma[y * columns + x]!;
            const c = planes[start + y * columns + x]!;
            sumL += l;
            sumC += c;
            sumLL += l * l;
            sumLC += l * c;
            if (c < least) least = c;
            if (c > most) most = c;
          }
        }
        const centre = planes[start + row * columns + column]!;
        const count = (bottom - top + 1) * (right - left + 1);
        const slope =
          (sumLC * count - sumL * sumC) / (sumLL * count - sumL * sumL + FLATNESS * count * count);
        const base = centre - slope * luma[row * columns + column]! + 0.5;
        const lastRow = Math.min(((row + 1) << rowShift) - 1, height - 1);
        const lastColumn = Math.min(((column + 1) << columnShift) - 1, width - 1);
        for (let y = row << rowShift; y <= lastRow; y++) {
          for (let x = column << columnShift; x <= lastColumn; x++) {
            const at = y * width + x;
            const value = least === most ? centre : base + slope * planes[at]!;
            output[at] = value < least ? least : Math.min(value, most);
          }
        }
      }
    }
  });
  return outputs;
}

/** Luma averaged over the pixels of each chroma sample. */
function lumaAtChromaSize(planes: Uint8Array, { height, width, layout }: YuvSize): Float64Array {
  const { columnShift, rowShift } = YUV_LAYOUTS[layout];
  const { rows, columns } = chromaSize(layout, height, width);
  const sums = new Float64Array(rows * columns);
  const counts = new Uint8Array(rows * columns);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y >> rowShift) * columns + (x >> columnShift);
      sums[at]! += planes[y * width + x]!;
      counts[at]!++;
    }
  }
  return sums.map((sum, index) => sum / counts[index]!);
}

function conversionTables({ matrix, isFullRange }: YuvColour) {
  const { red, blue } = LUMA_WEIGHTS[matrix];
  const green = 1 - red - blue;
  const lumaScale = isFullRange ? 1 : 255 / 219;
  const chromaScale = isFullRange ? 1 : 255 / 224;
  const black = isFullRange ? 0 : 16;
  const table = (value: (level: number) => number): Int32Array =>
    Int32Array.from({ length: 256 }, (_, level) => Math.round(value(level) * 2 ** SHIFT));
  return {
    luma: table((level) => (level - black) * lumaScale + 0.5),
    redFromV: table((level) => (level - 128) * chromaScale * 2 * (1 - red)),
    blueFromU: table((level) => (level - 128) * chromaScale * 2 * (1 - blue)),
    greenFromU: table((level) => ((128 - level) * chromaScale * 2 * (1 - blue) * blue) / green),
    greenFromV: table((level) => ((128 - level) * chromaScale * 2 * (1 - red) * red) / green),
  };
}

/** H.264 encoders refuse smaller pictures. */
const LEAST_SIDE = 16;

/** The even side, at least 16, that a picture side is padded to. */
function paddedSide(side: number): number {
  return Math.max(side + (side % 2), LEAST_SIDE);
}

/**
 * RGB to planes of layout `I420`, padded to even sides of at least 16 by repeating the last row and column: 4:2:0
 * video has even sides.
 */
export function yuv420FromRgb(
  image: RgbImage,
  colour: YuvColour = DEFAULT_YUV_COLOUR,
): { planes: Uint8Array<ArrayBuffer>; height: number; width: number } {
  const height = paddedSide(image.height);
  const width = paddedSide(image.width);
  const planes = new Uint8Array(yuvByteCount("I420", height, width));
  const { red, blue } = LUMA_WEIGHTS[colour.matrix];
  const green = 1 - red - blue;
  const lumaScale = colour.isFullRange ? 1 : 219 / 255;
  const chromaScale = colour.isFullRange ? 1 : 224 / 255;
  const black = colour.isFullRange ? 0 : 16;
  const uScale = chromaScale / (2 * (1 - blue));
  const vScale = chromaScale / (2 * (1 - red));
  const uStart = height * width;
  const vStart = uStart + (height / 2) * (width / 2);
  for (let y = 0; y < height; y += 2) {
    for (let x = 0; x < width; x += 2) {
      let u = 0;
      let v = 0;
      for (let corner = 0; corner < 4; corner++) {
        const row = y + (corner >> 1);
        const column = x + (corner & 1);
        const from = (Math.min(row, image.height - 1) * image.width + Math.min(column, image.width - 1)) * 3;
        const r = image.rgb[from]!;
        const b = image.rgb[from + 2]!;
        const luma = red * r + green * image.rgb[from + 1]! + blue * b;
        planes[row * width + column] = Math.round(luma * lumaScale + black);
        u += b - luma;
        v += r - luma;
      }
      const at = (y / 2) * (width / 2) + x / 2;
      planes[uStart + at] = Math.min(255, Math.max(0, Math.round((u / 4) * uScale + 128)));
      planes[vStart + at] = Math.min(255, Math.max(0, Math.round((v / 4) * vScale + 128)));
    }
  }
  return { planes, height, width };
}
